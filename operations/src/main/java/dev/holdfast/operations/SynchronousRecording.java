package dev.holdfast.operations;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.postgres.PostgresUrl;
import dev.holdfast.postgres.SynchronousCommits;
import dev.holdfast.postgres.SynchronousStandbys;
import dev.holdfast.postgres.WalReceiver;
import dev.holdfast.store.Lease;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Has commits wait for the repository, and no longer than was agreed: a recorder that cannot write,
 * or stops, takes itself out of synchronous_standby_names, or leaves its place to another standby,
 * and says so. What a recorder that was killed leaves behind nobody can change but an
 * administrator, or the recorder when it is back: that is said beforehand.
 *
 * <p>All recorders of a cluster have one name in the list. So it belongs to the one that holds the
 * lease: one that has lost it changes nothing there, and one whose term is over, as that of a
 * process that was paused is, finds out first, for {@link #UNSURE_MAX} at most. Should it then
 * still not be known, the repository is out of reach: it leaves, since commits that hang are worse,
 * and another one that is at work takes the place in the list again.
 */
final class SynchronousRecording {
  private static final Logger LOG = LoggerFactory.getLogger(SynchronousRecording.class);
  private static final long STEP_MILLIS = 50;
  private static final Duration LOOK_UNSETTLED = Duration.ofMillis(500);
  private static final Duration LOOK_SETTLED = Duration.ofSeconds(5);

  private static final Duration LEAVE_AGAIN_FIRST = Duration.ofMillis(250);
  private static final Duration LEAVE_AGAIN_MAX = Duration.ofSeconds(5);
  private static final Duration RELOADED_MAX = Duration.ofSeconds(5);
  private static final Duration UNSURE_MAX = Duration.ofSeconds(5);

  private final PostgresUrl recorder;
  private final SynchronousCommits.Session session;
  private final Lease lease;
  private final Supplier<Duration> waiting;
  private final Runnable disconnect;
  private final String cluster;
  private final String standby;
  private final int major;
  private final Duration degradeAfter;
  private final Consumer<RecordingAlarm> alarms;

  private @Nullable Thread thread;
  private volatile boolean ending;
  private boolean degraded;

  /** What the list was when it was last seen; null: never. */
  private @Nullable SynchronousStandbys seen;

  /** Whether it was told that this recorder cannot leave. */
  private boolean stuck;

  private String told = "";

  /** When the term was first seen to be over, while it is; 0: it is not. */
  private long unsureSince;

  /**
   * What the list was when it was last seen with this recorder in it, and what it is without: when
   * just this one was taken out, by itself or by another recorder, it takes its place again.
   */
  private @Nullable SynchronousStandbys before;

  private @Nullable SynchronousStandbys after;

  /**
   * @param lease the right to record, which is kept up elsewhere
   * @param waiting for how long the oldest WAL that is not stored has waited
   * @param disconnect ends the connection that acknowledges
   */
  SynchronousRecording(
      PostgresUrl recorder,
      Lease lease,
      Supplier<Duration> waiting,
      Runnable disconnect,
      String cluster,
      int major,
      Duration degradeAfter,
      Consumer<RecordingAlarm> alarms) {
    this.recorder = recorder;
    this.lease = lease;
    this.waiting = waiting;
    this.disconnect = disconnect;
    this.cluster = cluster;
    this.standby = WalReceiver.applicationName(cluster);
    this.session = new SynchronousCommits.Session(recorder, standby);
    this.major = major;
    this.degradeAfter = degradeAfter;
    this.alarms = alarms;
  }

  void begin() {
    thread = Thread.ofVirtual().name("record-synchronous").start(this::watch);
  }

  /**
   * Leaves, so that no commit waits for a recorder that is gone, unless another has taken over.
   * Before the receiver is stopped: until this returns it goes on acknowledging.
   */
  void end() {
    synchronized (this) {
      if (ending) {
        return;
      }
      ending = true;
    }
    Thread watching = thread;
    if (watching != null) {
      try {
        watching.join();
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      }
    }
    try (session) {
      while (isUnsure()) {
        LockSupport.parkNanos(Duration.ofMillis(STEP_MILLIS).toNanos());
      }
      if (lease.isLost()) {
        return; // who took over has the same name, and commits wait for it
      }
      SynchronousCommits commits = read();
      if (commits.standbys().cannotDoWithout(standby)) {
        leave(commits, "the recorder stops");
      }
    } catch (OperatorException e) {
      LOG.warn("cannot see whether commits wait for the recorder of {}, or leave", cluster, e);
      cannotLeave("the recorder stops", e);
    }
  }

  /** Whether it is being found out if another has taken over, and may be waited for. */
  private boolean isUnsure() {
    if (lease.isHeld() || lease.isLost()) {
      unsureSince = 0;
      return false;
    }
    if (unsureSince == 0) {
      unsureSince = System.nanoTime() | 1; // never 0
    }
    return System.nanoTime() - unsureSince < UNSURE_MAX.toNanos();
  }

  private SynchronousCommits read() {
    SynchronousCommits commits = session.read();
    seen = commits.standbys();
    return commits;
  }

  private void cannotLeave(String why, OperatorException e) {
    SynchronousStandbys list = seen;
    boolean depends = list != null && list.cannotDoWithout(standby);
    alarm(
        "critical",
        why
            + (depends
                ? ": COMMITS HANG, or will, since it cannot take itself out of the list: "
                : ": it is unknown whether commits wait for it: ")
            + e.what()
            + ": "
            + e.why(),
        "if they hang, as an administrator: "
            + SynchronousCommits.statements(
                list == null ? SynchronousStandbys.NONE : list.without(standby))
            + "\nwhere ALTER SYSTEM is not allowed, change it in postgresql.conf and reload");
  }

  private void watch() {
    long lookedAt = 0;
    Duration pause = Duration.ZERO;
    long triedAt = 0;
    Duration again = Duration.ZERO;
    while (!ending) {
      // In this order: who was paused between the two has no reason to leave yet, or is unsure.
      boolean hanging = waiting.get().compareTo(degradeAfter) > 0;
      boolean unsure = isUnsure();
      if (lease.isLost()) {
        return; // the list is the other one's now
      }
      try {
        if (hanging) {
          if (!degraded && !unsure && System.nanoTime() - triedAt >= again.toNanos()) {
            degrade();
          }
        } else {
          again = Duration.ZERO;
          stuck = false;
          if (System.nanoTime() - lookedAt >= pause.toNanos()) {
            pause = look() ? LOOK_SETTLED : LOOK_UNSETTLED;
            lookedAt = System.nanoTime();
          }
        }
      } catch (RuntimeException e) { // whatever it was: without this thread nobody leaves
        if (hanging) {
          tellStuck(
              e instanceof OperatorException known
                  ? known
                  : new OperatorException(
                      Kind.FAILED,
                      "cannot take the recorder out of synchronous_standby_names",
                      String.valueOf(e.getMessage()),
                      "take it out as an administrator",
                      e));
          again = again.isZero() ? LEAVE_AGAIN_FIRST : again.multipliedBy(2);
          again = again.compareTo(LEAVE_AGAIN_MAX) > 0 ? LEAVE_AGAIN_MAX : again;
          triedAt = System.nanoTime();
        } else {
          // No server, no commits that wait; the receiver says that it is away.
          LOG.debug("cannot see whom commits of {} wait for", cluster, e);
          pause = LOOK_UNSETTLED;
          lookedAt = System.nanoTime();
        }
      }
      try {
        Thread.sleep(STEP_MILLIS); // the time that commits have been waiting is what is watched
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        return;
      }
    }
  }

  /** Once: it is tried again and again. Where others can acknowledge, nobody hangs. */
  private void tellStuck(OperatorException e) {
    LOG.debug("the recorder of {} cannot leave", cluster, e);
    SynchronousStandbys list = seen;
    if (!stuck && (list == null || list.counts(standby))) {
      stuck = true;
      cannotLeave(tookNothing(), e);
    }
  }

  private String tookNothing() {
    return "the repository has taken no WAL for %s s".formatted(waiting.get().toMillis() / 1000.0);
  }

  /** Returns whether all is as it should be. */
  private boolean look() {
    SynchronousCommits commits = read();
    if (degraded) {
      if (!commits.streaming()) {
        return false;
      }
      degraded = false;
    }
    SynchronousStandbys standbys = commits.standbys();
    if (!standbys.counts(standby)) {
      return join(commits);
    }
    before = standbys;
    after = standbys.without(standby);
    if (!commits.streaming()) {
      return false;
    }
    switch (commits.synchronousCommit()) {
      case "off", "local" ->
          tellOnce(
              "warning",
              "commits do not wait for the repository: synchronous_commit is "
                  + commits.synchronousCommit(),
              "ALTER SYSTEM SET synchronous_commit = 'on'; SELECT pg_reload_conf();");
      case "remote_apply" ->
          tellOnce(
              "critical",
              "commits hang: synchronous_commit is remote_apply, and a repository applies nothing",
              "ALTER SYSTEM SET synchronous_commit = 'on'; SELECT pg_reload_conf();");
      default -> tellWhatWaits(commits);
    }
    return true;
  }

  private void tellWhatWaits(SynchronousCommits commits) {
    SynchronousStandbys standbys = commits.standbys();
    if (!standbys.cannotDoWithout(standby)) {
      tellOnce(
          "note",
          "commits wait for %s: the repository is one of them".formatted(standbys),
          standbys.needed() < standbys.names().size()
              ? "nothing; a commit may be on another standby and not in the repository yet when"
                  + " the server is lost"
              : "nothing");
      return;
    }
    String killed =
        "should this recorder be killed, commits wait until it is back, or an administrator runs: "
            + SynchronousCommits.statements(standbys.without(standby));
    if (commits.mayChange()) {
      tellOnce(
          "note",
          "commits wait for the repository (%s); when it takes no WAL for %s s, or recording stops,"
                  .formatted(standbys, degradeAfter.toMillis() / 1000.0)
              + " the recorder takes itself out of the list",
          killed + "; with a second standby nothing hangs: " + withSecond());
    } else {
      tellOnce(
          "warning",
          "commits wait for the repository (%s), nobody else can acknowledge them, and the recorder"
                  .formatted(standbys)
              + " may not take itself out of the list: when it stops, or the repository takes no"
              + " WAL, commits hang",
          "add a second standby: "
              + withSecond()
              + (!commits.alterSystem()
                      || SynchronousCommits.grants(major, recorder.user()).isEmpty()
                  ? ""
                  : "; or let the recorder leave, as a superuser: "
                      + String.join("; ", SynchronousCommits.grants(major, recorder.user()))
                      + ";")
              + "\n"
              + killed);
    }
  }

  private String withSecond() {
    return SynchronousCommits.statements(
        new SynchronousStandbys("ANY", 1, List.of(standby, "YOUR_STANDBY")));
  }

  /** Takes the place in the list that was agreed, where it is allowed to. */
  private boolean join(SynchronousCommits commits) {
    SynchronousStandbys found = commits.standbys();
    SynchronousStandbys wanted =
        before != null && found.equals(after)
            ? before
            : found.names().isEmpty() ? new SynchronousStandbys("ANY", 1, List.of(standby)) : null;
    if (wanted == null || !commits.mayChange()) {
      tellOnce(
          "warning",
          "commits do not wait for the repository: "
              + standby
              + " is not in synchronous_standby_names"
              + (found.names().isEmpty() ? "" : " (" + found + ")"),
          "with a second standby, so that nothing hangs when this recorder stops: "
              + withSecond()
              + "\nalone: "
              + SynchronousCommits.statements(new SynchronousStandbys("ANY", 1, List.of(standby)))
              + (commits.mayChange() ? "" : " and when it stops, commits hang until it is back"));
      return true;
    }
    if (!commits.streaming() || !waiting.get().isZero()) {
      return false; // commits would wait until it has caught up
    }
    session.set(wanted);
    return false; // the next look tells what the server made of it
  }

  private void degrade() {
    SynchronousCommits commits = read();
    SynchronousStandbys standbys = commits.standbys();
    String why = tookNothing();
    if (standbys.cannotDoWithout(standby)) {
      leave(commits, why);
    } else if (standbys.counts(standby)) {
      disconnect.run();
      alarm(
          "critical",
          why + ": commits wait for the other standbys only (" + standbys + ")",
          "see why the repository cannot be written; the recorder comes back by itself");
    } else if (stuck) {
      alarm("note", why + ": commits do not wait for the repository any more", "nothing");
    }
    degraded = true;
    stuck = false;
    told = "";
  }

  private void leave(SynchronousCommits commits, String why) {
    SynchronousStandbys without = commits.standbys().without(standby);
    if (!commits.mayChange()) {
      alarm(
          "critical",
          why + ": COMMITS HANG until it goes on, since nobody else can acknowledge them",
          commits.alterSystem()
              ? "as an administrator: " + SynchronousCommits.statements(without)
              : "as an administrator, since ALTER SYSTEM is not allowed, in postgresql.conf:"
                  + " synchronous_standby_names = '"
                  + without
                  + "', and reload");
      return;
    }
    session.set(without);
    before = commits.standbys();
    after = without;
    SynchronousCommits now = awaitReload();
    if (now.standbys().cannotDoWithout(standby)) {
      alarm(
          "critical",
          why
              + ": COMMITS HANG until it goes on: synchronous_standby_names still is "
              + now.standbys()
              + " after ALTER SYSTEM and a reload",
          "see what sets it, as the server's command line would: SELECT source, sourcefile FROM"
              + " pg_settings WHERE name = 'synchronous_standby_names'; as an administrator change"
              + " it there to '"
              + without
              + "', and restart the server if it is the command line");
      return;
    }
    alarm(
        "critical",
        why
            + ": commits do not wait for the repository any more (synchronous_standby_names was "
            + commits.standbys()
            + ")",
        ending
            ? "start it again: holdfast record " + cluster + " --synchronous"
            : "see why the repository cannot be written; the recorder comes back by itself");
  }

  /** A reload takes a moment to reach everybody. */
  private SynchronousCommits awaitReload() {
    long deadline = System.nanoTime() + RELOADED_MAX.toNanos();
    SynchronousCommits commits = read();
    while (commits.standbys().cannotDoWithout(standby) && System.nanoTime() < deadline) {
      LockSupport.parkNanos(Duration.ofMillis(STEP_MILLIS).toNanos());
      commits = read();
    }
    return commits;
  }

  private void tellOnce(String level, String what, String next) {
    if (!told.equals(what)) {
      told = what;
      alarm(level, what, next);
    }
  }

  private void alarm(String level, String what, String next) {
    alarms.accept(RecordingAlarm.of("synchronous", level, what, next));
  }
}
