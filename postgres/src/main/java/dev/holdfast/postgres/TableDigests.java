package dev.holdfast.postgres;

import dev.holdfast.row.TableName;
import java.math.BigInteger;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.LongConsumer;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * Has a server compute what its rows come to, without sending them. What a row comes to is the text
 * of its columns, sorted by name, under the settings of {@link CanonicalText}; so neither the order
 * of rows nor that of columns, nor any collation, plays a part.
 */
public final class TableDigests {
  /** Read by one statement: so long does a lock last, and so fine is progress. */
  private static final long CHUNK_BYTES = 128L << 20;

  /** Of a value that is shown. */
  private static final int VALUE_CHARS_MAX = 1000;

  /** Of the 100 that a function may have. */
  private static final int ARGUMENTS_MAX = 90;

  private static final Set<String> NUMBERS = Set.of("smallint", "integer", "bigint");
  private static final String UUID = "uuid";

  private final ComparedDatabase side;
  private final ComparedTable table;
  private final List<ComparedTable.Column> columns;
  private final List<String> key;
  private final ComparedDigest digest;
  private final String separator;
  private final int blockBytes;
  private volatile boolean stopped;

  /** Told what one part holds; a part may come several times, to be added up. */
  public interface SumSink {
    /** Adds; sums wrap around at 64 bits. */
    void add(int part, long rows, long first, long second);
  }

  /** Into which parts rows fall. */
  public sealed interface Parts {
    /**
     * By the first column of the key.
     *
     * @param from where the parts begin, in order
     */
    record AtKeys(List<BigInteger> from) implements Parts {
      /** Copies. */
      public AtKeys {
        from = List.copyOf(from);
      }
    }

    /** By the lowest bits of the hash of the key, or of the row where there is no key. */
    record OfHash(int count) implements Parts {}
  }

  /** Which rows are meant. */
  public sealed interface Some {
    /** All. */
    record Rows() implements Some {}

    /** Those whose key's first column lies in a range, both ends included. */
    record Keys(BigInteger low, BigInteger high) implements Some {}

    /** Those of some parts by hash. */
    record HashParts(int count, List<Integer> parts) implements Some {
      /** Copies. */
      public HashParts {
        parts = List.copyOf(parts);
      }
    }
  }

  /**
   * @param columns that both sides have
   * @param key columns that identify a row; empty: the whole row does
   * @param separator stands between values; so that no value can look like two, nobody who wrote
   *     them may have known it: letters and digits, another one for each comparison
   */
  public TableDigests(
      ComparedDatabase side,
      ComparedTable table,
      List<ComparedTable.Column> columns,
      List<String> key,
      ComparedDigest digest,
      String separator) {
    this.side = side;
    this.table = table;
    this.columns = List.copyOf(columns);
    this.key = List.copyOf(key);
    this.digest = digest;
    this.separator = separator;
    this.blockBytes =
        side.within(
            "asking for the size of a page",
            statement -> Integer.parseInt(ComparedDatabase.one(statement, "SHOW block_size")));
  }

  /** Whether parts can be ranges of the key: its first column is a number or a uuid. */
  public boolean hasRanges() {
    return !key.isEmpty() && (NUMBERS.contains(rangeType()) || rangeType().equals(UUID));
  }

  /** Whether ranges of the key mean the same on both sides. */
  public boolean hasRangesAs(TableDigests other) {
    return hasRanges()
        && other.hasRanges()
        && rangeType().equals(UUID) == other.rangeType().equals(UUID);
  }

  private String rangeType() {
    return columns.stream()
        .filter(column -> column.name().equals(key.getFirst()))
        .map(ComparedTable.Column::type)
        .findFirst()
        .orElse("");
  }

  private String rangeColumn() {
    return "t." + TableName.quote(key.getFirst());
  }

  /** The least and the greatest of the key's first column; empty where there are no rows. */
  public List<BigInteger> ends() {
    String sql =
        "SELECT (SELECT %1$s FROM %2$s t ORDER BY %1$s LIMIT 1)::text, (SELECT %1$s FROM %2$s t ORDER BY %1$s DESC LIMIT 1)::text"
            .formatted(rangeColumn(), table.from());
    return side.within(
        "looking for the ends of " + table.name(),
        statement -> {
          try (ResultSet row = statement.executeQuery(sql)) {
            row.next();
            String low = row.getString(1);
            return low == null ? List.of() : List.of(number(low), number(row.getString(2)));
          }
        });
  }

  private BigInteger number(String text) {
    return rangeType().equals(UUID)
        ? new BigInteger(text.replace("-", ""), 16)
        : new BigInteger(text);
  }

  private String literal(BigInteger number) {
    return rangeType().equals(UUID) ? uuid(number) : number.toString();
  }

  private static String uuid(BigInteger number) {
    String hex = "0".repeat(32 - number.toString(16).length()) + number.toString(16);
    return String.join(
        "-",
        hex.substring(0, 8),
        hex.substring(8, 12),
        hex.substring(12, 16),
        hex.substring(16, 20),
        hex.substring(20));
  }

  /**
   * Sums rows by part. All rows are read in the order they lie in, some megabytes a statement;
   * those of a range through the key's index.
   *
   * @param readBytes told how much was read
   */
  public void sums(Some some, Parts parts, SumSink sink, LongConsumer readBytes) {
    if (!(some instanceof Some.Rows)) {
      sum(List.of(), table.from(), condition(some), parts, sink);
      return;
    }
    for (ComparedTable.Leaf leaf : table.leaves()) {
      long blocks = (leaf.bytes() + blockBytes - 1) / blockBytes;
      long step = CHUNK_BYTES / blockBytes;
      for (long block = 0; block < blocks && !stopped; block += step) {
        // The last one has no upper end: a row of the snapshot lies where it lay, but that is ours
        // to believe and not to rely on.
        String upper =
            block + step >= blocks ? "" : " AND t.ctid < '(%d,0)'".formatted(block + step);
        sum(
            List.of(leaf),
            "ONLY " + leaf.quoted(),
            "t.ctid >= '(%d,0)'%s".formatted(block, upper),
            parts,
            sink);
        readBytes.accept(Math.min(step, blocks - block) * blockBytes);
      }
    }
  }

  /**
   * Ends what {@link #sums} is at, from another thread.
   *
   * @param atOnce in the middle of a statement, which fails; false: after it
   */
  public void stop(boolean atOnce) {
    stopped = true;
    if (atOnce) {
      side.cancel();
    }
  }

  private void sum(
      List<ComparedTable.Leaf> leaves, String from, String condition, Parts parts, SumSink sink) {
    String part =
        switch (parts) {
          case Parts.AtKeys keys -> partAt(keys.from());
          case Parts.OfHash hash ->
              "(%s & %d)::int".formatted(digest.of(identity(), 0), hash.count() - 1);
        };
    // 64 bits: where two sums differ rows are compared, by 128. OFFSET keeps the row's text whole.
    String sql =
        "SELECT p, count(*), sum(%s), 0 FROM (SELECT %s AS p, %s AS r FROM %s t WHERE %s OFFSET 0) q GROUP BY 1"
            .formatted(digest.of("r", 0), part, rowText(), from, condition);
    side.within(
        "summing up " + table.name(),
        statement -> {
          statement.setFetchSize(10_000);
          try (ResultSet row = statement.executeQuery(sql)) {
            side.sameFiles(table, leaves.isEmpty() ? table.leaves() : leaves);
            while (row.next()) {
              sink.add(
                  row.getInt(1),
                  row.getLong(2),
                  row.getBigDecimal(3).toBigInteger().longValue(),
                  row.getBigDecimal(4).toBigInteger().longValue());
            }
          }
          return true;
        });
  }

  /** SQL: the part of a key, from 0. */
  private String partAt(List<BigInteger> from) {
    if (from.size() == 1) {
      return "0";
    }
    BigInteger first = from.getFirst();
    BigInteger width = from.get(1).subtract(first);
    BigInteger span = from.getLast().add(width).subtract(first);
    if (!rangeType().equals(UUID)
        && span.bitLength() < Long.SIZE
        && first.bitLength() < Long.SIZE) {
      // Parts are of one width (KeyRange.split); looking one up among thousands takes a tenth of
      // all time.
      return "((%s - %s::int8) / %s)::int"
          .formatted(rangeColumn() + "::int8", quoted(first), width);
    }
    return "width_bucket(%s, '{%s}'::%s[])"
        .formatted(
            rangeType().equals(UUID) ? rangeColumn() : rangeColumn() + "::int8",
            from.stream().skip(1).map(this::literal).collect(Collectors.joining(",")),
            rangeType().equals(UUID) ? UUID : "int8");
  }

  private static String quoted(BigInteger number) {
    return "'" + number + "'";
  }

  private String condition(Some some) {
    return switch (some) {
      case Some.Rows _ -> "true";
      case Some.Keys keys ->
          "%1$s >= '%2$s' AND %1$s <= '%3$s'"
              .formatted(rangeColumn(), literal(keys.low()), literal(keys.high()));
      case Some.HashParts hash ->
          "(%s & %d) = ANY ('{%s}'::bigint[])"
              .formatted(
                  digest.of(identity(), 0),
                  hash.count() - 1,
                  hash.parts().stream().map(String::valueOf).collect(Collectors.joining(",")));
    };
  }

  private String value(ComparedTable.Column column) {
    String quoted = "t." + TableName.quote(column.name());
    // From 16 on the type's output writes bytes past ASCII otherwise.
    return column.type().equals("\"char\"") ? quoted + "::int4" : quoted;
  }

  /**
   * SQL: the texts of all columns, and which of them are null. {@code ROW(...)::text} would say the
   * same, but looks at each character for what it must quote.
   */
  private String rowText() {
    List<String> parts = new ArrayList<>();
    parts.add(
        joined(
            "concat",
            columns.stream()
                .filter(column -> !key.contains(column.name()))
                .map(column -> "t." + TableName.quote(column.name()) + " IS NULL")
                .toList()));
    columns.forEach(column -> parts.add(value(column)));
    return joined("concat_ws", parts) + " COLLATE \"C\"";
  }

  /** SQL: a call with as many arguments as there are, which no function takes at once. */
  private String joined(String function, List<String> texts) {
    List<String> calls = new ArrayList<>();
    for (int at = 0; at < texts.size(); at += ARGUMENTS_MAX) {
      calls.add(call(function, texts.subList(at, Math.min(texts.size(), at + ARGUMENTS_MAX))));
    }
    return calls.isEmpty() ? "''" : calls.size() == 1 ? calls.getFirst() : joined(function, calls);
  }

  private String call(String function, List<String> texts) {
    String list = String.join(", ", texts);
    return function.equals("concat_ws")
        ? "concat_ws('%s', %s)".formatted(separator, list)
        : "%s(%s)".formatted(function, list);
  }

  /** What identifies a row, as text. */
  private String identity() {
    return key.isEmpty()
        ? rowText()
        : "ROW(%s)::text COLLATE \"C\""
            .formatted(
                key.stream()
                    .map(name -> "t." + TableName.quote(name))
                    .collect(Collectors.joining(", ")));
  }

  /** One row's digest, or that of equal rows where there is no key. */
  public record Digested(
      long order, String identity, long first, long second, long copies, String place) {}

  /** Rows that are being read, sorted by order, then by the UTF-8 bytes of their identity. */
  public DigestedRows rows(Some some) {
    String sql;
    if (key.isEmpty()) {
      sql =
          """
          SELECT h, s::text, h, s, count(*), min(p) FROM (
            SELECT %s AS h, %s AS s, p FROM (
              SELECT %s AS r, %s AS p FROM %s t WHERE %s) q) q
           GROUP BY h, s ORDER BY h, convert_to(s::text, 'UTF8')\
          """
              .formatted(
                  digest.of("r", 0),
                  digest.of("r", 1),
                  rowText(),
                  PLACE,
                  table.from(),
                  condition(some));
    } else {
      sql =
          """
          SELECT %s, i, %s, %s, 1::bigint, p FROM (
            SELECT %s AS i, %s AS r, %s AS p FROM %s t WHERE %s) q
           ORDER BY 1, convert_to(i, 'UTF8')\
          """
              .formatted(
                  digest.of("i", 0),
                  digest.of("r", 0),
                  digest.of("r", 1),
                  identity(),
                  rowText(),
                  PLACE,
                  table.from(),
                  condition(some));
    }
    return new DigestedRows(side, table, sql);
  }

  private static final String PLACE = "t.tableoid::regclass::text || ' ' || t.ctid::text";

  /**
   * The texts of a row's columns; a long one is cut, with its length and its MD5.
   *
   * @param place as {@link Digested} has it
   */
  public Map<String, @Nullable String> values(String place) {
    int at = place.lastIndexOf(' ');
    List<String> texts = new ArrayList<>();
    for (ComparedTable.Column column : columns) {
      texts.add(
          "CASE WHEN length(%1$s::text) > %2$d THEN left(%1$s::text, 200) || format('... (%%s characters, md5 %%s)', length(%1$s::text), md5(%1$s::text)) ELSE %1$s::text END"
              .formatted(value(column), VALUE_CHARS_MAX));
    }
    String sql =
        "SELECT %s FROM ONLY %s t WHERE t.ctid = '%s'"
            .formatted(String.join(", ", texts), place.substring(0, at), place.substring(at + 1));
    return side.within("reading a row of " + table.name(), statement -> values(statement, sql));
  }

  private Map<String, @Nullable String> values(Statement statement, String sql)
      throws SQLException {
    Map<String, @Nullable String> values = new LinkedHashMap<>();
    try (ResultSet row = statement.executeQuery(sql)) {
      if (row.next()) {
        for (int column = 0; column < columns.size(); column++) {
          values.put(columns.get(column).name(), row.getString(column + 1));
        }
      }
    }
    return values;
  }
}
