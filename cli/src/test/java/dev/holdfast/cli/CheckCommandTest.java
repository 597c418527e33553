package dev.holdfast.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.server.PostgresServer;
import dev.holdfast.testkit.TestServer;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** The check as a deploy step and a test suite meet it, without any repository. */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
class CheckCommandTest {
  private static TestServer server;

  @TempDir Path folder;
  private final ByteArrayOutputStream out = new ByteArrayOutputStream();
  private final ByteArrayOutputStream err = new ByteArrayOutputStream();

  @BeforeAll
  static void start() {
    server = TestServer.start(18);
    server.execute("CREATE DATABASE shop", "CREATE DATABASE books");
    server.executeIn("shop", "CREATE TABLE users (id int)");
    server.executeIn("books", "CREATE TABLE shelves (id int)");
  }

  @AfterAll
  static void stop() {
    server.close();
  }

  private int run(String... arguments) {
    out.reset();
    err.reset();
    Terminal terminal =
        new Terminal(
            new PrintStream(out, true, StandardCharsets.UTF_8),
            new PrintStream(err, true, StandardCharsets.UTF_8),
            false,
            false,
            false,
            100);
    return new CommandLineRun(terminal, Map.of("XDG_CONFIG_HOME", folder.toString()))
        .execute(arguments);
  }

  @Test
  void a_stamped_database_is_let_in_where_it_is_expected_and_nowhere_else() {
    String shop = server.url("shop");
    assertThat(run("guard", "install", shop, "--name", "acme", "--environment", "production", "-q"))
        .isZero();
    assertThat(run("check", shop, "--expect", "acme/production")).isZero();
    assertThat(out.toString(StandardCharsets.UTF_8))
        .startsWith("as expected  this is acme/production, as far as it can be told")
        .contains("  told by: its stamp says acme/production\n");
    assertThat(run("check", shop, "--expect", "acme/staging")).isEqualTo(4);
    assertThat(out.toString(StandardCharsets.UTF_8))
        .startsWith("not as expected  ")
        .contains("and acme/staging was expected");
    assertThat(run("check", shop, "--not", "production")).isEqualTo(4);
    assertThat(run("check", server.url("books"), "--not", "production")).isZero();
    assertThat(run("check", server.url("books"), "--expect", "acme")).isEqualTo(4);
    assertThat(out.toString(StandardCharsets.UTF_8)).contains("was never protected");
  }

  @Test
  void every_address_in_a_file_of_variables_is_checked_and_no_password_is_shown()
      throws IOException {
    Path file = folder.resolve(".env");
    int nobody = PostgresServer.freePort();
    Files.writeString(
        file,
        """
        # what the application reads
        PORT=3000
        BOOKS_URL="%s"
        DATABASE_URL=postgres://me:sesame@127.0.0.1:%d/shop
        """
            .formatted(server.url("books"), nobody));
    assertThat(run("check", "--env-file", file.toString(), "--not", "production", "--json"))
        .isEqualTo(7);
    List<JsonNode> lines =
        out.toString(StandardCharsets.UTF_8).lines().map(JsonMapper.shared()::readTree).toList();
    assertThat(lines)
        .extracting(line -> line.get("source").asString() + " " + line.get("verdict").asString())
        .containsExactly(file + ": BOOKS_URL unprotected", file + ": DATABASE_URL unreachable");
    assertThat(out.toString(StandardCharsets.UTF_8) + err).doesNotContain("sesame");
  }

  @Test
  void what_is_not_said_is_asked_for() throws IOException {
    assertThat(run("check", server.url("books"))).isEqualTo(2);
    assertThat(err.toString(StandardCharsets.UTF_8)).contains("--expect acme/production");
    assertThat(run("check", "--expect", "acme")).isEqualTo(2);
    assertThat(run("check", server.url("books"), "--expect", "acme/prod")).isEqualTo(2);
    Path file = Files.writeString(folder.resolve("empty.env"), "PORT=3000\n");
    assertThat(run("check", "--env-file", file.toString(), "--not", "production")).isEqualTo(2);
    assertThat(err.toString(StandardCharsets.UTF_8)).contains("there is no database in");
    assertThat(run("check", "--env-file", folder + "/none", "--not", "production")).isEqualTo(2);
    // An address that is not understood must not pass unseen.
    Path exported =
        Files.writeString(folder.resolve("sh.env"), "export A=postgres://u:sesame@h/d\n");
    assertThat(run("check", "--env-file", exported.toString(), "--not", "production")).isEqualTo(2);
    assertThat(err.toString(StandardCharsets.UTF_8))
        .contains("NAME=VALUE")
        .doesNotContain("sesame");
  }
}
