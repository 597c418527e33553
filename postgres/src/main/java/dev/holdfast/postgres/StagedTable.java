package dev.holdfast.postgres;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.row.Column;
import dev.holdfast.row.Row;
import dev.holdfast.row.RowChange;
import dev.holdfast.row.RowChangeSink;
import dev.holdfast.row.TableName;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.postgresql.PGConnection;
import org.postgresql.copy.CopyIn;

/**
 * One table's planned changes inside the applying transaction: copied into a temporary table,
 * matched with locked rows, compared, written, read back.
 *
 * <p>Three temporary tables, gone with the transaction: the changes, the rows found for them, the
 * rows written. Verbs of a change: {@code i} insert, {@code u} update, {@code d} delete, {@code m}
 * an update of columns that a unique index covers: deleted and inserted, for two rows may exchange
 * their values.
 *
 * <p>Updates that nothing else asks about (see {@link #updateAtOnce}) do all of it in one
 * statement: a million rows are not looked up three times.
 */
final class StagedTable implements RowChangeSink {
  private static final int COPY_BUFFER_BYTES = 1 << 16;
  private static final int SAMPLES_MAX = 3;

  /** "access/htup_details.h", MaxHeapAttributeNumber, PostgreSQL 18. */
  private static final int COLUMNS_MAX = 1600;

  private static final BitSet NOTHING = new BitSet();
  private static final BitSet ALL = new BitSet();

  static {
    ALL.set(0, COLUMNS_MAX);
  }

  /** Of the 100 arguments that a function takes. */
  private static final int FORMATTED_MAX = 90;

  private final Connection connection;
  private final TableStructure structure;
  private final TableChanges table;
  private final Set<Integer> movingColumns;
  private final BitSet movingPositions = new BitSet();
  private final RowDigest digest;
  private final Set<Integer> changedColumns = new TreeSet<>();

  /** What the first update in place changes, and mostly the others too: not written out again. */
  private @Nullable BitSet usualChange;

  /** Positions that every update made in place changes. */
  private BitSet everyChange = new BitSet();

  private long updatedInPlace;
  private final String change;
  private final String found;
  private final String written;
  private long inserts;
  private long updates;
  private long deletes;
  private boolean atOnce;
  private boolean placesAreAsked;
  private final StringBuilder lines = new StringBuilder();
  private @Nullable CopyIn copy;

  /**
   * @param number tells the temporary tables of the transaction apart
   * @param movingColumns numbers of columns whose change makes a row be deleted and inserted
   * @param utf8 whether the database's encoding is UTF8: texts compare as they were read, then
   */
  StagedTable(
      Connection connection,
      TableStructure structure,
      TableChanges table,
      Set<Integer> movingColumns,
      int number,
      boolean utf8) {
    this.connection = connection;
    // Without a key rows are found by what they are compared with: the shorter the better.
    this.digest = new RowDigest(utf8 && !table.key().isEmpty());
    this.structure = structure;
    this.table = table;
    this.movingColumns = Set.copyOf(movingColumns);
    for (int i = 0; i < table.columns().size(); i++) {
      movingPositions.set(i, movingColumns.contains(table.columns().get(i).number()));
    }
    this.change = "pg_temp.holdfast_change_" + number;
    this.found = "pg_temp.holdfast_found_" + number;
    this.written = "pg_temp.holdfast_written_" + number;
  }

  long oid() {
    return table.oid();
  }

  TableName name() {
    return structure.shape().name();
  }

  long inserts() {
    return inserts;
  }

  long updates() {
    return updates;
  }

  long deletes() {
    return deletes;
  }

  /**
   * Temporary table of the rows found: seq, place (ctid), old_N for each of the table's columns
   * asked for.
   */
  String found() {
    return found;
  }

  /** Temporary table of the rows written: seq (null for an inserted one), place (ctid). */
  String written() {
    return written;
  }

  String change() {
    return change;
  }

  /** Whether any update changes one of these columns. */
  boolean changes(Predicate<Column> column) {
    return table.columns().stream()
        .anyMatch(c -> changedColumns.contains(c.number()) && column.test(c));
  }

  /** Copies the changes into a temporary table, which goes with the transaction. */
  void stage() throws SQLException {
    begin("ON COMMIT DROP");
    try {
      table.changes().forEach(this);
      end();
    } finally {
      cancel();
    }
  }

  /**
   * Begins to copy changes, which are given one by one until {@link #end}; nothing else can be
   * asked of the connection meanwhile.
   *
   * @param onCommit what becomes of the temporary table
   */
  void begin(String onCommit) throws SQLException {
    String keys =
        IntStream.range(0, table.key().size())
            .mapToObj(k -> ", k%d %s".formatted(k, column(table.key().get(k)).type()))
            .collect(Collectors.joining());
    String values =
        IntStream.range(0, table.columns().size())
            .mapToObj(i -> ", w%d %s".formatted(i, column(i).type()))
            .collect(Collectors.joining());
    execute(
        "CREATE TEMPORARY TABLE %s (seq int8, verb text, expected text COLLATE \"C\", wanted text COLLATE \"C\", changed int2[]%s%s) %s"
            .formatted(bare(change), keys, values, onCommit));
    copy =
        connection
            .unwrap(PGConnection.class)
            .getCopyAPI()
            .copyIn("COPY " + change + " FROM STDIN (FORMAT text, ENCODING 'UTF8')");
  }

  @Override
  public void accept(RowChange planned) {
    line(planned);
    if (lines.length() > COPY_BUFFER_BYTES) {
      send();
    }
  }

  void end() throws SQLException {
    send();
    Objects.requireNonNull(copy).endCopy();
    execute(
        "ANALYZE %s (seq, verb%s)"
            .formatted(
                change,
                IntStream.range(0, table.key().size())
                    .mapToObj(k -> ", k" + k)
                    .collect(Collectors.joining())));
  }

  /** Frees the connection when copying did not come to its end. */
  void cancel() throws SQLException {
    if (copy != null && copy.isActive()) {
      copy.cancelCopy();
    }
  }

  /**
   * Lets updates in place be found, compared, written and read back by one statement, {@link
   * #update}: nobody will ask where these rows lay or what they were.
   *
   * @param places whether somebody will ask where the rows written lie
   */
  void updateAtOnce(boolean places) {
    atOnce = true;
    placesAreAsked = places;
  }

  /** Whether updates in place change one of these columns. */
  boolean changesInPlace(Set<Integer> numbers) {
    return changedColumns.stream().anyMatch(numbers::contains);
  }

  /** Whether it was staged for a table that is as it is now. */
  boolean fits(TableStructure now, Set<Integer> movingNow) {
    return structure.equals(now) && movingColumns.equals(movingNow);
  }

  boolean hasKey() {
    return !table.key().isEmpty();
  }

  /** Numbers of the columns that a change, an SQL alias of a row of {@link #change}, is about. */
  String changed(String alias) {
    return "coalesce(%s.changed, '%s'::int2[])"
        .formatted(alias, numbers(usualChange == null ? NOTHING : usualChange));
  }

  /**
   * Finds and locks the rows to change, and compares them with what the plan expects; those that
   * are updated at once are left to {@link #update}.
   *
   * @param oldColumns numbers of the columns whose present values are kept for the checks of
   *     foreign keys
   * @throws OperatorException when any row differs
   */
  void find(Set<Integer> oldColumns) throws SQLException {
    List<Column> old =
        structure.shape().columns().stream().filter(c -> oldColumns.contains(c.number())).toList();
    String types =
        old.stream()
            .map(c -> ", old_%d %s".formatted(c.number(), c.type()))
            .collect(Collectors.joining());
    String names = old.stream().map(c -> ", t.old_" + c.number()).collect(Collectors.joining());
    String values =
        old.stream()
            .map(c -> ", t.%s AS old_%d".formatted(TableName.quote(c.name()), c.number()))
            .collect(Collectors.joining());
    execute(
        "CREATE TEMPORARY TABLE %s (seq int8, place tid, same bool%s) ON COMMIT DROP"
            .formatted(bare(found), types));
    execute(
        "CREATE TEMPORARY TABLE %s (seq int8, verb text, place tid) ON COMMIT DROP"
            .formatted(bare(written)));
    if (!atOnce || deletes + updates > updatedInPlace) {
      compare(atOnce ? "('d', 'm')" : "('d', 'm', 'u')", names, values);
    }
    if (!table.key().isEmpty() && inserts > 0) {
      refuseWhen(
          "to put back have a key that is used again",
          """
          SELECT p.* FROM %s p JOIN ONLY %s t ON %s
           WHERE p.verb = 'i' AND NOT EXISTS (
             SELECT 1 FROM %s f JOIN %s q ON q.seq = f.seq
              WHERE f.place = t.ctid AND q.verb IN ('d', 'm'))
          """
              .formatted(change, quoted(), sameKey("p.k%d"), found, change));
    }
  }

  private void compare(String verbs, String names, String values) throws SQLException {
    if (table.key().isEmpty()) {
      execute(
          """
          INSERT INTO %s
          SELECT p.seq, t.place, true%s
            FROM (SELECT seq, expected, row_number() OVER (PARTITION BY expected ORDER BY seq) AS nth
                    FROM %s WHERE verb IN %s) p
            JOIN (SELECT t.*, row_number() OVER (PARTITION BY t.image) AS nth
                    FROM (SELECT t.ctid AS place, %s AS image%s FROM ONLY %s t OFFSET 0) t
                   WHERE t.image IN (SELECT expected FROM %s)) t
              ON t.image = p.expected AND t.nth = p.nth
          """
              .formatted(
                  found,
                  names,
                  change,
                  verbs,
                  RowDigest.hashed(literals(table.columns())),
                  values,
                  quoted(),
                  change));
    } else {
      execute(
          """
          INSERT INTO %s
          SELECT p.seq, t.ctid, %s%s FROM %s p JOIN ONLY %s t ON %s
           WHERE p.verb IN %s FOR UPDATE OF t
          """
              .formatted(
                  found, isAs("p.expected"), values, change, quoted(), sameKey("p.k%d"), verbs));
    }
    execute("ANALYZE " + found);
    refuseWhen(
        "are not what the plan expects",
        """
        SELECT p.* FROM %s p LEFT JOIN %s f ON f.seq = p.seq
         WHERE p.verb IN %s AND (f.seq IS NULL OR NOT f.same)
        """
            .formatted(change, found, verbs));
  }

  void delete() throws SQLException {
    if (deletes + updates == updatedInPlace) {
      return;
    }
    execute(
        """
        DELETE FROM ONLY %s t USING %s f JOIN %s p ON p.seq = f.seq
         WHERE t.ctid = f.place AND p.verb IN ('d', 'm')
        """
            .formatted(quoted(), found, change));
  }

  /**
   * @throws OperatorException when rows to be updated at once are not what the plan expects, or do
   *     not read back as planned
   */
  void update() throws SQLException {
    if (changedColumns.isEmpty()) {
      return;
    }
    List<String> assignments = new ArrayList<>();
    for (int i = 0; i < table.columns().size(); i++) {
      Column column = column(i);
      if (changedColumns.contains(column.number())) {
        String name = TableName.quote(column.name());
        if (everyChange.get(i)) {
          assignments.add("%s = p.w%d".formatted(name, i));
          continue;
        }
        assignments.add(
            "%s = CASE WHEN %d::int2 = ANY (%s) THEN p.w%d ELSE t.%s END"
                .formatted(name, column.number(), changed("p"), i, name));
      }
    }
    String set = String.join(", ", assignments);
    if (atOnce) {
      updateAtOnce(set);
      return;
    }
    execute(
        """
        WITH done AS (
          UPDATE ONLY %s t SET %s FROM %s f JOIN %s p ON p.seq = f.seq
           WHERE t.ctid = f.place AND p.verb = 'u' RETURNING p.seq, t.ctid)
        INSERT INTO %s SELECT seq, 'u', ctid FROM done
        """
            .formatted(quoted(), set, found, change, written));
  }

  /**
   * A row that somebody is writing is waited for and looked at again, as it is then: what differs
   * is not written, and the count tells.
   */
  private void updateAtOnce(String set) throws SQLException {
    Savepoint before = connection.setSavepoint();
    long rows;
    long wrong;
    try (Statement statement = connection.createStatement();
        ResultSet counts =
            statement.executeQuery(
                """
                WITH done AS (
                  UPDATE ONLY %s t SET %s FROM %s p
                   WHERE %s AND p.verb = 'u' AND %s
                  RETURNING p.seq, t.ctid, %s AS planned),
                kept AS (INSERT INTO %s SELECT seq, 'u', ctid FROM done WHERE %s)
                SELECT count(*), count(*) FILTER (WHERE NOT planned) FROM done
                """
                    .formatted(
                        quoted(),
                        set,
                        change,
                        sameKey("p.k%d"),
                        isAs("p.expected"),
                        isAs("p.wanted"),
                        written,
                        placesAreAsked))) {
      counts.next();
      rows = counts.getLong(1);
      wrong = counts.getLong(2);
    }
    if (rows != updatedInPlace) {
      // Which rows are they? If none is, any more, somebody has just set them back.
      connection.rollback(before);
      atOnce = false;
      compare("('u')", "", "");
      update();
      return;
    }
    connection.releaseSavepoint(before);
    if (wrong > 0) {
      throw readsOtherwise(rows, wrong, updatedInPlace);
    }
  }

  void insert() throws SQLException {
    if (inserts > 0) {
      insert('i', table.insertColumns());
    }
    if (updates > updatedInPlace) {
      insert('m', table.columns().size());
    }
  }

  /** Reads what was written back: every value must be the one that was planned. */
  void readBack() throws SQLException {
    execute("ANALYZE " + written);
    long planned = inserts + updates - (atOnce ? updatedInPlace : 0);
    if (planned == 0) {
      return;
    }
    long wrong = 0;
    if (!atOnce) {
      wrong +=
          count(
              """
              SELECT count(*) FROM %s w JOIN ONLY %s t ON t.ctid = w.place JOIN %s p ON p.seq = w.seq
               WHERE w.verb = 'u' AND NOT %s
              """
                  .formatted(written, quoted(), change, isAs("p.wanted")));
    }
    for (String verb : List.of("i", "m")) {
      List<Column> columns =
          verb.equals("i") ? table.columns().subList(0, table.insertColumns()) : table.columns();
      wrong +=
          count(
              """
              SELECT count(*) FROM %s w JOIN ONLY %s t ON t.ctid = w.place
               WHERE w.verb = '%s' AND NOT EXISTS (
                 SELECT 1 FROM %s p WHERE p.verb = '%s' AND p.wanted = %s)
              """
                  .formatted(
                      written, quoted(), verb, change, verb, RowDigest.hashed(literals(columns))));
    }
    long writtenRows =
        count("SELECT count(*) FROM %s%s".formatted(written, atOnce ? " WHERE verb <> 'u'" : ""));
    if (wrong > 0 || writtenRows != planned) {
      throw readsOtherwise(writtenRows, wrong, planned);
    }
  }

  private void insert(char verb, int columns) throws SQLException {
    String names =
        IntStream.range(0, columns)
            .mapToObj(i -> TableName.quote(column(i).name()))
            .collect(Collectors.joining(", "));
    String values =
        IntStream.range(0, columns).mapToObj(i -> "p.w" + i).collect(Collectors.joining(", "));
    execute(
        """
        WITH done AS (
          INSERT INTO %s AS t (%s) OVERRIDING SYSTEM VALUE
          SELECT %s FROM %s p WHERE p.verb = '%s' ORDER BY p.seq RETURNING t.ctid)
        INSERT INTO %s SELECT NULL, '%s', ctid FROM done
        """
            .formatted(quoted(), names, values, change, verb, written, verb));
  }

  private void line(RowChange planned) {
    StringBuilder line = lines;
    long seq = inserts + updates + deletes;
    // By verb and not by a switch over patterns: this is done a million times.
    if (planned instanceof RowChange.Update update) {
      updates++;
      BitSet changed = new BitSet();
      for (int i = 0; i < update.now().size(); i++) {
        if (!Objects.equals(update.now().value(i), update.wanted().value(i))) {
          changed.set(i);
        }
      }
      boolean moves = changed.intersects(movingPositions);
      if (!moves && !changed.equals(usualChange)) {
        usualChange = updatedInPlace == 0 ? changed : usualChange;
        everyChange = updatedInPlace == 0 ? changed : and(everyChange, changed);
        changed.stream().forEach(i -> changedColumns.add(column(i).number()));
      }
      updatedInPlace += moves ? 0 : 1;
      head(line, seq, moves ? 'm' : 'u');
      digest.append(line, update.now());
      line.append('\t');
      if (moves) {
        digest.appendHashed(line, update.wanted());
      } else {
        digest.append(line, update.wanted());
      }
      line.append('\t').append(changed.equals(usualChange) ? "\\N" : numbers(changed));
      tail(line, update.now(), update.wanted(), moves ? ALL : changed);
    } else if (planned instanceof RowChange.Insert insert) {
      inserts++;
      head(line, seq, 'i');
      line.append("\\N\t");
      digest.appendHashed(line, insert.wanted());
      line.append("\t{}");
      tail(line, insert.wanted(), insert.wanted(), ALL);
    } else if (planned instanceof RowChange.Delete delete) {
      deletes++;
      head(line, seq, 'd');
      digest.append(line, delete.now());
      line.append("\t\\N\t{}");
      tail(line, delete.now(), delete.now(), NOTHING);
    }
  }

  private static BitSet and(BitSet left, BitSet right) {
    BitSet both = (BitSet) left.clone();
    both.and(right);
    return both;
  }

  private static void head(StringBuilder line, long seq, char verb) {
    line.append(seq).append('\t').append(verb).append('\t');
  }

  private String numbers(BitSet positions) {
    return positions.stream()
        .mapToObj(i -> String.valueOf(column(i).number()))
        .collect(Collectors.joining(",", "{", "}"));
  }

  private void tail(StringBuilder line, Row keyed, Row wanted, BitSet given) {
    for (int position : table.key()) {
      line.append('\t');
      CopyText.append(line, keyed.value(position));
    }
    for (int i = 0; i < table.columns().size(); i++) {
      line.append('\t');
      CopyText.append(line, i < wanted.size() && given.get(i) ? wanted.value(i) : null);
    }
    line.append('\n');
  }

  private void send() {
    try {
      byte[] bytes = lines.toString().getBytes(StandardCharsets.UTF_8);
      Objects.requireNonNull(copy).writeToCopy(bytes, 0, bytes.length);
      lines.setLength(0);
    } catch (SQLException e) {
      throw SqlFailures.told("cannot send the plan to the server", e);
    }
  }

  /** That row {@code t}, all of the plan's columns, is what was staged of it. */
  private String isAs(String staged) {
    return digest.isOf(staged, literals(table.columns()));
  }

  /** As {@link RowDigest#literals}, computed by the server over row {@code t}. */
  private static String literals(List<Column> columns) {
    // format() writes what the types' output functions give, and NULL for nulls alone.
    List<String> parts = new ArrayList<>();
    for (int from = 0; from < columns.size(); from += FORMATTED_MAX) {
      List<Column> some = columns.subList(from, Math.min(columns.size(), from + FORMATTED_MAX));
      parts.add(
          "format('%s', %s)"
              .formatted(
                  "%L,".repeat(some.size()),
                  some.stream()
                      .map(column -> "t." + TableName.quote(column.name()))
                      .collect(Collectors.joining(", "))));
    }
    return parts.isEmpty() ? "''" : String.join(" || ", parts);
  }

  private String sameKey(String planned) {
    List<String> conditions = new ArrayList<>();
    for (int k = 0; k < table.key().size(); k++) {
      conditions.add(
          "t.%s %s %s"
              .formatted(
                  TableName.quote(column(table.key().get(k)).name()),
                  structure.keyOperators().get(k),
                  planned.formatted(k)));
    }
    return String.join(" AND ", conditions);
  }

  private void refuseWhen(String what, String rows) throws SQLException {
    long count = count("SELECT count(*) FROM (" + rows + ") x");
    if (count == 0) {
      return;
    }
    List<String> samples = new ArrayList<>();
    List<Integer> shown =
        table.key().isEmpty() ? List.of() : IntStream.range(0, table.key().size()).boxed().toList();
    if (!shown.isEmpty()) {
      String keys =
          shown.stream()
              .map(k ->
                  "format('%%s=%%s', '%s', x.k%d)"
                      .formatted(column(table.key().get(k)).name().replace("'", "''"), k))
              .collect(Collectors.joining(" || ', ' || "));
      try (Statement statement = connection.createStatement();
          ResultSet row =
              statement.executeQuery(
                  "SELECT %s FROM (%s) x ORDER BY x.seq LIMIT %d"
                      .formatted(keys, rows, SAMPLES_MAX))) {
        while (row.next()) {
          samples.add(row.getString(1));
        }
      }
    }
    throw new OperatorException(
        Kind.REFUSED,
        "cannot apply the plan",
        "%s %d rows of %s %s%s"
            .formatted(
                "rows changed since the plan was made:",
                count,
                name(),
                what,
                samples.isEmpty() ? "" : " (" + String.join("; ", samples) + ")"),
        "nothing was written; run revert again to see the plan as it is now");
  }

  private OperatorException readsOtherwise(long rows, long wrong, long planned) {
    return new OperatorException(
        Kind.REFUSED,
        "cannot apply the plan",
        "of %d rows written to %s, %d do not read back as planned (%d were to be written): a column's type has changed since"
            .formatted(rows, name(), wrong, planned),
        "nothing was written; bring the column's old type back, or copy the rows from a fork");
  }

  private Column column(int position) {
    return table.columns().get(position);
  }

  private String quoted() {
    return name().quoted();
  }

  private static String bare(String temporary) {
    return temporary.substring("pg_temp.".length());
  }

  private void execute(String sql) throws SQLException {
    try (Statement statement = connection.createStatement()) {
      statement.execute(sql);
    }
  }

  private long count(String sql) throws SQLException {
    try (Statement statement = connection.createStatement();
        ResultSet row = statement.executeQuery(sql)) {
      row.next();
      return row.getLong(1);
    }
  }
}
