package dev.holdfast.operations;

import dev.holdfast.damage.RowHistories;
import dev.holdfast.damage.RowHistories.Left;
import dev.holdfast.damage.RowHistories.RowHistory;
import dev.holdfast.damage.RowHistories.Step;
import dev.holdfast.damage.RowHistories.Truncation;
import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
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
import dev.holdfast.row.Column;
import dev.holdfast.row.Row;
import dev.holdfast.row.RowChangeSink;
import dev.holdfast.row.RowChangeSource;
import dev.holdfast.row.RowKey;
import dev.holdfast.row.TableShape;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RelFile;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.function.Consumer;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * Brings together, row by row, what the set did to a table's rows (versions read from a fork) and
 * what they are now (in production), and lets {@code revert} decide about each.
 *
 * <p>A row's life is its history in one place; a row that the set deleted and that came back under
 * its key, by the set or by others, goes on in another life, and both are decided about together.
 *
 * <p>Rows go through in batches, so memory does not grow with what they hold.
 */
final class RowMergeJob {
  private static final int BATCH = 2_000;

  private final TransactionSet set;
  private final RowImages images;
  private final TableRows rows;
  private final TableNow table;
  private final PresentRows present;
  private final RowReader now;
  private final RevertOptions options;
  private final List<RowMergeJob> together;

  private final List<Truncation> truncations;
  private final ColumnMatch match;
  private final IdentityHashMap<TableShape, int[]> positions = new IdentityHashMap<>();
  private final int[] presentPositions;
  private boolean rewritten;
  private @Nullable Continuations continuations;
  private @Nullable BitSet writtenAfterRewrite;

  private final List<Waiting> waiting = new ArrayList<>();
  private final Set<RowKey> movedInto = new HashSet<>();

  /** Hashes of the keys of rows that the plan takes out or gives another key. */
  private long[] freed = new long[64];

  private int freedCount;

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

  /** What was done to one row, and where to find it now. */
  private static final class Life {
    private List<Hit> hits;
    private @Nullable Row now;

    /** The row before others rewrote the table: its key is looked for. Null for the last hit's. */
    private @Nullable Row lastKnown;

    /** Whether {@link #now} is known, null included; else it is looked for. */
    private boolean known;

    /** Whether others wrote it before the set ended, so that the set did not leave it so. */
    private boolean goneBeforeEnd;

    /** The xmin of the version that is the row's last, as the log tells; 0 when it does not. */
    private long xmin;

    /** Whether the table was rewritten by others since: who wrote the row, only its xmin tells. */
    private boolean rewritten;

    /** The transaction that rewrote it: ALTER TABLE writes every row anew under its own id. */
    private long rewriter;

    /** Whether the row found by its key may be another one: others wrote it after the rewrite. */
    private boolean uncertain;

    /** Whether others moved it to another partition, where nobody follows it. */
    private boolean movedOn;

    /** Whether the row that is under its key now was put there by the set. */
    private boolean nowOfSet;

    private Life(List<Hit> hits) {
      this.hits = hits;
    }

    /** The row as the set left it; null when there was none, or when it was not left so. */
    @Nullable Row left() {
      return goneBeforeEnd ? null : hits.getLast().after();
    }

    /** The row that the last hit deleted. */
    Row deleted() {
      return Objects.requireNonNull(hits.getLast().before());
    }

    /** The row before others rewrote the table. */
    Row kept() {
      return Objects.requireNonNull(lastKnown);
    }

    boolean endsDeleted() {
      return hits.getLast().after() == null;
    }
  }

  /**
   * @param images everything wanted was read
   * @param now reads production
   * @param together the jobs of all tables, this one among them when it is asked for rows that were
   *     moved to others
   */
  RowMergeJob(
      TransactionSet set,
      RowImages images,
      TableRows rows,
      TableNow table,
      PresentRows present,
      RowReader now,
      RevertOptions options,
      List<RowMergeJob> together) {
    this.together = together;
    this.set = set;
    this.images = images;
    this.rows = rows;
    this.table = table;
    this.present = present;
    this.now = now;
    this.options = options;
    this.truncations = rows.table().truncations();
    TableShape then =
        images.sharedShape(rows.table().oid()).map(table::numbered).orElse(table.shape());
    this.match = ColumnMatch.of(then, table.shape());
    this.presentPositions = positions(table.shape(), match.now());
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
    if (!rows.madeBySet().isEmpty() && truncations.isEmpty() && !table.madeAgain()) {
      throw rewroteItself();
    }
    TableRevert revert = new TableRevert(match, options, digest, sink);
    try (Progress.Phase phase =
        progress.begin("comparing rows of " + rows.table().name(), lives(), Progress.Unit.ROWS)) {
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

  private OperatorException rewroteItself() {
    return new OperatorException(
        Kind.REFUSED,
        set.told() + " cannot be undone row by row",
        "one of them changed rows of %s and rewrote the table as well (ALTER TABLE): its rows cannot be followed"
            .formatted(rows.table().name()),
        "look at the data on a fork from before: holdfast fork %s --before %d"
            .formatted(set.cluster(), set.transactions().getFirst().xid()));
  }

  // ---- lives -----------------------------------------------------------------------------------

  /** Rows with a history, then rows that went with each truncation. */
  private int lives() {
    return rows.count() + truncations.stream().mapToInt(images::lostCount).sum();
  }

  /** Null when nothing is left of it. */
  private @Nullable Life life(int number) {
    if (number < rows.count()) {
      RowHistory history = rows.history(number);
      return history == null ? null : life(number, history);
    }
    int index = number - rows.count();
    for (Truncation truncation : truncations) {
      int count = images.lostCount(truncation);
      if (index < count) {
        return new Life(
            new ArrayList<>(
                List.of(new Hit(row(images.lost(truncation, index)), null, false, List.of()))));
      }
      index -= count;
    }
    throw new IllegalArgumentException("there is no life " + number);
  }

  private @Nullable Life life(int number, RowHistory history) {
    List<Step> steps = history.steps();
    boolean each = options.lostKeysOnly();
    List<Hit> hits = new ArrayList<>(1);
    for (int first = 0; first < steps.size(); first++) {
      if (!steps.get(first).writer().inSet()) {
        continue;
      }
      int last = first;
      while (!each && last + 1 < steps.size() && steps.get(last + 1).writer().inSet()) {
        last++;
      }
      boolean touched =
          last + 1 < steps.size()
              && !steps.get(last + 1).writer().inSet()
              && steps.get(last + 1).left() != Left.UNKNOWN;
      Row before = version(number, history, first);
      Row after = version(number, history, last + 1);
      if (before != null || after != null) {
        hits.add(new Hit(before, after, touched, since(number, history, last + 1)));
      } // else the set put the row in and took it out
      first = last;
    }
    if (hits.isEmpty()) {
      return null;
    }
    Life life = new Life(hits);
    Step last = history.last();
    life.goneBeforeEnd =
        !last.writer().inSet()
            && steps.stream()
                .filter(step -> !step.writer().inSet() && step.left() != Left.UNKNOWN)
                .anyMatch(step -> !step.writer().commitEnd().isAfter(set.lastCommitEnd()));
    if (present.isAsLogged(number)) {
      life.now = presentRow(Objects.requireNonNull(present.row(number)));
      life.known = true;
    } else if (last.left() == Left.MOVED) {
      life.known = true;
      life.movedOn = true;
    } else if (last.left() == Left.NOTHING && !last.writer().inSet()) {
      life.known = true; // deleted by others: a row of its key that is there now is another one
    } else if (last.left() == Left.VERSION && last.writer().inSet()) {
      life.xmin = last.xid();
    } else if (last.left() == Left.UNKNOWN && steps.size() > 1) {
      life.rewritten = true;
      life.lastKnown = version(number, history, steps.size() - 1);
      life.rewriter = last.writer().xid();
      life.xmin = steps.get(steps.size() - 2).xid();
    }
    return life;
  }

  /** The same, when others wrote what the set moved to another partition: there it stays. */
  private Life besideMoves(int number, Life life) {
    Hit end = life.hits.getLast();
    if (number < rows.count() && end.after() == null && wasWrittenWhereItMoved(number)) {
      life.hits.set(life.hits.size() - 1, new Hit(end.before(), null, true, end.since()));
    }
    return life;
  }

  /** Whether others wrote a row that the set moved to another partition, on the way or there. */
  private boolean wasWrittenWhereItMoved(int number) {
    RowHistories.MovedTo there = rows.movedTo(number);
    if (there == null || there.written()) {
      return there != null;
    }
    for (RowMergeJob job : together) {
      int other = job.rows.number(there.file(), there.number());
      if (other >= 0) {
        return job.wasWrittenAfterRewrite(other);
      }
    }
    return false;
  }

  /** Whether others wrote a row after others rewrote its table, where the log does not tell. */
  private boolean wasWrittenAfterRewrite(int number) {
    RowHistory history = rows.history(number);
    if (history == null || !endsRewritten(history) || match.wholeRows()) {
      return false;
    }
    int next = continuations().of(number);
    if (next < 0) {
      return writtenAfterRewrite().get(number);
    }
    Row kept = Objects.requireNonNull(life(number)).lastKnown;
    if (next >= rows.count()) {
      return !Objects.equals(kept, firstRow(next)); // it went with a TRUNCATE of the set's
    }
    RowHistory later = rows.history(next);
    return !Objects.equals(kept, firstRow(next))
        || (later != null
            && later.steps().stream()
                .anyMatch(step -> !step.writer().inSet() && step.left() != Left.UNKNOWN))
        || wasWrittenAfterRewrite(next);
  }

  private BitSet writtenAfterRewrite() {
    BitSet known = writtenAfterRewrite;
    if (known != null) {
      return known;
    }
    BitSet written = new BitSet();
    Map<Integer, Row> batch = new HashMap<>();
    for (int number = 0; number < rows.count(); number++) {
      RowHistory history = rows.history(number);
      boolean rewrite = history != null && endsRewritten(history);
      Life life = rewrite && continuations().of(number) < 0 ? life(number) : null;
      if (life != null && life.lastKnown != null) {
        batch.put(number, life.lastKnown);
      }
      if (batch.size() == BATCH || number == rows.count() - 1) {
        Set<RowKey> keys = new HashSet<>();
        batch.values().forEach(row -> keys.add(match.keyOf(row)));
        Map<RowKey, RowVersion> found = now.versionsByKey(table.oid(), match.now(), keys);
        batch.forEach((each, row) -> {
          RowVersion is = found.get(match.keyOf(row));
          written.set(each, is == null || !is.row().first(row.size()).equals(row));
        });
        batch.clear();
      }
    }
    writtenAfterRewrite = written;
    return written;
  }

  /** Images that others left after a step and before the next one of the set's, or now. */
  private List<Row> since(int number, RowHistory history, int image) {
    List<Row> since = new ArrayList<>();
    List<Step> steps = history.steps();
    for (int later = image + 1; later < steps.size(); later++) {
      if (steps.get(later - 1).writer().inSet() || steps.get(later).writer().inSet()) {
        break;
      }
      Row left =
          options.lostKeysOnly() || WantedImages.isBetween(steps, later)
              ? version(number, history, later)
              : null;
      if (left != null) {
        since.add(left);
      }
    }
    return since;
  }

  /** A version of a row, its values as {@link ColumnMatch#then} lists them; null for no row. */
  private @Nullable Row version(int number, RowHistory history, int version) {
    List<Step> steps = history.steps();
    Left left = version == 0 ? null : steps.get(version - 1).left();
    if (version == 0 ? history.first() == null : left == Left.NOTHING || left == Left.MOVED) {
      return null;
    }
    if (left == Left.UNKNOWN) {
      throw rewroteItself();
    }
    if (version == steps.size() && present.isAsLogged(number)) {
      return presentRow(Objects.requireNonNull(present.row(number))).first(match.then().size());
    }
    RowImages.Image image = images.image(rows.table().oid(), number, version);
    if (image == null) {
      throw new IllegalStateException(
          "version " + version + " of a row of " + rows.table().name() + " was not read");
    }
    return row(image);
  }

  private Row row(RowImages.Image image) {
    int[] at =
        positions.computeIfAbsent(
            image.shape(), shape -> positions(table.numbered(shape), match.then()));
    return arranged(image.row(), at);
  }

  private Row presentRow(Row row) {
    return arranged(row, presentPositions);
  }

  private static Row arranged(Row row, int[] at) {
    if (isInOrder(at) && at.length == row.size()) {
      return row;
    }
    List<@Nullable String> values = new ArrayList<>(at.length);
    for (int position : at) {
      values.add(row.value(position));
    }
    return Row.copyOf(values);
  }

  private static boolean isInOrder(int[] at) {
    for (int index = 0; index < at.length; index++) {
      if (at[index] != index) {
        return false;
      }
    }
    return true;
  }

  private static int[] positions(TableShape shape, List<Column> wanted) {
    int[] at = new int[wanted.size()];
    for (int index = 0; index < at.length; index++) {
      for (int position = 0; position < shape.columns().size(); position++) {
        if (shape.columns().get(position).number() == wanted.get(index).number()) {
          at[index] = position;
        }
      }
    }
    return at;
  }

  // ---- by key ----------------------------------------------------------------------------------

  private void byKey(TableRevert revert, Progress.Phase phase) {
    List<Life> batch = new ArrayList<>(BATCH);
    eachLife(life -> {
      batch.add(life);
      if (batch.size() == BATCH) {
        decide(batch, revert, phase);
      }
    });
    decide(batch, revert, phase);
    takeKeys(revert);
  }

  private void eachLife(Consumer<Life> sink) {
    Continuations continued = continuations();
    int count = lives();
    for (int number = 0; number < count; number++) {
      Life first = continued.isContinuation(number) ? null : life(number);
      if (first == null) {
        continue;
      }
      Life life = besideMoves(number, first);
      for (int next = continued.of(number); next >= 0; next = continued.of(next)) {
        life = continued(life, besideMoves(next, Objects.requireNonNull(life(next))));
      }
      sink.accept(life);
    }
  }

  /** One life after another under the same key. */
  private static Life continued(Life one, Life next) {
    List<Hit> hits = new ArrayList<>(one.hits);
    Hit end = hits.removeLast();
    Hit begin = next.hits.getFirst();
    if (one.lastKnown != null) {
      // The table was rewritten in between; another image means that somebody wrote the row, too.
      boolean touched = end.touched() || !one.lastKnown.equals(begin.before());
      hits.add(new Hit(end.before(), end.after(), touched, end.since()));
      hits.addAll(next.hits);
    } else if (begin.before() == null) {
      // Deleted and put in again by the set: one row updated.
      hits.add(new Hit(end.before(), begin.after(), begin.touched(), begin.since()));
      hits.addAll(next.hits.subList(1, next.hits.size()));
    } else {
      hits.add(new Hit(end.before(), null, true, List.of()));
      hits.addAll(next.hits);
    }
    next.hits = hits;
    return next;
  }

  private void decide(List<Life> batch, TableRevert revert, Progress.Phase phase) {
    Set<RowKey> sought = new HashSet<>();
    for (Life life : batch) {
      if (!life.known) {
        sought.add(keyNow(life, revert));
      }
    }
    Map<RowKey, RowVersion> found = now.versionsByKey(table.oid(), match.now(), sought);
    for (Life life : batch) {
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
      unlessKeysAreTaken(batch, revert);
    }
    phase.advance(batch.size());
    batch.clear();
  }

  // ---- keys that others have -------------------------------------------------------------------

  /** A life whose key is another row's now. */
  private record Waiting(Life life, TableRevert.Proposal proposal, RowKey key) {}

  /** Decides about those whose keys are free; the others wait for what the plan does to those. */
  private void unlessKeysAreTaken(List<Life> batch, TableRevert revert) {
    List<TableRevert.Proposal> proposals = new ArrayList<>(batch.size());
    Set<RowKey> wanted = new HashSet<>();
    for (Life life : batch) {
      TableRevert.Proposal proposal = revert.propose(life.hits, life.now);
      proposals.add(proposal);
      if (proposal.to() != null && !proposal.isTaken()) {
        wanted.add(proposal.to());
      }
    }
    Map<RowKey, RowVersion> holders = now.versionsByKey(table.oid(), match.now(), wanted);
    for (int index = 0; index < batch.size(); index++) {
      TableRevert.Proposal proposal = proposals.get(index);
      RowKey to = proposal.to();
      if (to != null && (proposal.isTaken() || holders.containsKey(to) || !movedInto.add(to))) {
        waiting.add(new Waiting(batch.get(index), proposal, to));
        continue;
      }
      Life life = batch.get(index);
      if (life.now != null && life.nowOfSet && life.endsDeleted() && proposal.isNoChange()) {
        // It looks as if it were back, but the set gave another row its key and its values.
        waiting.add(new Waiting(life, proposal, match.keyOf(life.now)));
        continue;
      }
      if (mayBeElsewhere(life) && proposal.isNoChange()) {
        revert.leave(life.hits, null, Verdict.GONE_SINCE);
        continue;
      }
      if (life.uncertain && proposal.isPartly()) {
        revert.leave(life.hits, life.now, Verdict.TOUCHED_SINCE);
        continue;
      }
      if (proposal.from() != null) {
        free(proposal.from());
      }
      revert.accept(proposal);
    }
  }

  /**
   * Whether a row that the set put in is not where it was, but may have gone on elsewhere: others
   * moved it, or rewrote its table, and under its key there is none.
   */
  private boolean mayBeElsewhere(Life life) {
    return life.hits.getFirst().before() == null
        && !life.endsDeleted()
        && life.now == null
        && (life.movedOn || (life.rewritten && !set.wasUndoneSince(table.oid())));
  }

  private void free(RowKey key) {
    if (freedCount == freed.length) {
      freed = Arrays.copyOf(freed, 2 * freedCount);
    }
    freed[freedCount++] = hash(Row.copyOf(key.values()));
  }

  /**
   * Decides about rows whose keys were taken: they get them when the plan takes out, or moves, the
   * rows that have them. Rows that changed places are undone together.
   */
  private void takeKeys(TableRevert revert) {
    if (waiting.isEmpty()) {
      return;
    }
    long[] base = Arrays.copyOf(freed, freedCount);
    Arrays.sort(base);
    List<Waiting> hopeful = new ArrayList<>(waiting);
    boolean fewer = true;
    while (fewer) {
      Set<RowKey> gettingFree = new HashSet<>();
      for (Waiting each : hopeful) {
        if (each.proposal.from() != null) {
          gettingFree.add(each.proposal.from());
        }
      }
      Set<RowKey> given = new HashSet<>(movedInto);
      List<Waiting> left = new ArrayList<>();
      for (Waiting each : hopeful) {
        boolean free =
            gettingFree.contains(each.key)
                || Arrays.binarySearch(base, hash(Row.copyOf(each.key.values()))) >= 0;
        if (free && given.add(each.key)) {
          left.add(each);
        }
      }
      fewer = left.size() < hopeful.size();
      hopeful = left;
    }
    Set<Waiting> get = Collections.newSetFromMap(new IdentityHashMap<>());
    get.addAll(hopeful);
    for (Waiting each : waiting) {
      Life life = each.life;
      if (!get.contains(each)) {
        if (each.proposal.isNoChange()) {
          revert.accept(each.proposal);
        } else {
          revert.leave(life.hits, life.now, Verdict.KEY_USED_AGAIN);
        }
      } else if (each.proposal.isTaken() || each.proposal.isNoChange()) {
        revert.undo(life.hits, null);
      } else {
        revert.accept(each.proposal);
      }
    }
    waiting.clear();
  }

  // ---- where to look for a row -----------------------------------------------------------------

  private RowKey keyNow(Life life, TableRevert revert) {
    return life.lastKnown == null ? revert.keyNow(life.hits) : match.keyOf(life.lastKnown);
  }

  /** The log may end before production does, or the table was rewritten meanwhile. */
  private void touchedUnlessWrittenBy(Life life, long xmin) {
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

  /** Which life goes on in which other one. */
  private static final class Continuations {
    private final int[] next;
    private final BitSet later;

    /**
     * @param next by life, -1 for none; empty when none goes on in another
     */
    private Continuations(int[] next, BitSet later) {
      this.next = next;
      this.later = later;
    }

    static Continuations none() {
      return new Continuations(new int[0], new BitSet());
    }

    int of(int life) {
      return next.length == 0 ? -1 : next[life];
    }

    boolean isContinuation(int life) {
      return later.get(life);
    }
  }

  /** A life that began while the set went on, and may be another one's continuation. */
  private record Began(int life, Lsn at) {}

  private Continuations continuations() {
    Continuations known = continuations;
    if (known == null) {
      known = findContinuations();
      continuations = known;
    }
    return known;
  }

  private Continuations findContinuations() {
    @Nullable Lsn deleted = null;
    boolean keyed = !match.wholeRows(); // equal rows that came again without a key: see wholes()
    boolean began = false;
    boolean moved = false;
    for (int number = 0; number < rows.count(); number++) {
      RowHistory history = rows.history(number);
      if (history != null) {
        moved |= endsRewritten(history);
        if (keyed && endsDeletedBySet(history)) {
          deleted = earlier(deleted, history.last().writer().commitLsn());
        }
        began |= keyed && beganMeanwhile(history);
      }
    }
    for (Truncation truncation : truncations) {
      deleted = keyed ? earlier(deleted, truncation.writer().commitLsn()) : null;
    }
    boolean cameBack = deleted != null && (began || truncated(after(deleted)));
    if (!cameBack && !moved) {
      return Continuations.none();
    }
    Map<Long, List<Began>> byKey = new HashMap<>();
    int count = lives();
    for (int number = 0; number < count; number++) {
      RowHistory history = number < rows.count() ? rows.history(number) : null;
      boolean mayGoOn =
          number < rows.count()
              ? history != null
                  && ((keyed && beganMeanwhile(history)) || (moved && isOfLaterFile(number)))
              : moved || (deleted != null && after(deleted).test(truncation(number)));
      Row first = mayGoOn ? firstRow(number) : null;
      if (first != null) {
        byKey
            .computeIfAbsent(hash(identity(first)), _ -> new ArrayList<>(1))
            .add(new Began(number, firstCommit(number)));
      }
    }
    int[] next = new int[count];
    Arrays.fill(next, -1);
    BitSet later = new BitSet(count);
    for (int number = 0; number < count; number++) {
      RowHistory history = number < rows.count() ? rows.history(number) : null;
      if (number < rows.count()
          && (history == null
              || !((keyed && endsDeletedBySet(history)) || endsRewritten(history)))) {
        continue;
      }
      if (!keyed && number >= rows.count()) {
        continue;
      }
      Life life = life(number);
      boolean rewrite = history != null && endsRewritten(history);
      if (life == null || (rewrite ? life.lastKnown == null : !life.endsDeleted())) {
        continue;
      }
      Row key = identity(rewrite ? life.kept() : life.deleted());
      Lsn ended = lastCommit(number);
      Began best = null;
      for (Began other : byKey.getOrDefault(hash(key), List.of())) {
        boolean after =
            // What a TRUNCATE took did not begin with it: it goes on only what ended before.
            (other.life < rows.count() ? !other.at.isBefore(ended) : other.at.isAfter(ended))
                && other.life != number
                && (!rewrite || isOfOtherFile(other.life, number))
                && (keyed || !isInsert(other.life));
        if (after && !later.get(other.life) && (best == null || other.at.isBefore(best.at))) {
          best = other;
        }
      }
      boolean fits = best != null && (!rewrite || !isInsert(best.life));
      if (best != null && fits && sameKey(key, best.life)) {
        next[number] = best.life;
        later.set(best.life);
      }
    }
    return new Continuations(next, later);
  }

  private boolean sameKey(Row key, int life) {
    return key.equals(identity(Objects.requireNonNull(firstRow(life))));
  }

  /** What tells a row from others: its key, or all of it. */
  private Row identity(Row row) {
    return match.wholeRows() ? row : Row.copyOf(match.keyOf(row).values());
  }

  /** Null when nothing is left of it. */
  private @Nullable Row firstRow(int number) {
    Life life = life(number);
    if (life == null) {
      return null;
    }
    Hit first = life.hits.getFirst();
    return first.before() != null ? first.before() : first.after();
  }

  private static Lsn earlier(@Nullable Lsn one, Lsn other) {
    return one != null && one.isBefore(other) ? one : other;
  }

  private boolean truncated(Predicate<Truncation> wanted) {
    return truncations.stream().anyMatch(wanted);
  }

  /** A row that went with such a truncation may have been put in after the set deleted another. */
  private static Predicate<Truncation> after(Lsn deleted) {
    return truncation -> truncation.writer().commitLsn().isAfter(deleted);
  }

  private static boolean endsRewritten(RowHistory history) {
    return history.last().left() == Left.UNKNOWN && !history.last().writer().inSet();
  }

  private boolean isOfLaterFile(int number) {
    return !rows.file(number).equals(rows.table().files().getFirst());
  }

  private boolean isOfOtherFile(int one, int other) {
    RelFile file = one < rows.count() ? rows.file(one) : truncation(one).file();
    return !file.equals(rows.file(other));
  }

  private boolean isInsert(int life) {
    return life < rows.count() && Objects.requireNonNull(rows.history(life)).first() == null;
  }

  private static boolean endsDeletedBySet(RowHistory history) {
    return history.last().left() == Left.NOTHING && history.last().writer().inSet();
  }

  private static boolean beganMeanwhile(RowHistory history) {
    return history.first() == null || !history.since().equals(Lsn.NONE);
  }

  private Truncation truncation(int number) {
    int index = number - rows.count();
    for (Truncation truncation : truncations) {
      if (index < images.lostCount(truncation)) {
        return truncation;
      }
      index -= images.lostCount(truncation);
    }
    throw new IllegalArgumentException("there is no life " + number);
  }

  private Lsn firstCommit(int number) {
    return number < rows.count()
        ? Objects.requireNonNull(rows.history(number)).steps().getFirst().writer().commitLsn()
        : truncation(number).writer().commitLsn();
  }

  private Lsn lastCommit(int number) {
    return number < rows.count()
        ? Objects.requireNonNull(rows.history(number)).last().writer().commitLsn()
        : truncation(number).writer().commitLsn();
  }

  private static long hash(Row identity) {
    return ByteBuffer.wrap(identity.fingerprint()).getLong();
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
    eachLife(life -> wholes.changed(life.hits.getFirst().before(), life.left()));
    images.afterwards(rows.table().oid(), image -> wholes.after(row(image)));
    now.all(match.table(), match.now().subList(0, match.then().size()), wholes::now);
    boolean undone = table.madeAgain() || set.wasUndoneSince(rows.table().oid());
    eachLife(life -> {
      WholeRows.Claim claim = null;
      if (!life.known || (life.now != null && !life.hits.getLast().touched())) {
        claim = wholes.claim(life.hits.getFirst().before(), life.left());
        life.now = claim == null ? null : claim.row();
      }
      if (life.movedOn && mayBeElsewhere(life)) {
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
