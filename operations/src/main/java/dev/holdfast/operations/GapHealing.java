package dev.holdfast.operations;

import dev.holdfast.failure.OperatorException;
import dev.holdfast.postgres.PostgresUrl;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.wal.Lsn;
import java.time.Duration;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Takes a base backup where WAL was lost, so that moments after the gap can be reached. Whether one
 * is needed the repository tells: a recorder that is killed before it was taken leaves nothing
 * behind to remember.
 */
final class GapHealing {
  private static final Logger LOG = LoggerFactory.getLogger(GapHealing.class);
  private static final Duration LOOKING_AGAIN = Duration.ofMillis(200);
  private static final Duration GIVING_UP_MAX = Duration.ofSeconds(10);
  private static final Duration PAUSE_FIRST = Duration.ofSeconds(10);
  private static final Duration PAUSE_MAX = Duration.ofMinutes(10);

  private final ClusterStore cluster;
  private final PostgresUrl recorder;
  private final boolean backUp;
  private final Consumer<RecordingAlarm> alarms;
  private final Semaphore look = new Semaphore(0);
  private volatile boolean ending;
  private volatile boolean expected;
  private @Nullable Thread thread;

  /**
   * @param backUp whether to take it; else it is told only
   */
  GapHealing(
      ClusterStore cluster, PostgresUrl recorder, boolean backUp, Consumer<RecordingAlarm> alarms) {
    this.cluster = cluster;
    this.recorder = recorder;
    this.backUp = backUp;
    this.alarms = alarms;
  }

  void begin() {
    thread = Thread.ofPlatform().daemon().name("record-healing").start(this::heal);
  }

  /** WAL is being received. */
  void connected() {
    look.release();
  }

  /** WAL was lost: there will be a gap once something after it is recorded. */
  void lost() {
    expected = true;
    look.release();
  }

  /** A base backup in the making is given up. */
  void end() {
    ending = true;
    Thread healing = thread;
    if (healing != null) {
      healing.interrupt();
      try {
        // A base backup that does not hear of it ends with the process; nothing of it is visible.
        healing.join(GIVING_UP_MAX);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      }
    }
  }

  /** Whether no base backup was begun since the last gap. */
  static boolean isNeeded(ClusterStore cluster) {
    RecordedWal wal = new RecordedWal(cluster);
    if (wal.spans().size() < 2) {
      return false;
    }
    Lsn begin = wal.spans().getLast().from();
    return cluster.bases().list().stream()
        .noneMatch(base -> !new Lsn(base.startLsn()).isBefore(begin));
  }

  private void heal() {
    Duration pause = PAUSE_FIRST;
    try {
      while (!ending) {
        look.acquire();
        look.drainPermits();
        if (ending) {
          return;
        }
        try {
          if (heals()) {
            pause = PAUSE_FIRST;
            continue;
          }
          Thread.sleep(LOOKING_AGAIN); // the repository tells, and only that
          look.release();
          continue;
        } catch (RuntimeException e) { // whatever it was: without this nobody heals
          LOG.warn("the base backup that a gap needs could not be taken", e);
          if (!ending) {
            alarms.accept(failed(e));
          }
        }
        if (!look.tryAcquire(pause.toMillis(), TimeUnit.MILLISECONDS)) {
          pause =
              pause.multipliedBy(2).compareTo(PAUSE_MAX) > 0 ? PAUSE_MAX : pause.multipliedBy(2);
        }
        look.release();
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt(); // asked to end
    }
  }

  private RecordingAlarm failed(RuntimeException e) {
    String why =
        e instanceof OperatorException known
            ? known.what() + ": " + known.why()
            : String.valueOf(e.getMessage());
    return RecordingAlarm.of(
        "baseBackup",
        "critical",
        "the base backup after the gap could not be taken: " + why + "; it is tried again",
        e instanceof OperatorException known
            ? known.next()
            : "holdfast backup " + cluster.document().name());
  }

  /** Whether there is nothing (more) to do; else nothing is recorded yet after what was lost. */
  private boolean heals() {
    if (!isNeeded(cluster)) {
      return !expected;
    }
    expected = false;
    String name = cluster.document().name();
    Lsn gap = new RecordedWal(cluster).spans().getLast().from();
    if (!backUp) {
      alarms.accept(
          RecordingAlarm.of(
              "baseBackup",
              "critical",
              "no moment after the gap before " + gap + " can be reached without a base backup",
              "holdfast backup " + name));
      return true;
    }
    BackupResult taken = new Backup(cluster, recorder, 1, Backup.Wanted.FULL).run(Progress.SILENT);
    alarms.accept(
        RecordingAlarm.of(
            "baseBackup",
            "note",
            "base backup %s was taken after the gap: every moment from %s on can be reached"
                .formatted(taken.label(), taken.stopLsn()),
            "nothing; what was committed in the gap stays unknown"));
    return true;
  }
}
