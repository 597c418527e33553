package dev.holdfast.operations;

import dev.holdfast.failure.OperatorException;
import dev.holdfast.postgres.PostgresUrl;
import dev.holdfast.postgres.SlotState;
import dev.holdfast.postgres.WalReceiver;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Looks, while recording, at what it costs the server's disk, and whether it keeps up. */
final class RecordingWatch {
  private static final Logger LOG = LoggerFactory.getLogger(RecordingWatch.class);
  private static final Duration LOOKING = Duration.ofSeconds(10);
  private static final Duration SLOW_MIN = Duration.ofMillis(500);
  private static final long STEP_MILLIS = 250;

  private final PostgresUrl recorder;
  private final @Nullable String slot;
  private final WalReceiver receiver;
  private final Duration flushInterval;
  private final Consumer<RecordingAlarm> alarms;
  private volatile boolean ending;
  private List<Advice> told = List.of();
  private boolean slow;
  private @Nullable Thread thread;

  RecordingWatch(
      PostgresUrl recorder,
      @Nullable String slot,
      WalReceiver receiver,
      Duration flushInterval,
      Consumer<RecordingAlarm> alarms) {
    this.recorder = recorder;
    this.slot = slot;
    this.receiver = receiver;
    this.flushInterval = flushInterval;
    this.alarms = alarms;
  }

  void begin() {
    thread = Thread.ofVirtual().name("record-watch").start(this::watch);
  }

  void end() {
    ending = true;
    Thread watching = thread;
    if (watching != null) {
      try {
        watching.join();
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      }
    }
  }

  private void watch() {
    long lookedAt = System.nanoTime() - LOOKING.toNanos();
    try {
      while (!ending) {
        tellSlowness();
        if (System.nanoTime() - lookedAt >= LOOKING.toNanos()) {
          lookedAt = System.nanoTime();
          look();
        }
        Thread.sleep(STEP_MILLIS); // a clock is what is watched
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /**
   * The promise is the flush interval and what one write takes; a write that takes long is told.
   */
  private void tellSlowness() {
    Duration waiting = receiver.waiting();
    if (!slow && waiting.compareTo(flushInterval.plus(SLOW_MIN).multipliedBy(2)) > 0) {
      slow = true;
      alarms.accept(
          RecordingAlarm.of(
              "repository",
              "warning",
              "the repository takes WAL slowly: the oldest that is not stored has been waiting for"
                  + " %s s, and would be lost with the server"
                      .formatted(Math.round(waiting.toMillis() / 100.0) / 10.0),
              "see what slows its disk or network down; on a slow network a longer"
                  + " --flush-interval sends less"));
    } else if (slow && waiting.compareTo(flushInterval.plus(SLOW_MIN)) <= 0) {
      slow = false;
    }
  }

  private void look() {
    try {
      List<Advice> now = advice(SlotState.read(recorder, slot));
      List<Advice> levels = now.stream().filter(each -> !isTold(each)).toList();
      told = now;
      levels.forEach(
          each -> alarms.accept(RecordingAlarm.of("slot", each.level(), each.what(), each.next())));
    } catch (OperatorException e) {
      LOG.debug("cannot look at the slot", e); // the receiver says that the server is away
    }
  }

  /** The figures change all the time: what counts is what is the matter. */
  private boolean isTold(Advice advice) {
    return told.stream()
        .anyMatch(each -> each.level().equals(advice.level()) && each.next().equals(advice.next()));
  }

  /** What an operator should know of it; nothing when all is well. */
  static List<Advice> advice(SlotState state) {
    List<Advice> advice = new ArrayList<>();
    String slot = state.slot();
    if (slot == null) {
      return advice;
    }
    String named = "replication slot " + slot;
    Long kept = state.keptBytes();
    Long safe = state.safeBytes();
    Long limit = state.limitBytes();
    String keeps = kept == null ? "" : ", it keeps %s".formatted(megabytes(kept));
    switch (state.walStatus()) {
      case null ->
          advice.add(
              new Advice(
                  "warning",
                  named + " does not exist: WAL that is written while nothing records may be lost",
                  "start the recorder, which makes it where max_slot_wal_keep_size has a limit"));
      case "lost" ->
          advice.add(
              new Advice(
                  "warning",
                  named
                      + " was given up by the server: past max_slot_wal_keep_size it kept no more"
                      + " WAL, and what was not recorded is lost",
                  "start the recorder: it goes on where the server is, and takes a base backup"));
      case "unreserved" ->
          advice.add(
              new Advice(
                  "warning",
                  named
                      + " is past max_slot_wal_keep_size"
                      + keeps
                      + ": at the next checkpoint the"
                      + " WAL that is not recorded may be lost",
                  "start the recorder, or see why it does not keep up"));
      default -> {
        if (safe != null && limit != null && safe < limit / 4) {
          advice.add(
              new Advice(
                  "warning",
                  named
                      + keeps
                      + "; after %s more the WAL that is not recorded may be lost"
                          .formatted(megabytes(safe)),
                  "start the recorder, or see why it does not keep up; or give it more room: raise"
                      + " max_slot_wal_keep_size (%s) as far as the server's disk allows"
                          .formatted(megabytes(limit))));
        } else if ("extended".equals(state.walStatus())) {
          advice.add(
              new Advice(
                  "note",
                  named
                      + keeps
                      + " of WAL that the server would have removed without it"
                      + (safe == null ? "" : "; %s more are possible".formatted(megabytes(safe))),
                  "start the recorder, or see why it does not keep up"));
        }
      }
    }
    return advice;
  }

  private static String megabytes(long bytes) {
    return "%,d MB".formatted(bytes >> 20);
  }
}
