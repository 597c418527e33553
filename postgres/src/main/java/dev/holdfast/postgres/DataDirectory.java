package dev.holdfast.postgres;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Comparator;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;

/** A data directory made from a base backup: what the backup lacks, or must not bring along. */
final class DataDirectory {
  private static final FileAttribute<?> PRIVATE =
      PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------"));

  /** Folders a server needs and a base backup leaves out, or holds empty. */
  static final List<String> FOLDERS =
      List.of(
          "pg_commit_ts",
          "pg_dynshmem",
          "pg_notify",
          "pg_replslot",
          "pg_serial",
          "pg_snapshots",
          "pg_stat",
          "pg_stat_tmp",
          "pg_subtrans",
          "pg_tblspc",
          "pg_twophase",
          "pg_wal/archive_status",
          "pg_logical/snapshots",
          "pg_logical/mappings");

  /** What belongs to the server that ran, or to another restore. */
  private static final Set<String> OF_THE_SERVER =
      Set.of(
          "postmaster.pid",
          "postmaster.opts",
          "standby.signal",
          "recovery.signal",
          "backup_label",
          "tablespace_map");

  private final Path path;

  DataDirectory(Path path) {
    this.path = path;
  }

  /** Whether a restored server must not have this file of a base backup. */
  static boolean isLeftOut(String file) {
    return OF_THE_SERVER.contains(file) || file.startsWith("pg_replslot/");
  }

  /** Makes the folders that are not there, and closes the directory to others. */
  void makeFolders() throws IOException {
    for (String folder : FOLDERS) {
      Files.createDirectories(path.resolve(folder), PRIVATE);
    }
    Files.setPosixFilePermissions(path, PosixFilePermissions.fromString("rwx------"));
  }

  /** Removes what should have been left out, where everything was restored. */
  void removeOfTheServer() throws IOException {
    for (String file : OF_THE_SERVER) {
      Files.deleteIfExists(path.resolve(file));
    }
  }

  /** Removes everything in a folder. */
  void empty(String name) throws IOException {
    Path folder = path.resolve(name);
    try (Stream<Path> inside = Files.walk(folder)) {
      for (Path file :
          inside.filter(p -> !p.equals(folder)).sorted(Comparator.reverseOrder()).toList()) {
        Files.delete(file);
      }
    }
  }

  /** A file that its owner alone can read. */
  void write(String name, String content) throws IOException {
    Path file = path.resolve(name);
    Files.writeString(file, content);
    Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-------"));
  }
}
