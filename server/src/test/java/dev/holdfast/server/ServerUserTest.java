package dev.holdfast.server;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
class ServerUserTest {
  @TempDir Path data;

  @Test
  void a_data_directory_stays_with_whom_it_belongs_to() throws IOException {
    assumeTrue(
        "root".equals(System.getProperty("user.name"))
            && Processes.run(List.of("id", "-u", "daemon")).exitCode() == 0,
        "only root gives files away");
    Path version = Files.writeString(data.resolve("PG_VERSION"), "18");
    chown("daemon", version);
    assertThat(ServerUser.ofData(null, data, "cannot").name()).isEqualTo("daemon");
    chown("nobody", data);
    assertThat(ServerUser.ofData(null, data, "cannot").name()).isEqualTo("nobody");
    assertThat(ServerUser.ofData("daemon", data, "cannot").name()).isEqualTo("daemon");
  }

  private static void chown(String user, Path path) {
    assertThat(Processes.run(List.of("chown", user, path.toString())).exitCode()).isZero();
  }
}
