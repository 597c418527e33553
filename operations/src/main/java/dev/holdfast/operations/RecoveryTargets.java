package dev.holdfast.operations;

import dev.holdfast.damage.SegmentSummary;
import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.postgres.RecoveryTarget;
import dev.holdfast.store.BaseManifest;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.ResourceManager;
import dev.holdfast.wal.WalRecord;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.stream.Collector;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * Turns what an operator gives into a position that is recorded. Whether a base backup leads there
 * is for {@link RecoveryTarget}'s users to find out: they refuse with the nearest that one does.
 */
final class RecoveryTargets {
  private static final int NAMED_MAX = 10;

  private final ClusterStore cluster;
  private final String verb;
  private final RecordedWal wal;

  /**
   * @param verb what is to be done: {@code fork}, {@code restore}
   * @param timeline null for the newest recorded one
   * @throws OperatorException USAGE when nothing of that timeline is recorded
   */
  RecoveryTargets(ClusterStore cluster, String verb, @Nullable Integer timeline) {
    this.cluster = cluster;
    this.verb = verb;
    this.wal = timeline == null ? new RecordedWal(cluster) : new RecordedWal(cluster, timeline);
  }

  /**
   * Finds it.
   *
   * @throws OperatorException USAGE for what cannot be read, or is not known; REFUSED for what is
   *     not recorded. Both name what is
   */
  static RecoveryTarget resolve(
      ClusterStore cluster, String verb, Target target, Progress progress) {
    return new RecoveryTargets(cluster, verb, target.timeline())
        .resolve(target, progress)
        .on(target.timeline());
  }

  private RecoveryTarget resolve(Target target, Progress progress) {
    if (target.lsn() != null) {
      return RecoveryTarget.before(position(target.lsn()));
    }
    if (target.restorePoint() != null) {
      return RecoveryTarget.after(restorePoint(target.restorePoint(), progress));
    }
    if (target.at() != null) {
      return RecoveryTarget.before(at(target.at(), progress));
    }
    if (target.before() == null && target.after() == null) {
      return RecoveryTarget.before(wal.end());
    }
    RecordedTransactions transactions =
        new RecordedTransactions(cluster, wal, RecordedNames.of(cluster));
    if (target.before() != null) {
      return RecoveryTarget.before(
          transactions
              .moment(target.before(), cannot("before", target.before()), progress)
              .before());
    }
    String after = Objects.requireNonNull(target.after());
    return RecoveryTarget.after(
        transactions.moment(after, cannot("after", after), progress).commit());
  }

  private String cannot(String preposition, String xid) {
    return cannot(preposition + " transaction " + xid);
  }

  private String cannot(String moment) {
    return "cannot " + verb + " " + cluster.document().name() + " " + moment;
  }

  private Lsn position(String text) {
    try {
      return Lsn.parse(text);
    } catch (IllegalArgumentException e) {
      throw new OperatorException(
          Kind.USAGE,
          cannot("at \"" + text + "\""),
          String.valueOf(e.getMessage()),
          text.matches("\\d+")
              ? "for a transaction number use --before " + text + " or --after " + text
              : "copy it from `holdfast log " + cluster.document().name() + "`");
    }
  }

  private Lsn at(Instant time, Progress progress) {
    String name = cluster.document().name();
    if (time.isAfter(Instant.now())) {
      throw new OperatorException(
          Kind.REFUSED,
          cannot("at " + time),
          "that is in the future: it is " + Instant.now().truncatedTo(ChronoUnit.SECONDS) + " now",
          "check the offset from UTC, or leave --at out for the newest recorded moment");
    }
    Lsn next =
        new RecordedTransactions(cluster, wal, RecordedNames.of(cluster))
            .firstAfter(time, progress);
    if (next == null) {
      throw new OperatorException(
          Kind.REFUSED,
          cannot("at " + time),
          "nothing that committed after it is recorded; the newest recorded commit is of "
              + Status.lastCommit(cluster, wal),
          "leave --at out for the newest recorded moment, or see whether `holdfast record "
              + name
              + "` is running");
    }
    refuseUnknown(time, next);
    return next;
  }

  /**
   * Between a time and the first commit after it that is recorded there may have been others, where
   * the log of that time is not recorded. It is when a base backup of the same stretch was begun by
   * then, or a commit of it made.
   */
  private void refuseUnknown(Instant time, Lsn next) {
    Lsn begin =
        wal.spans().stream()
            .filter(span -> !span.from().isAfter(next) && !span.to().isBefore(next))
            .map(RecordedWal.Span::from)
            .findFirst()
            .orElse(Lsn.NONE);
    List<BaseManifest> bases =
        cluster.bases().list().stream()
            .filter(base -> !new Lsn(base.startLsn()).isBefore(begin))
            .filter(base -> !new Lsn(base.startLsn()).isAfter(next))
            .toList();
    if (bases.isEmpty() || bases.stream().anyMatch(base -> !base.startedAt().isAfter(time))) {
      return; // with none it is refused for want of one
    }
    BaseManifest first = bases.getFirst();
    String gap =
        wal.spans().getFirst().from().equals(begin)
            ? "recording began after that: the oldest base backup, %s, was begun at %s"
            : "that is in a gap of the recorded WAL (%s is recorded); the first base backup after"
                    .formatted(wal.describe())
                + " it, %s, was begun at %s";
    throw new OperatorException(
        Kind.REFUSED,
        cannot("at " + time),
        gap.formatted(first.label(), first.startedAt().truncatedTo(ChronoUnit.SECONDS)),
        "choose a time from %s on"
                .formatted(first.finishedAt().truncatedTo(ChronoUnit.SECONDS).plusSeconds(1))
            + (wal.spans().getFirst().from().equals(begin)
                ? ""
                : ", or with --lsn a position up to " + wal.spans().getFirst().to()));
  }

  private Lsn restorePoint(String name, Progress progress) {
    List<SegmentSummary.RestorePoint> points = restorePoints(progress);
    List<SegmentSummary.RestorePoint> found =
        points.stream().filter(point -> point.name().equals(name)).toList();
    if (found.size() == 1) {
      return found.getFirst().lsn();
    }
    String moment = cannot("at restore point \"" + name + "\"");
    if (found.isEmpty()) {
      List<SegmentSummary.RestorePoint> newest =
          points.subList(Math.max(0, points.size() - NAMED_MAX), points.size());
      throw new OperatorException(
          Kind.USAGE,
          moment,
          points.isEmpty()
              ? "no restore point is recorded"
              : "no restore point of that name is recorded",
          points.isEmpty()
              ? "choose another target; SELECT pg_create_restore_point('NAME') makes one"
              : "recorded are " + newest.stream().map(RecoveryTargets::text).collect(joined()));
    }
    throw new OperatorException(
        Kind.USAGE,
        moment,
        found.size() + " restore points have that name",
        "choose one by its position, with --lsn: "
            + found.stream()
                .map(point -> point.lsn() + " (" + point.at().truncatedTo(ChronoUnit.SECONDS) + ")")
                .collect(joined()));
  }

  private static Collector<CharSequence, ?, String> joined() {
    return Collectors.joining(", ");
  }

  private static String text(SegmentSummary.RestorePoint point) {
    return "\"%s\" (%s)".formatted(point.name(), point.at().truncatedTo(ChronoUnit.SECONDS));
  }

  /** From summaries, and from the log where it has none. */
  private List<SegmentSummary.RestorePoint> restorePoints(Progress progress) {
    List<SegmentSummary.RestorePoint> points = new ArrayList<>();
    new RecordedDamage(cluster, wal, RecordedNames.none())
        .eachSegment(
            progress,
            summary -> points.addAll(summary.restorePoints()),
            record -> {
              if (record.rmgr() == ResourceManager.XLOG
                  && record.decode() instanceof WalRecord.RestorePoint point) {
                points.add(
                    new SegmentSummary.RestorePoint(point.lsn(), point.time(), point.name()));
              }
            });
    return points;
  }
}
