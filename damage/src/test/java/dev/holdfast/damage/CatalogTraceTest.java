package dev.holdfast.damage;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.testkit.TestServer;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RawRecord;
import dev.holdfast.wal.RelFile;
import dev.holdfast.wal.ResourceManager;
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
import java.util.Objects;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

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
      assertThat(files).isGreaterThan(30);
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {14, 16, 18})
  void snapshots_passed_let_go_of_what_they_know_and_no_name_is_lost(int major) throws Exception {
    long seed = Long.getLong("tests.seed", System.nanoTime());
    System.out.printf("PostgreSQL %d tests.seed=%d%n", major, seed);
    Map<String, String> settings = Map.of("max_prepared_transactions", "5", "wal_keep_size", "4GB");
    try (TestServer server = TestServer.start(major, settings);
        DefinitionHistory history = new DefinitionHistory(server, new Random(seed))) {
      history.prepare();
      ServerCatalog recorded = new ServerCatalog(true);
      Lsn start = recorded.take(server);
      List<Truth> truths = new ArrayList<>();
      for (int round = 0; round < 8; round++) {
        truths.addAll(truths(server, history, 12));
        // The catalog goes on changing while a snapshot is read.
        recorded.take(
            server,
            () -> {
              try {
                truths.addAll(truths(server, history, 3));
              } catch (SQLException e) {
                throw new IllegalStateException(e);
              }
            });
      }
      CatalogTrace trace = new CatalogTrace(recorded, start);
      Map<Lsn, Truth> byLsn = new TreeMap<>();
      truths.forEach(truth -> byLsn.put(truth.at, truth));
      List<Truth> left = new ArrayList<>(byLsn.values());
      int[] largest = {0};

      read(
          server,
          start,
          record -> {
            while (!left.isEmpty() && !left.getFirst().at.isAfter(new Lsn(record.lsn()))) {
              Truth truth = left.removeFirst();
              check(trace, truth, truth.relations.keySet(), Set.of(), "when read so far");
            }
            feed(trace, record, _ -> {});
            largest[0] = Math.max(largest[0], trace.size());
          });

      while (!server
          .value("SELECT count(*) FROM pg_stat_activity WHERE backend_xid IS NOT NULL")
          .equals("0")) { // a session that ended drops its temporary tables
        Thread.onSpinWait();
      }
      Lsn last = recorded.take(server);
      recorded.take(server);
      server.execute("CREATE TABLE public.after_all ()");
      read(server, last, record -> feed(trace, record, _ -> {}));
      System.out.printf("held at most %d, in the end %d%n", largest[0], trace.size());
      assertThat(trace.size()).isLessThan(100); // what the last statements changed, no more
    }
  }

  @Test
  void a_snapshot_without_places_names_what_is_new_and_guesses_nothing() throws Exception {
    try (TestServer server = TestServer.start(18, Map.of("full_page_writes", "off"))) {
      server.execute(
          "CREATE TABLE stays (a int)", "CREATE TABLE renamed (a int)", "CREATE TABLE emptied ()");
      ServerCatalog recorded = new ServerCatalog(false);
      Lsn start = recorded.take(server);
      long database =
          Long.parseLong(
              server.value("SELECT oid FROM pg_database WHERE datname = current_database()"));
      long renamed = oid(server, "renamed");
      long emptied = oid(server, "emptied");
      server.execute(
          "ALTER TABLE renamed RENAME TO other",
          "TRUNCATE emptied",
          "CREATE TABLE fresh (a int)",
          "ALTER TABLE fresh RENAME TO fresh_",
          "ALTER TABLE stays DROP COLUMN a");
      Lsn at = Lsn.parse(server.value("SELECT pg_current_wal_insert_lsn()"));
      RelFile file =
          RelFileOf.query(server, "SELECT 1663, " + database + ", pg_relation_filenode('emptied')");
      List<DroppedColumn> dropped = new ArrayList<>();
      CatalogTrace trace = new CatalogTrace(recorded, start);
      read(server, start, record -> feed(trace, record, dropped::add));

      assertThat(text(trace.byOid(database, oid(server, "fresh_"), at)))
          .isEqualTo("postgres public.fresh_ TABLE false");
      assertThat(trace.byOid(database, renamed, at)).as("it may have any name").isNull();
      assertThat(text(trace.byOid(database, renamed, start)))
          .isEqualTo("postgres public.renamed TABLE false");
      assertThat(text(trace.byOid(database, emptied, at)))
          .isEqualTo("postgres public.emptied TABLE false");
      assertThat(trace.byFile(file, at)).as("whose file it is was left out").isNull();
      assertThat(dropped).hasSize(1);
      assertThat(dropped.getFirst().number()).isEqualTo(1);
      // The row went to another page, whole, or only what is new of it was logged.
      assertThat(dropped.getFirst().column()).isIn(null, "a");
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {14, 15, 16, 17, 18})
  void a_catalog_that_was_rewritten_is_followed_in_its_new_file(int major) throws Exception {
    try (TestServer server = TestServer.start(major, Map.of("autovacuum", "off"))) {
      server.execute(
          "VACUUM FULL pg_namespace",
          "VACUUM FULL pg_class",
          "CREATE SCHEMA one",
          "CREATE TABLE one.kept (a int, b int)",
          "CREATE TABLE one.renamed (a int)");
      ServerCatalog recorded = new ServerCatalog(true);
      Lsn start = recorded.take(server);
      long database =
          Long.parseLong(
              server.value("SELECT oid FROM pg_database WHERE datname = current_database()"));
      server.execute("ALTER TABLE one.kept RENAME TO kept_");
      Lsn before = Lsn.parse(server.value("SELECT pg_current_wal_insert_lsn()"));
      server.execute(
          "VACUUM FULL pg_class",
          "VACUUM FULL pg_attribute",
          "VACUUM FULL pg_namespace",
          "VACUUM FULL pg_index",
          "VACUUM FULL pg_database",
          "CREATE TABLE one.fresh (a text PRIMARY KEY)",
          "ALTER SCHEMA one RENAME TO two",
          "CREATE SCHEMA three",
          "ALTER TABLE two.fresh SET SCHEMA three",
          "ALTER TABLE two.renamed RENAME TO renamed_",
          "CREATE DATABASE another");
      Lsn between = Lsn.parse(server.value("SELECT pg_current_wal_insert_lsn()"));
      recorded.take(server);
      server.execute("ALTER TABLE two.renamed_ RENAME TO renamed__", "TRUNCATE two.kept_");
      Lsn after = Lsn.parse(server.value("SELECT pg_current_wal_insert_lsn()"));
      long kept = oid(server, "two.kept_");
      long fresh = oid(server, "three.fresh");
      long renamed = oid(server, "two.renamed__");
      RelFile file =
          RelFileOf.query(
              server, "SELECT 1663, " + database + ", pg_relation_filenode('two.kept_')");
      String another = server.value("SELECT oid FROM pg_database WHERE datname = 'another'");
      CatalogTrace trace = new CatalogTrace(recorded, start);
      List<Lsn> left = new ArrayList<>(List.of(before, between, after));
      read(
          server,
          start,
          record -> {
            while (!left.isEmpty() && !left.getFirst().isAfter(new Lsn(record.lsn()))) {
              Lsn at = left.removeFirst();
              if (at.equals(before)) {
                assertThat(text(trace.byOid(database, kept, at)))
                    .isEqualTo("postgres one.kept_ TABLE false");
              } else if (at.equals(between)) {
                assertThat(text(trace.byOid(database, fresh, at)))
                    .isEqualTo("postgres three.fresh TABLE false");
                assertThat(trace.byOid(database, renamed, at)).as("where it lay is lost").isNull();
                assertThat(trace.database(Long.parseLong(another), at)).isEqualTo("another");
              } else {
                assertThat(text(trace.byOid(database, renamed, at)))
                    .isEqualTo("postgres two.renamed__ TABLE false");
                assertThat(text(trace.byFile(file, at)))
                    .isEqualTo("postgres two.kept_ TABLE false");
              }
            }
            feed(trace, record, _ -> {});
          });
      assertThat(left).isEmpty();
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {14, 18})
  void a_dropped_column_has_the_name_it_had_before_the_transaction(int major) throws Exception {
    try (TestServer server = TestServer.start(major, Map.of("wal_keep_size", "4GB"))) {
      server.execute("CREATE TABLE a (x int, y int, z int)");
      ServerCatalog recorded = new ServerCatalog(true);
      Lsn start = recorded.take(server);
      server.execute(
          "BEGIN; ALTER TABLE a RENAME COLUMN y TO y2; ALTER TABLE a RENAME COLUMN y2 TO y3;"
              + " SAVEPOINT p; ALTER TABLE a RENAME COLUMN z TO z2; ROLLBACK TO p;"
              + " ALTER TABLE a ADD COLUMN own int; ALTER TABLE a DROP COLUMN own;"
              + " ALTER TABLE a DROP COLUMN y3, DROP COLUMN z; COMMIT");
      CatalogTrace trace = new CatalogTrace(recorded, start);
      List<@Nullable String> dropped = new ArrayList<>();

      read(server, start, record -> feed(trace, record, column -> dropped.add(column.column())));

      assertThat(dropped).containsExactly("y", "z");
    }
  }

  @Test
  void a_transaction_tells_which_tables_it_altered_and_how() throws Exception {
    try (TestServer server = TestServer.start(18)) {
      server.execute(
          "CREATE TABLE a (x int, y text, z int)",
          "CREATE TABLE b (x int)",
          "CREATE TABLE c (x int)",
          "CREATE TABLE d (x int)",
          "CREATE TABLE parent (x int, y int) PARTITION BY RANGE (x)",
          "CREATE TABLE child PARTITION OF parent FOR VALUES FROM (1) TO (2)",
          "CREATE SCHEMA s");
      ServerCatalog recorded = new ServerCatalog(true);
      Lsn start = recorded.take(server);
      List<String> names = List.of("a", "s.b", "c", "parent", "child");
      server.execute(
          "BEGIN; ALTER TABLE a DROP COLUMN y, ADD COLUMN w int, ALTER COLUMN z SET NOT NULL;"
              + " ALTER TABLE b RENAME TO b_; ALTER TABLE b_ SET SCHEMA s;"
              + " ALTER TABLE s.b_ RENAME TO b; TRUNCATE c; ALTER TABLE parent DROP COLUMN y;"
              + " SAVEPOINT p; ALTER TABLE a DROP COLUMN x; ROLLBACK TO p;"
              + " CREATE TABLE own (x int, y int); ALTER TABLE own DROP COLUMN x;"
              + " ALTER TABLE d DROP COLUMN x; DROP TABLE d; COMMIT");
      Map<Long, String> oids = new HashMap<>();
      names.forEach(name -> oids.put(oid(server, name), name));
      CatalogTrace trace = new CatalogTrace(recorded, start);
      Map<String, Set<AlteredRelation.Change>> altered = new HashMap<>();
      List<String> dropped = new ArrayList<>();
      read(
          server,
          start,
          record -> {
            if (record.rmgr() == ResourceManager.TRANSACTION
                && record.decode() instanceof WalRecord.Commit commit) {
              trace
                  .alteredRelations(commit.transaction(), commit.subtransactions())
                  .forEach(one ->
                      altered.put(
                          String.valueOf(oids.get(one.relation().relation())), one.changes()));
            }
            feed(
                trace,
                record,
                column ->
                    dropped.add(
                        oids.get(Objects.requireNonNull(column.relation()).relation())
                            + " "
                            + column.number()
                            + " "
                            + column.column()));
          });

      assertThat(dropped).containsExactlyInAnyOrder("a 2 y", "parent 2 y", "child 2 y");
      assertThat(altered)
          .containsOnlyKeys("a", "s.b", "c", "parent", "child")
          .containsEntry(
              "a",
              Set.of(
                  AlteredRelation.Change.COLUMN_ADDED,
                  AlteredRelation.Change.COLUMN_CHANGED,
                  AlteredRelation.Change.COLUMN_DROPPED))
          .containsEntry("s.b", Set.of(AlteredRelation.Change.MOVED))
          .containsEntry("c", Set.of(AlteredRelation.Change.NEW_FILE))
          .containsEntry("child", Set.of(AlteredRelation.Change.COLUMN_DROPPED));
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {14, 18})
  void a_trigger_is_not_looked_up_where_a_rewrite_put_another_one_while_the_catalog_was_read(
      int major) throws Exception {
    try (TestServer server = TestServer.start(major)) {
      server.execute(
          "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
          "CREATE TABLE users (id int)",
          "CREATE TRIGGER holdfast_delete AFTER DELETE ON users EXECUTE FUNCTION f()");
      long users = oid(server, "users");
      ServerCatalog recorded = new ServerCatalog(true);
      Lsn start = recorded.take(server);
      server.execute("CREATE TABLE meanwhile (id int)");
      recorded.take(
          server,
          () ->
              server.execute(
                  "SET allow_system_table_mods = on",
                  "DELETE FROM pg_trigger WHERE tgname = 'holdfast_delete'",
                  "VACUUM FULL pg_trigger",
                  "CREATE TABLE later (id int)",
                  "CREATE TRIGGER holdfast_delete AFTER DELETE ON later EXECUTE FUNCTION f()"));
      server.execute("ALTER TABLE later DISABLE TRIGGER holdfast_delete");
      long later = oid(server, "later");
      CatalogTrace trace = new CatalogTrace(recorded, start);
      List<String> weakened = new ArrayList<>();
      read(
          server,
          start,
          record -> {
            if (record.rmgr() == ResourceManager.TRANSACTION
                && record.decode() instanceof WalRecord.Commit commit) {
              trace
                  .weakenedTriggers(commit.transaction(), commit.subtransactions())
                  .forEach(one -> weakened.add(one.table().relation() + " " + one.what()));
            }
            feed(trace, record, _ -> {});
          });
      assertThat(weakened).containsExactly(users + " dropped", later + " disabled");
    }
  }

  private static long oid(TestServer server, String table) {
    return Long.parseLong(server.value("SELECT '" + table + "'::regclass::oid"));
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
    boolean later = when.endsWith("all is read");
    Map<RelFile, ServerCatalog.Seen> files = new HashMap<>();
    for (ServerCatalog.Seen seen : truth.relations.values()) {
      if (seen.file() != null && !(later && isTemporary(seen))) {
        files.put(seen.file(), seen);
      }
    }
    List<String> theirs = new ArrayList<>();
    List<String> ours = new ArrayList<>();
    for (Long oid : ever) {
      ServerCatalog.Seen seen = truth.relations.get(oid);
      if (later && (seen == null || isTemporary(seen))) {
        continue; // not born yet: its first name is the best there is; or forgotten when gone
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
        .filteredOn(table -> !(later && table.name().schema().startsWith("pg_temp")))
        .extracting(table -> table.oid() + " " + text(table))
        .as("%s: tables after %s", when, truth.step)
        .containsExactlyInAnyOrderElementsOf(
            truth.relations.values().stream()
                .filter(seen -> !(later && isTemporary(seen)))
                .map(seen -> seen.relation(truth.database, "postgres"))
                .filter(
                    table -> table.holdsRows() || table.kind() == Relation.Kind.PARTITIONED_TABLE)
                .map(table -> table.oid() + " " + text(table))
                .toList());
  }

  private static boolean isTemporary(ServerCatalog.Seen seen) {
    return seen.row().persistence() == 't';
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
    } else if (record.rmgr() == ResourceManager.TRANSACTION) {
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
