package dev.holdfast.damage;

import dev.holdfast.wal.HeapTuple;
import dev.holdfast.wal.RelationId;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/** What a transaction's changes to the catalogs say it did to definitions. */
final class DefinitionChanges {
  /** What a dropped column is called ("catalog/heap.c", RemoveAttributeById). */
  private static final Pattern DROPPED = Pattern.compile("\\.{8}pg\\.dropped\\.(\\d{1,5})\\.{8}");

  /** The triggers of the guard, see {@code holdfast.cover} in its guard.sql. */
  private static final Set<String> GUARD_TRIGGERS =
      Set.of(
          "holdfast_truncate",
          "holdfast_update",
          "holdfast_delete_begin",
          "holdfast_delete",
          "holdfast_json",
          "holdfast_json_end");

  /** Of pg_trigger.tgenabled: whatever session_replication_role says. */
  private static final int ALWAYS = 'A';

  private DefinitionChanges() {}

  /**
   * @param snapshot the newest, whose columns are asked if it knows no places
   */
  static List<DroppedColumn> droppedColumns(
      List<CatalogChange> changes, @Nullable CatalogSnapshot snapshot) {
    List<DroppedColumn> dropped = new ArrayList<>();
    Map<RelationId, RelationOutcome> outcomes = null;
    for (CatalogChange change : changes) {
      int number = droppedNumber(change);
      if (number == 0) {
        continue;
      }
      CatalogChange first = firstOfItsRow(change, changes);
      if (first.from() == null) {
        continue; // added by the same transaction: nobody else ever saw it
      }
      outcomes = outcomes == null ? RelationOutcome.of(changes) : outcomes;
      RelationId relation = null;
      if (change.oid() >= 0) {
        relation = new RelationId(change.database(), change.oid());
        RelationOutcome outcome = outcomes.get(relation);
        if (outcome != null && !outcome.lives()) {
          continue;
        }
      }
      dropped.add(
          new DroppedColumn(relation, columnBefore(first, relation, number, snapshot), number));
    }
    return dropped;
  }

  /**
   * The first of the changes to the row that {@code last} changed: a transaction may rename a
   * column before it drops it, and others knew it by the name before.
   */
  private static CatalogChange firstOfItsRow(CatalogChange last, List<CatalogChange> changes) {
    CatalogChange first = last;
    for (int index = changes.indexOf(last) - 1; index >= 0 && first.from() != null; index--) {
      CatalogChange earlier = changes.get(index);
      if (first.from().equals(earlier.to())) {
        first = earlier;
      }
    }
    return first;
  }

  /** The number of the column that the change drops; 0 when it drops none. */
  private static int droppedNumber(CatalogChange change) {
    if (change.catalog() != SystemCatalog.ATTRIBUTE
        || change.from() == null
        || change.fresh() == null
        || change.fresh().u32(SystemCatalog.ATTRIBUTE_TYPE).orElse(-1) != 0) {
      return 0;
    }
    String name = change.fresh().name(SystemCatalog.NAME);
    Matcher matcher = DROPPED.matcher(name == null ? "" : name);
    return matcher.matches() ? Integer.parseInt(matcher.group(1)) : 0;
  }

  private static @Nullable String columnBefore(
      CatalogChange change,
      @Nullable RelationId relation,
      int number,
      @Nullable CatalogSnapshot snapshot) {
    if (change.old() != null) {
      return change.old().name(SystemCatalog.NAME);
    }
    if (snapshot == null || snapshot.hasPlaces() || relation == null) {
      return null; // a row that is not where it lay was changed since
    }
    return snapshot.column(relation.database(), relation.relation(), number);
  }

  static List<AlteredRelation> alteredRelations(List<CatalogChange> changes) {
    Map<RelationId, RelationOutcome> outcomes = RelationOutcome.of(changes);
    Map<RelationId, EnumSet<AlteredRelation.Change>> altered = new LinkedHashMap<>();
    outcomes.forEach((id, outcome) -> {
      if (!outcome.born && outcome.after != null) {
        altered.put(id, differences(outcome.before, outcome.after));
      }
    });
    for (CatalogChange change : changes) {
      RelationId id = new RelationId(change.database(), change.oid());
      RelationOutcome outcome = outcomes.get(id);
      HeapTuple row = change.fresh() == null ? change.old() : change.fresh();
      if (change.catalog() != SystemCatalog.ATTRIBUTE
          || change.oid() < 0
          || (outcome != null && !outcome.lives())
          || row == null
          || SystemCatalog.attributeNumber(row, change.major()).orElse(1) < 0) {
        continue;
      }
      EnumSet<AlteredRelation.Change> about =
          altered.computeIfAbsent(id, _ -> EnumSet.noneOf(AlteredRelation.Change.class));
      about.remove(AlteredRelation.Change.OTHER); // relnatts, or that the cache was told
      about.add(
          droppedNumber(change) != 0 || change.fresh() == null
              ? AlteredRelation.Change.COLUMN_DROPPED
              : change.from() == null
                  ? AlteredRelation.Change.COLUMN_ADDED
                  : AlteredRelation.Change.COLUMN_CHANGED);
    }
    List<AlteredRelation> result = new ArrayList<>();
    altered.forEach((id, about) -> result.add(new AlteredRelation(id, about)));
    return result;
  }

  private static EnumSet<AlteredRelation.Change> differences(
      @Nullable RelationState before, RelationState after) {
    EnumSet<AlteredRelation.Change> changes = EnumSet.noneOf(AlteredRelation.Change.class);
    if (before != null && before.name() != null && after.name() != null) {
      if (!before.name().equals(after.name())) {
        changes.add(AlteredRelation.Change.RENAMED);
      }
      if (before.schema() >= 0 && after.schema() >= 0 && before.schema() != after.schema()) {
        changes.add(AlteredRelation.Change.MOVED);
      }
      if (before.file() != null && after.file() != null && !before.file().equals(after.file())) {
        changes.add(AlteredRelation.Change.NEW_FILE);
      }
    }
    if (changes.isEmpty()) {
      changes.add(AlteredRelation.Change.OTHER);
    }
    return changes;
  }

  /**
   * What became of the guard's triggers. Where neither the log nor a snapshot tells whose trigger a
   * row was, nothing is said: other triggers are disabled and dropped every day.
   */
  static List<WeakenedTrigger> weakenedTriggers(List<CatalogChange> changes) {
    Map<RelationId, CatalogChange> first = new LinkedHashMap<>();
    Map<RelationId, CatalogChange> last = new LinkedHashMap<>();
    for (CatalogChange change : changes) {
      if (change.catalog() == SystemCatalog.TRIGGER && change.oid() >= 0) {
        RelationId trigger = new RelationId(change.database(), change.oid());
        first.putIfAbsent(trigger, change);
        last.put(trigger, change);
      }
    }
    if (first.isEmpty()) {
      return List.of();
    }
    Map<RelationId, RelationOutcome> relations = RelationOutcome.of(changes);
    List<WeakenedTrigger> weakened = new ArrayList<>();
    first.forEach((trigger, change) -> {
      HeapTuple before = change.old();
      String name = before == null ? null : before.name(SystemCatalog.TRIGGER_NAME);
      if (before == null || name == null || !GUARD_TRIGGERS.contains(name)) {
        return;
      }
      RelationId table =
          new RelationId(trigger.database(), before.u32(SystemCatalog.TRIGGER_TABLE).orElse(0));
      RelationOutcome outcome = relations.get(table);
      String what = weakened(before, last.getOrDefault(trigger, change).fresh());
      if (what != null && (outcome == null || outcome.lives())) {
        weakened.add(new WeakenedTrigger(table, name, what));
      }
    });
    return List.copyOf(weakened);
  }

  /** Null when it fires as before, or more often. */
  private static @Nullable String weakened(HeapTuple before, @Nullable HeapTuple after) {
    if (after == null) {
      return "dropped";
    }
    String name = after.name(SystemCatalog.TRIGGER_NAME);
    if (name != null && !name.equals(before.name(SystemCatalog.TRIGGER_NAME))) {
      return "renamed to " + name;
    }
    OptionalLong function = after.u32(SystemCatalog.TRIGGER_FUNCTION);
    if (function.isPresent() && differs(before.u32(SystemCatalog.TRIGGER_FUNCTION), function)) {
      return "replaced";
    }
    int enabledBefore = before.u8(SystemCatalog.TRIGGER_ENABLED).orElse(ALWAYS);
    int enabled = after.u8(SystemCatalog.TRIGGER_ENABLED).orElse(enabledBefore);
    return enabled == enabledBefore || enabled == ALWAYS
        ? null
        : switch (enabled) {
          case 'D' -> "disabled";
          case 'R' -> "made to fire for replicas only";
          case 'O' -> enabledBefore == ALWAYS ? "made to fire not for replicas" : null;
          default -> "changed";
        };
  }

  private static boolean differs(OptionalLong before, OptionalLong after) {
    return before.isPresent() && before.getAsLong() != after.getAsLong();
  }
}
