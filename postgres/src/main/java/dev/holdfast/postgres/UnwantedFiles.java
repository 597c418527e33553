package dev.holdfast.postgres;

import dev.holdfast.store.ClusterStore;
import dev.holdfast.wal.ExcludedFiles;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RelFile;
import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Which files a sparse fork does without: those that a recorded catalog knows as an unwanted
 * relation's. Files it does not know are kept, so a catalog from another moment costs room, not
 * rows; whether a wanted relation got one of these files since, {@link WantedProof} finds out.
 */
final class UnwantedFiles {
  /** Relations and files of initdb lie below ("access/transam.h", FirstNormalObjectId). */
  private static final long FIRST_NORMAL = 16384;

  /** pg_largeobject and its index ("catalog/pg_largeobject.h", PostgreSQL 14 to 18). */
  static final Set<Long> LARGE_OBJECTS = Set.of(2613L, 2683L);

  /** What CREATE DATABASE copies unless told otherwise: a hole here would be one there. */
  private static final String TEMPLATE = "template1";

  private static final String TOAST_SCHEMA = "pg_toast";

  private UnwantedFiles() {}

  /** The newest catalog recorded at or before this position, else the oldest; null for none. */
  static @Nullable Catalog catalog(ClusterStore cluster, Lsn at) {
    @Nullable String found = null;
    for (String lsn : cluster.catalogs()) {
      Lsn position = new Lsn(Long.parseUnsignedLong(lsn, 16));
      if (found == null || !position.isAfter(at)) {
        found = lsn;
      }
    }
    return found == null ? null : cluster.catalog(found, Catalog.class);
  }

  /**
   * Chooses.
   *
   * @param kept file numbers to be kept whatever they belong to, in every database: a copy of a
   *     database has the numbers of its source
   */
  static Set<RelFile> of(Catalog catalog, ForkContents.Sparse contents, Set<Long> kept) {
    Set<RelFile> unwanted = new HashSet<>();
    for (Catalog.Database database : catalog.databases()) {
      boolean here = database.oid() == contents.databaseOid();
      Set<Long> tables = here ? withPartitions(database, contents.tables()) : Set.of();
      for (Catalog.Relation relation : database.relations()) {
        RelFile file = relation.fileIn(database.oid());
        if (file.number() == 0 || kept.contains(file.number())) {
          continue;
        }
        boolean largeObject = LARGE_OBJECTS.contains(relation.oid());
        if (largeObject
            ? !(here && contents.largeObjects()) && !database.name().equals(TEMPLATE)
            : relation.oid() >= FIRST_NORMAL
                && file.number() >= FIRST_NORMAL
                && !isWanted(relation, tables, contents.indexes())) {
          unwanted.add(file);
        }
      }
    }
    return unwanted;
  }

  /**
   * What a base backup has of all databases but one, catalogs and sequences too. Files that are no
   * relation's stay: replay writes some of them.
   *
   * @param paths of its files
   */
  static Set<RelFile> ofOthers(Set<String> paths, long database) {
    Set<RelFile> others = new HashSet<>();
    for (String path : paths) {
      RelFile file = BackupFiles.relation(path);
      if (file != null && file.database() != database) {
        others.add(file);
      }
    }
    return others;
  }

  private static boolean isWanted(Catalog.Relation relation, Set<Long> tables, boolean indexes) {
    return switch (relation.kind()) {
      case "S" -> true; // a page each
      case "i" ->
          tables.contains(relation.owner())
              && (indexes || relation.schema().equals(TOAST_SCHEMA)); // values are found by it
      case "t" -> tables.contains(relation.owner());
      default -> tables.contains(relation.oid());
    };
  }

  private static Set<Long> withPartitions(Catalog.Database database, Set<Long> tables) {
    Map<Long, List<Long>> partitions = new HashMap<>();
    for (Catalog.Relation relation : database.relations()) {
      Long parent = relation.parent();
      if (parent != null && parent != 0) {
        partitions.computeIfAbsent(parent, _ -> new ArrayList<>()).add(relation.oid());
      }
    }
    Set<Long> all = new HashSet<>(tables);
    List<Long> open = new ArrayList<>(tables);
    while (!open.isEmpty()) {
      for (Long partition : partitions.getOrDefault(open.removeLast(), List.of())) {
        if (all.add(partition)) {
          open.add(partition);
        }
      }
    }
    return all;
  }

  /**
   * Removes every file of these relations: whoever reads one of them is told that it cannot be
   * opened. Recovery must be over: it would make them again. The server may run: its memory holds
   * no page of them, since nothing of them was replayed.
   */
  static void remove(Path data, ExcludedFiles unwanted) throws IOException {
    record Folder(long tablespace, long database) {}
    Set<Folder> folders = new HashSet<>();
    unwanted.files().forEach(file -> folders.add(new Folder(file.tablespace(), file.database())));
    for (Folder folder : folders) {
      if (folder.tablespace == BackupFiles.DEFAULT_TABLESPACE) {
        remove(data, "base/" + folder.database, unwanted);
        continue;
      }
      String tablespace = "pg_tblspc/" + folder.tablespace;
      if (Files.isDirectory(data.resolve(tablespace))) {
        try (DirectoryStream<Path> versions =
            Files.newDirectoryStream(data.resolve(tablespace), "PG_*")) {
          for (Path version : versions) {
            remove(
                data, tablespace + "/" + version.getFileName() + "/" + folder.database, unwanted);
          }
        }
      }
    }
  }

  private static void remove(Path data, String folder, ExcludedFiles unwanted) throws IOException {
    if (!Files.isDirectory(data.resolve(folder))) {
      return; // the database, or what it had in the tablespace, was dropped since
    }
    try (DirectoryStream<Path> files = Files.newDirectoryStream(data.resolve(folder))) {
      for (Path file : files) {
        RelFile relation = BackupFiles.relation(folder + "/" + file.getFileName());
        if (relation != null && unwanted.contains(relation)) {
          Files.delete(file);
        }
      }
    }
  }
}
