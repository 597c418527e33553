package dev.holdfast.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CommandLineRunTest {
  @TempDir Path folder;

  private Ended ended = new Ended(0, "", "");

  private int run(Map<String, String> environment, String... arguments) {
    ended = InProcess.run(environment, arguments);
    return ended.exitCode();
  }

  @Test
  void help_names_every_command_and_every_exit_code() {
    assertThat(run(Map.of(), "--help")).isZero();
    assertThat(ended.out())
        .contains(
            "demo",
            "protect",
            "record",
            "backup",
            "rollup",
            "prove",
            "verify",
            "expire",
            "status",
            "log",
            "preview",
            "restore",
            "key",
            "show",
            "revert",
            "fork",
            "wal",
            "diff",
            "check",
            "roles",
            "watch",
            "run",
            "freeze",
            "unfreeze")
        .contains("7 database unreachable");
  }

  @Test
  void every_command_explains_itself() {
    for (String command :
        new String[] {
          "demo",
          "protect",
          "record",
          "backup",
          "rollup",
          "prove",
          "verify",
          "expire",
          "status",
          "log",
          "preview",
          "restore",
          "show",
          "revert",
          "fork",
          "wal",
          "diff",
          "check",
          "roles",
          "watch",
          "run",
          "freeze",
          "unfreeze"
        }) {
      assertThat(run(Map.of(), command, "--help")).as(command).isZero();
      assertThat(ended.out()).as(command).contains("Usage: holdfast " + command).contains("--json");
    }
  }

  @Test
  void options_may_come_before_the_command_and_have_the_name_of_another() {
    for (String[] arguments :
        new String[][] {
          {"--repository", "fork", "log", "--help"},
          {"--repository=fork", "--config", "fork", "log", "--help"},
        }) {
      assertThat(run(Map.of(), arguments)).as(ended.err()).isZero();
      assertThat(ended.out()).contains("Usage: holdfast log");
    }
    assertThat(run(Map.of(), "--repository", "elsewhere", "--help")).isZero();
    assertThat(ended.out()).contains("preview", "status");
    assertThat(run(Map.of(), "--repository", "log", "acme")).isEqualTo(2);
    assertThat(ended.err())
        .contains("Expected parameter for option '--repository' but found 'log'");
    assertThat(run(Map.of(), "--nothing")).isEqualTo(2);
    assertThat(ended.err()).contains("--nothing");
  }

  @Test
  void an_unknown_option_is_wrong_usage_and_says_where_help_is() {
    assertThat(run(Map.of(), "log", "acme", "--destructif")).isEqualTo(2);
    assertThat(ended.err())
        .isEqualTo(
            """
            error: wrong usage
              why:  Unknown option: '--destructif'
              next: holdfast log --help shows how
            """);
  }

  @Test
  void a_time_without_an_offset_is_refused_with_the_right_spelling() {
    assertThat(run(Map.of(), "log", "acme", "--since", "2026-11-21 04:56:27")).isEqualTo(2);
    assertThat(ended.err())
        .contains("\"2026-11-21 04:56:27\" has no offset; in UTC it would be 2026-11-21T04:56:27Z");
  }

  @Test
  void no_repository_named_says_the_ways_to_name_one() {
    Map<String, String> nowhere = Map.of("XDG_CONFIG_HOME", folder.toString());
    assertThat(run(nowhere, "status")).isEqualTo(2);
    assertThat(ended.err())
        .contains("neither --repository, nor HOLDFAST_REPOSITORY, nor holdfast.yaml says where");
  }

  @Test
  void a_repository_that_is_not_there_is_exit_code_5_in_json_too() {
    String missing = folder.resolve("missing").toString();
    assertThat(run(Map.of("HOLDFAST_REPOSITORY", missing), "status", "--json")).isEqualTo(5);
    assertThat(ended.err())
        .startsWith("{\"error\":{\"kind\":\"repository_unreachable\",\"exitCode\":5,");
    assertThat(ended.out()).isEmpty();
  }

  @Test
  void an_unknown_key_in_the_configuration_is_an_error_with_a_suggestion() throws Exception {
    Path file = folder.resolve("holdfast.yaml");
    Files.writeString(file, "repositry: /backups\n");
    assertThat(run(Map.of(), "status", "--config", file.toString())).isEqualTo(2);
    assertThat(ended.err())
        .contains("\"repositry\" is not a setting")
        .contains("did you mean \"repository\"?");
  }

  @Test
  void the_configuration_names_the_repository_and_the_command_line_wins() throws Exception {
    Path file = folder.resolve("holdfast.yaml");
    Files.writeString(file, "repository: " + folder.resolve("from-file") + "\n");
    assertThat(run(Map.of("HOLDFAST_CONFIG", file.toString()), "status")).isEqualTo(5);
    assertThat(ended.err()).contains("from-file");
    assertThat(
            run(
                Map.of("HOLDFAST_CONFIG", file.toString()),
                "status",
                "--repository",
                folder.resolve("from-flag").toString()))
        .isEqualTo(5);
    assertThat(ended.err()).contains("from-flag");
  }

  @Test
  void the_repository_may_be_named_before_the_command_as_the_demo_and_the_help_show() {
    String early = folder.resolve("early").toString();
    assertThat(run(Map.of(), "--repository", early, "status")).isEqualTo(5);
    assertThat(ended.err()).contains("early");
    assertThat(run(Map.of(), "--repository", early, "status", "--repository", early + "-late"))
        .isEqualTo(5);
    assertThat(ended.err()).contains("early-late");
  }
}
