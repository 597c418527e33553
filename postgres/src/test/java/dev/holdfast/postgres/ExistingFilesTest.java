package dev.holdfast.postgres;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
class ExistingFilesTest {
  private static final String VERSION = "PG_18_202506291";

  @TempDir Path home;

  @SuppressWarnings("NullAway.Init")
  private Path data;

  @SuppressWarnings("NullAway.Init")
  private Path space;

  @BeforeEach
  void makeFolders() throws IOException {
    data = home.resolve("data");
    Files.createDirectories(data.resolve("pg_tblspc"));
    space = home.resolve("space");
    Files.createDirectories(space.resolve(VERSION + "/5"));
    Files.createSymbolicLink(data.resolve("pg_tblspc/16400"), space);
    Files.createDirectory(space.resolve("somebody's"));
    Files.writeString(space.resolve("somebody's/file"), "kept");
    Files.createDirectory(data.resolve("lost+found"));
  }

  private ExistingFiles look() throws IOException {
    return ExistingFiles.of(
        data,
        Map.of(16_400L, space),
        Set.of(16_400L),
        Map.of("pg_tblspc/16400/" + VERSION + "/5/16401", 3L));
  }

  @Test
  void what_goes_makes_room_where_it_was() throws IOException {
    Files.writeString(data.resolve("extra"), "12345");
    Files.writeString(space.resolve(VERSION + "/5/99"), "123");
    assertThat(look().bytesRemoved()).isEqualTo(Map.of(data, 5L, space, 3L));
  }

  @Test
  void what_lies_beside_is_not_the_clusters() throws IOException {
    Path wanted = Files.writeString(space.resolve(VERSION + "/5/16401"), "123");
    Files.createDirectory(data.resolve("pg_wal"));
    assertThat(look().all())
        .contains(data, space, wanted, data.resolve("pg_wal"), data.resolve("pg_tblspc/16400"))
        .doesNotContain(
            space.resolve("somebody's"),
            space.resolve("somebody's/file"),
            data.resolve("lost+found"));
  }

  @Test
  void what_lies_beside_need_not_be_readable() throws IOException {
    for (Path closed : Set.of(space.resolve("somebody's"), data.resolve("lost+found"))) {
      Files.setPosixFilePermissions(closed, PosixFilePermissions.fromString("---------"));
      assumeFalse(Files.isReadable(closed), "root reads everything");
    }
    ExistingFiles files = look();
    assertThat(files.notes())
        .containsExactly(
            space.resolve("somebody's") + " is not in the base backup: it is left as it is");
    assertThat(files.all()).contains(space.resolve(VERSION));
  }
}
