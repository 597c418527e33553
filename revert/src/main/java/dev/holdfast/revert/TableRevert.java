package dev.holdfast.revert;

import dev.holdfast.row.Column;
import dev.holdfast.row.Row;
import dev.holdfast.row.RowChange;
import dev.holdfast.row.RowChangeSink;
import dev.holdfast.row.RowKey;
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
 * Plans the undoing of transactions in one table: rows go in one by one, changes come out through a
 * sink, and only figures and samples are kept.
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
   * The key under which to look for the row of the present that stands for a row hit: that of the
   * last hit's {@code after}, or, when that deleted the row, the key it would be put back with.
   */
  public RowKey keyNow(List<Hit> hits) {
    Row after = hits.getLast().after();
    if (after != null) {
      return match.keyOf(after);
    }
    RowChange back = merge.undo(hits, null).change();
    Row row = back == null ? null : wanted(back);
    return match.keyOf(row == null ? identified(hits, null) : row);
  }

  /**
   * Decides about one row the transactions changed.
   *
   * @param hits what they did to it, in order of commit, at least one; rows are as {@link
   *     ColumnMatch#then} lists its columns
   * @param now as {@link ColumnMatch#now} lists its columns, found by {@link #keyNow}; of a table
   *     without key, as {@link WholeRows} says; null when it does not exist
   */
  public Verdict undo(List<Hit> hits, @Nullable Row now) {
    return decided(merge.undo(hits, now), hits, now);
  }

  /**
   * Leaves a row that the transactions changed.
   *
   * @param why {@link Verdict#TOUCHED_SINCE}: others put one in since that looks as it did before,
   *     and may be that one, put back by hand, or another; {@link Verdict#KEY_USED_AGAIN}: another
   *     row stays where it would go
   * @param now the row, or that one
   */
  public Verdict leave(List<Hit> hits, @Nullable Row now, Verdict why) {
    return decided(Decision.leave(why), hits, now);
  }

  /** What {@link #undo} would do to one row, before it is done. */
  public static final class Proposal {
    private final Decision decision;
    private final List<Hit> hits;
    private final @Nullable Row now;
    private final @Nullable RowKey from;
    private final @Nullable RowKey to;
    private final @Nullable RowKey back;

    private Proposal(
        Decision decision,
        List<Hit> hits,
        @Nullable Row now,
        @Nullable RowKey from,
        @Nullable RowKey to,
        @Nullable RowKey back) {
      this.decision = decision;
      this.hits = hits;
      this.now = now;
      this.from = from;
      this.to = to;
      this.back = back;
    }

    /** The key that gets free; null when none does. */
    public @Nullable RowKey from() {
      return from;
    }

    /**
     * The key that a row would get instead of its own, or, when it {@link #isTaken}, to come back
     * under; null when it would get none.
     */
    public @Nullable RowKey to() {
      return to;
    }

    /** The key under which a row that is not there now would come back; null when none would. */
    public @Nullable RowKey back() {
      return back;
    }

    /** Whether there is nothing to undo. */
    public boolean isNoChange() {
      return decision.verdict() == Verdict.ALREADY_UNDONE
          || decision.verdict() == Verdict.UNCHANGED;
    }

    /** Whether something that others set since would stay, and the rest be undone. */
    public boolean isPartly() {
      return decision.verdict() == Verdict.PARTLY_RESTORED;
    }

    /** Whether the row of the present is another one, so that this one cannot come back. */
    public boolean isTaken() {
      return decision.verdict() == Verdict.KEY_USED_AGAIN;
    }
  }

  /** Decides as {@link #undo} does, and counts and writes nothing yet. */
  public Proposal propose(List<Hit> hits, @Nullable Row now) {
    Decision decision = merge.undo(hits, now);
    RowChange change = decision.change();
    RowKey from = now == null || change == null ? null : match.keyOf(now);
    RowKey to = null;
    if (change instanceof RowChange.Update update) {
      to = match.keyOf(update.wanted());
    } else if (now != null && decision.verdict() == Verdict.KEY_USED_AGAIN) {
      to = match.keyOf(now);
    }
    RowKey back = change instanceof RowChange.Insert insert ? match.keyOf(insert.wanted()) : null;
    return from != null && from.equals(to)
        ? new Proposal(decision, hits, now, null, null, null)
        : new Proposal(decision, hits, now, from, to, back);
  }

  /** Does what was proposed. */
  public Verdict accept(Proposal proposal) {
    return decided(proposal.decision, proposal.hits, proposal.now);
  }

  private Verdict decided(Decision decision, List<Hit> hits, @Nullable Row now) {
    counts.merge(decision.verdict(), 1L, Long::sum);
    keysRestored += decision.restoredKeys().size();
    keysKept += decision.kept().stream().filter(path -> path.indexOf('.') >= 0).count();
    RowChange change = decision.change();
    if (change != null) {
      count(change);
      digest.add(match.table(), change);
      sink.accept(change);
      sample(changes, decision, hits, now, wanted(change));
    }
    boolean lostToLaterWrites =
        decision.verdict() == Verdict.TOUCHED_SINCE
            || decision.verdict() == Verdict.PARTLY_RESTORED
            || decision.verdict().fate() == Verdict.Fate.IN_CONFLICT;
    if (lostToLaterWrites) {
      sample(kept, decision, hits, now, hits.getFirst().before());
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
    // No switch over patterns: this is done a million times.
    if (change instanceof RowChange.Update update) {
      updates++;
      for (int i = 0; i < update.wanted().size(); i++) {
        if (!Objects.equals(update.now().value(i), update.wanted().value(i))) {
          updatedColumns.add(match.now().get(i).name());
        }
      }
    } else if (change instanceof RowChange.Insert) {
      inserts++;
    } else {
      deletes++;
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

  /** The row once the change is made; null when it is taken out. */
  static @Nullable Row wanted(RowChange change) {
    // No switch over patterns: this is done a million times.
    if (change instanceof RowChange.Update update) {
      return update.wanted();
    }
    return change instanceof RowChange.Insert insert ? insert.wanted() : null;
  }

  /** The row now, or the last there was. */
  private static Row identified(List<Hit> hits, @Nullable Row now) {
    if (now != null) {
      return now;
    }
    for (Hit hit : hits.reversed()) {
      Row row = hit.after() != null ? hit.after() : hit.before();
      if (row != null) {
        return row;
      }
    }
    throw new IllegalArgumentException("a row that was never there");
  }

  private void sample(
      List<RowSample> samples,
      Decision decision,
      List<Hit> hits,
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
            name(identified(hits, now)),
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
