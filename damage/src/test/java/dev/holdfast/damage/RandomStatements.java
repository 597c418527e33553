package dev.holdfast.damage;

import static dev.holdfast.damage.WorkloadTables.SLOTS;

import java.sql.SQLException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * Statements drawn at random, each entered into the ledger of its transaction. What a statement
 * does is known by what was asked before it (how many rows it is going to hit, in which partition)
 * and checked by the count it returns.
 */
final class RandomStatements {
  /** A statement or a few that belong together. */
  private interface Kind {
    void run(Session session) throws SQLException;
  }

  private static final int LONG = 9_000; // characters: kept outside the row

  private final Random random;
  private final int major;
  private final boolean mixed;
  private final Books books;
  private final List<Kind> kinds = new ArrayList<>();
  private final Map<Integer, List<String>> scratchTables = new HashMap<>();
  private long nextId = 1;

  /**
   * @param mixed whether a transaction may give several tables new files, and change rows of a
   *     table before and after it got one
   */
  RandomStatements(Random random, int major, boolean mixed, Books books) {
    this.random = random;
    this.major = major;
    this.mixed = mixed;
    this.books = books;
    rows();
    partitions();
    references();
    structures();
  }

  /** Runs one of them. */
  void run(Session session) throws SQLException {
    kinds.get(random.nextInt(kinds.size())).run(session);
  }

  private void often(int weight, Kind kind) {
    for (int i = 0; i < weight; i++) {
      kinds.add(kind);
    }
  }

  // ---- rows of ordinary tables -----------------------------------------------------------------

  private void rows() {
    often(6, this::insertPlain);
    often(5, s -> change(s, "plain", "UPDATE plain SET b = md5(coalesce(b, ''))")); // HOT
    often(4, s -> change(s, "plain", "UPDATE plain SET a = a + 1")); // a is indexed: not HOT
    often(1, s -> change(s, "plain", "UPDATE plain SET id = nextval('counter') + 1000000000"));
    often(5, s -> change(s, "plain", "DELETE FROM plain"));
    often(3, this::copyPlain);
    often(3, this::lock);
    often(4, this::insertWide);
    often(2, s -> change(s, "wide", "UPDATE wide SET doc = repeat('u', 7000 + n)"));
    often(2, s -> change(s, "wide", "UPDATE wide SET n = n + 1"));
    often(1, s -> change(s, "wide", "UPDATE wide SET doc = NULL"));
    often(4, s -> change(s, "wide", "DELETE FROM wide"));
    often(4, this::upsert);
    often(2, this::insertUnlessThere);
    often(2, s -> change(s, "keyed", "DELETE FROM keyed", "k"));
    often(2, this::fillWithSubtransactions);
    often(2, this::moveToGone);
    often(2, this::audited);
    often(1, this::failInSavepoint);
    often(2, this::notLogged);
    often(1, this::temporary);
    often(2, this::noTable);
    if (major >= 15) {
      often(3, this::mergeKeyed);
    }
  }

  private void insertPlain(Session session) throws SQLException {
    int rows = 1 + random.nextInt(6);
    String values =
        IntStream.range(0, rows)
            .mapToObj(_ -> "(%d, %d, %d, 'row')".formatted(session.slot, nextId++, rows))
            .collect(Collectors.joining(", "));
    inserted(session, "plain", rows, session.update("INSERT INTO plain VALUES " + values));
  }

  private void copyPlain(Session session) throws SQLException {
    boolean wide = random.nextInt(4) == 0;
    int rows = 1 + random.nextInt(wide ? 5 : 150);
    StringBuilder lines = new StringBuilder();
    for (int row = 0; row < rows; row++) {
      lines.append(session.slot).append('\t').append(nextId++).append('\t');
      lines.append(wide ? "w".repeat(LONG) + "\t5" : "5\tcopied").append('\n');
    }
    String table = wide ? "wide" : "plain";
    inserted(session, table, rows, session.copy("COPY " + table + " FROM STDIN", lines.toString()));
    if (rows > 50) { // what comes in by the page goes out by the page
      change(session, "plain", "DELETE FROM plain", "id", 3 * rows);
    }
  }

  /** UPDATE or DELETE of a few of the slot's rows. */
  private void change(Session session, String table, String statement) throws SQLException {
    change(session, table, statement, "id");
  }

  private void change(Session session, String table, String statement, String key)
      throws SQLException {
    change(session, table, statement, key, 1 + random.nextInt(8));
  }

  private void change(Session session, String table, String statement, String key, int most)
      throws SQLException {
    changeWhere(session, table, statement, picked(session, table, key, most));
  }

  private static void changeWhere(Session session, String table, String statement, String where)
      throws SQLException {
    long rows = session.number("SELECT count(*) FROM " + table + where);
    require(session, rows, session.update(statement + where));
    if (statement.startsWith("DELETE")) {
      session.ledger().of(table).deleted += rows;
    } else {
      session.ledger().of(table).updated += rows;
    }
  }

  private void lock(Session session) throws SQLException {
    String table = List.of("plain", "wide", "orders", "account").get(random.nextInt(4));
    String how = List.of("UPDATE", "NO KEY UPDATE", "SHARE", "KEY SHARE").get(random.nextInt(4));
    session.execute("SELECT * FROM " + table + picked(session, table, "id", 5) + " FOR " + how);
    if (random.nextBoolean()) { // several transactions may hold these at once
      session.execute("SELECT * FROM region FOR KEY SHARE");
    }
  }

  private void insertWide(Session session) throws SQLException {
    int rows = 1 + random.nextInt(3);
    long first = nextId;
    nextId += rows;
    inserted(
        session,
        "wide",
        rows,
        session.update(
            "INSERT INTO wide SELECT %d, g, repeat('w', %d), 0 FROM generate_series(%d, %d) g"
                .formatted(session.slot, random.nextInt(2 * LONG), first, nextId - 1)));
  }

  private String someKeys() {
    TreeSet<Integer> keys = new TreeSet<>();
    for (int i = 0; i < 6; i++) {
      keys.add(random.nextInt(30));
    }
    return keys.stream().map(String::valueOf).collect(Collectors.joining(","));
  }

  private void upsert(Session session) throws SQLException {
    String keys = someKeys();
    String there =
        "SELECT count(*) FROM keyed WHERE slot = %d AND k IN (%s)".formatted(session.slot, keys);
    long all = keys.split(",", -1).length;
    long before = session.number(there);
    long updated = session.number(there + " AND n % 3 <> 0");
    long changed =
        session.update(
            ("INSERT INTO keyed SELECT %d, k, 1, repeat('k', %d) FROM unnest(ARRAY[%s]) k"
                    + " ON CONFLICT (slot, k) DO UPDATE SET n = keyed.n + 1, doc = excluded.doc"
                    + " WHERE keyed.n %% 3 <> 0")
                .formatted(session.slot, random.nextBoolean() ? LONG : 0, keys));
    require(session, all - before + updated, changed);
    session.ledger().of("keyed").inserted += all - before;
    session.ledger().of("keyed").updated += updated;
  }

  private void insertUnlessThere(Session session) throws SQLException {
    String keys = someKeys();
    long missing =
        session.number(
            ("SELECT count(*) FROM unnest(ARRAY[%s]) k WHERE NOT EXISTS (SELECT FROM keyed WHERE"
                    + " slot = %d AND keyed.k = k.k)")
                .formatted(keys, session.slot));
    inserted(
        session,
        "keyed",
        missing,
        session.update(
            "INSERT INTO keyed SELECT %d, k, 1 FROM unnest(ARRAY[%s]) k ON CONFLICT DO NOTHING"
                .formatted(session.slot, keys)));
  }

  private void mergeKeyed(Session session) throws SQLException {
    String keys = someKeys();
    String there =
        "SELECT count(*) FROM keyed WHERE slot = %d AND k IN (%s)".formatted(session.slot, keys);
    long all = keys.split(",", -1).length;
    long before = session.number(there);
    long deleted = session.number(there + " AND n % 4 = 0");
    long left = session.number(there + " AND n % 4 = 1");
    Tally tally = session.ledger().of("keyed");
    long changed =
        session.update(
            ("MERGE INTO keyed t USING (SELECT unnest(ARRAY[%2$s]) AS k) s ON t.slot = %1$d AND t.k"
                    + " = s.k WHEN MATCHED AND t.n %% 4 = 0 THEN DELETE WHEN MATCHED AND t.n %% 4 ="
                    + " 1 THEN DO NOTHING WHEN MATCHED THEN UPDATE SET n = t.n + 1 WHEN NOT MATCHED"
                    + " THEN INSERT VALUES (%1$d, s.k, s.k)")
                .formatted(session.slot, keys));
    require(session, all - left, changed);
    tally.inserted += all - before;
    tally.deleted += deleted;
    tally.updated += before - deleted - left;
  }

  /** Each turn of the loop is a subtransaction; more than 64 do not fit into shared memory. */
  private void fillWithSubtransactions(Session session) throws SQLException {
    int turns = random.nextInt(4) == 0 ? 70 + random.nextInt(60) : 1 + random.nextInt(10);
    int fail = 2 + random.nextInt(5); // every so many-th
    long first = nextId;
    nextId += turns + 1;
    session.execute(
        ("DO $$ BEGIN FOR i IN 1..%d LOOP BEGIN INSERT INTO plain VALUES (%d, %d + i, i, 'turn');"
                + " IF i %% %d = 0 THEN RAISE EXCEPTION 'no'; END IF; EXCEPTION WHEN"
                + " raise_exception THEN NULL; END; END LOOP; END $$")
            .formatted(turns, session.slot, first, fail));
    int failed = turns / fail;
    session.ledger().of("plain").inserted += turns - failed;
    rolledBack(session, "plain", failed);
    change(session, "plain", "DELETE FROM plain", "id", turns);
  }

  private void moveToGone(Session session) throws SQLException {
    String where = picked(session, "plain", "id", 5);
    long rows = session.number("SELECT count(*) FROM plain" + where);
    require(
        session,
        rows,
        session.update(
            "WITH d AS (DELETE FROM plain"
                + where
                + " RETURNING slot, id) INSERT INTO gone SELECT * FROM d"));
    session.ledger().of("plain").deleted += rows;
    session.ledger().of("gone").inserted += rows;
  }

  private void audited(Session session) throws SQLException {
    int rows = 1 + random.nextInt(3);
    long first = nextId;
    nextId += rows;
    inserted(
        session,
        "audited",
        rows,
        session.update(
            "INSERT INTO audited SELECT %d, g, 0 FROM generate_series(%d, %d) g"
                .formatted(session.slot, first, nextId - 1)));
    session.ledger().of("audit").inserted += 2L * rows;
    Tally tally = session.ledger().of("audited");
    long before = tally.updated + tally.deleted;
    change(
        session,
        "audited",
        random.nextBoolean() ? "UPDATE audited SET a = a + 1" : "DELETE FROM audited");
    session.ledger().of("audit").inserted += tally.updated + tally.deleted - before;
  }

  private void failInSavepoint(Session session) throws SQLException {
    Ledger ledger = session.ledger();
    session.execute("SAVEPOINT failing");
    ledger.savepoint();
    insertPlain(session);
    long there =
        session.number("SELECT min(id) FROM plain WHERE slot = %d".formatted(session.slot));
    try {
      session.update(
          "INSERT INTO plain VALUES (%1$d, %2$d, 0, 'a'), (%1$d, %3$d, 0, 'b')"
              .formatted(session.slot, nextId++, there));
      throw new IllegalStateException("a key was taken twice");
    } catch (SQLException e) {
      if (!"23505".equals(e.getSQLState())) {
        throw e;
      }
      ledger.of("plain").inserted += 2; // the server tried
    }
    session.execute("ROLLBACK TO failing");
    ledger.rollbackTo(ledger.savepoints());
    session.execute("RELEASE failing");
    ledger.release(ledger.savepoints());
  }

  private void notLogged(Session session) throws SQLException {
    session.update(
        "INSERT INTO fleeting VALUES (%d, %d, repeat('f', %d))"
            .formatted(session.slot, nextId++, LONG));
    session.update("UPDATE fleeting SET id = id + 1" + picked(session, "fleeting", "id", 3));
    session.update("DELETE FROM fleeting" + picked(session, "fleeting", "id", 3));
  }

  private void temporary(Session session) throws SQLException {
    session.preparable = false;
    session.execute("CREATE TEMP TABLE IF NOT EXISTS scribble (id bigint, doc text)");
    session.update("INSERT INTO scribble SELECT g, repeat('s', 5000) FROM generate_series(1, 5) g");
    session.update("DELETE FROM scribble WHERE id > 2");
    if (random.nextInt(3) == 0) {
      session.execute(random.nextBoolean() ? "TRUNCATE scribble" : "DROP TABLE scribble");
    }
  }

  /** Changes that belong to no table of anybody's. */
  private void noTable(Session session) throws SQLException {
    session.execute(
        switch (random.nextInt(5)) {
          case 0 -> "SELECT lo_from_bytea(0, decode(repeat('ab', 5000), 'hex'))";
          case 1 -> "SELECT nextval('counter') FROM generate_series(1, 40)";
          case 2 -> "SELECT pg_logical_emit_message(true, 'holdfast', 'here')";
          case 3 -> "COMMENT ON TABLE own_%d IS 'word %d'".formatted(session.slot, nextId);
          default -> "ANALYZE own_%d".formatted(session.slot);
        });
  }

  // ---- partitions ------------------------------------------------------------------------------

  private void partitions() {
    often(5, this::insertOrders);
    often(2, this::copyOrders);
    often(3, s -> changeOrders(s, "UPDATE orders SET doc = repeat('d', (id % 2 * 8000)::int)"));
    often(4, s -> changeOrders(s, "UPDATE orders SET at = (at + 100) % 350"));
    often(3, s -> changeOrders(s, "UPDATE orders SET at = " + random.nextInt(350)));
    often(3, this::deleteOrders);
    often(1, this::moveInSubtransactions);
    if (major >= 15) {
      often(2, this::mergeOrders);
    }
  }

  private void insertOrders(Session session) throws SQLException {
    int rows = 1 + random.nextInt(5);
    long first = nextId;
    nextId += rows;
    insertCounted(
        session,
        "INSERT INTO orders SELECT %d, g, %d + g %% 200, repeat('o', %d) FROM generate_series(%d, %d) g"
            .formatted(
                session.slot,
                random.nextInt(200),
                random.nextBoolean() ? LONG : 0,
                first,
                nextId - 1));
  }

  /** An INSERT into a partitioned table, which says by itself where its rows went. */
  private void insertCounted(Session session, String insert) throws SQLException {
    session.ledger().statements.add(insert);
    session
        .numbers(
            "WITH i AS ("
                + insert
                + " RETURNING tableoid) SELECT tableoid::regclass::text, count(*) FROM i GROUP BY"
                + " 1")
        .forEach((table, rows) -> session.ledger().of(table).inserted += rows);
  }

  private void copyOrders(Session session) throws SQLException {
    int rows = 1 + random.nextInt(60);
    long first = nextId;
    StringBuilder lines = new StringBuilder();
    for (int row = 0; row < rows; row++) {
      lines.append(session.slot).append('\t').append(nextId++).append('\t');
      lines.append(random.nextInt(350)).append('\t');
      lines.append(random.nextInt(8) == 0 ? "c".repeat(LONG) : "short").append('\n');
    }
    require(session, rows, session.copy("COPY orders FROM STDIN", lines.toString()));
    session
        .numbers(
            "SELECT tableoid::regclass::text, count(*) FROM orders WHERE slot = %d AND id >= %d"
                    .formatted(session.slot, first)
                + " GROUP BY 1")
        .forEach((table, count) -> session.ledger().of(table).inserted += count);
    deleteOrders(session, 2 * rows);
  }

  private void changeOrders(Session session, String update) throws SQLException {
    String where = picked(session, "orders", "id", 8);
    Map<Long, String> before = leaves(session, where);
    require(session, before.size(), session.update(update + where));
    moved(session, before);
  }

  private void mergeOrders(Session session) throws SQLException {
    String where = picked(session, "orders", "id", 8);
    Map<Long, String> before = leaves(session, where);
    require(
        session,
        before.size(),
        session.update(
            "MERGE INTO orders t USING (SELECT slot, id FROM orders"
                + where
                + ") s ON t.slot = s.slot AND t.id = s.id WHEN MATCHED THEN UPDATE SET at ="
                + " (t.at + 130) % 350"));
    moved(session, before);
  }

  private void moveInSubtransactions(Session session) throws SQLException {
    Map<Long, String> before = leaves(session, picked(session, "orders", "id", 20));
    if (before.isEmpty()) {
      return;
    }
    session.execute(
        ("DO $$ DECLARE one bigint; BEGIN FOREACH one IN ARRAY ARRAY[%s] LOOP BEGIN UPDATE orders"
                + " SET at = (at + 110) %% 350 WHERE slot = %d AND id = one; EXCEPTION WHEN"
                + " raise_exception THEN NULL; END; END LOOP; END $$")
            .formatted(ids(before), session.slot));
    moved(session, before);
  }

  private void deleteOrders(Session session) throws SQLException {
    deleteOrders(session, 8);
  }

  private void deleteOrders(Session session, int most) throws SQLException {
    String where = picked(session, "orders", "id", most);
    Map<Long, String> before = leaves(session, where);
    require(session, before.size(), session.update("DELETE FROM orders" + where));
    before.values().forEach(leaf -> session.ledger().of(leaf).deleted++);
  }

  /** The partition of each row. */
  private static Map<Long, String> leaves(Session session, String where) throws SQLException {
    return session.texts("SELECT id, tableoid::regclass::text FROM orders" + where);
  }

  private static String ids(Map<Long, String> rows) {
    return rows.keySet().stream().map(String::valueOf).collect(Collectors.joining(","));
  }

  /** Enters updates of rows that lay where {@code before} says. */
  private static void moved(Session session, Map<Long, String> before) throws SQLException {
    if (before.isEmpty()) {
      return;
    }
    Map<Long, String> after =
        leaves(session, " WHERE slot = %d AND id IN (%s)".formatted(session.slot, ids(before)));
    require(session, before.size(), after.size());
    Ledger ledger = session.ledger();
    before.forEach((id, leaf) -> {
      String now = after.getOrDefault(id, leaf);
      if (now.equals(leaf)) {
        ledger.of(leaf).updated++;
      } else {
        ledger.of(leaf).movedOut++;
        ledger.of(now).movedIn++;
      }
    });
  }

  // ---- rows that refer to rows -----------------------------------------------------------------

  private void references() {
    often(4, this::openAccount);
    often(3, this::closeAccounts);
    often(2, this::changeCodes);
    often(
        2,
        s -> {
          long rows = s.update("UPDATE region SET hits = hits + 1 WHERE slot = " + s.slot);
          s.ledger().of("region").updated += rows;
        });
    often(2, s -> change(s, "account", "UPDATE account SET balance = balance + 1"));
  }

  private void openAccount(Session session) throws SQLException {
    long account = nextId++;
    inserted(
        session,
        "account",
        1,
        session.update(
            "INSERT INTO account VALUES (%d, %d, %d, %d, 0)"
                .formatted(session.slot, account, random.nextInt(SLOTS), account)));
    int entries = random.nextInt(6);
    if (entries > 0) {
      long first = nextId;
      nextId += entries;
      insertCounted(
          session,
          "INSERT INTO entry SELECT %d, g, %d, repeat('e', %d) FROM generate_series(%d, %d) g"
              .formatted(session.slot, account, random.nextInt(3000), first, nextId - 1));
    }
    int notes = random.nextInt(4);
    for (int i = 0; i < notes; i++) {
      inserted(
          session,
          "note",
          1,
          session.update(
              "INSERT INTO note VALUES (%d, %d, %d)".formatted(session.slot, nextId++, account)));
    }
  }

  private void closeAccounts(Session session) throws SQLException {
    String where = picked(session, "account", "id", 3);
    Map<String, Long> entries =
        session.numbers(
            "SELECT tableoid::regclass::text, count(*) FROM entry WHERE slot = %d"
                    .formatted(session.slot)
                + " AND account IN (SELECT id FROM account"
                + where
                + ") GROUP BY 1");
    long notes = notesOf(session, where);
    long rows = session.number("SELECT count(*) FROM account" + where);
    require(session, rows, session.update("DELETE FROM account" + where));
    session.ledger().of("account").deleted += rows;
    entries.forEach((leaf, count) -> session.ledger().of(leaf).deleted += count);
    session.ledger().of("note").updated += notes;
  }

  private void changeCodes(Session session) throws SQLException {
    String where = picked(session, "account", "id", 3);
    long notes = notesOf(session, where);
    changeWhere(session, "account", "UPDATE account SET code = -nextval('counter')", where);
    session.ledger().of("note").updated += notes;
  }

  private static long notesOf(Session session, String where) throws SQLException {
    return session.number(
        "SELECT count(*) FROM note WHERE code IN (SELECT code FROM account" + where + ")");
  }

  // ---- tables that come, go, are emptied and rewritten -----------------------------------------

  private void structures() {
    often(5, this::ownRows);
    often(2, restructuring(this::truncateOwn));
    often(2, restructuring(this::rewriteOwn));
    often(2, this::treeRows);
    often(1, restructuring(this::truncateTree));
    often(1, restructuring(this::detachAndAttach));
    often(2, this::flipRows);
    often(1, restructuring(s -> s.execute("REFRESH MATERIALIZED VIEW seen_%d".formatted(s.slot))));
    often(1, restructuring(this::indexOwn));
    if (mixed) {
      often(1, this::flip);
    }
    often(1, this::refreshConcurrently);
    often(1, restructuring(this::createScratch));
    often(2, this::scratchRows);
    often(1, restructuring(this::dropScratch));
  }

  private Kind restructuring(Kind kind) {
    return session -> {
      if (mixed || !session.ledger().restructured) {
        session.ledger().restructured = true;
        kind.run(session);
      }
    };
  }

  private void indexOwn(Session session) throws SQLException {
    session.execute("CREATE INDEX extra_%1$d ON own_%1$d (a)".formatted(session.slot));
    session.execute("DROP INDEX extra_" + session.slot);
  }

  private void ownRows(Session session) throws SQLException {
    String table = "own_" + session.slot;
    if (!mixed && session.ledger().says("ALTER TABLE " + table, "CLUSTER " + table)) {
      return;
    }
    int rows = 1 + random.nextInt(5);
    long first = nextId;
    nextId += rows;
    switch (random.nextInt(4)) {
      case 0, 1 ->
          inserted(
              session,
              table,
              rows,
              session.update(
                  "INSERT INTO %s SELECT g, 0, repeat('o', %d) FROM generate_series(%d, %d) g"
                      .formatted(
                          table, mixed && random.nextBoolean() ? LONG : 0, first, nextId - 1)));
      case 2 -> changeOwn(session, table, "UPDATE " + table + " SET a = a + 1");
      default -> changeOwn(session, table, "DELETE FROM " + table);
    }
  }

  private void changeOwn(Session session, String table, String statement) throws SQLException {
    changeWhere(
        session,
        table,
        statement,
        " WHERE id IN (SELECT id FROM %s ORDER BY id OFFSET %d LIMIT %d)"
            .formatted(table, random.nextInt(5), 1 + random.nextInt(6)));
  }

  private void truncateOwn(Session session) throws SQLException {
    String table = "own_" + session.slot;
    if (session.number("SELECT count(*) FROM " + table) == 0) {
      return; // emptying an empty table is nothing
    }
    if (!mixed && session.ledger().says(table)) {
      return;
    }
    session.execute("TRUNCATE " + table + (random.nextBoolean() ? "" : " RESTART IDENTITY"));
    session.ledger().of(table).truncate();
    switch (random.nextInt(4)) {
      case 0 -> {
        int rows = 1 + random.nextInt(40);
        StringBuilder lines = new StringBuilder();
        for (int row = 0; row < rows; row++) {
          lines.append(nextId++).append("\t1\tfrozen\n");
        }
        String copy = "COPY " + table + " FROM STDIN (FREEZE)";
        inserted(session, table, rows, session.copy(copy, lines.toString()));
      }
      case 1, 2 -> ownRows(session);
      default -> {}
    }
  }

  private void rewriteOwn(Session session) throws SQLException {
    String table = "own_" + session.slot;
    if (!mixed && session.ledger().says(table)) {
      return;
    }
    session.execute(
        switch (random.nextInt(3)) {
          case 0 -> "CLUSTER %1$s USING %1$s_pkey".formatted(table);
          case 1 -> "ALTER TABLE " + table + " ALTER a TYPE bigint USING a + 1";
          default -> "ALTER TABLE " + table + " ALTER a TYPE int USING a - 1";
        });
  }

  private void treeRows(Session session) throws SQLException {
    String table = "tree_" + session.slot;
    long id = nextId++;
    insertCounted(
        session,
        "INSERT INTO %s VALUES (%d, %d, 'tree'), (%d, %d, 'tree')"
            .formatted(table, id, random.nextInt(200), id, random.nextInt(200)));
  }

  private void truncateTree(Session session) throws SQLException {
    String table = "tree_" + session.slot;
    Map<String, Long> leaves =
        session.numbers("SELECT tableoid::regclass::text, count(*) FROM " + table + " GROUP BY 1");
    if (leaves.size() < 2 || (!mixed && session.ledger().says(table))) {
      return;
    }
    session.execute("TRUNCATE " + table);
    leaves.keySet().forEach(leaf -> session.ledger().of(leaf).truncate());
  }

  private void detachAndAttach(Session session) throws SQLException {
    session.execute("ALTER TABLE tree_%1$d DETACH PARTITION tree_%1$d_low".formatted(session.slot));
    session.execute(
        "ALTER TABLE tree_%1$d ATTACH PARTITION tree_%1$d_low FOR VALUES FROM (0) TO (100)"
            .formatted(session.slot));
  }

  private boolean isLogged(Session session, String table) throws SQLException {
    return session.number(
            "SELECT count(*) FROM pg_class WHERE relname = '%s' AND relpersistence = 'p'"
                .formatted(table))
        > 0;
  }

  private void flip(Session session) throws SQLException {
    String table = "flip_" + session.slot;
    session.execute(
        "ALTER TABLE %s SET %s".formatted(table, isLogged(session, table) ? "UNLOGGED" : "LOGGED"));
  }

  private void flipRows(Session session) throws SQLException {
    String table = "flip_" + session.slot;
    Tally tally = isLogged(session, table) ? session.ledger().of(table) : new Tally();
    tally.inserted +=
        session.update("INSERT INTO %s VALUES (%d, 'flip')".formatted(table, nextId++));
    tally.updated += session.update("UPDATE %1$s SET doc = doc WHERE id %% 7 = 1".formatted(table));
    tally.deleted += session.update("DELETE FROM %s WHERE id %% 5 = 1".formatted(table));
  }

  /** Unlike the plain one it changes the rows that differ, one by one. */
  private void refreshConcurrently(Session session) throws SQLException {
    String view = "seen_" + session.slot;
    if (!mixed && session.ledger().says("REFRESH MATERIALIZED VIEW " + view)) {
      return;
    }
    String rows = "SELECT id, a FROM plain WHERE slot = " + session.slot;
    String difference = "SELECT count(*) FROM ((%s) EXCEPT ALL (%s)) d";
    long comes = session.number(difference.formatted(rows, "SELECT id, a FROM " + view));
    long goes = session.number(difference.formatted("SELECT id, a FROM " + view, rows));
    session.execute("REFRESH MATERIALIZED VIEW CONCURRENTLY " + view);
    session.preparable = false; // it works with a temporary table
    session.ledger().of(view).inserted += comes;
    session.ledger().of(view).deleted += goes;
  }

  // Of tables that come and go the catalog at both ends of the log knows nothing: they are told by
  // their files, and have no long values, whose files would not be told from theirs.

  private void createScratch(Session session) throws SQLException {
    String table = "scratch_" + nextId++;
    session.execute("CREATE TABLE " + table + " (id bigint, a int)");
    session.update("INSERT INTO " + table + " SELECT g, 0 FROM generate_series(1, 9) g");
    books.creators.put(table, session.number("SELECT pg_current_xact_id()::text::bigint"));
    int slot = session.slot;
    session
        .ledger()
        .atCommit(() -> scratchTables.computeIfAbsent(slot, _ -> new ArrayList<>()).add(table));
    session
        .texts(
            "SELECT 0, concat_ws('/', d.dattablespace, d.oid, pg_relation_filenode('%s')) FROM"
                    .formatted(table)
                + " pg_database d WHERE datname = current_database()")
        .values()
        .forEach(file -> books.tableOfFile.put(file, table));
  }

  private void scratchRows(Session session) throws SQLException {
    List<String> tables = scratchTables.getOrDefault(session.slot, List.of());
    if (tables.isEmpty() || session.ledger().says("DROP TABLE " + tables.getFirst() + " ")) {
      return;
    }
    String table = tables.getFirst();
    inserted(
        session,
        table,
        1,
        session.update("INSERT INTO %s VALUES (%d, 1)".formatted(table, nextId++)));
    session.ledger().of(table).updated +=
        session.update("UPDATE " + table + " SET a = a + 1 WHERE id % 3 = 1");
    session.ledger().of(table).deleted +=
        session.update("DELETE FROM " + table + " WHERE id % 5 = 1");
  }

  private void dropScratch(Session session) throws SQLException {
    List<String> tables = scratchTables.getOrDefault(session.slot, List.of());
    if (tables.isEmpty() || session.ledger().says(tables.getFirst() + " ")) {
      return;
    }
    String table = tables.getFirst();
    session.execute("DROP TABLE " + table + " ");
    session.ledger().drop(table);
    session.ledger().atCommit(() -> tables.remove(table));
  }

  // ---- counting --------------------------------------------------------------------------------

  /** A few of the slot's rows, the same ones whoever asks. */
  private String picked(Session session, String table, String key, int most) {
    return " WHERE slot = %1$d AND %2$s IN (SELECT %2$s FROM %3$s WHERE slot = %1$d ORDER BY %2$s OFFSET %4$d LIMIT %5$d)"
        .formatted(session.slot, key, table, random.nextInt(10), most);
  }

  private static void inserted(Session session, String table, long rows, long counted) {
    require(session, rows, counted);
    session.ledger().of(table).inserted += rows;
  }

  /** Rows that came and went with a subtransaction. */
  private void rolledBack(Session session, String table, long rows) {
    Ledger ledger = session.ledger();
    ledger.savepoint();
    ledger.of(table).inserted += rows;
    ledger.rollbackTo(ledger.savepoints());
    ledger.release(ledger.savepoints());
  }

  /** The client's own mistake, not the log's. */
  private static void require(Session session, long expected, long counted) {
    if (expected != counted) {
      throw new IllegalStateException(
          "expected %d rows, the server says %d: %s"
              .formatted(expected, counted, session.ledger().statements.getLast()));
    }
  }
}
