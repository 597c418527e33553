package dev.holdfast.operations;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.function.ToIntFunction;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * Holds a reverted table against the same history without the bad transactions.
 *
 * <ul>
 *   <li>A row that only bad transactions hit, or good traffic before they did, is as it was before
 *       the first of them; a row that they did not hit is as it is.
 *   <li>A row that good traffic wrote after them is what that traffic made of it, each change in
 *       the column or JSON key it changed; where the plan leaves it otherwise, the plan says so.
 *       Where bad and good changes are in different columns or keys, it may not.
 *   <li>Whatever happens, the last word of good traffic about a value stays, no row comes from
 *       nowhere and none is there twice.
 * </ul>
 */
final class HistoryVerdict {
  private static final int TOLD_MAX = 5;
  private static final Set<String> REPORTED =
      Set.of("touchedSince", "partlyRestored", "goneSince", "keyUsedAgain");

  private final HistoryTable table;
  private final RevertPlan plan;
  private final ToIntFunction<HistoryRow> partition;
  private final List<String> wrong = new ArrayList<>();

  private HistoryVerdict(HistoryTable table, RevertPlan plan, ToIntFunction<HistoryRow> partition) {
    this.table = table;
    this.plan = plan;
    this.partition = partition;
  }

  /**
   * What is wrong; empty when nothing is.
   *
   * @param result the table's rows after the revert
   * @param partition the number of the partition that a row belongs into
   */
  static List<String> of(
      HistoryTable table,
      RevertPlan plan,
      List<HistoryRow> result,
      ToIntFunction<HistoryRow> partition) {
    HistoryVerdict verdict = new HistoryVerdict(table, plan, partition);
    if (table.keyed()) {
      verdict.byKey(result);
    } else {
      verdict.byWholes(result);
    }
    return verdict.wrong.stream()
        .limit(TOLD_MAX)
        .map(text -> table.name + ": " + text.replaceAll("[0-9a-f]{40,}", "…"))
        .collect(Collectors.toList());
  }

  /**
   * Whether a value that must be unique, and is no key, stands in the way: of a row hit by the bad
   * transactions, and of another one, now or before these hit it.
   */
  static boolean valuesTaken(HistoryTable table) {
    for (HistoryLine line : table.lines) {
      List<Object> before = new ArrayList<>();
      line.writes.stream()
          .filter(HistoryLine.Write::bad)
          .forEach(write -> before.addAll(table.mustBeUnique(write.before())));
      for (Object value : before) {
        boolean taken =
            value instanceof String
                && table.lines.stream()
                    .anyMatch(other ->
                        !other.equals(line)
                            && (table.mustBeUnique(other.now).contains(value)
                                || (other.hit()
                                    && table.mustBeUnique(other.beforeBad()).contains(value))));
        if (taken) {
          return true;
        }
      }
    }
    return false;
  }

  private long reported() {
    return plan.tables().stream()
        .filter(told -> table.holds(told.schema(), told.table()))
        .flatMap(told -> told.counts().entrySet().stream())
        .filter(count -> REPORTED.contains(count.getKey()))
        .mapToLong(Map.Entry::getValue)
        .sum();
  }

  // ---- what a row should be --------------------------------------------------------------------

  /**
   * The row's cells in a world without the bad transactions; null when it is not there. A row that
   * good traffic set again as bad transactions had left it is meant to be so from then on.
   */
  private @Nullable Map<String, String> reference(HistoryLine line) {
    HistoryRow before = line.beforeBad();
    Map<String, String> cells = before == null ? null : table.cells(before);
    HistoryLine.@Nullable Write last = null;
    boolean changed = false;
    for (HistoryLine.Write write : line.sinceHit()) {
      if (write.bad()) {
        if (last != null && !last.bad() && !changed && write.before() != null) {
          cells = table.cells(write.before());
        }
        changed = false;
      } else {
        changed |= !table.cells(write.before()).equals(table.cells(write.after()));
        if (cells != null && write.after() == null) {
          cells = null;
        } else if (cells != null) {
          replay(write, cells);
        }
      }
      last = write;
    }
    return cells;
  }

  /** Makes the changes of a write in other cells than those it was made in. */
  private void replay(HistoryLine.Write write, Map<String, String> cells) {
    Map<String, String> was = table.cells(write.before());
    Map<String, String> became = table.cells(write.after());
    for (String cell : HistoryTable.differences(was, became)) {
      String value = became.get(cell);
      if (value == null) {
        cells.remove(cell);
      } else {
        cells.put(cell, value);
      }
    }
    HistoryDocument.dropOrphans(cells);
  }

  /** The cells about which good traffic had the last word, after a bad transaction hit the row. */
  private Set<String> good(HistoryLine line) {
    Set<String> good = new HashSet<>();
    for (HistoryLine.Write write : line.sinceHit()) {
      Set<String> changed =
          HistoryTable.differences(table.cells(write.before()), table.cells(write.after()));
      if (write.bad()) {
        good.removeAll(changed);
      } else {
        good.addAll(changed);
      }
    }
    return good;
  }

  /**
   * Whether good and bad changes can be told apart, so that nothing excuses a conflict. Not where
   * good traffic set a row again as bad transactions had left it: that is kept, and told of.
   */
  private boolean mergeable(HistoryLine line) {
    Set<String> hurt = new HashSet<>();
    boolean changed = false;
    boolean goodLast = false;
    for (HistoryLine.Write write : line.sinceHit()) {
      if (write.before() == null || write.after() == null) {
        return false;
      }
      Set<String> cells =
          HistoryTable.differences(table.cells(write.before()), table.cells(write.after()));
      if (write.bad()) {
        if (goodLast && !changed) {
          return false;
        }
        hurt.addAll(cells);
        changed = false;
        goodLast = false;
      } else {
        goodLast = true;
        for (String cell : cells) {
          if (table.key.contains(column(cell))
              || hurt.stream().anyMatch(other -> related(cell, other))) {
            return false;
          }
        }
        changed |= !cells.isEmpty();
      }
    }
    return changed
        && line.sinceHit().stream().noneMatch(w -> Objects.equals(w.after(), line.now) && w.bad());
  }

  private static int column(String cell) {
    int end = cell.indexOf(HistoryDocument.SEPARATOR);
    return Integer.parseInt(end < 0 ? cell : cell.substring(0, end));
  }

  /** Whether one is the other or holds it. */
  private static boolean related(String one, String other) {
    return one.equals(other)
        || one.startsWith(other + HistoryDocument.SEPARATOR)
        || other.startsWith(one + HistoryDocument.SEPARATOR);
  }

  // ---- with a key ------------------------------------------------------------------------------

  private void byKey(List<HistoryRow> result) {
    Map<List<@Nullable String>, HistoryRow> rows = new HashMap<>();
    result.forEach(row -> rows.put(table.keyOf(row), row));
    Map<HistoryLine, Map<String, String>> references = new HashMap<>();
    Map<List<@Nullable String>, HistoryLine> now = new HashMap<>();
    Map<List<@Nullable String>, List<HistoryLine>> wanted = new HashMap<>();
    for (HistoryLine line : table.lines) {
      if (line.now != null) {
        now.put(table.keyOf(line.now), line);
      }
      Map<String, String> reference = reference(line);
      if (reference != null) {
        references.put(line, reference);
        wanted.computeIfAbsent(key(reference), _ -> new ArrayList<>()).add(line);
      }
    }
    Set<HistoryLine> excused = excused(references);
    Map<HistoryLine, Set<Map<String, String>>> goneOn = goneOn();
    Set<List<@Nullable String>> keys = new HashSet<>(rows.keySet());
    keys.addAll(wanted.keySet());
    List<List<@Nullable String>> differing = new ArrayList<>();
    for (List<@Nullable String> key : keys) {
      HistoryRow is = rows.get(key);
      List<HistoryLine> should = wanted.getOrDefault(key, List.of());
      HistoryLine was = now.get(key);
      boolean fits =
          is == null
              ? should.stream()
                  .allMatch(line -> wentWithItsKey(line) || isThere(goneOn.get(line), rows))
              : should.stream().anyMatch(line -> fits(line, is, references))
                  || goneOn.values().stream().anyMatch(one -> one.contains(table.cells(is)));
      if (was != null && !was.hit() && !Objects.equals(is, was.now)) {
        wrong.add("%s is %s, nothing bad hit %s".formatted(key, is, lives(was, should)));
        continue;
      }
      if (fits) {
        continue;
      }
      differing.add(key);
      boolean stays =
          is != null
              && ((was != null && excused.contains(was))
                  || ever(key).stream()
                      .anyMatch(line -> excused.contains(line) && isBack(line, key)));
      boolean misses = should.stream().anyMatch(excused::contains);
      if (!(should.isEmpty() ? stays : is == null ? misses : stays || misses)) {
        wrong.add(
            "%s is %s, should be %s; %s"
                .formatted(
                    key,
                    is,
                    told(should, references),
                    lives(was, should.isEmpty() ? ever(key) : should)));
      }
    }
    long reported = reported();
    if (differing.size() > 2 * reported) { // a moved row differs under both keys
      wrong.add(
          "%d keys differ, %d rows are reported: %s %s"
              .formatted(
                  differing.size(),
                  reported,
                  differing.stream().limit(3).toList(),
                  lives(null, ever(differing.getFirst()))));
    }
    if (reported > 0 && excused.isEmpty()) {
      wrong.add(
          reported + " rows are reported, and nothing was written since: " + plan.conflicts());
    }
    named(differing, now, wanted, reported);
    excused.stream()
        .filter(HistoryLine::mixed)
        .forEach(line -> lastWord(line, rows, now, references));
  }

  /**
   * Written by good traffic under this key, or after a bad transaction had taken this key from it,
   * then perhaps deleted by a bad one.
   */
  private boolean isBack(HistoryLine line, List<@Nullable String> key) {
    return line.mixed()
        && (key.equals(asGoodLeftIt(line)) || key.equals(ownKey(line)))
        && (line.now == null || !table.keyOf(line.now).equals(key));
  }

  /** The rows that ever had a key. */
  private List<HistoryLine> ever(List<@Nullable String> key) {
    return table.lines.stream()
        .filter(line ->
            line.writes.stream()
                .anyMatch(w -> w.after() != null && table.keyOf(w.after()).equals(key)))
        .toList();
  }

  /** Rows that may differ from the reference. */
  private Set<HistoryLine> excused(Map<HistoryLine, Map<String, String>> references) {
    Set<HistoryLine> excused = new HashSet<>();
    Map<Object, HistoryLine> holders = new HashMap<>();
    for (HistoryLine line : table.lines) {
      if (line.mixed()) {
        excused.add(line);
      }
      table.mustBeUnique(line.now).forEach(value -> holders.put(value, line));
    }
    // Of two rows that want one key only one can have it.
    Map<List<@Nullable String>, List<HistoryLine>> wanting = new HashMap<>();
    references.forEach((line, reference) -> {
      if (line.hit()) {
        wanting.computeIfAbsent(key(reference), _ -> new ArrayList<>()).add(line);
      }
    });
    wanting.values().stream().filter(lines -> lines.size() > 1).forEach(excused::addAll);
    // Whoever wants a key or a value that stays with another row cannot have it.
    boolean more = true;
    while (more) {
      more = false;
      for (HistoryLine line : references.keySet()) {
        if (!line.hit() || excused.contains(line)) {
          continue;
        }
        more |= goesOn(line).stream().anyMatch(excused::contains) && excused.add(line);
        for (Object value : table.mustBeUnique(line.mixed() ? null : line.beforeBad())) {
          HistoryLine holder = holders.get(value);
          if (holder != null
              && holder != line
              && (!holder.hit()
                  || excused.contains(holder)
                  || table.mustBeUnique(holder.beforeBad()).contains(value))) {
            more |= excused.add(line);
          }
        }
      }
    }
    excused.removeIf(line ->
        line.now != null
            && references.containsKey(line)
            && mergeable(line)
            && !movedAway(line)
            && !collides(line, references, holders));
    return excused;
  }

  /**
   * Rows that are one with a row that the bad transactions deleted: they came under its key, and
   * the bad transactions hit them as well. What good traffic made of them is decided about with it.
   */
  private List<HistoryLine> goesOn(HistoryLine line) {
    HistoryRow deleted = line.deleted();
    if (deleted == null) {
      return List.of();
    }
    int at = line.writes.getLast().by().committed;
    return table.lines.stream()
        .filter(other -> !other.equals(line) && other.firstHit() != null)
        .filter(other -> other.sinceHit().getFirst().by().committed >= at)
        .filter(other ->
            table.keyOf(Objects.requireNonNull(other.firstHit())).equals(table.keyOf(deleted)))
        .toList();
  }

  /**
   * Of rows that bad transactions deleted, what they are when one goes on that the bad ones put in
   * under its key: as before, with each change that good traffic made to that one.
   */
  private Map<HistoryLine, Set<Map<String, String>>> goneOn() {
    Map<HistoryLine, Set<Map<String, String>>> all = new HashMap<>();
    for (HistoryLine line : table.lines) {
      for (HistoryLine other : goesOn(line)) {
        HistoryRow before = line.beforeBad();
        if (before == null || other.sinceHit().getFirst().before() != null) {
          continue;
        }
        List<HistoryLine.Write> good = other.writes.stream().filter(w -> !w.bad()).toList();
        if (good.stream().allMatch(write -> write.after() != null)) {
          Map<String, String> cells = table.cells(before);
          good.forEach(write -> replay(write, cells));
          all.computeIfAbsent(line, _ -> new HashSet<>()).add(cells);
        }
      }
    }
    return all;
  }

  private boolean isThere(
      @Nullable Set<Map<String, String>> any, Map<List<@Nullable String>, HistoryRow> rows) {
    return any != null
        && any.stream()
            .anyMatch(cells -> {
              HistoryRow row = rows.get(key(cells));
              return row != null && table.cells(row).equals(cells);
            });
  }

  /**
   * Whether bad transactions deleted a row and put one in under its key, which good traffic
   * deleted: it would have deleted this one.
   */
  private boolean wentWithItsKey(HistoryLine line) {
    return goesOn(line).stream()
        .anyMatch(other ->
            other.now == null
                && other.sinceHit().getFirst().before() == null
                && !other.writes.getLast().bad());
  }

  /**
   * Whether bad transactions moved a row to another partition, where good traffic wrote it since:
   * it stays there, and the plan says so (docs/decisions/0012).
   */
  private boolean movedAway(HistoryLine line) {
    boolean moved = false;
    for (HistoryLine.Write write : line.sinceHit()) {
      HistoryRow before = write.before();
      HistoryRow after = write.after();
      if (write.bad() && before != null && after != null) {
        moved |= partition.applyAsInt(before) != partition.applyAsInt(after);
      }
    }
    return moved;
  }

  private boolean collides(
      HistoryLine line,
      Map<HistoryLine, Map<String, String>> references,
      Map<Object, HistoryLine> holders) {
    List<Object> values = new ArrayList<>(table.mustBeUnique(line.beforeBad()));
    values.add(key(references.getOrDefault(line, Map.of())));
    return values.stream()
        .anyMatch(value -> holders.containsKey(value) && holders.get(value) != line);
  }

  private boolean fits(
      HistoryLine line, HistoryRow row, Map<HistoryLine, Map<String, String>> references) {
    return line.mixed()
        ? table.cells(row).equals(references.get(line))
        : row.equals(line.beforeBad());
  }

  private List<@Nullable String> key(Map<String, String> cells) {
    List<@Nullable String> key = new ArrayList<>();
    table.key.forEach(position -> key.add(cells.get(String.valueOf(position))));
    return key;
  }

  /** The plan names what it leaves, as far as it lists it. */
  private void named(
      List<List<@Nullable String>> differing,
      Map<List<@Nullable String>, HistoryLine> now,
      Map<List<@Nullable String>, List<HistoryLine>> wanted,
      long reported) {
    if (reported > dev.holdfast.revert.TableRevert.SAMPLES_MAX) {
      return;
    }
    for (List<@Nullable String> key : differing) {
      List<HistoryLine> lines = new ArrayList<>(wanted.getOrDefault(key, List.of()));
      HistoryLine was = now.get(key);
      lines.addAll(was != null ? List.of(was) : ever(key));
      boolean named =
          lines.stream()
              .flatMap(line -> line.writes.stream())
              .flatMap(write ->
                  java.util.stream.Stream.of(
                      java.util.Optional.ofNullable(write.before()),
                      java.util.Optional.ofNullable(write.after())))
              .flatMap(java.util.Optional::stream)
              .anyMatch(row ->
                  plan.conflicts().stream().anyMatch(told -> told.contains(" " + name(row) + " ")));
      if (!named) {
        wrong.add(
            "the plan does not name %s, which differs: %s%s"
                .formatted(key, plan.conflicts(), lives(null, ever(key))));
      }
    }
  }

  private String name(HistoryRow row) {
    return table.key.stream()
        .map(position -> table.columns.get(position).name() + "=" + row.value(position))
        .collect(Collectors.joining(", "));
  }

  private void lastWord(
      HistoryLine line,
      Map<List<@Nullable String>, HistoryRow> rows,
      Map<List<@Nullable String>, HistoryLine> now,
      Map<HistoryLine, Map<String, String>> references) {
    HistoryRow is = line.now;
    if (is == null) {
      return; // gone: no result may hold it, which byKey says
    }
    List<@Nullable String> here = table.keyOf(is);
    Map<String, String> reference = references.get(line);
    List<@Nullable String> left = ownKey(line);
    List<@Nullable String> there = reference != null ? key(reference) : left != null ? left : here;
    HistoryRow found = rows.get(here);
    boolean others =
        !there.equals(here)
            && (now.containsKey(there)
                || takenHere(line, there, references)
                || table.lines.stream()
                    .anyMatch(other -> !other.equals(line) && isBack(other, there)));
    HistoryRow moved = there.equals(here) || others ? null : rows.get(there);
    if (found != null
        && moved != null
        && table.keyOf(found).equals(here)
        && !takenHere(line, here, references)) {
      wrong.add("there twice: " + found + " and " + moved + "; " + life(line));
      return;
    }
    HistoryRow stays = moved != null ? moved : found;
    Set<String> good = good(line);
    if (stays == null) {
      if (!good.isEmpty() && !others) {
        wrong.add("gone, with what was written since: " + is + "; " + life(line));
      }
      return;
    }
    Map<String, String> cells = table.cells(stays);
    Map<String, String> wanted = table.cells(is);
    for (String cell : good) {
      if (!Objects.equals(cells.get(cell), wanted.get(cell))
          && !takenHere(line, here, references)) {
        wrong.add(
            "%s lost what was written last, %s, to %s; %s"
                .formatted(cell, wanted.get(cell), cells.get(cell), life(line)));
      }
    }
  }

  /** The key that good traffic last left the row with; null when it deleted it. */
  private @Nullable List<@Nullable String> asGoodLeftIt(HistoryLine line) {
    for (HistoryLine.Write write : line.writes.reversed()) {
      if (!write.bad()) {
        return write.after() == null ? null : table.keyOf(write.after());
      }
    }
    return null;
  }

  /**
   * The key without what bad transactions made of it once good traffic had written the row; null
   * when good traffic deleted it.
   */
  private @Nullable List<@Nullable String> ownKey(HistoryLine line) {
    HistoryRow first = line.firstHit();
    if (first == null) {
      return null;
    }
    List<@Nullable String> own = new ArrayList<>(table.keyOf(first));
    for (HistoryLine.Write write : line.sinceHit()) {
      HistoryRow before = write.before();
      HistoryRow after = write.after();
      if (write.bad() || before == null) {
        continue;
      }
      if (after == null) {
        return null;
      }
      List<@Nullable String> was = table.keyOf(before);
      List<@Nullable String> is = table.keyOf(after);
      for (int part = 0; part < own.size(); part++) {
        if (!Objects.equals(was.get(part), is.get(part))) {
          own.set(part, is.get(part));
        }
      }
    }
    return own;
  }

  /** Whether another row is to be where this one is, or was. */
  private boolean takenHere(
      HistoryLine line,
      List<@Nullable String> here,
      Map<HistoryLine, Map<String, String>> references) {
    return references.entrySet().stream()
        .anyMatch(entry -> entry.getKey() != line && key(entry.getValue()).equals(here));
  }

  // ---- without a key ---------------------------------------------------------------------------

  private void byWholes(List<HistoryRow> result) {
    Map<HistoryRow, Integer> left = new HashMap<>();
    result.forEach(row -> left.merge(row, 1, Integer::sum));
    long mixed = table.lines.stream().filter(HistoryLine::mixed).count();
    Set<HistoryRow> blurred = new HashSet<>();
    long certain = 0;
    List<HistoryRow> missing = new ArrayList<>();
    for (HistoryLine line : table.lines) {
      if (line.mixed()) {
        line.writes.forEach(write -> {
          if (write.before() != null) {
            blurred.add(write.before());
          }
          if (write.after() != null) {
            blurred.add(write.after());
          }
        });
        continue;
      }
      HistoryRow should = line.beforeBad();
      if (should != null) {
        certain++;
        if (left.merge(should, -1, Integer::sum) < 0) {
          missing.add(should);
        }
      }
    }
    List<HistoryRow> extra = new ArrayList<>();
    left.forEach((row, count) -> {
      for (int i = 0; i < count; i++) {
        extra.add(row);
      }
    });
    Map<HistoryRow, Integer> cameSince = cameSince();
    if (mixed == 0 && reported() > cameSince.values().stream().mapToInt(n -> n).sum()) {
      wrong.add(
          reported() + " rows are reported, and nothing was written since: " + plan.conflicts());
    }
    List<HistoryRow> unexplained =
        missing.stream()
            .filter(row -> !blurred.contains(row) && cameSince.merge(row, -1, Integer::sum) < 0)
            .toList();
    if (!unexplained.isEmpty()) {
      wrong.add(
          "missing "
              + unexplained.size()
              + ": "
              + unexplained.getFirst()
              + lives(unexplained.getFirst()));
    }
    if (missing.size() > reported()) {
      wrong.add(
          "%d rows are missing, %d are reported: %s"
              .formatted(missing.size(), reported(), missing.getFirst()));
    }
    if (extra.size() - missing.size() > mixed || (mixed == 0 && !extra.isEmpty())) {
      wrong.add(
          "%d rows too many of %d, at most %d may be: %s%s"
              .formatted(extra.size(), certain, mixed, extra.getFirst(), lives(extra.getFirst())));
    }
  }

  /**
   * Images that bad transactions took away and good traffic gave to rows of its own later, with how
   * many there are: nobody can tell whether those are the lost ones, put back by hand.
   */
  private Map<HistoryRow, Integer> cameSince() {
    Map<HistoryRow, Integer> taken = new HashMap<>();
    for (HistoryLine line : table.lines) {
      HistoryRow before = line.beforeBad();
      if (line.hit() && before != null) {
        taken.merge(before, line.sinceHit().getFirst().by().committed, Math::min);
      }
    }
    Map<HistoryRow, Integer> came = new HashMap<>();
    for (HistoryLine line : table.live()) {
      HistoryRow now = Objects.requireNonNull(line.now);
      Integer since = line.hit() ? null : taken.get(now);
      if (since != null && line.writes.getLast().by().committed > since) {
        came.merge(now, 1, Integer::sum);
      }
    }
    return came;
  }

  private String lives(HistoryRow row) {
    return table.lines.stream()
        .filter(line ->
            line.writes.stream().anyMatch(w -> row.equals(w.before()) || row.equals(w.after())))
        .map(this::life)
        .limit(5)
        .collect(Collectors.joining("\n  ", "\n  ", ""));
  }

  // ---- words -----------------------------------------------------------------------------------

  private String told(List<HistoryLine> lines, Map<HistoryLine, Map<String, String>> references) {
    return lines.stream()
        .map(line -> line.mixed() ? references.get(line) : line.beforeBad())
        .map(String::valueOf)
        .collect(Collectors.joining(" or ", lines.isEmpty() ? "gone" : "", ""));
  }

  private String lives(@Nullable HistoryLine was, List<HistoryLine> should) {
    List<HistoryLine> all = new ArrayList<>(should);
    if (was != null && !all.contains(was)) {
      all.add(was);
    }
    return all.stream().map(this::life).collect(Collectors.joining("\n  ", "\n  ", ""));
  }

  private String life(HistoryLine line) {
    return line.writes.stream()
        .map(write ->
            (write.bad() ? " BAD " : " good ")
                + write.by().xid
                + " → "
                + (write.after() == null ? "gone" : write.after().values()))
        .collect(Collectors.joining());
  }
}
