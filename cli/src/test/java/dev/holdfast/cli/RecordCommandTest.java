package dev.holdfast.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What is said before anything is recorded. */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
class RecordCommandTest {
  @TempDir private Path home;

  @Test
  void a_flush_interval_that_is_none_is_wrong_usage_wherever_it_comes_from() throws IOException {
    Ended given = HoldfastProcess.run(home, "record", "acme", "--flush-interval", "0");
    assertThat(given.exitCode()).isEqualTo(2);
    assertThat(given.err())
        .contains("0.0 s cannot be the flush interval", "0.01 to 3600.0 s are sensible");

    Path file = home.resolve("holdfast.yaml");
    Files.writeString(file, "record:\n  flushIntervalSeconds: 9999\n");
    Ended configured = HoldfastProcess.run(home, "record", "acme", "--config", file.toString());
    assertThat(configured.exitCode()).isEqualTo(2);
    assertThat(configured.err()).contains("9999.0 s cannot be the flush interval");

    Files.writeString(file, "record:\n  flushInterval: 1\n");
    assertThat(HoldfastProcess.run(home, "record", "acme", "--config", file.toString()).err())
        .contains("did you mean \"flushIntervalSeconds\"?");
  }

  @Test
  void what_is_for_a_folder_is_refused_without_one_and_commits_cannot_wait_for_one() {
    Ended once = HoldfastProcess.run(home, "record", "acme", "--once");
    assertThat(once.exitCode()).isEqualTo(2);
    assertThat(once.err()).contains("--once is for --from-directory");
    Ended both =
        HoldfastProcess.run(
            home, "record", "acme", "--from-directory", home.toString(), "--synchronous");
    assertThat(both.exitCode()).isEqualTo(2);
    assertThat(both.err()).contains("--synchronous needs a connection");
  }
}
