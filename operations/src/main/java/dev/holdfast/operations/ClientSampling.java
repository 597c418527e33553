package dev.holdfast.operations;

import dev.holdfast.postgres.ConnectedClients;
import dev.holdfast.store.ClusterStore;
import java.sql.Connection;
import java.sql.SQLException;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.time.temporal.ChronoUnit;
import java.util.concurrent.Executor;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * While WAL is recorded, learns from samples who uses the cluster, keeps it in the repository, and
 * tells when one that was usual is gone. Where that fails recording goes on, and nothing is learnt.
 */
final class ClientSampling {
  private static final Logger LOG = LoggerFactory.getLogger(ClientSampling.class);

  /** Whoever is new is kept at once; figures that only grew can wait. */
  private static final Duration KEEPING = Duration.ofMinutes(5);

  private final ClusterStore cluster;
  private final InstantSource clock;
  private final Executor keeper;
  private final Consumer<RecordingAlarm> alarms;

  /** A repository that hangs costs samples, and nothing else. */
  private final AtomicBoolean busy = new AtomicBoolean();

  // Touched only by whoever made busy true.
  private @Nullable ClientsDocument known;
  private @Nullable ClientsDocument kept;

  /**
   * @param keeper runs what works with the repository, away from the thread that samples
   */
  ClientSampling(
      ClusterStore cluster, InstantSource clock, Executor keeper, Consumer<RecordingAlarm> alarms) {
    this.cluster = cluster;
    this.clock = clock;
    this.keeper = keeper;
    this.alarms = alarms;
  }

  /** With a thread for each time something is kept. */
  static ClientSampling of(ClusterStore cluster, Consumer<RecordingAlarm> alarms) {
    return new ClientSampling(
        cluster,
        InstantSource.system(),
        task -> Thread.ofVirtual().name("record-clients").start(task),
        alarms);
  }

  /** Looks once, over a connection that somebody has anyway. */
  void sample(Connection connection) {
    ConnectedClients seen;
    try {
      seen = ConnectedClients.read(connection);
    } catch (SQLException e) {
      LOG.debug("cannot see who is connected", e);
      return;
    }
    Instant at = clock.instant().truncatedTo(ChronoUnit.SECONDS);
    if (busy.compareAndSet(false, true)) {
      keeper.execute(() -> {
        try {
          learn(at, seen);
        } catch (RuntimeException e) {
          LOG.debug("cannot keep who is connected", e); // the receiver says it of the repository
        } finally {
          busy.set(false);
        }
      });
    }
  }

  private void learn(Instant at, ConnectedClients seen) {
    ClientsDocument before = known;
    if (before == null) {
      before = cluster.clients(ClientsDocument.class);
      kept = before;
    }
    if (before == null) {
      before = ClientsDocument.begun(at);
    }
    ClientsDocument now = seen.visible() ? before.with(at, seen.sessions()) : before.blindAt(at);
    known = now;
    tell(before, now);
    ClientsDocument stored = kept;
    if (stored == null
        || !stored.knowsAllOf(now)
        || (stored.blindSince() == null) != (now.blindSince() == null)
        || !Duration.between(stored.sampledAt(), at).abs().minus(KEEPING).isNegative()
        || hasTurned(stored, now)) {
      cluster.putClients(now);
      kept = now;
    }
  }

  /** Whether somebody has vanished, or come back, since. */
  private static boolean hasTurned(ClientsDocument before, ClientsDocument now) {
    return now.clients().stream()
        .anyMatch(client -> {
          ClientsDocument.Client then = before.find(client);
          return then != null && before.isVanished(then) != now.isVanished(client);
        });
  }

  private void tell(ClientsDocument before, ClientsDocument now) {
    String name = cluster.document().name();
    for (ClientsDocument.Client client : now.clients()) {
      ClientsDocument.Client then = before.find(client);
      if (then == null) {
        continue;
      }
      if (now.isVanished(client) && !before.isVanished(then)) {
        Advice advice = ClientAdvice.vanished(name, cluster.document().environment(), client);
        alarms.accept(RecordingAlarm.of("client", advice.level(), advice.what(), advice.next()));
      } else if (before.isVanished(then) && now.isConnected(client)) {
        alarms.accept(
            RecordingAlarm.of(
                "client",
                "note",
                "%s is back on %s; before that it was last seen at %s"
                    .formatted(ClientAdvice.named(client), name, then.lastSeen()),
                "nothing"));
      }
    }
  }
}
