package dev.holdfast.postgres;

import dev.holdfast.row.Column;
import dev.holdfast.row.Row;
import dev.holdfast.row.RowKey;
import dev.holdfast.row.RowSink;
import dev.holdfast.row.TableName;
import dev.holdfast.row.TableShape;
import dev.holdfast.wal.Tid;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.postgresql.PGConnection;
import org.postgresql.copy.CopyOut;

/**
 * Reads rows, from a fork or from production, in canonical text: through COPY, which writes what
 * the types' output functions give.
 *
 * <p>Changes the session's settings (dates, floats, search path) for as long as the connection
 * lives: give it one of its own. Not for several threads. Every method throws {@link
 * dev.holdfast.failure.OperatorException} when the server refuses.
 */
public final class RowReader {
  private final Connection connection;

  /**
   * @param connection in autocommit mode; stays the caller's to close
   */
  public RowReader(Connection connection) {
    this.connection = connection;
    try {
      if (!connection.getAutoCommit()) {
        throw new IllegalArgumentException("settings of a session would end with a rollback");
      }
      CanonicalText.set(connection);
    } catch (SQLException e) {
      throw SqlFailures.told("cannot prepare to read rows", e);
    }
  }

  /**
   * The table of this OID as it is now, under whatever name; empty when it holds no rows of its own
   * or is gone.
   */
  public Optional<TableShape> shape(long oid) {
    return structure(oid).map(TableStructure::shape);
  }

  /** The OID of a table by its name; empty when there is none that holds rows of its own. */
  public Optional<Long> oid(TableName table) {
    try {
      return TableStructure.oid(connection, table);
    } catch (SQLException e) {
      throw SqlFailures.told("cannot look " + table + " up", e);
    }
  }

  /**
   * The rows at these places; of a place without a visible row nothing is told. Where they lie
   * close together, their pages are read through instead of looking each place up.
   *
   * @param columns what to read, in this order
   * @param tids packed, in any order; some ten thousands at most, for they become one statement
   * @throws IllegalArgumentException when they are more than 65,536
   */
  public void at(TableName table, List<Column> columns, long[] tids, PlacedRowSink sink) {
    if (tids.length == 0) {
      return;
    }
    SoughtPlaces sought = new SoughtPlaces(tids);
    String sql =
        "SELECT t.ctid, t.xmin%s FROM ONLY %s t WHERE %s"
            .formatted(
                listed(columns),
                table.quoted(),
                sought.areDense()
                    ? "t.ctid >= '(%d,0)' AND t.ctid <= '(%d,65535)'"
                        .formatted(sought.firstBlock(), sought.lastBlock())
                    : "t.ctid = ANY (%s::tid[])".formatted(literal(sought.texts())));
    CopiedRow row = new CopiedRow();
    boolean empty = columns.isEmpty();
    copyLines(
        table,
        sql,
        line -> {
          int end = CopyText.end(line);
          // (block,offset), a tab, xmin, a tab, the values
          int at = 1;
          long block = 0;
          for (; line[at] != ','; at++) {
            block = 10 * block + line[at] - '0';
          }
          long offset = 0;
          for (at++; line[at] != ')'; at++) {
            offset = 10 * offset + line[at] - '0';
          }
          long xmin = 0;
          for (at += 2; at < end && line[at] != '\t'; at++) {
            xmin = 10 * xmin + line[at] - '0';
          }
          row.of(line, Math.min(at + 1, end), end, empty);
          long place = block << 16 | offset;
          for (int index = sought.find(place); index >= 0 && sought.isAt(index, place); index++) {
            sink.accept(sought.request(index), xmin, row);
          }
        });
  }

  /**
   * The rows with these keys; a key that no row has is missing from the answer.
   *
   * @param oid the table's
   * @param columns what to read, in this order; every key column is among them
   * @param keys values in the order of the shape's key; some thousands at most
   */
  public Map<RowKey, Row> byKey(long oid, List<Column> columns, Collection<RowKey> keys) {
    Map<RowKey, Row> rows = new HashMap<>();
    if (!keys.isEmpty()) {
      joined(oid, "", columns, keys, (positions, row) -> rows.put(row.key(positions), row));
    }
    return rows;
  }

  private interface KeyedRow {
    void accept(List<Integer> keyPositions, Row row);
  }

  private void joined(
      long oid, String first, List<Column> columns, Collection<RowKey> keys, KeyedRow sink) {
    TableStructure structure =
        structure(oid)
            .orElseThrow(() -> new IllegalArgumentException("no table has the OID " + oid));
    TableShape shape = structure.shape();
    List<Integer> positions = new ArrayList<>();
    List<String> arrays = new ArrayList<>();
    List<String> names = new ArrayList<>();
    List<String> conditions = new ArrayList<>();
    for (int k = 0; k < shape.key().size(); k++) {
      int number = shape.key().get(k);
      int place = k;
      Column column = numbered(columns, number);
      positions.add(columns.indexOf(column));
      arrays.add(literal(keys.stream().map(key -> key.values().get(place)).toList()) + "::text[]");
      names.add("k" + k);
      conditions.add(
          "t.%s %s CAST(k.k%d AS %s)"
              .formatted(
                  TableName.quote(column.name()),
                  structure.keyOperators().get(k),
                  k,
                  column.type()));
    }
    String sql =
        "SELECT %s%s FROM unnest(%s) AS k(%s) JOIN ONLY %s t ON %s"
            .formatted(
                first,
                listed(columns).substring(2),
                String.join(", ", arrays),
                String.join(", ", names),
                shape.name().quoted(),
                String.join(" AND ", conditions));
    throughIndex(() -> copy(shape.name(), sql, row -> sink.accept(positions, row)));
  }

  /**
   * Every row of the table, in no order.
   *
   * @param columns what to read, in this order
   */
  public void all(TableName table, List<Column> columns, RowSink sink) {
    String sql = "SELECT %s FROM ONLY %s t".formatted(listed(columns).substring(2), table.quoted());
    copy(table, sql, sink);
  }

  /**
   * Some rows of the table, whichever come first.
   *
   * @param limit how many at most
   */
  public List<Row> some(TableName table, List<Column> columns, int limit) {
    List<Row> rows = new ArrayList<>();
    String sql =
        "SELECT %s FROM ONLY %s t LIMIT %d"
            .formatted(listed(columns).substring(2), table.quoted(), limit);
    copy(table, sql, rows::add);
    return rows;
  }

  /** As {@link #byKey}, with each row's place and what wrote it. */
  public Map<RowKey, RowVersion> versionsByKey(
      long oid, List<Column> columns, Collection<RowKey> keys) {
    Map<RowKey, RowVersion> rows = new HashMap<>();
    if (!keys.isEmpty()) {
      joined(
          oid,
          "t.ctid, t.xmin, ",
          columns,
          keys,
          (positions, row) -> {
            RowVersion version = version(row);
            rows.put(version.row().key(positions), version);
          });
    }
    return rows;
  }

  /** As {@link #all}, with each row's place and what wrote it. */
  public void allVersions(TableName table, List<Column> columns, Consumer<RowVersion> sink) {
    String sql =
        "SELECT t.ctid, t.xmin%s FROM ONLY %s t".formatted(listed(columns), table.quoted());
    copy(table, sql, row -> sink.accept(version(row)));
  }

  /** The number of the file that holds a table's rows; 0 when there is none. */
  public long fileNumber(long oid) {
    try (Statement statement = connection.createStatement();
        ResultSet row =
            statement.executeQuery(
                "SELECT coalesce(pg_catalog.pg_relation_filenode(" + oid + "::oid), 0)")) {
      row.next();
      return row.getLong(1);
    } catch (SQLException e) {
      throw SqlFailures.told("cannot find the file of the table with OID " + oid, e);
    }
  }

  /** How many rows the table holds. */
  public long count(TableName table) {
    try (Statement statement = connection.createStatement();
        ResultSet row = statement.executeQuery("SELECT count(*) FROM ONLY " + table.quoted())) {
      row.next();
      return row.getLong(1);
    } catch (SQLException e) {
      throw SqlFailures.told("cannot count the rows of " + table, e);
    }
  }

  private Optional<TableStructure> structure(long oid) {
    try {
      return TableStructure.read(connection, oid);
    } catch (SQLException e) {
      throw SqlFailures.told("cannot read the columns of the table with OID " + oid, e);
    }
  }

  /**
   * The planner knows nothing about the size of unnest(); some thousand keys of a large table are
   * always found fastest through the key's index.
   */
  private void throughIndex(Runnable read) {
    try (Statement statement = connection.createStatement()) {
      statement.execute(
          "SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_seqscan = off");
      read.run();
      statement.execute("RESET enable_hashjoin; RESET enable_mergejoin; RESET enable_seqscan");
    } catch (SQLException e) {
      throw SqlFailures.told("cannot prepare to read rows", e);
    }
  }

  private void copy(TableName table, String sql, RowSink sink) {
    CopyText text = new CopyText();
    copyLines(table, sql, line -> sink.accept(text.row(line)));
  }

  private void copyLines(TableName table, String sql, Consumer<byte[]> sink) {
    try {
      CopyOut copy =
          connection
              .unwrap(PGConnection.class)
              .getCopyAPI()
              .copyOut("COPY (" + sql + ") TO STDOUT (FORMAT text, ENCODING 'UTF8')");
      boolean finished = false;
      try {
        for (byte[] line = copy.readFromCopy(); line != null; line = copy.readFromCopy()) {
          sink.accept(line);
        }
        finished = true;
      } finally {
        if (!finished && copy.isActive()) {
          copy.cancelCopy();
        }
      }
    } catch (SQLException e) {
      throw SqlFailures.told("cannot read rows of " + table, e);
    }
  }

  private static Column numbered(List<Column> columns, int number) {
    return columns.stream()
        .filter(column -> column.number() == number)
        .findFirst()
        .orElseThrow(() -> new IllegalArgumentException("key column " + number + " is not read"));
  }

  /** Each with a comma before it. */
  private static String listed(List<Column> columns) {
    return columns.stream()
        .map(column -> ", t." + TableName.quote(column.name()))
        .collect(Collectors.joining());
  }

  /** An array's literal, quoted for SQL with standard_conforming_strings. */
  private static String literal(List<? extends @Nullable String> elements) {
    StringBuilder array = new StringBuilder("'{");
    String comma = "";
    for (@Nullable String element : elements) {
      array.append(comma);
      comma = ",";
      if (element == null) {
        array.append("NULL");
        continue;
      }
      array.append('"');
      for (int at = 0; at < element.length(); at++) {
        char c = element.charAt(at);
        if (c == '"' || c == '\\') {
          array.append('\\');
        }
        array.append(c == '\'' ? "''" : String.valueOf(c));
      }
      array.append('"');
    }
    return array.append("}'").toString();
  }

  private static RowVersion version(Row row) {
    return new RowVersion(
        tid(row),
        Long.parseLong(String.valueOf(row.value(1))),
        Row.copyOf(row.values().subList(2, row.size())));
  }

  private static Tid tid(Row row) {
    String text = String.valueOf(row.value(0));
    int comma = text.indexOf(',');
    return new Tid(
        Long.parseLong(text.substring(1, comma)),
        Integer.parseInt(text.substring(comma + 1, text.length() - 1)));
  }
}
