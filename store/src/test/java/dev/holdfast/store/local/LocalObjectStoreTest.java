package dev.holdfast.store.local;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.objects.NoSuchObjectException;
import dev.holdfast.store.objects.ObjectExistsException;
import dev.holdfast.store.objects.ObjectStore;
import dev.holdfast.store.objects.ObjectStoreContract;
import java.io.IOException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Instant;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class LocalObjectStoreTest extends ObjectStoreContract {
  @TempDir private Path temporary;
  private Path root;
  private ObjectStore store;

  @BeforeEach
  void open() {
    root = temporary.resolve("repository");
    store = new LocalObjectStore(root);
  }

  @Override
  protected ObjectStore store() {
    return store;
  }

  @Test
  void folders_and_files_are_for_their_owner_only() throws IOException {
    store.put("a/b", bytes("x"));
    store.replace("a/c", bytes("x"));
    for (String folder : new String[] {"", "a"}) {
      assertThat(permissions(root.resolve(folder))).isEqualTo("rwx------");
    }
    for (String file : new String[] {"a/b", "a/c"}) {
      assertThat(permissions(root.resolve(file))).isEqualTo("rw-------");
    }
  }

  @Test
  void nothing_but_the_objects_is_left_in_the_folder() throws IOException {
    store.put("a/b", bytes("x"));
    store.replace("a/b", bytes("y"));
    assertThatThrownBy(() -> store.put("a/b", bytes("z")))
        .isInstanceOf(ObjectExistsException.class);
    store.create("a/c").close();
    assertThat(children(root.resolve("a"))).containsExactly("b");
  }

  @Test
  void what_a_crash_left_is_invisible_and_goes_after_a_day() throws IOException {
    store.put("a/b", bytes("x"));
    Path stale = Files.writeString(root.resolve("a/.tmp-stale"), "half");
    Path fresh = Files.writeString(root.resolve("a/.tmp-fresh"), "half");
    Files.setLastModifiedTime(
        stale, FileTime.from(Instant.now().minus(LocalObjectStore.STALE_AFTER).minusSeconds(60)));
    assertThat(store.list("")).extracting(ObjectStore.StoredObject::name).containsExactly("a/b");

    new LocalObjectStore(root).put("a/c", bytes("y"));

    assertThat(stale).doesNotExist();
    assertThat(fresh).exists();
  }

  @Test
  void sweeping_removes_stale_leftovers_and_the_folders_they_kept() throws IOException {
    store.put("a/b", bytes("x"));
    Files.createDirectories(root.resolve("a/abandoned"));
    Path stale = Files.writeString(root.resolve("a/abandoned/.tmp-stale"), "half");
    Files.setLastModifiedTime(
        stale, FileTime.from(Instant.now().minus(LocalObjectStore.STALE_AFTER).minusSeconds(60)));
    Files.createDirectories(root.resolve("a/running"));
    Files.writeString(root.resolve("a/running/.tmp-fresh"), "half");

    store.sweep("a/");

    assertThat(children(root.resolve("a"))).containsExactly("b", "running");
  }

  @Test
  void foreign_files_beside_the_objects_are_ignored() throws IOException {
    store.put("a/b", bytes("x"));
    Files.createDirectories(root.resolve("lost+found"));
    Files.writeString(root.resolve("lost+found/x"), "");
    Files.writeString(root.resolve("a/.DS_Store"), "");
    assertThat(store.list("")).extracting(ObjectStore.StoredObject::name).containsExactly("a/b");
    assertThat(store.folders("")).containsExactly("a");
  }

  @Test
  void an_unmounted_disk_is_not_written_past() throws IOException {
    store.put("a/b", bytes("x"));
    Files.move(root, temporary.resolve("elsewhere"));
    Files.createDirectory(root); // the empty mount point

    assertThatThrownBy(() -> store.put("a/c", bytes("y")))
        .isInstanceOf(OperatorException.class)
        .hasMessage(
            "cannot write a/c in %1$s: there is no such directory; next: check the location, and that"
                    .formatted(root)
                + " the disk that holds %s is mounted".formatted(root));
    Files.delete(root);
    assertThatThrownBy(() -> store.replace("a/c", bytes("y")))
        .hasMessageContaining("there is no such directory");
    assertThatThrownBy(() -> store.get("a/b"))
        .isNotInstanceOf(NoSuchObjectException.class)
        .hasMessageContaining("there is no such directory");
  }

  @Test
  void a_full_disk_is_told_with_what_to_do() {
    var full = new FileSystemException("/backups/a", null, "No space left on device");
    assertThat(StorageFailure.of("cannot write a in /backups", Path.of("/backups"), full))
        .hasMessage(
            "cannot write a in /backups: the disk is full; next: free space on the disk that holds"
                + " /backups, or move the repository to a larger one, then run the same command"
                + " again; nothing half-written is visible");
    assertThat(
            StorageFailure.of(
                "cannot write a", Path.of("/backups"), new IOException("Disk quota exceeded")))
        .hasMessageContaining("the disk is full");
  }

  private static String permissions(Path path) throws IOException {
    return PosixFilePermissions.toString(Files.getPosixFilePermissions(path));
  }

  private static Set<String> children(Path folder) throws IOException {
    var names = new TreeSet<String>();
    try (var children = Files.newDirectoryStream(folder)) {
      children.forEach(child -> names.add(child.getFileName().toString()));
    }
    return names;
  }
}
