package dev.holdfast.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.server.PostgresServer;
import dev.holdfast.testkit.TestServer;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.w3c.dom.Element;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** The check as a deploy step and a test suite meet it, without any repository. */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
class CheckCommandTest {
  private static TestServer server;

  @TempDir Path folder;
  private Ended ended = new Ended(0, "", "");

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
    ended = InProcess.run(Map.of("XDG_CONFIG_HOME", folder.toString()), arguments);
    return ended.exitCode();
  }

  @Test
  void a_stamped_database_is_let_in_where_it_is_expected_and_nowhere_else() {
    String shop = server.url("shop");
    assertThat(run("guard", "install", shop, "--name", "acme", "--environment", "production", "-q"))
        .isZero();
    assertThat(run("check", shop, "--expect", "acme/production")).isZero();
    assertThat(ended.out())
        .startsWith("as expected  this is acme/production, as far as it can be told")
        .contains("  told by: its stamp says acme/production\n");
    assertThat(run("check", shop, "--expect", "acme/staging")).isEqualTo(4);
    assertThat(ended.out())
        .startsWith("not as expected  ")
        .contains("and acme/staging was expected");
    assertThat(run("check", shop, "--not", "production")).isEqualTo(4);
    assertThat(run("check", server.url("books"), "--not", "production")).isZero();
    assertThat(run("check", server.url("books"), "--expect", "acme")).isEqualTo(4);
    assertThat(ended.out()).contains("was never protected");
  }

  @Test
  void ci_is_told_in_its_own_formats() throws Exception {
    server.execute("CREATE DATABASE ci");
    server.executeIn("ci", "CREATE TABLE users (id int)");
    String ci = server.url("ci");
    assertThat(run("check", ci, "--expect", "acme/production", "--format", "github")).isEqualTo(4);
    assertThat(ended.out().strip())
        .startsWith(
            "::error title=holdfast check%3A expected acme/production::this database was never protected: it may be a new, empty or hand-made one%0Aat: postgresql://")
        .doesNotContain("\n");
    assertThat(run("check", ci, "--not", "production", "--format", "github")).isZero();
    assertThat(ended.out().strip())
        .startsWith("::notice title=holdfast check%3A expected not production::");
    Path file = folder.resolve(".env");
    Files.writeString(
        file,
        "CI=%s\nNOBODY=postgres://me:sesame@127.0.0.1:%d/shop\n"
            .formatted(ci, PostgresServer.freePort()));
    assertThat(run("check", "--env-file", file.toString(), "--expect", "acme", "--format", "junit"))
        .isEqualTo(4);
    assertThat(ended.out()).doesNotContain("sesame");
    Element suite =
        DocumentBuilderFactory.newDefaultInstance()
            .newDocumentBuilder()
            .parse(new ByteArrayInputStream(ended.out().getBytes(StandardCharsets.UTF_8)))
            .getDocumentElement();
    assertThat(suite.getAttribute("tests")).isEqualTo("2");
    assertThat(suite.getAttribute("failures")).isEqualTo("1");
    assertThat(suite.getAttribute("errors")).isEqualTo("1");
    assertThat(suite.getElementsByTagName("failure").item(0).getAttributes().getNamedItem("type"))
        .extracting(org.w3c.dom.Node::getTextContent)
        .isEqualTo("unprotected");
    assertThat(run("check", ci, "--not", "production", "--format", "sarif")).isEqualTo(2);
    assertThat(run("check", ci, "--not", "production", "--format", "junit", "--json")).isEqualTo(2);
  }

  @Test
  void addresses_are_read_as_drivers_write_them() throws IOException {
    server.execute("CREATE DATABASE drivers");
    String url = server.url("drivers");
    String rest = url.substring(url.indexOf("://"));
    Path file = folder.resolve(".env");
    Files.writeString(
        file,
        """
        PRISMA="postgresql%1$s?schema=public&connection_limit=5&pgbouncer=true"
        ALCHEMY=postgresql+psycopg%1$s
        NODE=postgres%1$s?sslmode=no-verify&ssl=false
        SPRING=jdbc:postgresql%2$s?user=postgres&currentSchema=public
        """
            .formatted(rest, rest.replace("postgres@", "")));
    assertThat(run("check", "--env-file", file.toString(), "--not", "production", "--json"))
        .as(ended.out() + ended.err())
        .isZero();
    assertThat(ended.out().lines())
        .hasSize(4)
        .allMatch(
            line -> JsonMapper.shared().readTree(line).get("verdict").asString().equals("empty"));
  }

  @Test
  void who_asked_is_kept_in_the_database_unless_it_is_not_wanted() {
    server.execute("CREATE DATABASE asked");
    String asked = server.url("asked");
    assertThat(run("adopt", asked, "--environment", "production")).isEqualTo(3);
    assertThat(ended.err()).contains("asked has no stamp");
    assertThat(run("guard", "install", asked, "--name", "acme", "--environment", "staging", "-q"))
        .isZero();
    assertThat(run("check", asked, "--expect", "acme/staging", "--no-note")).isZero();
    assertThat(server.queryIn("asked", "TABLE holdfast.identity_check")).isEmpty();
    assertThat(
            run(
                "check",
                asked,
                "--expect",
                "acme/production",
                "--application",
                "billing",
                "--commit",
                "abc123"))
        .isEqualTo(4);
    assertThat(
            server.queryIn(
                "asked",
                "SELECT concat_ws(' ', application, commit, wrong, right_at IS NULL) FROM holdfast.identity_check"))
        .containsExactly("billing abc123 acme/production t");
  }

  @Test
  void a_database_that_came_from_another_server_is_adopted() {
    server.execute("CREATE DATABASE moved");
    String moved = server.url("moved");
    assertThat(
            run("guard", "install", moved, "--name", "acme", "--environment", "production", "-q"))
        .isZero();
    assertThat(run("adopt", moved, "--environment", "development")).isEqualTo(3);
    assertThat(ended.err()).contains("is acme/production itself: its stamp was made here");
    server.executeIn("moved", "UPDATE holdfast.identity SET system_identifier = 1");
    assertThat(run("check", moved, "--expect", "acme/production")).isEqualTo(4);
    assertThat(run("adopt", moved, "--environment", "live")).isEqualTo(2);
    assertThat(run("adopt", moved, "--environment", "production")).isZero();
    assertThat(ended.out()).isEqualTo("adopted  database \"moved\" is acme/production now\n");
    assertThat(run("check", moved, "--expect", "acme/production")).isZero();
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
    List<JsonNode> lines = ended.out().lines().map(JsonMapper.shared()::readTree).toList();
    assertThat(lines)
        .extracting(line -> line.get("source").asString() + " " + line.get("verdict").asString())
        .containsExactly(file + ": BOOKS_URL unprotected", file + ": DATABASE_URL unreachable");
    assertThat(ended.out() + ended.err()).doesNotContain("sesame");
  }

  @Test
  void what_is_not_said_is_asked_for() throws IOException {
    assertThat(run("check", server.url("books"))).isEqualTo(2);
    assertThat(ended.err()).contains("--expect acme/production");
    assertThat(run("check", "--expect", "acme")).isEqualTo(2);
    assertThat(run("check", server.url("books"), "--expect", "acme/prod")).isEqualTo(2);
    Path file = Files.writeString(folder.resolve("empty.env"), "PORT=3000\n");
    assertThat(run("check", "--env-file", file.toString(), "--not", "production")).isEqualTo(2);
    assertThat(ended.err()).contains("there is no database in");
    assertThat(run("check", "--env-file", folder + "/none", "--not", "production")).isEqualTo(2);
    // The beginning of a password with a slash in it is no port, and is not shown.
    Path slash =
        Files.writeString(folder.resolve("slash.env"), "A=postgres://u:ses/ame@127.0.0.1/d\n");
    assertThat(run("check", "--env-file", slash.toString(), "--not", "production")).isEqualTo(2);
    assertThat(ended.err()).contains("slash.env: A").doesNotContain("ses");
    // An address that is not understood must not pass unseen.
    Path exported =
        Files.writeString(folder.resolve("sh.env"), "export A=postgres://u:sesame@h/d\n");
    assertThat(run("check", "--env-file", exported.toString(), "--not", "production")).isEqualTo(2);
    assertThat(ended.err()).contains("NAME=VALUE").doesNotContain("sesame");
  }
}
