package dev.holdfast.operations;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.Lease;
import dev.holdfast.store.LeaseCandidate;
import dev.holdfast.store.LeaseDocument;
import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/** One of several recorders of a cluster is at work; the others stand by, or leave. */
final class RecorderPlace {
  /** The lease that the one at work holds. */
  static final String ROLE = "record";

  private static final Duration LOOK_MAX = Duration.ofSeconds(5);
  private static final int LOOKS = 6;

  private final ClusterStore cluster;
  private final RecordOptions options;
  private final Consumer<RecordingAlarm> alarms;
  private final CountDownLatch stopped;

  /**
   * @param stopped ends the waiting
   */
  RecorderPlace(
      ClusterStore cluster,
      RecordOptions options,
      Consumer<RecordingAlarm> alarms,
      CountDownLatch stopped) {
    this.cluster = cluster;
    this.options = options;
    this.alarms = alarms;
    this.stopped = stopped;
  }

  /**
   * Takes the place, waiting for it.
   *
   * @return null when told to stop first
   * @throws OperatorException REFUSED when it is another's and waiting is not wanted
   */
  @Nullable Lease take() {
    String name = cluster.document().name();
    LeaseCandidate candidate =
        cluster.candidate(ROLE, "holdfast record " + name, options.takeoverAfter());
    Duration look = options.takeoverAfter().dividedBy(LOOKS);
    String told = "";
    while (true) {
      LeaseCandidate.Answer answer = candidate.ask();
      Lease lease = answer.lease();
      if (lease != null) {
        if (!told.isEmpty()) {
          alarms.accept(
              RecordingAlarm.of(
                  "recorder",
                  "note",
                  "the other recorder of %s has ended or fallen silent: this one takes over"
                      .formatted(name),
                  "nothing; if it was not stopped on purpose, see what became of it"));
        }
        return lease;
      }
      LeaseDocument holder = answer.holder();
      if (holder != null && !told.equals(holder.holder().token())) {
        if (!options.standBy()) {
          throw new OperatorException(
              Kind.REFUSED,
              "cannot record " + name,
              "another recorder is at work: " + who(holder),
              "stop that one, or leave --no-standby out, to take over when it ends");
        }
        told = holder.holder().token();
        alarms.accept(
            RecordingAlarm.of(
                "recorder",
                "note",
                "another recorder of %s is at work: %s; this one stands by"
                    .formatted(name, who(holder)),
                "nothing: recording goes on here when that one ends, or has not been heard of for"
                    + " %.0f s".formatted(holder.termSeconds() * 1.1)));
      }
      try {
        Duration pause = look.compareTo(LOOK_MAX) > 0 ? LOOK_MAX : look;
        if (stopped.await(pause.toMillis(), TimeUnit.MILLISECONDS)) {
          return null;
        }
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        return null;
      }
    }
  }

  private static String who(LeaseDocument holder) {
    return "%s, since %s, last heard of %s"
        .formatted(holder.holder().where(), holder.acquiredAt(), holder.renewedAt());
  }
}
