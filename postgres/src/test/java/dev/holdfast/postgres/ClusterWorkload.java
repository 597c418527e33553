package dev.holdfast.postgres;

import dev.holdfast.testkit.TestServer;
import java.sql.Connection;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/**
 * Random statements that move rows, files and whole databases about, as applications, migrations
 * and operators do. What one of them cannot do (a lock is held, a name is taken) it leaves.
 */
final class ClusterWorkload implements AutoCloseable {
  static final String SHOP = "shop";
  static final String TABLESPACE = "elsewhere";
  private static final String SOURCE = "source";
  private static final String COLUMNS = "(id int PRIMARY KEY, k int, body text)";

  /** Text that does not compress, for every tenth row long enough for the TOAST table. */
  private static final String BODY =
      "CASE WHEN g % 10 = 0 THEN (SELECT string_agg(md5(g::text || j), '')"
          + " FROM generate_series(1, 90) j) ELSE md5(g::text) END";

  private final TestServer server;
  private final Random random;
  private final boolean strategies;
  private final List<String> tables = new ArrayList<>();
  private final List<String> loose = new ArrayList<>();
  private final List<String> parts = new ArrayList<>();
  private final List<String> copies = new ArrayList<>();
  private final List<String> prepared = new ArrayList<>();
  private final Set<String> failures = new TreeSet<>();
  private final Connection session;
  private @Nullable Connection open;
  private int names;
  private int done;
  private int failed;

  ClusterWorkload(TestServer server, long seed, String tablespaceFolder) throws SQLException {
    this.server = server;
    this.random = new Random(seed);
    this.strategies = server.server().binaries().major() >= 15;
    server.execute(
        "CREATE TABLESPACE " + TABLESPACE + " LOCATION '" + tablespaceFolder + "'",
        "CREATE DATABASE " + SHOP,
        "CREATE DATABASE " + SOURCE);
    server.executeIn(
        SOURCE,
        "CREATE TABLE notes " + COLUMNS,
        "INSERT INTO notes SELECT g, g % 7, " + BODY + " FROM generate_series(1, 400) g");
    this.session = server.connect(SHOP);
    execute(
        "SET lock_timeout = '300ms'",
        "CREATE EXTENSION amcheck",
        "CREATE SEQUENCE numbers",
        "CREATE TABLE parts (id int, k int, body text) PARTITION BY RANGE (id)");
    for (int i = 0; i < 6; i++) {
      create();
    }
    for (int i = 0; i < 3; i++) {
      createPart();
    }
  }

  int done() {
    return done;
  }

  /** What statements could not do, by their first words. */
  String failures() {
    return failed + " of " + (done + failed) + " " + failures;
  }

  void run(int operations) {
    for (int i = 0; i < operations; i++) {
      try {
        one();
        done++;
      } catch (SQLException | IllegalStateException e) {
        failed++;
        Throwable cause = e.getCause() == null ? e : e.getCause();
        failures.add(String.valueOf(cause.getMessage()).lines().findFirst().orElse(""));
        rollBack();
      }
    }
  }

  /** Leaves a transaction open with more subtransactions than a snapshot holds (64). */
  void openManySubtransactions() throws SQLException {
    closeOpen();
    Connection many = server.connect(SHOP);
    open = many;
    many.setAutoCommit(false);
    try (Statement sql = many.createStatement()) {
      sql.execute("SET lock_timeout = '300ms'");
      String table = any(tables);
      for (int i = 0; i < 80; i++) {
        sql.execute("SAVEPOINT s" + i);
        sql.execute(
            "INSERT INTO %s VALUES (%d, 1, 'open') ON CONFLICT (id) DO UPDATE SET k = -1"
                .formatted(table, 900_000 + i));
      }
    }
  }

  private void closeOpen() throws SQLException {
    Connection many = open;
    open = null;
    if (many != null) {
      try (many) {
        if (random.nextBoolean()) {
          many.commit();
        } else {
          many.rollback();
        }
      }
    }
  }

  private void one() throws SQLException {
    String table = any(tables);
    int from = random.nextInt(600);
    int to = from + random.nextInt(200);
    switch (random.nextInt(44)) {
      case 0, 1, 2, 3, 4, 5 -> insert(table, from, to);
      case 6, 7, 8 ->
          execute(
              "UPDATE %s SET k = k + 1, body = body || 'x' WHERE id BETWEEN %d AND %d"
                  .formatted(table, from, to));
      case 9, 10 -> execute("DELETE FROM %s WHERE id BETWEEN %d AND %d".formatted(table, from, to));
      case 11, 12, 13 -> execute("VACUUM " + table);
      case 14 -> execute("VACUUM (FREEZE) " + table);
      case 15 -> execute("VACUUM FULL " + table);
      case 16 -> execute("CREATE INDEX ON " + table + " (k)");
      case 17 -> execute("CREATE INDEX ON " + table + " USING hash (k)");
      case 18 -> execute("CREATE INDEX ON " + table + " USING brin (k)");
      case 19 -> execute("REINDEX TABLE " + table);
      case 20 -> execute("TRUNCATE " + table);
      case 21 -> execute("CLUSTER %s USING %s".formatted(table, primaryKey(table)));
      case 22 ->
          execute(
              "ALTER TABLE %s ALTER k TYPE %s"
                  .formatted(table, random.nextBoolean() ? "bigint" : "int"));
      case 23 -> rename(table);
      case 24, 25 -> repack(table);
      case 26 -> attach();
      case 27 -> detach();
      case 28 ->
          execute(
              "INSERT INTO parts SELECT g, g %% 5, %s FROM generate_series(%d, %d) g"
                  .formatted(BODY, from, from + 50));
      case 29 -> execute("DELETE FROM parts WHERE id % 3 = " + random.nextInt(3));
      case 30, 31 -> copyDatabase();
      case 32 -> changeCopy();
      case 33 -> dropCopy();
      case 34 -> moveCopy();
      case 35 ->
          execute(
              "ALTER TABLE %s SET TABLESPACE %s"
                  .formatted(table, random.nextBoolean() ? TABLESPACE : "pg_default"));
      case 36 -> largeObject();
      case 37 -> prepare(table, from);
      case 38 -> settle();
      case 39 -> subtransactions(table);
      case 40 -> {
        if (random.nextBoolean() || tables.size() < 4) {
          create();
        } else {
          execute("DROP TABLE " + table);
          tables.remove(table);
        }
      }
      case 41 -> {
        List<String> catalogs =
            List.of("pg_class", "pg_attribute", "pg_type", "pg_largeobject", "pg_depend");
        execute("VACUUM FULL " + any(catalogs));
      }
      case 42 -> execute("SELECT nextval('numbers') FROM generate_series(1, 40)");
      default -> {
        if (random.nextInt(3) > 0) {
          execute("CHECKPOINT");
        } else if (open == null) {
          openManySubtransactions();
        } else {
          closeOpen();
        }
      }
    }
  }

  private void create() throws SQLException {
    String name = "t" + names++;
    execute("CREATE TABLE " + name + " " + COLUMNS);
    tables.add(name);
    insert(name, 1, 100 + random.nextInt(300));
  }

  private void insert(String table, int from, int to) throws SQLException {
    execute(
        "INSERT INTO %s SELECT g, g %% 13, %s FROM generate_series(%d, %d) g ON CONFLICT (id) DO UPDATE SET k = -excluded.k"
            .formatted(table, BODY, from, to));
  }

  private void rename(String table) throws SQLException {
    String other = any(tables);
    if (other.equals(table)) {
      return;
    }
    execute(
        "BEGIN",
        "ALTER TABLE " + table + " RENAME TO between",
        "ALTER TABLE " + other + " RENAME TO " + table,
        "ALTER TABLE between RENAME TO " + other,
        "COMMIT");
  }

  /** Exchanges files, and TOAST tables with them, under OIDs that stay, as pg_repack does. */
  private void repack(String table) throws SQLException {
    String copy = "repack" + names++;
    String pair = "('" + table + "'::regclass, '" + copy + "'::regclass)";
    execute(
        "BEGIN",
        "LOCK TABLE " + table,
        "CREATE TABLE " + copy + " (LIKE " + table + ")",
        "INSERT INTO " + copy + " SELECT * FROM " + table + " ORDER BY k, id",
        "ALTER TABLE " + copy + " ADD PRIMARY KEY (id)",
        // Only the primary key is exchanged: the others go.
        """
        DO $$ DECLARE i regclass; BEGIN
          FOR i IN SELECT indexrelid FROM pg_index WHERE indrelid = '%s'::regclass AND NOT indisprimary LOOP
            EXECUTE 'DROP INDEX ' || i;
          END LOOP;
        END $$
        """
            .formatted(table),
        """
        UPDATE pg_class a SET relfilenode = b.relfilenode, reltablespace = b.reltablespace
        FROM pg_class b, pg_index i, pg_index j
        WHERE i.indrelid IN %1$s AND j.indrelid IN %1$s AND i.indrelid <> j.indrelid
          AND i.indisprimary AND j.indisprimary AND a.oid = i.indexrelid AND b.oid = j.indexrelid
        """
            .formatted(pair),
        """
        UPDATE pg_depend d SET refobjid = o.oid FROM pg_class c, pg_class o
        WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
          AND d.deptype = 'i' AND c.oid = d.refobjid AND c.reltoastrelid = d.objid
          AND c.oid IN %1$s AND o.oid IN %1$s AND o.oid <> c.oid
        """
            .formatted(pair),
        """
        UPDATE pg_class a SET relfilenode = b.relfilenode, reltoastrelid = b.reltoastrelid,
          reltablespace = b.reltablespace, relfrozenxid = b.relfrozenxid, relminmxid = b.relminmxid
        FROM pg_class b WHERE a.oid IN %1$s AND b.oid IN %1$s AND a.oid <> b.oid
        """
            .formatted(pair),
        "COMMIT");
    if (random.nextBoolean()) {
      execute("DROP TABLE " + copy);
    } else {
      tables.add(copy);
    }
  }

  private void createPart() throws SQLException {
    String name = "part" + names++;
    execute(
        "CREATE TABLE " + name + " (id int, k int, body text)",
        "INSERT INTO %s SELECT g, g %% 5, %s FROM generate_series(%d, %d) g"
            .formatted(name, BODY, names * 1000, names * 1000 + 150));
    loose.add(name + ":" + names * 1000);
  }

  private void attach() throws SQLException {
    if (loose.isEmpty()) {
      createPart();
      return;
    }
    String part = any(loose);
    String[] split = part.split(":", -1);
    execute(
        "ALTER TABLE parts ATTACH PARTITION %s FOR VALUES FROM (%s) TO (%d)"
            .formatted(split[0], split[1], Integer.parseInt(split[1]) + 1000));
    loose.remove(part);
    parts.add(part);
    execute("UPDATE parts SET k = k + 1 WHERE id >= " + split[1]);
  }

  private void detach() throws SQLException {
    if (parts.isEmpty()) {
      return;
    }
    String part = any(parts);
    execute("ALTER TABLE parts DETACH PARTITION " + part.split(":", -1)[0]);
    parts.remove(part);
    loose.add(part);
    execute("DELETE FROM " + part.split(":", -1)[0] + " WHERE k = 1");
  }

  private void copyDatabase() throws SQLException {
    String name = "copy" + names++;
    String strategy =
        strategies ? " STRATEGY " + (random.nextInt(3) > 0 ? "file_copy" : "wal_log") : "";
    String template = copies.isEmpty() || random.nextBoolean() ? SOURCE : any(copies);
    String tablespace = random.nextInt(3) == 0 ? " TABLESPACE " + TABLESPACE : "";
    execute("CREATE DATABASE " + name + " TEMPLATE " + template + tablespace + strategy);
    copies.add(name);
    change(name);
  }

  private void changeCopy() {
    change(random.nextInt(4) == 0 || copies.isEmpty() ? SOURCE : any(copies));
  }

  private void change(String database) {
    int from = random.nextInt(300);
    server.executeIn(
        database,
        "UPDATE notes SET k = -k - 1, body = body || 'y' WHERE id BETWEEN "
            + from
            + " AND "
            + (from + 90),
        "DELETE FROM notes WHERE id % 50 = " + random.nextInt(50),
        "VACUUM notes",
        "UPDATE notes SET k = 0 WHERE id = " + from);
  }

  private void dropCopy() throws SQLException {
    if (!copies.isEmpty()) {
      String name = any(copies);
      execute("DROP DATABASE " + name);
      copies.remove(name);
    }
  }

  private void moveCopy() throws SQLException {
    if (!copies.isEmpty()) {
      String name = any(copies);
      execute(
          "ALTER DATABASE %s SET TABLESPACE %s"
              .formatted(name, random.nextBoolean() ? TABLESPACE : "pg_default"));
      change(name);
    }
  }

  private void largeObject() throws SQLException {
    int oid = 5000 + random.nextInt(20);
    execute(
        switch (random.nextInt(3)) {
          case 0 -> "SELECT lo_unlink(oid) FROM pg_largeobject_metadata WHERE oid = " + oid;
          case 1 ->
              "SELECT lo_put(oid, %d, 'changed') FROM pg_largeobject_metadata WHERE oid = %d"
                  .formatted(random.nextInt(9000), oid);
          default ->
              "SELECT lo_from_bytea(%d, decode(repeat(md5('%d'), 300), 'hex'))".formatted(oid, oid);
        });
  }

  private void prepare(String table, int from) throws SQLException {
    String name = "gid" + names++;
    execute(
        "BEGIN",
        "UPDATE %s SET body = 'prepared' WHERE id BETWEEN %d AND %d"
            .formatted(table, from, from + 5),
        "INSERT INTO %s VALUES (%d, 0, 'prepared')".formatted(table, 800_000 + names),
        "PREPARE TRANSACTION '" + name + "'");
    prepared.add(name);
    if (prepared.size() > 2) {
      settle();
    }
  }

  private void settle() throws SQLException {
    if (!prepared.isEmpty()) {
      String name = prepared.removeFirst();
      execute((random.nextBoolean() ? "COMMIT" : "ROLLBACK") + " PREPARED '" + name + "'");
    }
  }

  private void subtransactions(String table) throws SQLException {
    execute(
        """
        DO $$ BEGIN
          FOR i IN 1..100 LOOP
            BEGIN
              UPDATE %s SET k = i WHERE id = i;
              IF i %% 3 = 0 THEN RAISE EXCEPTION 'undo'; END IF;
            EXCEPTION WHEN raise_exception THEN NULL;
            END;
          END LOOP;
        END $$
        """
            .formatted(table));
  }

  private String primaryKey(String table) throws SQLException {
    try (Statement sql = session.createStatement();
        var row =
            sql.executeQuery(
                "SELECT indexrelid::regclass FROM pg_index WHERE indisprimary AND indrelid = '"
                    + table
                    + "'::regclass")) {
      row.next();
      return row.getString(1);
    }
  }

  private void execute(String... statements) throws SQLException {
    try (Statement sql = session.createStatement()) {
      for (String statement : statements) {
        sql.execute(statement);
      }
    }
  }

  private void rollBack() {
    try (Statement sql = session.createStatement()) {
      sql.execute("ROLLBACK");
    } catch (SQLException e) {
      throw new IllegalStateException(e);
    }
  }

  private <T> T any(List<T> list) {
    return list.get(random.nextInt(list.size()));
  }

  @Override
  public void close() throws SQLException {
    closeOpen();
    session.close();
  }
}
