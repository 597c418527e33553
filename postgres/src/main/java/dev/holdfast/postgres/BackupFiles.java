package dev.holdfast.postgres;

import dev.holdfast.wal.BlockRef;
import dev.holdfast.wal.RelFile;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * What a base backup takes of a data directory, as pg_basebackup decides it
 * ("src/backend/backup/basebackup.c", PostgreSQL 18: excludeDirContents, excludeFiles, sendDir).
 */
record BackupFiles(List<String> directories, List<Entry> files) {
  /**
   * One thing in the data directory.
   *
   * @param path relative, with slashes
   * @param size bytes, when it was listed; of a directory anything
   */
  record Entry(String path, boolean directory, long size) {}

  static final String CONTROL = "global/pg_control";

  /** Kept as directories; what is in them belongs to the running server alone. */
  private static final Set<String> EMPTIED =
      Set.of(
          "pg_wal",
          "pg_replslot",
          "pg_dynshmem",
          "pg_notify",
          "pg_serial",
          "pg_snapshots",
          "pg_stat_tmp",
          "pg_subtrans");

  private static final Set<String> LEFT_OUT =
      Set.of(
          "postmaster.pid",
          "postmaster.opts",
          "backup_label",
          "tablespace_map",
          "backup_manifest",
          "postgresql.auto.conf.tmp",
          "current_logfiles.tmp",
          // Old ones, and the signals that decide how a server starts, are the restore's business.
          "backup_label.old",
          "tablespace_map.old",
          "recovery.signal",
          "standby.signal");

  private static final Pattern DATABASE_FOLDER =
      Pattern.compile("(?:base|pg_tblspc/(\\d+)/PG_[^/]+)/(\\d+)");
  private static final Pattern RELATION =
      Pattern.compile("(\\d+)(?:_(fsm|vm|init))?(?:\\.(\\d+))?");

  /** OID of pg_default ("catalog/pg_tablespace.dat", PostgreSQL 18). */
  static final long DEFAULT_TABLESPACE = 1663;

  /** OID of pg_global, where the catalogs are that all databases share. */
  private static final long GLOBAL_TABLESPACE = 1664;

  private static final Pattern TEMPORARY_RELATION =
      Pattern.compile("t\\d+_\\d+(?:_(?:fsm|vm|init))?(?:\\.\\d+)?");

  /**
   * Chooses.
   *
   * @param versionFolder the folder of this server in a tablespace, such as {@code
   *     PG_15_202209061}: another version's beside it is not taken
   */
  static BackupFiles of(List<Entry> listed, String versionFolder) {
    Set<String> unlogged = new HashSet<>();
    for (Entry entry : listed) {
      Matcher name = RELATION.matcher(name(entry.path));
      if (DATABASE_FOLDER.matcher(folder(entry.path)).matches()
          && name.matches()
          && "init".equals(name.group(2))) {
        unlogged.add(folder(entry.path) + "/" + name.group(1));
      }
    }
    List<String> directories = new ArrayList<>();
    List<Entry> files = new ArrayList<>();
    for (Entry entry : listed) {
      if (!taken(entry, versionFolder, unlogged)) {
        continue;
      }
      if (entry.directory) {
        directories.add(entry.path);
      } else {
        files.add(entry);
      }
    }
    // A server refuses to start without it, and makes the rest below pg_wal itself.
    directories.add("pg_wal/archive_status");
    return new BackupFiles(List.copyOf(directories), List.copyOf(files));
  }

  private static boolean taken(Entry entry, String versionFolder, Set<String> unlogged) {
    String[] parts = entry.path.split("/", -1);
    String name = parts[parts.length - 1];
    if (parts.length > 1 && EMPTIED.contains(parts[0])) {
      return false;
    }
    for (String part : parts) {
      if (part.startsWith("pgsql_tmp")) {
        return false;
      }
    }
    if (parts[0].equals("pg_tblspc") && parts.length > 2 && !parts[2].equals(versionFolder)) {
      return false;
    }
    if (entry.directory) {
      return true;
    }
    if (name.startsWith("pg_internal.init")
        || entry.path.equals(CONTROL)
        || (parts.length == 1 && LEFT_OUT.contains(name))) {
      return false;
    }
    String folder = folder(entry.path);
    if (DATABASE_FOLDER.matcher(folder).matches()) {
      if (TEMPORARY_RELATION.matcher(name).matches()) {
        return false;
      }
      Matcher relation = RELATION.matcher(name);
      if (relation.matches() && unlogged.contains(folder + "/" + relation.group(1))) {
        return "init".equals(relation.group(2)); // recovery makes the table from its init fork
      }
    }
    return true;
  }

  /** Whether the file consists of pages of a relation, so that it may be cut to whole pages. */
  static boolean isRelation(String path) {
    String folder = folder(path);
    return (folder.equals("global") || DATABASE_FOLDER.matcher(folder).matches())
        && RELATION.matcher(name(path)).matches();
  }

  /** The relation that a file below a database's folder belongs to, whatever fork; else null. */
  static @Nullable RelFile relation(String path) {
    Matcher folder = DATABASE_FOLDER.matcher(folder(path));
    Matcher name = RELATION.matcher(name(path));
    if (!folder.matches() || !name.matches()) {
      return null;
    }
    return new RelFile(
        folder.group(1) == null ? DEFAULT_TABLESPACE : Long.parseLong(folder.group(1)),
        Long.parseLong(folder.group(2)),
        Long.parseLong(name.group(1)));
  }

  /** Which part of a relation a file is, shared catalogs included; null when it is none. */
  static @Nullable RelationFile relationFile(String path) {
    Matcher name = RELATION.matcher(name(path));
    RelFile file =
        folder(path).equals("global") && name.matches()
            ? new RelFile(GLOBAL_TABLESPACE, 0, Long.parseLong(name.group(1)))
            : relation(path);
    if (file == null || !name.matches()) {
      return null;
    }
    int fork =
        switch (name.group(2)) {
          case null -> BlockRef.MAIN;
          case "fsm" -> BlockRef.FREE_SPACE_MAP;
          case "vm" -> BlockRef.VISIBILITY_MAP;
          default -> BlockRef.INIT;
        };
    return new RelationFile(file, fork, firstBlock(path));
  }

  /** Whether it is a relation's free space map. */
  static boolean isFreeSpaceMap(String path) {
    Matcher relation = RELATION.matcher(name(path));
    return relation.matches() && "fsm".equals(relation.group(2));
  }

  /** Number of the first block in this file: a relation's files have 131072 pages each. */
  static long firstBlock(String path) {
    Matcher relation = RELATION.matcher(name(path));
    return relation.matches() && relation.group(3) != null
        ? Long.parseLong(relation.group(3)) * (1L << 17)
        : 0;
  }

  private static String folder(String path) {
    int slash = path.lastIndexOf('/');
    return slash < 0 ? "" : path.substring(0, slash);
  }

  private static String name(String path) {
    return path.substring(path.lastIndexOf('/') + 1);
  }
}
