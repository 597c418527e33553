package dev.holdfast.postgres;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.testkit.Majors;
import dev.holdfast.testkit.TestServer;
import dev.holdfast.wal.Lsn;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * A sparse fork has, row by row, what the whole fork of the same moment has of what was wanted; of
 * the rest it has the same rows or an error, never others.
 *
 * <p>{@code -Dholdfast.sparse.seed=N} runs another workload, {@code -Dholdfast.sparse.rounds=N}
 * more of them (with the seeds that follow), {@code -Dholdfast.sparse.majors=14,16} others.
 */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class SparseEqualsWholeTest {
  private static final long SEED = Long.getLong("holdfast.sparse.seed", 20_261_121);
  private static final int ROUNDS = Integer.getInteger("holdfast.sparse.rounds", 1);
  private static final int OPERATIONS = Integer.getInteger("holdfast.sparse.operations", 120);
  private static final int SPARSE_FORKS = Integer.getInteger("holdfast.sparse.forks", 3);

  /** What the server says of a file that was left out. */
  private static final String UNREADABLE = "could not open file";

  private static final String TABLES =
      """
      SELECT c.oid, c.oid::regclass::text, c.relkind FROM pg_class c
      JOIN pg_namespace n ON n.oid = relnamespace
      WHERE relkind IN ('r', 'p', 'S') AND nspname = 'public' ORDER BY 1
      """;

  private static final String LARGE_OBJECTS =
      "SELECT coalesce(string_agg(oid || md5(lo_get(oid)), ' ' ORDER BY oid), '') FROM"
          + " pg_largeobject_metadata";

  private static final String CATALOG =
      "SELECT md5(string_agg(concat_ws('|', attrelid, attname, atttypid, attnum), ' '"
          + " ORDER BY attrelid, attnum)) FROM pg_attribute JOIN pg_class c ON c.oid = attrelid"
          + " WHERE c.relnamespace <> 'pg_toast'::regnamespace";

  static List<Integer> majors() {
    return Majors.of("holdfast.sparse.majors", "15,18");
  }

  @ParameterizedTest
  @MethodSource("majors")
  void a_sparse_fork_has_the_rows_of_the_whole_one(int major) throws Exception {
    for (int round = 0; round < ROUNDS; round++) {
      long seed = SEED + round;
      String run =
          "PostgreSQL %d, -Dholdfast.sparse.seed=%d -Dholdfast.sparse.operations=%d"
              .formatted(major, seed, OPERATIONS);
      System.out.println("Sparse equals whole: " + run);
      try {
        round(major, seed);
      } catch (Exception | AssertionError e) {
        throw new AssertionError(run, e);
      }
    }
  }

  private void round(int major, long seed) throws Exception {
    Random random = new Random(seed * 0x9E37_79B9_7F4A_7C15L); // neighbours begin alike otherwise
    boolean checksums = (seed + major) % 2 == 1;
    boolean fullPages = (seed + major) / 2 % 2 == 0;
    List<String> initdb = new ArrayList<>(List.of("--wal-segsize=1"));
    if (checksums) {
      initdb.add("--data-checksums");
    } else if (major >= 18) {
      initdb.add("--no-data-checksums");
    }
    Map<String, String> settings =
        Map.of(
            "full_page_writes", fullPages ? "on" : "off",
            "wal_log_hints", random.nextInt(4) == 0 ? "on" : "off",
            "max_prepared_transactions", "10",
            "checkpoint_timeout", "1h",
            "max_wal_size", "4GB",
            "wal_keep_size", "4GB");
    Path parent = Files.createTempDirectory("holdfast-forks");
    Files.setPosixFilePermissions(parent, PosixFilePermissions.fromString("rwxr-xr-x"));
    ForkOptions options = ForkOptions.defaults().in(parent).withEmbeddedBinaries();
    try (RecordedServer recorded =
            RecordedServer.start(PostgresBinaries.embedded(major), settings, initdb);
        ClusterWorkload workload =
            new ClusterWorkload(
                recorded.server(), random.nextLong(), recorded.tablespaceFolder().toString())) {
      TestServer server = recorded.server();
      workload.run(OPERATIONS / 4);
      Map<Long, Set<Long>> tables = new TreeMap<>();
      tablesOf(server, tables);
      if (random.nextBoolean()) {
        workload.openManySubtransactions();
      }
      Catalog catalog = CatalogReader.read(PostgresUrl.parse(server.url("postgres")));
      recorded.cluster().putCatalog("%016X".formatted(catalog.position().position()), catalog);
      workload.run(random.nextInt(10)); // the catalog is seldom of the very moment
      recorded.backUp();
      List<Lsn> targets = new ArrayList<>();
      for (int left = OPERATIONS; left > 0; ) {
        int now = Math.min(left, 1 + random.nextInt(OPERATIONS / 3));
        workload.run(now);
        left -= now;
        targets.add(recorded.insertLsn());
        tablesOf(server, tables);
      }
      server.execute("CREATE TABLE last (id int)", "SELECT pg_switch_wal()");
      recorded.recordWal();
      System.out.println(
          "  checksums %s, full_page_writes %s; not done: %s"
              .formatted(checksums, fullPages, workload.failures()));
      assertThat(workload.done()).isGreaterThan(OPERATIONS / 2);
      Lsn target = targets.get(random.nextInt(targets.size()));
      compare(recorded, RecoveryTarget.before(target), options, tables, random);
    }
    try (Stream<Path> left = Files.list(parent)) {
      assertThat(left).isEmpty();
    }
    Files.delete(parent);
  }

  /** OIDs of tables by the OID of their database, as they come and go. */
  private static void tablesOf(TestServer server, Map<Long, Set<Long>> tables) {
    for (String row :
        server.query(
            "SELECT oid || ' ' || datname FROM pg_database WHERE datname ~ '^(shop|source|copy)'")) {
      String[] database = row.split(" ", -1);
      Set<Long> known = tables.computeIfAbsent(Long.parseLong(database[0]), _ -> new HashSet<>());
      for (String oid :
          server.queryIn(
              database[1],
              "SELECT oid FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace ="
                  + " 'public'::regnamespace")) {
        known.add(Long.parseLong(oid));
      }
    }
  }

  private static void compare(
      RecordedServer recorded,
      RecoveryTarget target,
      ForkOptions options,
      Map<Long, Set<Long>> tables,
      Random random)
      throws SQLException {
    Map<String, Contents> expected = new TreeMap<>();
    try (Fork whole = Fork.start(recorded.cluster(), target, options)) {
      for (String database : whole.databases()) {
        expected.put(database, Contents.of(whole, database));
      }
    }
    for (int i = 0; i < SPARSE_FORKS; i++) {
      ForkContents.Sparse contents = choose(tables, random);
      try (Fork fork = Fork.start(recorded.cluster(), target, options.holding(contents))) {
        String what =
            "%s at %s, built %d times, holding %s"
                .formatted(contents, target, fork.attempts(), fork.contents());
        System.out.println("  " + what);
        assertThat(fork.databases()).as(what).isEqualTo(List.copyOf(expected.keySet()));
        for (String database : fork.databases()) {
          compare(
              what + ", database " + database,
              Objects.requireNonNull(expected.get(database)),
              Contents.of(fork, database),
              contents);
        }
        checkIndexes(what, fork);
      }
    }
  }

  private static ForkContents.Sparse choose(Map<Long, Set<Long>> tables, Random random) {
    if (random.nextInt(6) == 0) {
      return ForkContents.Sparse.SCHEMA_ONLY;
    }
    List<Long> databases = List.copyOf(tables.keySet());
    // The shop was made first and has most of the tables.
    long database =
        random.nextInt(3) > 0
            ? databases.getFirst()
            : databases.get(random.nextInt(databases.size()));
    List<Long> known = new ArrayList<>(tables.getOrDefault(database, Set.of()));
    Collections.sort(known);
    Collections.shuffle(known, random);
    Set<Long> wanted = Set.copyOf(known.subList(0, 1 + random.nextInt(1 + known.size() / 3)));
    return new ForkContents.Sparse(database, wanted, random.nextInt(3) > 0, random.nextBoolean());
  }

  private static void compare(
      String what, Contents whole, Contents fork, ForkContents.Sparse wanted) {
    assertThat(fork.catalog).as(what + ", catalog").isEqualTo(whole.catalog);
    assertThat(fork.tables.keySet()).as(what).isEqualTo(whole.tables.keySet());
    boolean here = wanted.databaseOid() == whole.oid;
    for (Map.Entry<Long, String> table : whole.tables.entrySet()) {
      String found = fork.tables.get(table.getKey());
      String where =
          "%s, table %d %s".formatted(what, table.getKey(), whole.names.get(table.getKey()));
      if ((here && wanted.tables().contains(table.getKey())) || !UNREADABLE.equals(found)) {
        assertThat(found).as(where).isEqualTo(table.getValue());
      }
    }
    if ((here && wanted.largeObjects()) || !UNREADABLE.equals(fork.largeObjects)) {
      assertThat(fork.largeObjects).as(what + ", large objects").isEqualTo(whole.largeObjects);
    }
  }

  /** Every B-tree index that is live and can be read agrees with its table. */
  private static void checkIndexes(String what, Fork fork) throws SQLException {
    if (fork.database() == null || !fork.database().equals(ClusterWorkload.SHOP)) {
      return;
    }
    try (Connection connection = fork.connect(ClusterWorkload.SHOP);
        Statement sql = connection.createStatement()) {
      for (var table : fork.tables()) {
        List<String> indexes = new ArrayList<>();
        try (ResultSet rows =
            sql.executeQuery(
                "SELECT indexrelid::regclass FROM pg_index JOIN pg_class c ON c.oid = indexrelid"
                    + " JOIN pg_am a ON a.oid = relam WHERE amname = 'btree' AND indislive AND"
                    + " relkind = 'i' AND indrelid = '"
                    + table.quoted()
                    + "'::regclass")) {
          while (rows.next()) {
            indexes.add(rows.getString(1));
          }
        }
        for (String index : indexes) {
          try {
            sql.execute("SELECT bt_index_check('" + index + "', true)");
          } catch (SQLException e) {
            throw new AssertionError(what + ", index " + index, e);
          }
        }
      }
    }
  }

  /**
   * One database of a fork.
   *
   * @param tables where each row lies and what it says, digested, by OID; {@link #UNREADABLE} for
   *     those whose file is not there
   */
  private record Contents(
      long oid,
      String catalog,
      Map<Long, String> tables,
      Map<Long, String> names,
      String largeObjects) {
    static Contents of(Fork fork, String database) throws SQLException {
      try (Connection connection = fork.connect(database);
          Statement sql = connection.createStatement()) {
        long oid =
            Long.parseLong(
                digest(sql, "SELECT oid FROM pg_database WHERE datname = current_database()"));
        Map<Long, String> names = new TreeMap<>();
        Map<Long, String> digests = new TreeMap<>();
        try (ResultSet rows = sql.executeQuery(TABLES)) {
          while (rows.next()) {
            names.put(rows.getLong(1), rows.getString(2) + rows.getString(3));
          }
        }
        for (Map.Entry<Long, String> table : names.entrySet()) {
          String name = table.getValue().substring(0, table.getValue().length() - 1);
          String row =
              table.getValue().endsWith("S") ? "last_value, log_cnt, is_called" : "t::text";
          digests.put(
              table.getKey(),
              digest(
                  sql,
                  "SELECT count(*) || ' ' || coalesce(md5(string_agg(md5(concat_ws('|', t.tableoid,"
                      + " t.ctid, t.xmin, "
                      + row
                      + ")), '' ORDER BY t.tableoid, t.ctid)), '') FROM "
                      + name
                      + " t"));
        }
        return new Contents(oid, digest(sql, CATALOG), digests, names, digest(sql, LARGE_OBJECTS));
      }
    }

    private static String digest(Statement sql, String query) throws SQLException {
      try (ResultSet row = sql.executeQuery(query)) {
        row.next();
        return row.getString(1);
      } catch (SQLException e) {
        if (String.valueOf(e.getMessage()).contains(UNREADABLE)) {
          return UNREADABLE;
        }
        throw e;
      }
    }
  }
}
