package dev.holdfast.postgres;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.postgres.RestoreFolder.Aside;
import dev.holdfast.server.Processes;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
class RestoreFolderTest {
  private static final String NEXT = "name another";

  /** As a restore into nothing begins its marker. */
  private static final String OURS =
      "A restore by Holdfast goes on here, or was interrupted: what is in this folder is not"
          + " complete.\ntext\n";

  @TempDir Path home;

  @Test
  void what_is_not_ours_is_refused_and_left_as_it_is() throws IOException {
    Path file = Files.writeString(home.resolve("file"), "kept");
    refused(file, file + " is not a folder");
    Path full = Files.createDirectory(home.resolve("full"));
    for (String name : List.of("a", "b", "c", "d")) {
      Files.writeString(full.resolve(name), "kept");
    }
    refused(full, full + " is not empty: it holds a, b, c, ...");
    Path data = Files.createDirectory(home.resolve("data"));
    Files.writeString(data.resolve("PG_VERSION"), "18");
    refused(data, data + " is the data directory of a PostgreSQL server");
    Files.writeString(data.resolve("postmaster.pid"), ProcessHandle.current().pid() + "\n");
    refused(
        data,
        "a PostgreSQL server runs in " + data + " (process " + ProcessHandle.current().pid() + ")");
    Files.writeString(data.resolve("postmaster.pid"), "999999999\n");
    refused(data, data + " is the data directory of a PostgreSQL server that has crashed");
    Path top = home.resolve("top");
    Files.createDirectories(top.resolve("lost+found"));
    refused(top, top + " is the top of a file system, which PostgreSQL does not want to own");
    assertThat(full.resolve("d")).hasContent("kept");
    assertThat(data.resolve("PG_VERSION")).exists();
    Path dangling = Files.createSymbolicLink(home.resolve("link"), home.resolve("nowhere"));
    refused(dangling, dangling + " is not a folder");
  }

  private static void refused(Path path, String why) {
    assertThatThrownBy(() -> RestoreFolder.claim(path, List.of(), "cannot restore", NEXT))
        .isInstanceOfSatisfying(
            OperatorException.class,
            e -> {
              assertThat(e.kind()).isEqualTo(Kind.REFUSED);
              assertThat(e.why()).isEqualTo(why);
              assertThat(e.next()).isEqualTo(NEXT);
            });
  }

  @Test
  void a_restore_that_fails_leaves_what_was_there_before() throws IOException {
    Path absent = home.resolve("one/two/three");
    try (RestoreFolder folder = claim(absent)) {
      Files.writeString(folder.path().resolve("half"), "");
    }
    assertThat(home.resolve("one")).doesNotExist();
    Path empty = Files.createDirectory(home.resolve("empty"));
    try (RestoreFolder folder = claim(empty)) {
      Files.createDirectories(folder.path().resolve("base/1"));
    }
    assertThat(empty).isEmptyDirectory();
  }

  @Test
  void what_an_interrupted_restore_left_is_removed_wherever_its_tablespaces_were()
      throws IOException {
    Path data = home.resolve("data");
    Path space = home.resolve("space");
    Path stranger = Files.createDirectory(home.resolve("stranger"));
    Files.writeString(stranger.resolve("file"), "kept");
    Path unknown = Files.createDirectory(home.resolve("unknown"));
    Files.writeString(unknown.resolve("file"), "kept");
    Files.writeString(unknown.resolve(RestoreFolder.MARKER), "");
    Path outside = Files.createDirectory(home.resolve("outside"));
    Files.writeString(outside.resolve("file"), "kept");
    // As kill -9 leaves it: nobody closes, and the lock goes with the process.
    Files.createDirectories(data.resolve("pg_tblspc"));
    Files.writeString(
        data.resolve(RestoreFolder.MARKER),
        OURS + "also: " + space + "\nalso: " + stranger + "\nalso: " + unknown + "\n");
    Files.createSymbolicLink(data.resolve("pg_tblspc/1"), outside);
    Files.createDirectories(space.resolve("PG_18_1"));
    Files.writeString(space.resolve(RestoreFolder.MARKER), OURS);

    RestoreFolder.check(data, "cannot restore", NEXT);
    try (RestoreFolder folder = claim(data)) {
      assertThat(folder.startedOver()).isTrue();
      assertThat(data.toFile().list()).containsExactly(RestoreFolder.MARKER);
      assertThat(space).isEmptyDirectory();
      assertThat(stranger.resolve("file")).as("has no marker: not ours").exists();
      assertThat(unknown.resolve("file")).as("its marker does not say ours").exists();
      assertThat(outside.resolve("file")).as("links are not followed").exists();
      assertThatThrownBy(() -> claim(data).close())
          .hasMessageContaining("another restore into " + data + " is running");
      assertThat(data.resolve(RestoreFolder.MARKER)).exists();
      Files.writeString(data.resolve("whole"), "");
      folder.finish();
    }
    assertThat(data.toFile().list()).containsExactly("whole");
  }

  @Test
  void a_restored_cluster_that_lacks_nothing_but_the_end_of_its_restore_is_never_thrown_away()
      throws IOException {
    Path data = home.resolve("data");
    Files.createDirectories(data.resolve("global"));
    Files.writeString(data.resolve(RestoreFolder.MARKER), OURS);
    Files.writeString(data.resolve("global/pg_control"), "whole");
    refused(
        data,
        data
            + " holds a restored cluster that is whole: to keep it, remove only the file"
            + " holdfast.restoring in it");
    assertThat(data.resolve("global/pg_control")).hasContent("whole");
  }

  @Test
  void a_tablespace_that_another_restore_fills_now_is_left_to_it() throws IOException {
    Path data = home.resolve("data");
    Path space = home.resolve("space");
    Files.createDirectories(data);
    Files.writeString(data.resolve(RestoreFolder.MARKER), OURS + "also: " + space + "\n");
    try (RestoreFolder running = claim(space)) {
      Files.writeString(running.path().resolve("file"), "kept");
      claim(data).close();
      assertThat(space.resolve("file")).hasContent("kept");
      assertThat(space.resolve(RestoreFolder.MARKER)).exists();
    }
  }

  @Test
  void what_a_marker_does_not_claim_whole_is_not_ours() throws IOException {
    Path folder = Files.createDirectory(home.resolve("folder"));
    Path marker = folder.resolve(RestoreFolder.MARKER);
    for (String text : List.of("", OURS.substring(0, 20), OURS.replace("Holdfast", "--delta"))) {
      Files.writeString(folder.resolve("file"), "kept");
      Files.writeString(marker, text);
      refused(
          folder,
          "the file "
              + marker
              + " is not as a restore writes it (it may have been cut off by a full disk), so that"
              + " nothing tells whose the other files there are");
      assertThat(folder.resolve("file")).hasContent("kept");
      Files.delete(folder.resolve("file"));
      claim(folder).close();
      assertThat(folder).as("held nothing else").isEmptyDirectory();
    }
  }

  @Test
  void a_disk_that_is_full_leaves_no_marker_that_claims_what_was_there() throws IOException {
    assumeTrue(
        Processes.run(List.of("mount", "-t", "tmpfs", "-o", "size=64k,mode=755", "none", home + ""))
                .exitCode()
            == 0,
        "only root can make a small file system");
    try {
      Path folder = Files.createDirectory(home.resolve("space"));
      Path marker = folder.resolve(RestoreFolder.MARKER);
      Files.writeString(folder.resolve("somebody's"), "");
      Path filler = home.resolve("filler");
      fill(filler);
      assertThatThrownBy(() -> takeOver(folder)).isInstanceOf(IOException.class);
      assertThat(folder.toFile().list()).containsExactly("somebody's");

      // One that was interrupted says as much as before.
      Files.delete(filler);
      RestoreFolder begun = takeOver(folder);
      begun.change();
      begun.close();
      String text = Files.readString(marker);
      fill(filler);
      assertThatThrownBy(() -> takeOver(folder)).isInstanceOf(IOException.class);
      assertThat(marker).hasContent(text);
      Files.delete(filler);
      takeOver(folder).close();
      assertThat(folder.toFile().list())
          .containsExactlyInAnyOrder("somebody's", RestoreFolder.MARKER);
    } finally {
      Processes.run(List.of("umount", home.toString()));
    }
  }

  private static void fill(Path filler) throws IOException {
    try (FileChannel file =
        FileChannel.open(filler, StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
      while (true) {
        file.write(ByteBuffer.allocate(1024), file.size());
      }
    } catch (IOException e) {
      assertThat(e).hasMessageContaining("No space left");
    }
  }

  private static RestoreFolder takeOver(Path path) throws IOException {
    return RestoreFolder.takeOver(
        path, "7", new Aside(path.resolveSibling("aside"), List.of("pg_wal")), List.of(), "cannot");
  }

  private static RestoreFolder claim(Path path) {
    return RestoreFolder.claim(path, List.of(), "cannot restore", NEXT);
  }
}
