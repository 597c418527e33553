package dev.holdfast.operations;

import dev.holdfast.row.TableName;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.random.RandomGenerator;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/** A table of a random history: how it is made, what its values are like, and its rows. */
final class HistoryTable {
  enum Type {
    INT("int"),
    BIGINT("bigint"),
    TEXT("text"),
    LONG_TEXT("text"),
    NUMERIC("numeric"),
    BOOL("boolean"),
    DATE("date"),
    UUID("uuid"),
    BYTEA("bytea"),
    ARRAY("text[]"),
    JSONB("jsonb"),
    JSON("json");

    final String sql;

    Type(String sql) {
      this.sql = sql;
    }

    boolean document() {
      return this == JSON || this == JSONB;
    }
  }

  record Column(String name, Type type, boolean unique) {
    String quoted() {
      return TableName.quote(name);
    }
  }

  enum Partitions {
    NONE,
    LIST,
    HASH
  }

  private static final List<String> WORDS =
      List.of(
          "",
          "a",
          "it's",
          "back\\slash",
          "\\N",
          "tab\there",
          "two\nlines",
          "käse \uD83E\uDDC0",
          "NULL",
          "{}");
  private static final List<String> DOCUMENT_KEYS =
      List.of("phone", "address", "country", "zip", "note", "ü", "a", "bb");

  /** How many partitions a table has. */
  static final int LISTED = 3;

  final TableName name;
  final List<Column> columns = new ArrayList<>();
  final List<Integer> key = new ArrayList<>();
  final Partitions partitions;

  /** The column that decides about the partition of a LIST; -1 without. */
  final int part;

  final boolean generated;
  final List<HistoryLine> lines = new ArrayList<>();

  /** The open transaction that emptied it: nobody else reaches the table. */
  @Nullable HistoryTransaction emptiedBy;

  /** Keys, and values of unique columns, that an open transaction wrote or removed. */
  final Map<Object, HistoryTransaction> busy = new HashMap<>();

  /** Keys and values that must be unique, as {@link #mustBeUnique} gives them, ever used. */
  final List<Object> used = new ArrayList<>();

  private final RandomGenerator random;
  private int fresh = 1;

  /**
   * @param documents whether it is all about JSON
   */
  HistoryTable(String prefix, int number, boolean documents, RandomGenerator random) {
    this.random = random;
    boolean odd = random.nextInt(4) == 0;
    name =
        odd
            ? new TableName("Odd \"schema\"", prefix + " Weird 'table' ü" + number)
            : new TableName("public", prefix + "_t" + number);
    int shape = random.nextInt(documents ? 9 : 11);
    partitions =
        random.nextInt(4) > 0
            ? Partitions.NONE
            : random.nextInt(3) == 0 && shape < 9 ? Partitions.HASH : Partitions.LIST;
    String id = odd ? "Key \"of it\"" : "id";
    switch (shape) {
      case 0, 1, 2, 3 -> key(new Column(id, Type.INT, false));
      case 4 -> key(new Column(id, Type.BIGINT, false));
      case 5, 6 -> key(new Column(id, Type.UUID, false));
      case 7 -> key(new Column(id, Type.TEXT, false));
      case 8 -> {
        columns.add(new Column("before_key", Type.INT, false));
        key(new Column(id, Type.INT, false));
        key(new Column("select", Type.TEXT, false));
      }
      default -> {} // no key at all
    }
    if (partitions == Partitions.LIST) {
      part = columns.size();
      if (!key.isEmpty()) {
        key.add(part);
      }
      columns.add(new Column("part", Type.INT, false));
    } else {
      part = -1;
    }
    List<Type> types = List.of(Type.values());
    int more = 1 + random.nextInt(4);
    for (int i = 0; i < more; i++) {
      Type type =
          documents && i < 2
              ? random.nextInt(4) == 0 ? Type.JSON : Type.JSONB
              : types.get(random.nextInt(types.size()));
      columns.add(new Column((odd ? "Col " : "c") + i, type, false));
    }
    if (!key.isEmpty() && partitions == Partitions.NONE && random.nextInt(5) == 0) {
      columns.add(new Column("only_one", Type.TEXT, true));
    }
    generated = random.nextInt(5) == 0;
  }

  private void key(Column column) {
    key.add(columns.size());
    columns.add(column);
  }

  boolean keyed() {
    return !key.isEmpty();
  }

  List<String> definition() {
    List<String> statements = new ArrayList<>();
    List<String> parts = new ArrayList<>();
    for (Column column : columns) {
      parts.add(column.quoted() + " " + column.type.sql + (column.unique ? " UNIQUE" : ""));
    }
    if (generated) {
      parts.add(
          "computed int GENERATED ALWAYS AS (coalesce(length(%s::text), 0)) STORED"
              .formatted(columns.getFirst().type == Type.DATE ? "'x'" : "'y'"));
    }
    if (keyed()) {
      parts.add(
          "PRIMARY KEY ("
              + key.stream().map(k -> columns.get(k).quoted()).collect(Collectors.joining(", "))
              + ")");
    }
    String how =
        switch (partitions) {
          case NONE -> "";
          case LIST -> " PARTITION BY LIST (part)";
          case HASH -> " PARTITION BY HASH (" + columns.get(key.getLast()).quoted() + ")";
        };
    statements.add("CREATE TABLE " + name.quoted() + " (" + String.join(", ", parts) + ")" + how);
    for (int p = 0; p < LISTED && partitions != Partitions.NONE; p++) {
      statements.add(
          "CREATE TABLE %s PARTITION OF %s %s"
              .formatted(
                  new TableName(name.schema(), name.table() + " p" + p).quoted(),
                  name.quoted(),
                  partitions == Partitions.HASH
                      ? "FOR VALUES WITH (MODULUS 3, REMAINDER " + p + ")"
                      : p == 0 ? "DEFAULT" : "FOR VALUES IN (" + p + ")"));
    }
    return statements;
  }

  /** The tables that hold its rows. */
  List<TableName> leaves() {
    if (partitions == Partitions.NONE) {
      return List.of(name);
    }
    List<TableName> leaves = new ArrayList<>();
    for (int p = 0; p < LISTED; p++) {
      leaves.add(new TableName(name.schema(), name.table() + " p" + p));
    }
    return leaves;
  }

  /** Where it is told of, for a plan's tables. */
  boolean holds(String schema, String table) {
    return leaves().contains(new TableName(schema, table));
  }

  List<@Nullable String> keyOf(HistoryRow row) {
    return row.at(key);
  }

  List<HistoryLine> live() {
    return lines.stream().filter(line -> line.now != null).toList();
  }

  /** What no other row of the table may have at the same time. */
  List<Object> mustBeUnique(@Nullable HistoryRow row) {
    List<Object> values = new ArrayList<>();
    if (row != null && keyed()) {
      values.add(keyOf(row));
    }
    for (int i = 0; row != null && i < columns.size(); i++) {
      String value = row.value(i);
      if (columns.get(i).unique && value != null) {
        values.add(value);
      }
    }
    return values;
  }

  /** Whether this transaction may give all of these to rows. */
  boolean free(List<Object> values, HistoryTransaction to) {
    Set<Object> taken = new HashSet<>();
    for (HistoryLine line : lines) {
      taken.addAll(mustBeUnique(line.now));
    }
    return values.stream().noneMatch(taken::contains)
        && values.stream().allMatch(value -> busy.getOrDefault(value, to) == to);
  }

  /** The number of the partition that holds a row of a LIST. */
  int leaf(HistoryRow row) {
    int value = Integer.parseInt(java.util.Objects.requireNonNull(row.value(part)));
    return value < LISTED ? value : 0;
  }

  /** Rows that this transaction may write without waiting. */
  List<HistoryLine> reachable(HistoryTransaction by) {
    return lines.stream()
        .filter(line -> line.now != null && (line.heldBy == null || line.heldBy == by))
        .collect(Collectors.toCollection(ArrayList::new));
  }

  // ---- values ----------------------------------------------------------------------------------

  int fresh() {
    return fresh++;
  }

  HistoryRow newRow() {
    List<@Nullable String> values = new ArrayList<>();
    for (int i = 0; i < columns.size(); i++) {
      values.add(key.contains(i) ? keyValue(i) : value(i));
    }
    return new HistoryRow(values);
  }

  String keyValue(int position) {
    if (position == part) {
      return String.valueOf(random.nextInt(LISTED + 1));
    }
    int n = fresh();
    return switch (columns.get(position).type) {
      case INT -> String.valueOf(random.nextInt(8) == 0 ? -n : n);
      case BIGINT -> String.valueOf(3_000_000_000L + n);
      case UUID -> "%08x-0000-4000-8000-%012x".formatted(random.nextInt(), n);
      default -> "k" + n + WORDS.get(random.nextInt(WORDS.size()));
    };
  }

  @Nullable String value(int position) {
    Column column = columns.get(position);
    if (position == part) {
      return String.valueOf(random.nextInt(LISTED + 1));
    }
    if (column.unique) {
      return random.nextInt(3) == 0 ? null : "u" + fresh();
    }
    if (random.nextInt(8) == 0) {
      return null;
    }
    boolean few = !keyed() || random.nextInt(4) == 0; // values that come again
    int n = few ? random.nextInt(4) : fresh();
    return switch (column.type) {
      case INT, BIGINT -> String.valueOf(n);
      case NUMERIC -> n + (random.nextBoolean() ? ".50" : ".5");
      case BOOL -> random.nextBoolean() ? "true" : "false";
      case DATE -> "20%02d-0%d-1%d".formatted(n % 90 + 10, n % 9 + 1, n % 10);
      case UUID -> "00000000-0000-4000-8000-%012x".formatted(n);
      case BYTEA -> "\\x%08x".formatted(n);
      case ARRAY -> "{a,b" + n + "}";
      case TEXT -> WORDS.get(random.nextInt(WORDS.size())) + (few ? "" : n);
      case LONG_TEXT ->
          random.nextInt(3) == 0 && keyed() ? hex(2_500 + random.nextInt(9_000)) : "s" + n;
      case JSONB -> HistoryDocument.jsonb(document(n));
      case JSON -> document(n);
    };
  }

  private String hex(int length) {
    StringBuilder text = new StringBuilder(length);
    while (text.length() < length) {
      text.append(Long.toHexString(random.nextLong()));
    }
    return text.toString();
  }

  private String document(int n) {
    List<String> members = new ArrayList<>();
    for (String name : DOCUMENT_KEYS) {
      if (random.nextInt(3) == 0) {
        members.add("\"" + name + "\"" + (random.nextBoolean() ? " : " : ":") + documentValue(n));
      }
    }
    return "{" + String.join(",", members) + "}";
  }

  private String documentValue(int n) {
    return switch (random.nextInt(5)) {
      case 0 -> "{\"street\":\"s" + n + "\",\"no\":" + random.nextInt(5) + "}";
      case 1 -> "{\"no\":" + n + "}";
      case 2 -> "null";
      case 3 -> "\"v" + n + "\"";
      default -> String.valueOf(n);
    };
  }

  /** The document with one key set to something new, or taken out. */
  String changedDocument(int position, @Nullable String text) {
    String key = DOCUMENT_KEYS.get(random.nextInt(DOCUMENT_KEYS.size()));
    String changed =
        HistoryDocument.with(text, key, random.nextInt(3) == 0 ? null : documentValue(fresh()));
    return columns.get(position).type == Type.JSONB ? HistoryDocument.jsonb(changed) : changed;
  }

  // ---- SQL -------------------------------------------------------------------------------------

  String literal(int position, @Nullable String value) {
    return value == null
        ? "NULL::" + columns.get(position).type.sql
        : "'" + value.replace("'", "''") + "'::" + columns.get(position).type.sql;
  }

  String literals(HistoryRow row, List<Integer> positions) {
    return positions.stream()
        .map(i -> literal(i, row.value(i)))
        .collect(Collectors.joining(", ", "(", ")"));
  }

  List<Integer> positions() {
    return java.util.stream.IntStream.range(0, columns.size()).boxed().toList();
  }

  String names(List<Integer> positions) {
    return positions.stream().map(i -> columns.get(i).quoted()).collect(Collectors.joining(", "));
  }

  /** A condition that this image fulfils, and equal ones. */
  String is(HistoryRow row) {
    return positions().stream()
        .map(i ->
            columns.get(i).quoted()
                + "::text IS NOT DISTINCT FROM "
                + literal(i, row.value(i))
                + "::text")
        .collect(Collectors.joining(" AND "));
  }

  String select() {
    return "SELECT %s FROM %s"
        .formatted(
            positions().stream()
                .map(i -> columns.get(i).quoted() + "::text")
                .collect(Collectors.joining(", ")),
            name.quoted());
  }

  // ---- cells: what can be changed by itself: a column, or a key of a document
  // ---------------------

  Map<String, String> cells(@Nullable HistoryRow row) {
    Map<String, String> cells = new TreeMap<>();
    for (int i = 0; row != null && i < columns.size(); i++) {
      String value = row.value(i);
      if (columns.get(i).type.document()) {
        HistoryDocument.flatten(String.valueOf(i), value, cells);
      } else if (value != null) {
        cells.put(String.valueOf(i), value);
      }
    }
    return cells;
  }

  /** The cells in which two images differ. */
  static Set<String> differences(Map<String, String> one, Map<String, String> other) {
    Set<String> all = new HashSet<>(one.keySet());
    all.addAll(other.keySet());
    all.removeIf(cell -> Objects.equals(one.get(cell), other.get(cell)));
    return all;
  }
}
