package dev.holdfast.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.testkit.TestServer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A move to a new server, as the operator goes through it. */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
class ContinuedClusterCommandTest {
  @TempDir Path folder;

  private Ended run(String... arguments) {
    return InProcess.run(
        Map.of(
            "HOLDFAST_REPOSITORY",
            folder.resolve("repository").toString(),
            "XDG_CONFIG_HOME",
            folder.resolve("config").toString()),
        arguments);
  }

  private Ended protect(String name, String url, String... more) {
    List<String> arguments =
        new ArrayList<>(
            List.of("protect", name, url, "--environment", "production", "--recorder-url", url));
    arguments.addAll(List.of(more));
    return run(arguments.toArray(String[]::new));
  }

  @Test
  void each_step_says_what_the_next_one_is() {
    try (TestServer old = TestServer.start(17);
        TestServer moved = TestServer.start(18)) {
      old.execute("CREATE TABLE users (id int)");
      moved.execute("CREATE TABLE users (id int)");
      String url = moved.url("postgres");
      assertThat(protect("acme", old.url("postgres")).exitCode()).isZero();

      Ended taken = protect("acme", url);
      assertThat(taken.exitCode()).isEqualTo(3);
      assertThat(taken.err())
          .contains("holdfast protect NEW_NAME URL --environment production --continues acme");

      Ended script = protect("acme_18", url, "--continues", "acme", "--print-sql");
      assertThat(script.exitCode()).as(script.err()).isZero();
      assertThat(script.out()).contains("SELECT 'acme', 'production'").doesNotContain("'acme_18'");

      Ended done = protect("acme_18", url, "--continues", "acme");
      assertThat(done.exitCode()).as(done.err()).isZero();
      assertThat(done.out())
          .contains(
              "it takes the place of acme: its databases go on being acme/production, and what is recorded of acme is kept")
          .contains("now that it is acme/production: postgres")
          .contains("SELECT holdfast.assert_identity('acme', 'production')")
          .contains("next: holdfast record acme_18");

      assertThat(run("check", url, "--expect", "acme/production").exitCode()).isZero();
      Ended former = run("check", old.url("postgres"), "--expect", "acme/production");
      assertThat(former.exitCode()).isEqualTo(4);
      assertThat(former.out())
          .contains("this is an old server of acme/production, or a copy of one: since ");
      assertThat(run("check", old.url("postgres"), "--not", "production").exitCode()).isEqualTo(4);

      assertThat(run("status", "acme").out())
          .startsWith("acme  production, PostgreSQL 17: the past of acme_18\n")
          .contains("holdfast status acme_18")
          .doesNotContain("unreachable", "guard", "unknown");
      assertThat(run("status", "acme_18").out())
          .contains("in the place of")
          .contains("acme; its databases are acme/production")
          .doesNotContain("identity_check"); // a table of Holdfast's is nobody's worry
    }
  }
}
