package dev.holdfast.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TrainingTest {
  @TempDir
  @SuppressWarnings("NullAway.Init")
  private Path folder;

  @Test
  void it_loads_what_commands_need_where_there_is_no_server() throws Exception {
    Path none = folder.resolve("none");
    Path library = folder.resolve("library");
    Path thrownAway = folder.resolve("thrown-away");
    Path loaded = folder.resolve("classes.txt");
    Process training =
        new ProcessBuilder(
                ProcessHandle.current().info().command().orElseThrow(),
                "-Xlog:class+load:file=" + loaded,
                "--enable-native-access=ALL-UNNAMED",
                "-cp",
                System.getProperty("java.class.path"),
                Training.class.getName(),
                none.toString(),
                library.toString(),
                "../store/src/test/resources/repositories/1-encrypted",
                "correct horse battery staple",
                thrownAway.toString())
            .redirectErrorStream(true)
            .start();
    String printed = new String(training.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(training.waitFor()).as(printed).isZero();
    assertThat(none).doesNotExist();
    String classes = Files.readString(loaded);
    assertThat(
            List.of(
                "org.postgresql.jdbc.PgConnection",
                "tools.jackson.databind.ObjectMapper",
                "com.google.crypto.tink.StreamingAead",
                "dev.holdfast.store.SealedObjects"))
        .allMatch(classes::contains);
    if (System.getProperty("os.name").equals("Linux")) {
      assertThat(Files.readAllBytes(library)).startsWith(0x7f, 'E', 'L', 'F');
    }
  }
}
