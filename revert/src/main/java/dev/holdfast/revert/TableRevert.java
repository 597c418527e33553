package dev.holdfast.revert;

import dev.holdfast.row.Column;
import dev.holdfast.row.Row;
import dev.holdfast.row.RowChange;
import dev.holdfast.row.RowChangeSink;
import dev.holdfast.row.TableName;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * Plans the undoing of one transaction in one table: rows go in one by one, changes come out
 * through a sink, and only figures and samples are kept.
 */
public final class TableRevert {
  /** Samples kept of the rows written, and as many of the rows left. */
  public static final int SAMPLES_MAX = 20;

  private static final int VALUE_CHARACTERS_MAX = 120;
  private static final int PATHS_MAX = 20;

  private final ColumnMatch match;
  private final RowMerge merge;
  private final PlanDigest digest;
  private final RowChangeSink sink;
  private final Map<Verdict, Long> counts = new EnumMap<>(Verdict.class);
  private final List<RowSample> changes = new ArrayList<>();
  private final List<RowSample> kept = new ArrayList<>();
  private final Set<String> updatedColumns = new LinkedHashSet<>();
  private long inserts;
  private long updates;
  private long deletes;
  private long keysRestored;
  private long keysKept;

  /**
   * @param digest covers every change given to the sink; shared by the tables of a plan
   * @param sink takes what the plan writes
   */
  public TableRevert(
      ColumnMatch match, RevertOptions options, PlanDigest digest, RowChangeSink sink) {
    this.match = match;
    this.merge = new RowMerge(match.now().subList(0, match.then().size()), options);
    this.digest = digest;
    this.sink = sink;
    for (Verdict verdict : Verdict.values()) {
      counts.put(verdict, 0L);
    }
  }

  /**
   * Decides about one row the transaction changed. A null row did not exist at that moment.
   *
   * @param before as {@link ColumnMatch#then} lists its columns
   * @param after likewise
   * @param touched whether the log says that a later transaction wrote the row again
   * @param now as {@link ColumnMatch#now} lists its columns; found by the key of {@code after}, or
   *     of {@code before} when the row was deleted; of a table without key, as {@link WholeRows}
   *     says
   */
  public Verdict undo(
      @Nullable Row before, @Nullable Row after, boolean touched, @Nullable Row now) {
    Decision decision = merge.undo(before, after, touched, now);
    counts.merge(decision.verdict(), 1L, Long::sum);
    keysRestored += decision.restoredKeys().size();
    keysKept += decision.kept().stream().filter(path -> path.indexOf('.') >= 0).count();
    RowChange change = decision.change();
    if (change != null) {
      count(change);
      digest.add(match.table(), change);
      sink.accept(change);
      sample(changes, decision, identified(before, after, now), now, wanted(change));
    }
    boolean lostToLaterWrites =
        decision.verdict() == Verdict.TOUCHED_SINCE
            || decision.verdict() == Verdict.PARTLY_RESTORED
            || decision.verdict().fate() == Verdict.Fate.IN_CONFLICT;
    if (lostToLaterWrites) {
      sample(kept, decision, identified(before, after, now), now, before);
    }
    return decision.verdict();
  }

  /** The plan for the rows given so far. */
  public TablePlan plan() {
    return new TablePlan(
        match.table(),
        counts,
        inserts,
        updates,
        deletes,
        keysRestored,
        keysKept,
        changes,
        kept,
        match.warnings(),
        statements());
  }

  private void count(RowChange change) {
    switch (change) {
      case RowChange.Insert _ -> inserts++;
      case RowChange.Delete _ -> deletes++;
      case RowChange.Update update -> {
        updates++;
        for (int i = 0; i < update.wanted().size(); i++) {
          if (!Objects.equals(update.now().value(i), update.wanted().value(i))) {
            updatedColumns.add(match.now().get(i).name());
          }
        }
      }
    }
  }

  private List<String> statements() {
    String table = match.table().quoted();
    List<String> statements = new ArrayList<>();
    if (deletes > 0) {
      statements.add("DELETE FROM %s: %d rows".formatted(table, deletes));
    }
    if (updates > 0) {
      String columns =
          updatedColumns.stream().map(TableName::quote).collect(Collectors.joining(", "));
      statements.add("UPDATE %s SET %s: %d rows".formatted(table, columns, updates));
    }
    if (inserts > 0) {
      statements.add("INSERT INTO %s: %d rows".formatted(table, inserts));
    }
    return statements;
  }

  private static @Nullable Row wanted(RowChange change) {
    return switch (change) {
      case RowChange.Insert insert -> insert.wanted();
      case RowChange.Update update -> update.wanted();
      case RowChange.Delete _ -> null;
    };
  }

  private static Row identified(@Nullable Row before, @Nullable Row after, @Nullable Row now) {
    Row row = now != null ? now : after != null ? after : before;
    return Objects.requireNonNull(row);
  }

  private void sample(
      List<RowSample> samples,
      Decision decision,
      Row identified,
      @Nullable Row now,
      @Nullable Row wanted) {
    if (samples.size() >= SAMPLES_MAX) {
      return;
    }
    List<RowSample.Difference> differences = new ArrayList<>();
    for (int i = 0; i < match.then().size(); i++) {
      String is = now == null ? null : now.value(i);
      String shouldBe = wanted == null ? null : wanted.value(i);
      if (!Objects.equals(is, shouldBe)) {
        differences.add(
            new RowSample.Difference(match.now().get(i).name(), cut(is), cut(shouldBe)));
      }
    }
    samples.add(
        new RowSample(
            name(identified),
            decision.verdict(),
            differences,
            decision.kept().stream().limit(PATHS_MAX).toList()));
  }

  private String name(Row row) {
    List<Integer> positions =
        match.wholeRows()
            ? IntStream.range(0, Math.min(match.then().size(), 3)).boxed().toList()
            : match.key();
    return positions.stream()
        .map(i -> columnAt(i).name() + "=" + cut(row.value(i)))
        .collect(Collectors.joining(", "));
  }

  private Column columnAt(int position) {
    return match.now().get(position);
  }

  private static @Nullable String cut(@Nullable String value) {
    return value == null || value.length() <= VALUE_CHARACTERS_MAX
        ? value
        : value.substring(0, VALUE_CHARACTERS_MAX) + "…";
  }
}
