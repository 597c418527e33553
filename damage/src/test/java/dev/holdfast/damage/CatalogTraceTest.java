package dev.holdfast.damage;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.testkit.TestServer;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RawRecord;
import dev.holdfast.wal.RelFile;
import dev.holdfast.wal.SegmentName;
import dev.holdfast.wal.WalReader;
import dev.holdfast.wal.WalRecord;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class CatalogTraceTest {
  /** What the server said after a step. */
  private record Truth(
      String step,
      Lsn at,
      long database,
      Map<Long, ServerCatalog.Seen> relations,
      Map<List<Long>, String> columns,
      Map<Long, String> databases) {
    static Truth of(TestServer server, String step) {
      String[] database =
          server
              .query(
                  "SELECT oid, dattablespace FROM pg_database WHERE datname = current_database()")
              .getFirst()
              .split("\\|", -1);
      Map<Long, ServerCatalog.Seen> relations = new HashMap<>();
      for (ServerCatalog.Seen seen :
          ServerCatalog.Seen.all(server, "postgres", Long.parseLong(database[1]))) {
        if (seen.oid() >= 16384) {
          relations.put(seen.oid(), seen);
        }
      }
      Map<List<Long>, String> columns = new HashMap<>();
      for (String line :
          server.query(
              "SELECT attrelid, attnum, attname FROM pg_attribute JOIN pg_class c ON c.oid ="
                  + " attrelid WHERE attrelid >= 16384 AND attnum > 0 AND NOT attisdropped"
                  + " AND relkind IN ('r', 'p')")) {
        String[] column = line.split("\\|", -1);
        columns.put(List.of(Long.parseLong(column[0]), Long.parseLong(column[1])), column[2]);
      }
      Map<Long, String> databases = new HashMap<>();
      for (String line : server.query("SELECT oid, datname FROM pg_database")) {
        String[] named = line.split("\\|", -1);
        databases.put(Long.parseLong(named[0]), named[1]);
      }
      return new Truth(
          step,
          Lsn.parse(server.value("SELECT pg_current_wal_insert_lsn()")),
          Long.parseLong(database[0]),
          relations,
          columns,
          databases);
    }

    /** Columns that were here and are no more, of tables that still are. */
    Set<String> droppedSince(Truth before) {
      Set<String> dropped = new TreeSet<>();
      before.columns.forEach((id, name) -> {
        if (!columns.containsKey(id) && relations.containsKey(id.getFirst())) {
          dropped.add(id.getFirst() + " " + id.getLast() + " " + name);
        }
      });
      return dropped;
    }
  }

  @ParameterizedTest
  @CsvSource({
    "14,replica,on,on", "15,replica,off,off", "16,replica,on,on", "17,replica,on,off",
    "18,replica,off,on", "14,logical,off,off", "16,logical,on,on", "18,logical,on,on"
  })
  void names_are_those_the_server_had_at_every_moment_after_one_snapshot(
      int major, String walLevel, String compression, String fullPageWrites) throws Exception {
    long seed = Long.getLong("tests.seed", System.nanoTime());
    System.out.printf("PostgreSQL %d %s tests.seed=%d%n", major, walLevel, seed);
    Map<String, String> settings =
        Map.of(
            "wal_level", walLevel,
            "wal_compression", compression,
            "full_page_writes", fullPageWrites,
            "max_prepared_transactions", "5",
            "wal_keep_size", "4GB");
    try (TestServer server = TestServer.start(major, settings);
        DefinitionHistory history = new DefinitionHistory(server, new Random(seed))) {
      history.prepare();
      ServerCatalog recorded = new ServerCatalog(true);
      Lsn start = recorded.take(server);
      List<Truth> truths = truths(server, history, 150);
      CatalogTrace trace = new CatalogTrace(recorded, start);

      checkAll(server, start, trace, truths);

      long files = truths.stream().flatMap(t -> t.relations.keySet().stream()).distinct().count();
      System.out.printf("%d steps, %d relations over time%n", truths.size(), files);
      assertThat(files).isGreaterThan(60);
    }
  }

  private static List<Truth> truths(TestServer server, DefinitionHistory history, int steps)
      throws SQLException {
    List<Truth> truths = new ArrayList<>();
    truths.add(Truth.of(server, "start"));
    for (int step = 0; step < steps; step++) {
      truths.add(Truth.of(server, history.step()));
    }
    return truths;
  }

  /** Asks at each moment when the log is read that far, and again when it is read to its end. */
  private static void checkAll(TestServer server, Lsn start, CatalogTrace trace, List<Truth> truths)
      throws IOException {
    Map<Long, ServerCatalog.Seen> ever = new HashMap<>();
    Set<RelFile> everFiles = new HashSet<>();
    Set<String> dropped = new TreeSet<>();
    int[] next = {0};
    Consumer<Lsn> reached =
        lsn -> {
          while (next[0] < truths.size() && !truths.get(next[0]).at.isAfter(lsn)) {
            Truth truth = truths.get(next[0]);
            truth
                .relations
                .values()
                .forEach(seen -> {
                  ever.put(seen.oid(), seen);
                  if (seen.file() != null) {
                    everFiles.add(seen.file());
                  }
                });
            check(trace, truth, ever.keySet(), everFiles, "when read so far");
            if (next[0] > 0) {
              assertThat(dropped)
                  .as("columns dropped by %s", truth.step)
                  .isEqualTo(truth.droppedSince(truths.get(next[0] - 1)));
            }
            dropped.clear();
            next[0]++;
          }
        };
    read(
        server,
        start,
        record -> {
          reached.accept(new Lsn(record.lsn()));
          feed(
              trace,
              record,
              column ->
                  dropped.add(
                      (column.relation() == null ? "?" : column.relation().relation())
                          + " "
                          + column.number()
                          + " "
                          + column.column()));
        });
    reached.accept(new Lsn(Long.MAX_VALUE));
    for (Truth truth : truths) {
      check(trace, truth, ever.keySet(), Set.of(), "when all is read");
    }
  }

  private static void check(
      CatalogTrace trace, Truth truth, Set<Long> ever, Set<RelFile> everFiles, String when) {
    Map<RelFile, ServerCatalog.Seen> files = new HashMap<>();
    for (ServerCatalog.Seen seen : truth.relations.values()) {
      if (seen.file() != null) {
        files.put(seen.file(), seen);
      }
    }
    List<String> theirs = new ArrayList<>();
    List<String> ours = new ArrayList<>();
    for (Long oid : ever) {
      ServerCatalog.Seen seen = truth.relations.get(oid);
      if (seen == null && when.endsWith("all is read")) {
        continue; // it may not be born yet: then its first name is the best there is
      }
      theirs.add(oid + " " + text(seen == null ? null : seen.relation(truth.database, "postgres")));
      ours.add(oid + " " + text(trace.byOid(truth.database, oid, truth.at)));
    }
    for (RelFile file : everFiles.isEmpty() ? files.keySet() : everFiles) {
      ServerCatalog.Seen seen = files.get(file);
      theirs.add(
          file + " " + text(seen == null ? null : seen.relation(truth.database, "postgres")));
      ours.add(file + " " + text(trace.byFile(file, truth.at)));
    }
    truth.databases.forEach((oid, name) -> {
      theirs.add("database " + oid + " " + name);
      ours.add("database " + oid + " " + trace.database(oid, truth.at));
    });
    assertThat(ours).as("%s: after %s", when, truth.step).isEqualTo(theirs);
    assertThat(trace.tablesOf(truth.database, truth.at))
        .filteredOn(table -> table.oid() >= 16384)
        .extracting(table -> table.oid() + " " + text(table))
        .as("%s: tables after %s", when, truth.step)
        .containsExactlyInAnyOrderElementsOf(
            truth.relations.values().stream()
                .map(seen -> seen.relation(truth.database, "postgres"))
                .filter(
                    table -> table.holdsRows() || table.kind() == Relation.Kind.PARTITIONED_TABLE)
                .map(table -> table.oid() + " " + text(table))
                .toList());
  }

  private static String text(@Nullable Relation relation) {
    return relation == null
        ? "-"
        : "%s %s %s %s"
            .formatted(
                relation.databaseName(), relation.name(), relation.kind(), relation.unlogged());
  }

  // ---- reading ---------------------------------------------------------------------------------

  private static void feed(CatalogTrace trace, RawRecord record, Consumer<DroppedColumn> dropped) {
    if (trace.isOfInterest(record)) {
      trace.accept(record);
    } else if (record.rmgr() == dev.holdfast.wal.ResourceManager.TRANSACTION) {
      switch (record.decode()) {
        case WalRecord.Commit commit -> {
          trace.droppedColumns(commit.transaction(), commit.subtransactions()).forEach(dropped);
          trace.committed(
              commit.transaction(),
              commit.subtransactions(),
              commit.lsn(),
              commit.invalidatedRelations());
        }
        case WalRecord.Abort abort -> trace.aborted(abort.transaction(), abort.subtransactions());
        default -> {}
      }
    }
  }

  private static void read(TestServer server, Lsn from, Consumer<RawRecord> records)
      throws IOException {
    server.execute("CHECKPOINT");
    Lsn end = Lsn.parse(server.value("SELECT pg_current_wal_flush_lsn()"));
    Path folder = server.server().data().resolve("pg_wal");
    SegmentName segment = SegmentName.containing(from, 1, SegmentName.DEFAULT_SIZE);
    WalReader reader = new WalReader(segment.start());
    for (; segment.start().isBefore(end); segment = segment.next()) {
      byte[] bytes = Files.readAllBytes(folder.resolve(segment.toString()));
      reader.feed(bytes, 0, bytes.length);
      for (RawRecord record = reader.poll(); record != null; record = reader.poll()) {
        if (Long.compareUnsigned(record.lsn(), from.position()) >= 0) {
          records.accept(record);
        }
      }
    }
  }
}
