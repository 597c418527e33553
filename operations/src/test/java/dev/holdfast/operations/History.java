package dev.holdfast.operations;

import dev.holdfast.row.TableName;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.random.RandomGenerator;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * One random history on a server: tables of its own, good traffic and bad transactions on several
 * connections, maintenance between them. The same seed gives the same history. Each table's {@link
 * HistoryTable#lines} tell what every transaction did to every row.
 *
 * <p>Statements run one after another. Rows, keys and tables that an open transaction holds are
 * left alone by the others, so nothing ever waits.
 */
final class History implements AutoCloseable {
  /**
   * What kind of history.
   *
   * @param documents it is about lost JSON keys: bad transactions replace documents, keys stay
   * @param badMax how many transactions are bad, at most
   */
  record Style(boolean documents, int badMax) {}

  private static final int OPEN_MAX = 3;

  final List<HistoryTable> tables = new ArrayList<>();

  /** Every statement, with the connection it ran on. */
  final List<String> script = new ArrayList<>();

  private final List<HistoryTransaction> bad = new ArrayList<>();
  private final ProtectedServer acme;
  private final String prefix;
  private final Style style;
  private final RandomGenerator random;
  private final List<HistoryTransaction> open = new ArrayList<>();
  private final List<Connection> idle = new ArrayList<>();
  private int badWanted;
  private int names;
  private int ended;

  History(ProtectedServer acme, String prefix, long seed, Style style) {
    this.acme = acme;
    this.prefix = prefix;
    this.style = style;
    this.random = new SplittableRandom(seed);
  }

  /** The bad transactions that committed and wrote something, in no order. */
  List<String> badXids() {
    List<String> xids = new ArrayList<>(bad.stream().map(transaction -> transaction.xid).toList());
    Collections.shuffle(xids, new java.util.Random(script.size()));
    return xids;
  }

  void run() throws SQLException {
    acme.server.execute("CREATE SCHEMA IF NOT EXISTS \"Odd \"\"schema\"\"\"");
    for (int i = 0; i <= OPEN_MAX; i++) {
      Connection connection = acme.server.connect();
      execute(connection, "SET lock_timeout = '20s'");
      idle.add(connection);
    }
    make();
    badWanted = random.nextInt(3) == 0 ? style.badMax : 1 + random.nextInt(style.badMax);
    int steps = 10 + random.nextInt(40) + 2 * badWanted;
    for (int step = 0; step < steps; step++) {
      step();
    }
    while (!open.isEmpty()) {
      end(open.getFirst(), true);
    }
    while (bad.isEmpty() || (badWanted > bad.size() && random.nextInt(3) > 0)) {
      quick(true);
    }
    int after = random.nextInt(6);
    for (int i = 0; i < after; i++) {
      quick(false);
    }
    while (!open.isEmpty()) {
      end(open.getFirst(), true);
    }
  }

  private void make() throws SQLException {
    int count = 1 + random.nextInt(2);
    for (int number = 0; number < count; number++) {
      HistoryTable table = new HistoryTable(prefix, number, style.documents, random);
      tables.add(table);
      for (String statement : table.definition()) {
        maintain(statement);
      }
      HistoryTransaction filling = begin(false);
      int rows =
          switch (random.nextInt(10)) {
            case 0 -> 1_500 + random.nextInt(2_500);
            case 1, 2 -> 100 + random.nextInt(400);
            default -> 3 + random.nextInt(40);
          };
      insert(filling, table, rows);
      end(filling, true);
    }
  }

  private void step() throws SQLException {
    int roll = random.nextInt(100);
    List<HistoryTransaction> writable = open.stream().filter(t -> t.prepared.isEmpty()).toList();
    if (roll < 25 && !writable.isEmpty()) {
      statement(writable.get(random.nextInt(writable.size())));
    } else if (roll < 40 && !open.isEmpty()) {
      end(open.get(random.nextInt(open.size())), false);
    } else if (roll < 52 && open.size() < OPEN_MAX) {
      statement(begin(badLeft() && random.nextInt(3) > 0));
    } else if (roll < 62) {
      maintenance();
    } else {
      quick(badLeft() && random.nextInt(3) == 0);
    }
  }

  private boolean badLeft() {
    return bad.size() + open.stream().filter(transaction -> transaction.bad).count() < badWanted;
  }

  /** A transaction that begins and ends with nothing in between. */
  private void quick(boolean isBad) throws SQLException {
    if (idle.size() < 2) {
      end(open.getFirst(), true);
    }
    HistoryTransaction transaction = begin(isBad);
    int statements = random.nextInt(3) == 0 ? 1 + random.nextInt(4) : 1;
    for (int i = 0; i < statements; i++) {
      statement(transaction);
    }
    end(transaction, isBad);
  }

  private HistoryTransaction begin(boolean isBad) throws SQLException {
    HistoryTransaction transaction = new HistoryTransaction(isBad, idle.removeLast());
    execute(transaction.connection, "BEGIN");
    open.add(transaction);
    return transaction;
  }

  private void end(HistoryTransaction transaction, boolean surely) throws SQLException {
    Connection connection = transaction.connection;
    boolean commits = surely || random.nextInt(6) > 0;
    if (transaction.prepared.isEmpty()) {
      transaction.xid =
          String.valueOf(value(connection, "SELECT pg_current_xact_id_if_assigned()::text"));
      if (random.nextInt(transaction.bad ? 6 : 12) == 0) {
        transaction.prepared = prefix + "_" + names++;
        execute(connection, "PREPARE TRANSACTION '" + transaction.prepared + "'");
        if (!surely && random.nextBoolean()) {
          return; // something else comes first
        }
      }
    }
    String what = commits ? "COMMIT" : "ROLLBACK";
    execute(
        connection,
        transaction.prepared.isEmpty() ? what : what + " PREPARED '" + transaction.prepared + "'");
    if (commits) {
      transaction.committed = ++ended;
    } else {
      transaction.takeBack(0);
    }
    open.remove(transaction);
    idle.add(connection);
    for (HistoryTable table : transaction.tables) {
      table.busy.values().removeIf(by -> by == transaction);
      table.emptiedBy = table.emptiedBy == transaction ? null : table.emptiedBy;
      table.lines.forEach(line -> line.heldBy = line.heldBy == transaction ? null : line.heldBy);
    }
    if (transaction.bad && !transaction.writes.isEmpty()) {
      bad.add(transaction);
      script.add("-- bad: " + transaction.xid);
    }
  }

  // ---- statements ------------------------------------------------------------------------------

  private void statement(HistoryTransaction by) throws SQLException {
    List<HistoryTable> reachable =
        tables.stream().filter(t -> t.emptiedBy == null || t.emptiedBy == by).toList();
    if (reachable.isEmpty()) {
      return;
    }
    HistoryTable table = reachable.get(random.nextInt(reachable.size()));
    if (random.nextInt(7) > 0) {
      write(by, table);
      return;
    }
    String savepoint = "s" + names++;
    execute(by.connection, "SAVEPOINT " + savepoint);
    int kept = by.writes.size();
    write(by, table);
    if (random.nextBoolean()) {
      write(by, table);
    }
    if (random.nextInt(3) > 0) {
      execute(by.connection, "ROLLBACK TO " + savepoint);
      by.takeBack(kept);
    } else {
      execute(by.connection, "RELEASE " + savepoint);
    }
  }

  private void write(HistoryTransaction by, HistoryTable table) throws SQLException {
    by.tables.add(table);
    int roll = random.nextInt(100);
    if (style.documents && by.bad && roll < 80) {
      update(by, table);
    } else if (roll < 22) {
      insert(by, table, Math.min(many(200), 200));
    } else if (roll < 62) {
      update(by, table);
    } else if (roll < 74 && table.keyed() && !(style.documents && by.bad)) {
      move(by, table);
    } else if (roll < (by.bad ? 92 : 98)) {
      delete(by, table);
    } else {
      truncate(by, table);
    }
  }

  private int many(int all) {
    return switch (random.nextInt(12)) {
      case 0 -> Math.max(1, all);
      case 1 -> 1 + random.nextInt(50);
      case 2, 3, 4 -> 1 + random.nextInt(5);
      default -> 1;
    };
  }

  private List<HistoryLine> some(HistoryTransaction by, HistoryTable table, int most) {
    List<HistoryLine> reachable = table.reachable(by);
    if (reachable.isEmpty()) {
      return List.of();
    }
    int wanted = Math.min(most, many(reachable.size()));
    if (!table.keyed()) {
      return equal(table, reachable.get(random.nextInt(reachable.size())), by);
    }
    List<HistoryLine> chosen = new ArrayList<>();
    // What somebody wrote already is written again as often as everything else together.
    List<HistoryLine> hot = reachable.stream().filter(line -> line.writes.size() > 1).toList();
    for (int i = 0; i < wanted && !reachable.isEmpty(); i++) {
      HistoryLine line =
          !hot.isEmpty() && wanted < 6 && random.nextBoolean()
              ? hot.get(random.nextInt(hot.size()))
              : reachable.get(random.nextInt(reachable.size()));
      if (!chosen.contains(line)) {
        chosen.add(line);
      }
    }
    return wanted > 1_000 || wanted >= reachable.size() ? reachable : chosen;
  }

  /**
   * Without a key: every row that is equal, or none when somebody else holds one of them, or one
   * that was equal before he wrote it: its old version is what a statement finds, and waits for.
   */
  private static List<HistoryLine> equal(
      HistoryTable table, HistoryLine like, HistoryTransaction by) {
    boolean held =
        table.lines.stream()
            .filter(line -> line.heldBy != null && line.heldBy != by)
            .anyMatch(line ->
                java.util.Objects.equals(line.now, like.now)
                    || java.util.Objects.equals(line.committed(), like.now));
    return held
        ? List.of()
        : table.live().stream()
            .filter(line -> java.util.Objects.equals(line.now, like.now))
            .toList();
  }

  private void insert(HistoryTransaction by, HistoryTable table, int count) throws SQLException {
    by.tables.add(table);
    List<HistoryRow> rows = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      HistoryRow row = table.newRow();
      if (random.nextInt(count > 10 ? 40 : 4) == 0) {
        HistoryRow again = reusing(table, row);
        boolean free = table.free(table.mustBeUnique(again), by);
        Set<Object> mine = new HashSet<>();
        rows.forEach(other -> mine.addAll(table.mustBeUnique(other)));
        row = free && Collections.disjoint(mine, table.mustBeUnique(again)) ? again : row;
      }
      rows.add(row);
    }
    if (!table.keyed() && random.nextInt(3) == 0) {
      rows.add(rows.getFirst());
    }
    for (HistoryRow row : rows) {
      HistoryLine line = new HistoryLine();
      table.lines.add(line);
      wrote(by, table, line, row);
    }
    run(
        by,
        rows.size(),
        "INSERT INTO %s (%s) VALUES %s"
            .formatted(
                table.name.quoted(),
                table.names(table.positions()),
                rows.stream()
                    .map(row -> table.literals(row, table.positions()))
                    .collect(Collectors.joining(", "))));
  }

  /** With a key, or a value that must be unique, that the table has had before. */
  @SuppressWarnings("unchecked")
  private HistoryRow reusing(HistoryTable table, HistoryRow row) {
    if (table.used.isEmpty()) {
      return row;
    }
    Object value = table.used.get(random.nextInt(table.used.size()));
    HistoryRow again = row;
    if (value instanceof List<?> key) {
      for (int i = 0; i < key.size(); i++) {
        again = again.with(table.key.get(i), (@Nullable String) key.get(i));
      }
    } else {
      for (int i = 0; i < table.columns.size(); i++) {
        again = table.columns.get(i).unique() ? again.with(i, (String) value) : again;
      }
    }
    return again;
  }

  private void update(HistoryTransaction by, HistoryTable table) throws SQLException {
    List<HistoryLine> lines = some(by, table, Integer.MAX_VALUE);
    List<Integer> columns = new ArrayList<>();
    for (int i = 0; i < table.columns.size(); i++) {
      boolean document = table.columns.get(i).type().document();
      if (!table.key.contains(i)
          && ((style.documents && by.bad) ? document : random.nextInt(3) == 0)) {
        columns.add(i);
      }
    }
    List<Integer> others =
        table.positions().stream().filter(position -> !table.key.contains(position)).toList();
    if (columns.isEmpty()) {
      columns.add(others.get(random.nextInt(others.size())));
    }
    boolean same = random.nextInt(20) == 0;
    boolean constant = !table.keyed() || random.nextInt(3) == 0;
    HistoryRow values = table.newRow();
    List<HistoryRow> rows = new ArrayList<>();
    for (HistoryLine line : lines) {
      HistoryRow row = java.util.Objects.requireNonNull(line.now);
      HistoryRow fresh = constant ? values : table.newRow();
      for (int column : columns) {
        HistoryTable.Column it = table.columns.get(column);
        String value = it.unique() && lines.size() > 1 && constant ? null : fresh.value(column);
        if (!constant && it.type().document() && random.nextBoolean()) {
          value = table.changedDocument(column, row.value(column));
        }
        row = same ? row : row.with(column, value);
      }
      rows.add(row);
    }
    if (lines.isEmpty()) {
      return;
    }
    if (table.keyed()) {
      set(by, table, lines, rows, columns);
    } else {
      String condition = table.is(java.util.Objects.requireNonNull(lines.getFirst().now));
      HistoryRow row = rows.getFirst();
      lines.forEach(line -> wrote(by, table, line, row));
      run(
          by,
          lines.size(),
          "UPDATE %s SET (%s) = ROW%s WHERE %s"
              .formatted(
                  table.name.quoted(),
                  table.names(columns),
                  table.literals(row, columns),
                  condition));
    }
  }

  /** Gives rows other keys, or moves them into other partitions. */
  private void move(HistoryTransaction by, HistoryTable table) throws SQLException {
    for (HistoryLine line : some(by, table, 3)) {
      HistoryRow row = java.util.Objects.requireNonNull(line.now);
      HistoryRow moved = row;
      if (table.part >= 0 && random.nextInt(3) > 0) {
        moved = row.with(table.part, table.keyValue(table.part));
      } else if (random.nextInt(3) == 0) {
        moved = reusing(table, row);
      } else {
        for (int position : table.key) {
          moved = moved.with(position, table.keyValue(position));
        }
      }
      List<Object> wanted = new ArrayList<>(table.mustBeUnique(moved));
      wanted.removeAll(table.mustBeUnique(row));
      if (table.free(wanted, by)) {
        List<Integer> columns = new ArrayList<>(table.key);
        for (int i = 0; i < table.columns.size(); i++) {
          if (table.columns.get(i).unique() || (random.nextInt(5) == 0 && !columns.contains(i))) {
            columns.add(i);
            moved = table.columns.get(i).unique() ? moved : moved.with(i, table.value(i));
          }
        }
        set(by, table, List.of(line), List.of(moved), columns.stream().distinct().toList());
      }
    }
  }

  private void set(
      HistoryTransaction by,
      HistoryTable table,
      List<HistoryLine> lines,
      List<HistoryRow> rows,
      List<Integer> columns)
      throws SQLException {
    List<String> values = new ArrayList<>();
    List<Integer> both = new ArrayList<>(table.key);
    both.addAll(columns);
    if (random.nextInt(3) == 0) { // a row that is not there, or not any more
      HistoryRow none = reusing(table, table.newRow());
      if (table.free(List.of(table.keyOf(none)), by)) {
        String key = table.literals(none, table.key);
        String wanted = table.literals(none, columns);
        values.add(key.substring(0, key.length() - 1) + ", " + wanted.substring(1));
      }
    }
    for (int i = 0; i < lines.size(); i++) {
      HistoryRow was = java.util.Objects.requireNonNull(lines.get(i).now);
      String key = table.literals(was, table.key);
      String wanted = table.literals(rows.get(i), columns);
      values.add(key.substring(0, key.length() - 1) + ", " + wanted.substring(1));
      wrote(by, table, lines.get(i), rows.get(i));
    }
    List<String> names = new ArrayList<>();
    List<String> sets = new ArrayList<>();
    List<String> conditions = new ArrayList<>();
    for (int k = 0; k < both.size(); k++) {
      names.add("v" + k);
      String column = table.columns.get(both.get(k)).quoted();
      (k < table.key.size() ? conditions : sets)
          .add((k < table.key.size() ? "t." : "") + column + " = v.v" + k);
    }
    run(
        by,
        lines.size(),
        "UPDATE %s AS t SET %s FROM (VALUES %s) AS v(%s) WHERE %s"
            .formatted(
                table.name.quoted(),
                String.join(", ", sets),
                String.join(", ", values),
                String.join(", ", names),
                String.join(" AND ", conditions)));
  }

  private void delete(HistoryTransaction by, HistoryTable table) throws SQLException {
    List<HistoryLine> lines = some(by, table, by.bad ? Integer.MAX_VALUE : 20);
    if (lines.isEmpty()) {
      return;
    }
    String condition =
        table.keyed()
            ? "(%s) IN (%s)"
                .formatted(
                    table.names(table.key),
                    lines.stream()
                        .map(line ->
                            table.literals(java.util.Objects.requireNonNull(line.now), table.key))
                        .collect(Collectors.joining(", ")))
            : table.is(java.util.Objects.requireNonNull(lines.getFirst().now));
    lines.forEach(line -> wrote(by, table, line, null));
    run(by, lines.size(), "DELETE FROM " + table.name.quoted() + " WHERE " + condition);
  }

  private void truncate(HistoryTransaction by, HistoryTable table) throws SQLException {
    if (!alone(table, by)) {
      delete(by, table);
      return;
    }
    int leaf = table.part >= 0 && random.nextBoolean() ? random.nextInt(3) : -1;
    table.emptiedBy = by;
    for (HistoryLine line : table.live()) {
      HistoryRow row = java.util.Objects.requireNonNull(line.now);
      if (leaf < 0 || table.leaf(row) == leaf) {
        wrote(by, table, line, null);
      }
    }
    TableName name = leaf < 0 ? table.name : table.leaves().get(leaf);
    execute(by.connection, "TRUNCATE " + name.quoted());
  }

  private boolean alone(HistoryTable table, @Nullable HistoryTransaction but) {
    return open.stream().noneMatch(other -> other != but && other.tables.contains(table));
  }

  private static void wrote(
      HistoryTransaction by, HistoryTable table, HistoryLine line, @Nullable HistoryRow after) {
    for (HistoryRow row : java.util.Arrays.asList(line.now, after)) {
      for (Object value : table.mustBeUnique(row)) {
        table.busy.put(value, by);
        if (table.used.size() < 10_000) {
          table.used.add(value);
        }
      }
    }
    by.write(line, after);
  }

  // ---- maintenance -----------------------------------------------------------------------------

  private void maintenance() throws SQLException {
    HistoryTable table = tables.get(random.nextInt(tables.size()));
    String name = table.name.quoted();
    if (table.emptiedBy != null) {
      maintain("CHECKPOINT");
      return;
    }
    int what = random.nextInt(alone(table, null) ? 10 : 4);
    switch (what) {
      case 0, 1 -> maintain("VACUUM " + name);
      case 2 -> maintain("CHECKPOINT");
      case 3 -> maintain("SELECT pg_switch_wal()");
      case 4, 5 -> maintain("VACUUM FULL " + name);
      case 6 ->
          maintain(
              "CREATE INDEX ON " + name + " ((" + table.columns.getFirst().quoted() + " IS NULL))");
      case 7 -> cluster(table);
      default -> {
        // What a set wrote in a column that was added meanwhile stays (docs/decisions/0012).
        if (bad.isEmpty() && open.stream().noneMatch(transaction -> transaction.bad)) {
          addColumn(table);
        } else {
          maintain("REINDEX TABLE " + table.leaves().getFirst().quoted());
        }
      }
    }
  }

  private void cluster(HistoryTable table) throws SQLException {
    if (table.keyed() && table.partitions == HistoryTable.Partitions.NONE) {
      maintain(
          "DO $$ BEGIN EXECUTE (SELECT 'CLUSTER %s USING ' || quote_ident(relname) FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE indrelid = '%s'::regclass AND indisprimary); END $$"
              .formatted(
                  table.name.quoted().replace("'", "''"), table.name.quoted().replace("'", "''")));
    } else {
      maintain("REINDEX TABLE " + table.leaves().getLast().quoted());
    }
  }

  private void addColumn(HistoryTable table) throws SQLException {
    boolean json = random.nextInt(3) == 0;
    String value = random.nextBoolean() ? null : json ? "{\"k\": 1}" : "d";
    HistoryTable.Column column =
        new HistoryTable.Column(
            "added " + table.columns.size(),
            json ? HistoryTable.Type.JSONB : HistoryTable.Type.TEXT,
            false);
    table.columns.add(column);
    maintain(
        "ALTER TABLE %s ADD %s %s%s"
            .formatted(
                table.name.quoted(),
                column.quoted(),
                column.type().sql,
                value == null ? "" : " DEFAULT " + table.literal(table.columns.size() - 1, value)));
    table.lines.forEach(line -> line.columnAdded(value));
  }

  private void maintain(String sql) throws SQLException {
    Connection connection = idle.getFirst();
    execute(connection, sql);
  }

  // ---- the server ------------------------------------------------------------------------------

  private void run(HistoryTransaction by, int rows, String sql) throws SQLException {
    script.add(Integer.toHexString(by.connection.hashCode()) + (by.bad ? " BAD: " : ": ") + sql);
    try (Statement statement = by.connection.createStatement()) {
      int written = statement.executeUpdate(sql);
      if (written != rows) {
        throw new IllegalStateException(
            "the generator wanted %d rows, the server wrote %d".formatted(rows, written));
      }
    }
  }

  private void execute(Connection connection, String sql) throws SQLException {
    script.add(Integer.toHexString(connection.hashCode()) + ": " + sql);
    try (Statement statement = connection.createStatement()) {
      statement.execute(sql);
    }
  }

  private static @Nullable String value(Connection connection, String sql) throws SQLException {
    try (Statement statement = connection.createStatement();
        ResultSet rows = statement.executeQuery(sql)) {
      return rows.next() ? rows.getString(1) : null;
    }
  }

  /** The number of the partition a row belongs into; by HASH, the server tells. */
  int partition(HistoryTable table, HistoryRow row) {
    if (table.partitions == HistoryTable.Partitions.NONE) {
      return 0;
    }
    if (table.part >= 0) {
      return table.leaf(row);
    }
    try (Connection connection = acme.server.connect()) {
      return Integer.parseInt(
          String.valueOf(
              value(
                  connection,
                  "SELECT r FROM generate_series(0, %d) r WHERE satisfies_hash_partition(%s::regclass, %d, r, %s)"
                      .formatted(
                          HistoryTable.LISTED - 1,
                          "'" + table.name.quoted().replace("'", "''") + "'",
                          HistoryTable.LISTED,
                          table.literal(table.key.getLast(), row.value(table.key.getLast()))))));
    } catch (SQLException e) {
      throw new IllegalStateException(e);
    }
  }

  /** The rows of a table as the server has them. */
  List<HistoryRow> read(HistoryTable table) {
    List<HistoryRow> read = new ArrayList<>();
    try (Connection connection = acme.server.connect();
        Statement statement = connection.createStatement();
        ResultSet rows = statement.executeQuery(table.select())) {
      while (rows.next()) {
        List<@Nullable String> values = new ArrayList<>();
        for (int i = 1; i <= table.columns.size(); i++) {
          values.add(rows.getString(i));
        }
        read.add(new HistoryRow(values));
      }
    } catch (SQLException e) {
      throw new IllegalStateException(e);
    }
    return read;
  }

  @Override
  public void close() {
    for (HistoryTransaction left : open) {
      idle.add(left.connection);
    }
    for (Connection connection : idle) {
      try {
        connection.close();
      } catch (SQLException e) {
        throw new IllegalStateException(e);
      }
    }
    for (HistoryTransaction left : open) {
      if (!left.prepared.isEmpty()) {
        acme.server.execute("ROLLBACK PREPARED '" + left.prepared + "'");
      }
    }
  }
}
