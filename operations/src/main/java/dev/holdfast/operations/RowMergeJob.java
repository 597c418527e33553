package dev.holdfast.operations;

import dev.holdfast.postgres.RowReader;
import dev.holdfast.postgres.RowVersion;
import dev.holdfast.postgres.TableChanges;
import dev.holdfast.revert.ColumnMatch;
import dev.holdfast.revert.Hit;
import dev.holdfast.revert.PlanDigest;
import dev.holdfast.revert.RevertOptions;
import dev.holdfast.revert.TablePlan;
import dev.holdfast.revert.TableRevert;
import dev.holdfast.revert.Verdict;
import dev.holdfast.revert.WholeRows;
import dev.holdfast.row.RowChangeSink;
import dev.holdfast.row.RowChangeSource;
import dev.holdfast.row.RowKey;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Brings together, row by row, what the set did to a table's rows ({@link RowLives}) and what they
 * are now in production, and lets {@code revert} decide about each.
 *
 * <p>Rows go through in batches, so memory does not grow with what they hold.
 */
final class RowMergeJob {
  private final TransactionSet set;
  private final RowImages images;
  private final RowLives lives;
  private final TableRows rows;
  private final TableNow table;
  private final RowReader now;
  private final RevertOptions options;
  private final ColumnMatch match;
  private boolean rewritten;

  /**
   * What came out for one table.
   *
   * @param plan null when there is nothing to merge with, as {@code note} says
   * @param note what the operator should know; empty when nothing
   */
  record Merged(@Nullable TablePlan plan, String note) {
    static Merged nothing(String note) {
      return new Merged(null, note);
    }
  }

  /**
   * @param images everything wanted was read
   * @param now reads production
   */
  RowMergeJob(
      TransactionSet set, RowImages images, RowLives lives, RowReader now, RevertOptions options) {
    this.set = set;
    this.images = images;
    this.lives = lives;
    this.rows = lives.rows();
    this.table = lives.now();
    this.now = now;
    this.options = options;
    this.match = lives.match();
  }

  /** The table it is about. */
  TransactionSet.Table table() {
    return rows.table();
  }

  /** Plans the table; what is to be written goes to the sink. */
  Merged merge(PlanDigest digest, RowChangeSink sink, Progress progress) {
    if (images.madeBySet(rows.table().oid())) {
      return Merged.nothing(
          rows.table().name()
              + " was made by "
              + set.told()
              + ": its rows are left; drop it if it is not wanted");
    }
    if (rows.isRewritten() && rows.table().truncations().isEmpty() && !table.madeAgain()) {
      throw set.rewroteItself(rows.table());
    }
    TableRevert revert = new TableRevert(match, options, digest, sink);
    try (Progress.Phase phase =
        progress.begin(
            "comparing rows of " + rows.table().name(), lives.count(), Progress.Unit.ROWS)) {
      if (match.wholeRows()) {
        wholes(revert, phase);
      } else {
        byKey(revert, phase);
      }
    }
    return new Merged(revert.plan(), note());
  }

  /** What {@link #merge} gives to the sink, as production is to read it. */
  TableChanges changes(RowChangeSource source) {
    return new TableChanges(table.oid(), match.now(), match.then().size(), match.key(), source);
  }

  private String note() {
    if (table.madeAgain()) {
      return rows.table().name()
          + " was made again since: its columns are matched by name, and rows written again"
          + " with the very same values cannot be told";
    }
    return rewritten
        ? rows.table().name()
            + " was rewritten since: rows written again with the very same values cannot be told"
        : "";
  }

  // ---- by key ----------------------------------------------------------------------------------

  private void byKey(TableRevert revert, Progress.Phase phase) {
    TakenKeys taken = new TakenKeys(lives, now, revert);
    List<RowLife> batch = new ArrayList<>(RowLives.BATCH);
    lives.each(life -> {
      batch.add(life);
      if (batch.size() == RowLives.BATCH) {
        decide(batch, revert, taken, phase);
      }
    });
    decide(batch, revert, taken, phase);
    taken.end();
  }

  private void decide(
      List<RowLife> batch, TableRevert revert, TakenKeys taken, Progress.Phase phase) {
    Set<RowKey> sought = new HashSet<>();
    for (RowLife life : batch) {
      if (!life.known) {
        sought.add(keyNow(life, revert));
      }
    }
    Map<RowKey, RowVersion> found = now.versionsByKey(table.oid(), match.now(), sought);
    for (RowLife life : batch) {
      if (!life.known) {
        RowVersion version = found.get(keyNow(life, revert));
        life.now = version == null ? null : version.row();
        life.nowOfSet = version != null && set.wrote(version.xmin());
        if (version != null && life.xmin != 0 && !table.madeAgain()) {
          touchedUnlessWrittenBy(life, version.xmin());
        }
      }
    }
    if (options.lostKeysOnly()) {
      batch.forEach(life -> revert.undo(life.hits, life.now));
    } else {
      taken.decide(batch);
    }
    phase.advance(batch.size());
    batch.clear();
  }

  private RowKey keyNow(RowLife life, TableRevert revert) {
    return life.lastKnown == null ? revert.keyNow(life.hits) : match.keyOf(life.lastKnown);
  }

  /** The log may end before production does, or the table was rewritten meanwhile. */
  private void touchedUnlessWrittenBy(RowLife life, long xmin) {
    Hit last = life.hits.getLast();
    if (xmin == life.xmin) {
      return;
    }
    if (life.rewritten) {
      rewritten = true; // ALTER TABLE writes rows anew under its own id
      life.uncertain = xmin != life.rewriter;
    } else if (!last.touched() && last.after() != null) {
      life.hits.set(life.hits.size() - 1, new Hit(last.before(), last.after(), true, last.since()));
    }
  }

  // ---- without a key ---------------------------------------------------------------------------

  /**
   * Without a key: by whole rows, equal ones by their number. A row that others wrote last is known
   * by its place; one of the set's is not, even if it still lies there: undoing once already may
   * have taken an equal one. An equal row that came since is the one to put back if the log tells
   * of an undoing; else nobody knows, and the row is left and told of.
   */
  private void wholes(TableRevert revert, Progress.Phase phase) {
    WholeRows wholes = new WholeRows();
    lives.each(life -> wholes.changed(life.hits.getFirst().before(), life.left()));
    images.afterwards(rows.table().oid(), image -> wholes.after(lives.row(image)));
    now.all(match.table(), match.now().subList(0, match.then().size()), wholes::now);
    boolean undone = table.madeAgain() || set.wasUndoneSince(rows.table().oid());
    lives.each(life -> {
      WholeRows.Claim claim = null;
      if (!life.known || (life.now != null && !life.hits.getLast().touched())) {
        claim = wholes.claim(life.hits.getFirst().before(), life.left());
        life.now = claim == null ? null : claim.row();
      }
      if (life.movedOn && lives.mayBeElsewhere(life)) {
        revert.leave(life.hits, null, Verdict.GONE_SINCE);
      } else if (claim != null && claim.cameSince() && !undone) {
        revert.leave(life.hits, claim.row(), Verdict.TOUCHED_SINCE);
      } else {
        revert.undo(life.hits, life.now);
      }
      phase.advance(1);
    });
  }
}
