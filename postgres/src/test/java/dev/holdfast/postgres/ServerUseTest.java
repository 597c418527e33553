package dev.holdfast.postgres;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.holdfast.server.Processes;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
class ServerUseTest {
  @TempDir Path home;

  @Test
  void a_server_is_seen_that_has_other_names_for_its_folders() throws Exception {
    assumeTrue(
        Processes.run(List.of("unshare", "-m", "true")).exitCode() == 0,
        "only root can give a process its own file systems");
    Path data = home.resolve("data");
    Files.createDirectories(data.resolve("pg_tblspc"));
    Path space = Files.createDirectory(home.resolve("space"));
    Path other = Files.createDirectory(home.resolve("other"));
    Path inside = Files.createDirectories(home.resolve("inside/data"));
    Path insideSpace = Files.createDirectories(home.resolve("inside/space"));
    Files.createSymbolicLink(data.resolve("pg_tblspc/16400"), insideSpace);
    Path program = home.resolve("postgres");
    Files.copy(Path.of("/bin/sleep"), program, StandardCopyOption.COPY_ATTRIBUTES);
    Process process =
        new ProcessBuilder(
                "unshare",
                "-m",
                "sh",
                "-c",
                "mount --bind %s %s && mount --bind %s %s && cd %s && exec %s 600"
                    .formatted(data, inside, space, insideSpace, inside, program))
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    try {
      Path name = Path.of("/proc", Long.toString(process.pid()), "comm");
      long deadline = System.nanoTime() + Duration.ofSeconds(30).toNanos();
      while (!Files.readString(name).strip().equals("postgres")) {
        assertThat(process.isAlive()).isTrue();
        assertThat(System.nanoTime()).as("in time").isLessThan(deadline);
        Thread.onSpinWait();
      }
      assertThat(ServerUse.ofData(data))
          .isEqualTo("a PostgreSQL server runs in " + data + " (process " + process.pid() + ")");
      assertThat(ServerUse.ofTablespace(space, other))
          .isEqualTo(
              "%s is a tablespace of the server that runs in %s (process %d)"
                  .formatted(space, inside, process.pid()));
      assertThat(ServerUse.ofTablespace(space, data)).as("its own").isNull();
      assertThat(ServerUse.ofData(other)).isNull();
    } finally {
      process.destroyForcibly().waitFor();
    }
  }
}
