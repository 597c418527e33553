package dev.holdfast.operations;

import dev.holdfast.guard.StatementShape;
import dev.holdfast.guard.WatchSchema;
import dev.holdfast.operations.WatchReport.Dropped;
import dev.holdfast.operations.WatchReport.KeysLost;
import dev.holdfast.operations.WatchReport.StatementSeen;
import dev.holdfast.operations.WatchReport.WatchFinding;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** Adds up what the triggers of a watch told. Bounded: what exceeds it is counted, not named. */
final class WatchTally {
  private static final JsonMapper JSON = JsonMapper.shared();
  private static final int STATEMENTS_MAX = 2_000;
  private static final int ROWS_MAX = 50_000;
  private static final int VALUES_MAX = 100;
  private static final int KEYS_NAMED = 20;
  private static final String OTHERS = "(other statements)";

  private final WatchLimits limits;
  private final Map<Long, WatchSchema.Table> before;
  private final Map<Key, Seen> seen = new LinkedHashMap<>();
  private final Map<Long, Map<String, String>> identities = new HashMap<>();
  private final List<Drop> drops = new ArrayList<>();

  private record Key(String statement, String schema, String table, String operation) {}

  private record Drop(Dropped what, @Nullable String xid) {}

  private static final class Seen {
    private long calls;
    private long rows;
    private long rowsMax;
    private boolean exact = true;
    private boolean always1 = true;
    private boolean tableHasMore;
    private boolean parameters;
    private long massRows;
    private long massThere;
    private boolean unconditional;
    private final Set<String> identities = new HashSet<>();
    private final Set<String> values = new HashSet<>();
    private final Set<String> texts = new HashSet<>();
    private final Map<String, Long> callsByXid = new HashMap<>();
    private final Map<String, Lost> lost = new TreeMap<>();
  }

  /** Of one column: all losses, and those that are a finding. */
  private static final class Lost {
    private long rows;
    private long hadMin = Long.MAX_VALUE;
    private long hadMax;
    private long lostMin = Long.MAX_VALUE;
    private long lostMax;
    private final Set<String> keys = new TreeSet<>();
    private final Map<List<Long>, Long> shapes = new HashMap<>();
  }

  /**
   * @param before the tables that there were at the beginning, by OID
   */
  WatchTally(WatchLimits limits, Map<Long, WatchSchema.Table> before) {
    this.limits = limits;
    this.before = Map.copyOf(before);
  }

  void add(String message) {
    JsonNode told = JSON.readTree(message);
    if (told.path("operation").asString().equals("drop")) {
      addDrops(told);
      return;
    }
    String text = told.path("statement").asString("");
    Key key =
        new Key(
            StatementShape.of(text),
            told.path("schema").asString(),
            told.path("table").asString(),
            told.path("operation").asString());
    if (!seen.containsKey(key) && seen.size() >= STATEMENTS_MAX) {
      key = new Key(OTHERS, key.schema(), key.table(), key.operation());
    }
    Seen of = seen.computeIfAbsent(key, _ -> new Seen());
    long rows = told.path("rows").asLong();
    of.calls++;
    of.rows += rows;
    of.rowsMax = Math.max(of.rowsMax, rows);
    of.always1 &= rows <= 1;
    of.tableHasMore |= told.path("there").asLong(0) >= 2;
    of.parameters |= StatementShape.isParameterised(text);
    if (of.texts.size() < VALUES_MAX) {
      of.texts.add(text);
    }
    if (told.path("xid").isString()) {
      of.callsByXid.merge(told.path("xid").asString(), 1L, Long::sum);
    }
    addIdentities(of, told, rows);
    addMass(of, key, told, rows, text);
    for (JsonNode column : told.path("columns")) {
      addLost(of.lost.computeIfAbsent(column.path("column").asString(), _ -> new Lost()), column);
    }
  }

  /** A row keeps its identity where its key, or all of it, is changed. */
  private void addIdentities(Seen of, JsonNode told, long rows) {
    Map<String, String> known =
        identities.computeIfAbsent(told.path("oid").asLong(), _ -> new HashMap<>());
    int named = 0;
    for (JsonNode pair : told.path("ids")) {
      named++;
      String was = pair.path(0).asString();
      String identity = known.getOrDefault(was, was);
      if (of.identities.size() < ROWS_MAX) {
        of.identities.add(identity);
      } else if (!of.identities.contains(identity)) {
        of.exact = false;
      }
      String is = pair.path(1).asString(was);
      if (!is.equals(was) && known.size() < ROWS_MAX) {
        known.put(is, identity);
      }
      if (of.values.size() < VALUES_MAX && pair.path(2).isString()) {
        of.values.add(pair.path(2).asString());
      }
    }
    of.exact &= named == rows;
  }

  private void addMass(Seen of, Key key, JsonNode told, long rows, String text) {
    if (rows < limits.massRows() || !told.path("there").isNumber()) {
      return;
    }
    long there = told.path("there").asLong();
    long all = key.operation().equals("delete") ? there + rows : Math.max(there, rows);
    if (rows >= limits.massShare() * all && rows > of.massRows) {
      of.massRows = rows;
      of.massThere = all;
      of.unconditional = StatementShape.isUnconditional(text);
    }
  }

  private static void addLost(Lost lost, JsonNode column) {
    lost.rows += column.path("rows").asLong();
    lost.hadMin = Math.min(lost.hadMin, column.path("hadMin").asLong());
    lost.hadMax = Math.max(lost.hadMax, column.path("hadMax").asLong());
    lost.lostMin = Math.min(lost.lostMin, column.path("lostMin").asLong());
    lost.lostMax = Math.max(lost.lostMax, column.path("lostMax").asLong());
    for (JsonNode key : column.path("keys")) {
      if (lost.keys.size() < KEYS_NAMED) {
        lost.keys.add(key.asString());
      }
    }
    for (JsonNode shape : column.path("shapes")) {
      lost.shapes.merge(
          List.of(shape.path(0).asLong(), shape.path(1).asLong()),
          shape.path(2).asLong(),
          Long::sum);
    }
  }

  private void addDrops(JsonNode told) {
    for (JsonNode object : told.path("objects")) {
      WatchSchema.Table table = before.get(object.path("oid").asLong());
      String kind = object.path("kind").asString();
      String column = object.path("column").asString(null);
      boolean was =
          (table != null && (column == null || table.columns().containsValue(column)))
              || (kind.equals("schema")
                  && before.values().stream()
                      .anyMatch(t -> t.schema().equals(object.path("name").asString())));
      drops.add(
          new Drop(
              new Dropped(
                  kind,
                  object.path("schema").asString(null),
                  object.path("name").asString(""),
                  column,
                  was,
                  false,
                  StatementShape.of(told.path("statement").asString(""))),
              told.path("xid").asString(null)));
    }
  }

  /** What was found gone, where nothing told with which statement. */
  void add(WatchSchema.Gone gone) {
    WatchSchema.Table table = before.get(gone.oid());
    boolean was =
        table != null && (gone.column() == null || table.columns().containsValue(gone.column()));
    drops.add(
        new Drop(
            new Dropped(gone.kind(), gone.schema(), gone.name(), gone.column(), was, false, null),
            null));
  }

  /** Every transaction that something was told of. */
  Set<String> xids() {
    Set<String> xids = new HashSet<>();
    seen.values().forEach(of -> xids.addAll(of.callsByXid.keySet()));
    drops.stream().map(Drop::xid).filter(xid -> xid != null).forEach(xids::add);
    return xids;
  }

  /** Those with the most rows first. */
  List<StatementSeen> statements(Set<String> rolledBack) {
    List<StatementSeen> statements = new ArrayList<>();
    seen.forEach((key, of) ->
        statements.add(
            new StatementSeen(
                key.statement(),
                key.schema(),
                key.table(),
                key.operation(),
                of.calls,
                of.rows,
                hasIdentities(key) ? distinct(of) : null,
                of.exact,
                of.callsByXid.entrySet().stream()
                    .filter(calls -> rolledBack.contains(calls.getKey()))
                    .mapToLong(Map.Entry::getValue)
                    .sum(),
                of.lost.entrySet().stream()
                    .map(lost -> keysLost(lost.getKey(), lost.getValue()))
                    .toList())));
    statements.sort(Comparator.comparingLong(StatementSeen::rows).reversed());
    return statements;
  }

  private static boolean hasIdentities(Key key) {
    return key.operation().equals("update") || key.operation().equals("delete");
  }

  /** Each row of one call is another one. */
  private static long distinct(Seen of) {
    return Math.max(of.identities.size(), of.rowsMax);
  }

  private static KeysLost keysLost(String column, Lost lost) {
    return new KeysLost(
        column,
        lost.rows,
        lost.hadMin,
        lost.hadMax,
        lost.lostMin,
        lost.lostMax,
        List.copyOf(lost.keys));
  }

  List<Dropped> dropped(Set<String> rolledBack) {
    return drops.stream()
        .map(drop ->
            new Dropped(
                drop.what.kind(),
                drop.what.schema(),
                drop.what.name(),
                drop.what.column(),
                drop.what.wasThereBefore(),
                drop.xid != null && rolledBack.contains(drop.xid),
                drop.what.statement()))
        .toList();
  }

  /** The worst first. */
  List<WatchFinding> findings() {
    List<WatchFinding> findings = new ArrayList<>();
    findLostKeys(findings);
    seen.forEach((key, of) -> find(key, of, findings));
    Set<String> told = new HashSet<>();
    for (Drop drop : drops) {
      Dropped what = drop.what;
      if (!what.wasThereBefore()) {
        continue;
      }
      String name =
          (what.schema() == null ? what.name() : name(what.schema(), what.name()))
              + (what.column() == null ? "" : "." + what.column());
      if (told.add(what.kind() + " " + name)) {
        findings.add(
            new WatchFinding(
                "drop-" + what.kind(),
                warning(),
                what.schema(),
                what.kind().equals("schema") ? null : what.name(),
                what.column(),
                what.kind() + " " + name + " dropped, which was there before",
                what.statement()));
      }
    }
    findings.sort(Comparator.comparing(finding -> finding.level().equals("error") ? 0 : 1));
    return findings;
  }

  private String warning() {
    return limits.strict() ? "error" : "warning";
  }

  /** All statements that hit one column make one finding. */
  private void findLostKeys(List<WatchFinding> findings) {
    record Column(String schema, String table, String column) {}
    Map<Column, List<Map.Entry<Key, Seen>>> byColumn = new LinkedHashMap<>();
    seen.entrySet()
        .forEach(entry ->
            entry
                .getValue()
                .lost
                .forEach((column, lost) -> {
                  if (lost.shapes.keySet().stream().anyMatch(this::isBad)) {
                    byColumn
                        .computeIfAbsent(
                            new Column(entry.getKey().schema(), entry.getKey().table(), column),
                            _ -> new ArrayList<>())
                        .add(entry);
                  }
                }));
    byColumn.forEach((column, statements) -> {
      Lost all = new Lost();
      long updates = 0;
      for (Map.Entry<Key, Seen> statement : statements) {
        updates += statement.getValue().rows;
        Lost lost = statement.getValue().lost.get(column.column());
        if (lost == null) {
          continue;
        }
        lost.keys.stream().limit(KEYS_NAMED - all.keys.size()).forEach(all.keys::add);
        lost.shapes.forEach((shape, times) -> {
          if (isBad(shape)) {
            all.rows += times;
            all.hadMin = Math.min(all.hadMin, shape.get(0));
            all.hadMax = Math.max(all.hadMax, shape.get(0));
            all.lostMin = Math.min(all.lostMin, shape.get(1));
            all.lostMax = Math.max(all.lostMax, shape.get(1));
          }
        });
      }
      findings.add(
          new WatchFinding(
              "json-keys-lost",
              "error",
              column.schema(),
              column.table(),
              column.column(),
              "%s%s of %s.%s, %s of %s lost in each: %s"
                  .formatted(
                      all.rows == updates ? "" : all.rows + " of ",
                      plural(updates, "update"),
                      name(column.schema(), column.table()),
                      column.column(),
                      range(all.lostMin, all.lostMax),
                      range(all.hadMin, all.hadMax) + (all.hadMax == 1 ? " key" : " keys"),
                      String.join(", ", all.keys)),
              statements.getFirst().getKey().statement()));
    });
  }

  private boolean isBad(List<Long> shape) {
    return shape.get(0) >= limits.keysMin()
        && shape.get(1) >= limits.keysLostShare() * shape.get(0);
  }

  private void find(Key key, Seen of, List<WatchFinding> findings) {
    String table = name(key.schema(), key.table());
    boolean different = of.parameters ? of.values.size() > 1 : of.texts.size() > 1;
    if (key.operation().equals("update")
        && of.calls >= limits.sameRowCalls()
        && of.rows >= limits.sameRowCalls()
        && of.always1
        && of.exact
        && of.identities.size() == 1
        && different
        && of.tableHasMore) {
      findings.add(
          new WatchFinding(
              "same-row",
              warning(),
              key.schema(),
              key.table(),
              null,
              "%s, %s, 1 distinct row of %s: with different values it always hit the same one"
                  .formatted(plural(of.calls, "call"), plural(of.rows, "update"), table),
              key.statement()));
    }
    if (of.massRows > 0 && hasIdentities(key)) {
      findings.add(
          new WatchFinding(
              "mass-" + key.operation(),
              warning(),
              key.schema(),
              key.table(),
              null,
              "one %s%s hit %d of %d rows of %s"
                  .formatted(
                      key.operation(),
                      of.unconditional ? " without WHERE" : "",
                      of.massRows,
                      of.massThere,
                      table),
              key.statement()));
    }
    if (key.operation().equals("truncate") && of.rows > 0) {
      findings.add(
          new WatchFinding(
              "truncate",
              warning(),
              key.schema(),
              key.table(),
              null,
              "%s truncated %s, %s in all"
                  .formatted(table, plural(of.calls, "time"), plural(of.rows, "row")),
              key.statement()));
    }
  }

  private static String name(String schema, String table) {
    return schema.equals("public") ? table : schema + "." + table;
  }

  private static String range(long least, long most) {
    return least == most ? Long.toString(least) : least + " to " + most;
  }

  private static String plural(long count, String word) {
    return count + " " + word + (count == 1 ? "" : "s");
  }
}
