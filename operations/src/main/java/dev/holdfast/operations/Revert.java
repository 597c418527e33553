package dev.holdfast.operations;

import dev.holdfast.damage.Relation;
import dev.holdfast.damage.TableDamage;
import dev.holdfast.damage.TransactionDamage;
import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.guard.AgreedChange;
import dev.holdfast.guard.Guard;
import dev.holdfast.postgres.Fork;
import dev.holdfast.postgres.ForkContents;
import dev.holdfast.postgres.ForkOptions;
import dev.holdfast.postgres.PlanApplier;
import dev.holdfast.postgres.PostgresUrl;
import dev.holdfast.postgres.RecoveryTarget;
import dev.holdfast.postgres.RowChangeSpool;
import dev.holdfast.postgres.RowReader;
import dev.holdfast.postgres.RowSpool;
import dev.holdfast.postgres.SqlFailures;
import dev.holdfast.postgres.TableChanges;
import dev.holdfast.postgres.definition.DroppedObjects;
import dev.holdfast.postgres.definition.Recreated;
import dev.holdfast.postgres.definition.Recreation;
import dev.holdfast.postgres.definition.RecreationPlan;
import dev.holdfast.postgres.definition.RecreationProgress;
import dev.holdfast.postgres.definition.TableCopy;
import dev.holdfast.revert.PlanDigest;
import dev.holdfast.revert.RevertOptions;
import dev.holdfast.revert.TablePlan;
import dev.holdfast.revert.Verdict;
import dev.holdfast.row.TableName;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.Repository;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.function.LongPredicate;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Undoes committed transactions in place: a plan first, then that plan and no other. */
public final class Revert {
  private static final Logger LOG = LoggerFactory.getLogger(Revert.class);

  /** What its own transactions are known by in the log. */
  static final String APPLICATION = "holdfast revert";

  private final ClusterStore cluster;
  private final @Nullable String ownerUrl;
  private final Options options;

  /**
   * What the operator wants.
   *
   * @param restoreLostKeys only JSON keys that the transactions removed come back
   * @param overwriteTouched rows written again since are set back, too
   * @param partial go on although some of it cannot be brought back
   */
  public record Options(boolean restoreLostKeys, boolean overwriteTouched, boolean partial) {
    /** Refuses contradictions. */
    public Options {
      if (restoreLostKeys && overwriteTouched) {
        throw new OperatorException(
            Kind.USAGE,
            "--restore-lost-keys and --overwrite-touched contradict each other",
            "bringing lost keys back never overwrites anything",
            "leave one of them out");
      }
    }
  }

  /**
   * Which transactions: those that fit everything given. At least one thing must be.
   *
   * @param xids transaction numbers, such as {@code 812}, and ranges of them, both ends included,
   *     such as {@code 812..830}; empty: whatever else fits
   * @param since only those committed at or after this; null for all
   * @param until only those committed before this; null for all
   * @param tables {@code TABLE}, {@code SCHEMA.TABLE} or {@code DATABASE.SCHEMA.TABLE}, or several
   *     with commas between: only what was done to these is undone; empty for all. The topmost
   *     table of a tree of partitions, or any one partition, stands for all of them: a row may have
   *     been moved from one to another
   * @param user only this role's; null for all. Transactions whose user the log does not say are
   *     left out
   * @param application as {@code user}, by application_name. What an earlier revert wrote is left
   *     out, unless it is named by its number or by this
   */
  public record Selection(
      List<String> xids,
      @Nullable Instant since,
      @Nullable Instant until,
      List<String> tables,
      @Nullable String user,
      @Nullable String application) {
    private static final Pattern RANGE = Pattern.compile("([0-9]+)\\.\\.([0-9]+)");

    /** Copies the lists, one table to an entry; refuses what selects nothing or everything. */
    public Selection {
      xids = List.copyOf(xids);
      tables =
          tables.stream()
              .flatMap(list -> GivenTable.parse(list).stream())
              .map(GivenTable::text)
              .toList();
      boolean named = !xids.isEmpty() || !tables.isEmpty();
      boolean bounded = since != null || until != null;
      if (!named && !bounded && user == null && application == null) {
        throw new OperatorException(
            Kind.USAGE,
            "which transactions are to be undone?",
            "none is named",
            "give the numbers that `holdfast log` shows (812, or 812..830), or --since, --until and"
                + " --table");
      }
      if (since != null && until != null && !since.isBefore(until)) {
        throw new OperatorException(
            Kind.USAGE,
            "no time is both after " + since + " and before " + until,
            "--since is the earlier one",
            "exchange them");
      }
      for (String xid : xids) {
        Matcher range = RANGE.matcher(xid);
        if (!range.matches()) {
          RecordedTransactions.parse(xid);
        } else if (RecordedTransactions.parse(range.group(1))
            > RecordedTransactions.parse(range.group(2))) {
          throw new OperatorException(
              Kind.USAGE,
              xid + " holds no transaction",
              "a range begins with its lower number",
              "%s..%s".formatted(range.group(2), range.group(1)));
        }
      }
    }

    /** Whoever did it. */
    public Selection(
        List<String> xids, @Nullable Instant since, @Nullable Instant until, List<String> tables) {
      this(xids, since, until, tables, null, null);
    }

    /** One transaction, all of it. */
    public static Selection of(String xid) {
      return new Selection(List.of(xid), null, null, List.of());
    }

    /** Whether it is numbers and nothing else that says which. */
    boolean isNumbers() {
      return !xids.isEmpty()
          && single().size() == xids.size()
          && since == null
          && until == null
          && user == null
          && application == null;
    }

    /** The numbers that are no ranges. */
    List<String> single() {
      return xids.stream().filter(xid -> !RANGE.matcher(xid).matches()).toList();
    }

    /** Says of a transaction whether its number is wanted. */
    LongPredicate numbers() {
      long[] from = new long[xids.size()];
      long[] to = new long[xids.size()];
      for (int index = 0; index < from.length; index++) {
        Matcher range = RANGE.matcher(xids.get(index));
        boolean isRange = range.matches();
        from[index] = RecordedTransactions.parse(isRange ? range.group(1) : xids.get(index));
        to[index] = isRange ? RecordedTransactions.parse(range.group(2)) : from[index];
      }
      return xid -> {
        for (int index = 0; index < from.length; index++) {
          if (from[index] <= xid && xid <= to[index]) {
            return true;
          }
        }
        return from.length == 0;
      };
    }

    boolean wants(TransactionDamage damage, LongPredicate numbers, RecordedNames names) {
      return (since == null || !damage.committedAt().isBefore(since))
          && (until == null || damage.committedAt().isBefore(until))
          && (user == null || user.equals(damage.user()))
          && (application == null
              ? !xids.isEmpty() || !APPLICATION.equals(damage.application())
              : application.equals(damage.application()))
          && (numbers.test(damage.xid())
              || damage.subtransactions().stream().anyMatch(numbers::test))
          && damage.tables().stream().anyMatch(table -> wants(table, names, damage));
    }

    /** The tables that were named and that nothing of this was done to. */
    List<String> untouched(List<TransactionDamage> set, RecordedNames names) {
      return tables.stream()
          .filter(name ->
              set.stream()
                  .noneMatch(damage ->
                      damage.tables().stream()
                          .anyMatch(table ->
                              new Selection(List.of(), null, null, List.of(name))
                                  .wants(table, names, damage))))
          .toList();
    }

    /** Whether what was done to a table is to be undone. */
    boolean wants(TableDamage table, RecordedNames names, TransactionDamage damage) {
      if (tables.isEmpty() || isNamed(table.database(), table.table())) {
        return true;
      }
      Long database = names.databaseOid(table.database(), damage.commitLsn());
      long root =
          database == null ? 0 : names.partitionRoot(database, table.oid(), damage.commitLsn());
      Relation parent =
          database == null || root <= 0 ? null : names.byOid(database, root, damage.commitLsn());
      return parent != null && isNamed(table.database(), parent.name());
    }

    private boolean isNamed(String database, TableName name) {
      return tables.stream()
          .flatMap(text -> GivenTable.parse(text).stream())
          .anyMatch(given -> given.means(database, name));
    }

    /** In words, as a message says what was looked for. */
    @Override
    public String toString() {
      List<String> parts = new ArrayList<>();
      if (!xids.isEmpty()) {
        parts.add("number " + String.join(", ", xids));
      }
      if (!tables.isEmpty()) {
        parts.add("table " + String.join(", ", tables));
      }
      if (since != null) {
        parts.add("since " + since);
      }
      if (until != null) {
        parts.add("until " + until);
      }
      if (user != null) {
        parts.add("user " + user);
      }
      if (application != null) {
        parts.add("application " + application);
      }
      return String.join(", ", parts);
    }
  }

  /**
   * @param ownerUrl connects to production as an owner of the tables; null: the recorder's
   *     connection, which suffices only where it owns them
   */
  public Revert(String repository, String name, @Nullable String ownerUrl, Options options) {
    this.cluster = Repository.open(repository).cluster(name);
    this.ownerUrl = ownerUrl;
    this.options = options;
  }

  /** Makes the plan. Forks are made, production is read, nothing is changed. */
  public Planned plan(Selection selection, Progress progress) {
    return plan(selection, false, progress);
  }

  /**
   * As {@link #plan(Selection, Progress)}, for a plan that was agreed on and is applied when it is
   * the same: what it would write goes to temporary tables of production while it is made.
   */
  public Planned planAgain(Selection selection, Progress progress) {
    return plan(selection, true, progress);
  }

  private Planned plan(Selection selection, boolean ahead, Progress progress) {
    long begun = System.nanoTime();
    RecorderWait recorder =
        RecorderWait.of(
            cluster, PostgresUrl.parse(ownerUrl == null ? cluster.document().url() : ownerUrl));
    TransactionSet found = TransactionSet.of(cluster, selection, recorder, progress);
    PostgresUrl owner = Connections.owner(cluster.document(), ownerUrl, found.database());
    OwnServer.require(cluster.document(), owner, found);
    TransactionSet set = found.namedBy(owner, progress);
    Planned planned = new Planned(set, owner, ahead);
    try {
      planned.make(recorder.behind(), progress, begun);
      return planned;
    } catch (SQLException e) {
      planned.close();
      throw failed("the plan could not be made", e);
    } catch (RuntimeException | Error e) {
      planned.close();
      throw e;
    }
  }

  private static OperatorException failed(String what, SQLException e) {
    if (Guard.REFUSED_STATE.equals(e.getSQLState())) {
      return SqlFailures.guardRefused(what, e);
    }
    String state = String.valueOf(e.getSQLState());
    return new OperatorException(
        state.startsWith("08") || state.startsWith("57P") ? Kind.DATABASE_UNREACHABLE : Kind.FAILED,
        what,
        String.valueOf(e.getMessage()).lines().findFirst().orElse("the server said nothing"),
        "nothing was changed; mend the cause and run the same command again",
        e);
  }

  /** A plan with the fork that dropped tables are copied from. Close it to be rid of that. */
  public final class Planned implements AutoCloseable {
    private final TransactionSet set;
    private final PostgresUrl owner;
    private final List<TableChange> changes = new ArrayList<>();
    private @Nullable Fork before;
    private @Nullable Thread leaving;
    private @Nullable RecreationPlan recreation;
    private @Nullable RevertPlan plan;
    private final boolean ahead;
    private @Nullable Connection production;
    private @Nullable PlanApplier applier;

    /**
     * The planned changes of one table.
     *
     * @param spool keeps them; null where they are in production's temporary tables
     */
    private record TableChange(
        TablePlan plan,
        TableDamage.Action action,
        TableChanges changes,
        @Nullable RowChangeSpool spool) {
      boolean isEmpty() {
        return plan.inserts() + plan.updates() + plan.deletes() == 0;
      }

      void close() {
        if (spool != null) {
          spool.close();
        }
      }
    }

    private Planned(TransactionSet set, PostgresUrl owner, boolean ahead) {
      this.set = set;
      this.owner = owner;
      this.ahead = ahead;
    }

    /** What it would do. */
    public RevertPlan plan() {
      return Objects.requireNonNull(plan);
    }

    private void make(String behind, Progress progress, long begun) throws SQLException {
      PlanDigest digest = new PlanDigest();
      for (TransactionDamage damage : set.transactions()) {
        digest.add("transaction " + damage.xid(), damage.commitLsn().toString());
      }
      digest.add(
          "options",
          options.restoreLostKeys
              + " "
              + options.overwriteTouched
              + " "
              + set.selection().tables());
      List<String> warnings = new ArrayList<>();
      if (!behind.isEmpty()) {
        warnings.add(behind);
      }
      warnings.addAll(set.notes());
      Map<String, Long> recreatedRows = findDropped(digest, warnings, progress);
      List<TransactionSet.Table> tables = set.tables();
      if (!tables.isEmpty()) {
        mergeRows(tables, digest, warnings, progress);
      }
      plan = value(digest, recreatedRows, warnings, (System.nanoTime() - begun) / 1e9);
    }

    /** Reads from a fork what was dropped; returns the rows of each table that is made again. */
    private Map<String, Long> findDropped(
        PlanDigest digest, List<String> warnings, Progress progress) throws SQLException {
      Map<String, Long> recreatedRows = new LinkedHashMap<>();
      Map<Long, TransactionDamage> dropped = set.dropped();
      if (dropped.isEmpty()) {
        return recreatedRows;
      }
      TransactionDamage first = set.firstDrop(progress);
      Fork fork =
          Forks.start(
              cluster,
              RecoveryTarget.before(first.targetLsn()),
              ForkOptions.defaults().holding(alone(set.contents(dropped.keySet(), false))),
              "fork just before " + first.xid(),
              progress);
      before = fork;
      if (!fork.absent().isEmpty()) {
        throw new OperatorException(
            Kind.REFUSED,
            set.told() + " cannot be undone together",
            "%d of the tables they dropped were made only after the first drop (%d)"
                .formatted(fork.absent().size(), first.xid()),
            "undo them one by one, the latest first");
      }
      try (Connection production = owner.open();
          Connection then = fork.connect(set.database())) {
        RecreationPlan found;
        try (Progress.Phase _ =
            progress.begin("finding what was dropped", 0, Progress.Unit.STEPS)) {
          found = DroppedObjects.find(then, production, dropped.keySet());
        }
        recreation = found;
        digest.add("recreation", found.digestPart());
        warnings.addAll(found.notes());
        RowReader counting = new RowReader(then);
        for (TableCopy copy : found.copies()) {
          recreatedRows.put(copy.table().toString(), counting.count(copy.table()));
        }
      }
      return recreatedRows;
    }

    /** What was dropped is looked at in its own database. */
    private static ForkContents alone(ForkContents contents) {
      return contents instanceof ForkContents.Sparse sparse ? sparse.asAlone() : contents;
    }

    private void mergeRows(
        List<TransactionSet.Table> tables,
        PlanDigest digest,
        List<String> warnings,
        Progress progress)
        throws SQLException {
      List<PresentRows> presents = new ArrayList<>();
      try (RowSpool present = RowSpool.create();
          Connection production = owner.open();
          RowImages images = new RowImages(set)) {
        RowReader now = new RowReader(production);
        WantedImages wanted = new WantedImages(options.restoreLostKeys);
        Map<TableRows, TableNow> merged = new LinkedHashMap<>();
        for (TransactionSet.Table table : tables) {
          Optional<TableNow> found = TableNow.find(now, table);
          if (found.isEmpty()) {
            warnings.add(table.name() + " was dropped since: undo that first, then this");
            continue;
          }
          TableRows rows = new TableRows(table, set.histories());
          merged.put(rows, found.get());
          PresentRows there = PresentRows.read(rows, now, found.get(), present, progress);
          presents.add(there);
          images.want(rows, wanted, there, found.get().shape().key().isEmpty());
        }
        images.read(progress);
        RevertOptions wished = new RevertOptions(options.overwriteTouched, options.restoreLostKeys);
        List<RowLives> together = new ArrayList<>();
        for (Map.Entry<TableRows, TableNow> table : merged.entrySet()) {
          together.add(
              new RowLives(
                  set,
                  images,
                  table.getKey(),
                  table.getValue(),
                  presents.get(together.size()),
                  now,
                  wished.lostKeysOnly(),
                  Collections.unmodifiableList(together)));
        }
        for (RowLives lives : together) {
          merge(new RowMergeJob(set, images, lives, now, wished), digest, warnings, progress);
        }
      }
    }

    private void merge(RowMergeJob job, PlanDigest digest, List<String> warnings, Progress progress)
        throws SQLException {
      if (ahead) {
        TableChanges table =
            job.changes(_ -> {
              throw new IllegalStateException("they were given while they were planned");
            });
        try (PlanApplier.Ahead staged = applier().stage(table)) {
          RowMergeJob.Merged merged = job.merge(digest, staged, progress);
          staged.end();
          keep(job, merged, table, null, warnings);
        }
        return;
      }
      RowChangeSpool spool = RowChangeSpool.create();
      boolean kept = false;
      try {
        RowMergeJob.Merged merged = job.merge(digest, spool, progress);
        kept = keep(job, merged, job.changes(spool), spool, warnings);
      } finally {
        if (!kept) {
          spool.close();
        }
      }
    }

    private boolean keep(
        RowMergeJob job,
        RowMergeJob.Merged merged,
        TableChanges table,
        @Nullable RowChangeSpool spool,
        List<String> warnings) {
      if (!merged.note().isEmpty()) {
        warnings.add(merged.note());
      }
      TablePlan rows = merged.plan();
      if (rows == null) {
        return false;
      }
      changes.add(new TableChange(rows, job.table().action(), table, spool));
      return true;
    }

    private PlanApplier applier() throws SQLException {
      if (applier == null) {
        applier = new PlanApplier(production(), PlanApplier.LOCK_TIMEOUT);
      }
      return applier;
    }

    /** What the plan is applied with: outside of autocommit, and closed with the plan. */
    private Connection production() throws SQLException {
      if (production == null) {
        production = owner.open();
        production.setAutoCommit(false);
      }
      return production;
    }

    private RevertPlan value(
        PlanDigest digest,
        Map<String, Long> recreatedRows,
        List<String> warnings,
        double durationSeconds) {
      Map<String, Long> counts = new LinkedHashMap<>();
      for (Verdict verdict : Verdict.values()) {
        counts.put(verdict.word(), 0L);
      }
      List<RevertPlan.TablePlan> tables = new ArrayList<>();
      List<String> conflicts = new ArrayList<>();
      List<String> unrecoverable = new ArrayList<>();
      List<String> statements = new ArrayList<>();
      List<String> objects = new ArrayList<>();
      long toRestore = 0;
      RecreationPlan again = recreation;
      if (again != null) {
        again.objects().forEach(object -> objects.add(object.toString()));
        conflicts.addAll(again.conflicts());
        unrecoverable.addAll(again.unrecoverable());
        statements.addAll(again.statements());
        for (TableCopy copy : again.copies()) {
          long rows = recreatedRows.getOrDefault(copy.table().toString(), 0L);
          toRestore += rows;
          counts.merge(Verdict.RESTORED.word(), rows, Long::sum);
          tables.add(
              new RevertPlan.TablePlan(
                  copy.table().schema(),
                  copy.table().table(),
                  "dropped",
                  Map.of(Verdict.RESTORED.word(), rows),
                  rows,
                  0,
                  0,
                  0,
                  List.of()));
        }
      }
      for (String file : set.nameless()) {
        unrecoverable.add("the rows of file " + file + ": no recorded catalog knows its table");
      }
      for (TableChange change : changes) {
        TablePlan rows = change.plan;
        Map<String, Long> byWord = new LinkedHashMap<>();
        rows.counts()
            .forEach((verdict, count) -> {
              byWord.put(verdict.word(), count);
              counts.merge(verdict.word(), count, Long::sum);
            });
        toRestore += rows.count(Verdict.Fate.RESTORED);
        tables.add(
            new RevertPlan.TablePlan(
                rows.table().schema(),
                rows.table().table(),
                change.action.name().toLowerCase(java.util.Locale.ROOT),
                byWord,
                rows.count(Verdict.Fate.RESTORED),
                rows.count(Verdict.ALREADY_UNDONE) + rows.count(Verdict.UNCHANGED),
                rows.count(Verdict.TOUCHED_SINCE),
                rows.count(Verdict.Fate.IN_CONFLICT),
                rows.changes().stream().map(PlanText::sample).toList()));
        rows.kept().forEach(kept -> conflicts.add(rows.table() + " " + PlanText.kept(kept)));
        rows.warnings().forEach(warning -> warnings.add(rows.table() + ": " + warning));
        statements.addAll(rows.statements());
      }
      return new RevertPlan(
          set.transactions().stream().map(RevertPlan.Transaction::of).toList(),
          set.told(),
          set.database(),
          digest.shown(),
          counts,
          objects,
          tables,
          conflicts,
          unrecoverable,
          warnings,
          statements,
          toRestore,
          durationSeconds);
    }

    /**
     * Does what the plan says, in one transaction.
     *
     * @param digest the plan's, as the operator was shown it
     * @throws OperatorException REFUSED when it is another plan's, when planned rows have changed
     *     meanwhile, or when something cannot be brought back and the operator did not agree to
     *     that
     */
    public RevertResult apply(String digest, Progress progress) {
      RevertPlan agreed = plan();
      if (!agreed.digest().equals(digest)) {
        throw new OperatorException(
            Kind.REFUSED,
            "the plan " + digest + " is not this one",
            "what would be written has changed since it was shown; it is "
                + agreed.digest()
                + " now",
            "look at the new plan: the same command without --apply");
      }
      if (!agreed.unrecoverable().isEmpty() && !options.partial) {
        throw new OperatorException(
            Kind.REFUSED,
            agreed.undoes() + " cannot be undone whole",
            String.join("; ", agreed.unrecoverable()),
            "add --partial to bring back the rest");
      }
      long begun = System.nanoTime();
      try {
        Connection production = production();
        try {
          permit(production, agreed);
          long restored = applyRows(progress) + recreate(production, progress);
          sign(production, agreed);
          commit(production, agreed);
          analyze(production);
          return new RevertResult(
              agreed.transactions().stream().map(RevertPlan.Transaction::xid).toList(),
              agreed.undoes(),
              agreed.digest(),
              restored,
              fate(Verdict.Fate.KEPT),
              fate(Verdict.Fate.IN_CONFLICT),
              agreed.objects().size(),
              (System.nanoTime() - begun) / 1e9);
        } catch (SQLException | RuntimeException | Error e) {
          rollBack(production, e);
          throw e;
        }
      } catch (SQLException e) {
        throw failed(agreed.undoes() + ": nothing was undone", e);
      }
    }

    /** The operator has agreed to this plan: the guard inside the database lets it pass. */
    private static void permit(Connection production, RevertPlan agreed) throws SQLException {
      try (Statement statement = production.createStatement()) {
        // Before anything is asked: afterwards it cannot be chosen any more.
        statement.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE");
      }
      AgreedChange.permit(production, APPLICATION + " " + agreed.digest());
    }

    /** Leaves word in the log of who writes this, and why. */
    private void sign(Connection production, RevertPlan agreed) throws SQLException {
      try (PreparedStatement message =
          production.prepareStatement(
              "SELECT pg_catalog.pg_logical_emit_message(true, 'holdfast',"
                  + " pg_catalog.json_build_object('application', ?::text, 'user', session_user,"
                  + " 'address', pg_catalog.inet_client_addr(), 'plan', ?::text)::text)")) {
        message.setString(1, APPLICATION);
        message.setString(2, agreed.digest());
        message.execute();
      }
    }

    private void commit(Connection production, RevertPlan agreed) {
      try {
        production.commit();
      } catch (SQLException e) {
        throw new OperatorException(
            Kind.DATABASE_UNREACHABLE,
            "whether " + agreed.undoes() + " was undone is not known",
            "the connection was lost while committing: " + e.getMessage(),
            "make the plan again (holdfast revert "
                + cluster.document().name()
                + " …): one that restores nothing means that it was undone",
            e);
      }
    }

    /**
     * A connection that is gone has rolled back already: its failure must not hide the first one.
     */
    private static void rollBack(Connection production, Throwable first) {
      try {
        production.rollback();
      } catch (SQLException gone) {
        first.addSuppressed(gone);
      }
    }

    private long fate(Verdict.Fate fate) {
      return changes.stream().mapToLong(change -> change.plan.count(fate)).sum();
    }

    private long applyRows(Progress progress) throws SQLException {
      List<TableChanges> written =
          changes.stream().filter(change -> !change.isEmpty()).map(TableChange::changes).toList();
      if (written.isEmpty()) {
        return 0;
      }
      long rows = fate(Verdict.Fate.RESTORED);
      try (Progress.Phase phase = progress.begin("writing rows", rows, Progress.Unit.ROWS)) {
        PlanApplier.Applied applied = applier().applyInTransaction(written);
        long done = applied.inserted() + applied.updated() + applied.deleted();
        phase.advance(done);
        return done;
      }
    }

    /** The planner's statistics went with the tables; without them the first queries are slow. */
    private void analyze(Connection production) {
      RecreationPlan again = recreation;
      if (again == null || again.copies().isEmpty()) {
        return;
      }
      try {
        production.setAutoCommit(true);
        Recreation.analyze(production, again);
      } catch (SQLException | OperatorException e) {
        // What was undone is committed: slow plans are no reason to call that a failure.
        LOG.warn("the recreated tables could not be analyzed; run ANALYZE by hand", e);
      }
    }

    private long recreate(Connection production, Progress progress) throws SQLException {
      RecreationPlan again = recreation;
      Fork fork = before;
      if (again == null || again.isEmpty() || fork == null) {
        return 0;
      }
      long bytes = again.copies().stream().mapToLong(TableCopy::bytes).sum();
      try (Connection then = fork.connect(set.database());
          Progress.Phase phase =
              progress.begin("making dropped objects again", bytes, Progress.Unit.BYTES)) {
        Recreated made =
            Recreation.apply(
                production, then, again, options.partial, new Copied(phase, this::leave));
        return made.totalRows();
      }
    }

    /** The fork goes while production builds indexes. */
    private void leave() {
      Fork fork = before;
      before = null;
      if (fork != null) {
        leaving =
            Thread.ofPlatform()
                .name("fork-leaving")
                .start(() -> {
                  try {
                    fork.close();
                  } catch (RuntimeException e) {
                    LOG.warn("a fork that is not needed any more did not go: {}", e.getMessage());
                  }
                });
      }
    }

    @Override
    public void close() {
      changes.forEach(TableChange::close);
      try {
        if (production != null) {
          production.close();
        }
      } catch (SQLException e) {
        LOG.debug("the connection to production was gone before it was closed", e);
      }
      if (before != null) {
        before.close();
      }
      if (leaving != null) {
        try {
          leaving.join();
        } catch (InterruptedException e) {
          Thread.currentThread().interrupt(); // with this process the rest of it goes
        }
      }
    }
  }

  /** Turns bytes so far of one table into bytes more. */
  private static final class Copied implements RecreationProgress {
    private final Progress.Phase phase;
    private final Runnable onCopied;
    private @Nullable TableCopy current;
    private long told;

    private Copied(Progress.Phase phase, Runnable onCopied) {
      this.phase = phase;
      this.onCopied = onCopied;
    }

    @Override
    public void copying(TableCopy copy, long bytes) {
      if (!copy.equals(current)) {
        current = copy;
        told = 0;
      }
      phase.advance(bytes - told);
      told = bytes;
    }

    @Override
    public void executing(String statement) {
      phase.advance(0);
    }

    @Override
    public void copied() {
      onCopied.run();
    }
  }
}
