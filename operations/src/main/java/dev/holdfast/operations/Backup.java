package dev.holdfast.operations;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.postgres.BaseBackup;
import dev.holdfast.postgres.CatalogReader;
import dev.holdfast.postgres.PostgresUrl;
import dev.holdfast.postgres.ReplicationSlot;
import dev.holdfast.postgres.WalReceiver;
import dev.holdfast.store.BaseManifest;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.Repository;
import dev.holdfast.wal.Lsn;
import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/** Takes a base backup; receives its WAL itself when nobody is recording. */
public final class Backup {
  private static final Duration STORED_MAX = Duration.ofMinutes(10);
  private static final Duration CONNECTED_MAX = Duration.ofSeconds(30);
  private static final long POLL_NANOS = 100_000_000L;

  private final ClusterStore cluster;
  private final PostgresUrl recorder;
  private final int connections;

  /**
   * @param url the recorder's connection; null: what {@code protect} kept
   * @param connections how many read files at once
   */
  public Backup(String repository, String name, @Nullable String url, int connections) {
    this.cluster = Repository.open(repository).cluster(name);
    this.recorder = Connections.recorder(cluster.document(), url);
    this.connections = connections;
  }

  Backup(ClusterStore cluster, PostgresUrl recorder, int connections) {
    this.cluster = cluster;
    this.recorder = recorder;
    this.connections = connections;
  }

  /** Takes it and publishes it. */
  public BackupResult run(Progress progress) {
    long begun = System.nanoTime();
    boolean recorded = WalReceiver.isActive(recorder, cluster.document().name());
    try (Receiving receiving = recorded ? null : new Receiving(cluster, recorder);
        Told told = new Told(progress)) {
      BaseManifest manifest =
          BaseBackup.take(
              recorder,
              cluster,
              connections,
              (start, stop) -> awaitStored(start, stop, receiving),
              told);
      Catalogs.put(cluster, CatalogReader.read(recorder));
      return BackupResult.of(manifest, (System.nanoTime() - begun) / 1e9);
    }
  }

  private void awaitStored(Lsn start, Lsn stop, @Nullable Receiving receiving) {
    long deadline = System.nanoTime() + STORED_MAX.toNanos();
    while (!new RecordedWal(cluster).holds(start, stop)) {
      if (receiving != null) {
        receiving.rethrow();
      }
      if (System.nanoTime() > deadline || Thread.currentThread().isInterrupted()) {
        throw new OperatorException(
            Kind.FAILED,
            "the base backup was not published",
            "its WAL from "
                + start
                + " to "
                + stop
                + " did not reach the repository; it holds "
                + new RecordedWal(cluster).describe(),
            "see whether `holdfast record "
                + cluster.document().name()
                + "` is running and its repository has room, then take the backup again");
      }
      LockSupport.parkNanos(POLL_NANOS);
    }
  }

  /** A receiver of our own, for as long as the backup takes. */
  private static final class Receiving implements AutoCloseable {
    private final WalReceiver receiver;
    private final Thread thread;
    private volatile @Nullable Throwable failure;

    private Receiving(ClusterStore cluster, PostgresUrl recorder) {
      if (cluster.document().slot() != null) {
        ReplicationSlot.mend(recorder, cluster.document().slot());
      }
      CountDownLatch connected = new CountDownLatch(1);
      // A gap is accepted: this very backup is what makes moments after it reachable.
      this.receiver =
          new WalReceiver(
              recorder,
              cluster,
              WalReceiver.Options.DEFAULT.withSlot(cluster.document().slot()).healing(),
              new WalReceiver.Listener() {
                @Override
                public void durable(int timeline, Lsn from, byte[] bytes, int offset, int length) {}

                @Override
                public void connected(int timeline, Lsn from) {
                  connected.countDown();
                }
              });
      this.thread =
          Thread.ofVirtual()
              .name("backup-wal")
              .start(() -> {
                try {
                  receiver.run();
                } catch (Throwable e) {
                  failure = e;
                } finally {
                  connected.countDown();
                }
              });
      awaitConnected(connected);
    }

    /** The backup must not begin before the WAL it begins with is being received. */
    private void awaitConnected(CountDownLatch connected) {
      try {
        if (!connected.await(CONNECTED_MAX.toSeconds(), TimeUnit.SECONDS)) {
          close();
          throw new OperatorException(
              Kind.DATABASE_UNREACHABLE,
              "the base backup was not begun",
              "the server sent no WAL within " + CONNECTED_MAX.toSeconds() + " s",
              "see whether it lets replication connections in (pg_hba.conf), then take the backup"
                  + " again");
        }
        rethrow();
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        close();
        throw new OperatorException(
            Kind.INTERRUPTED, "the base backup was not begun", "interrupted", "take it again", e);
      }
    }

    void rethrow() {
      Throwable thrown = failure;
      if (thrown instanceof RuntimeException known) {
        throw known;
      }
      if (thrown != null) {
        throw new IllegalStateException("receiving WAL ended", thrown);
      }
    }

    @Override
    public void close() {
      receiver.stop();
      try {
        thread.join();
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      }
    }
  }

  private static final class Told implements BaseBackup.Progress, AutoCloseable {
    private final Progress progress;
    private Progress.@Nullable Phase phase;

    private Told(Progress progress) {
      this.progress = progress;
    }

    @Override
    public synchronized void total(long bytes) {
      close();
      phase = progress.begin("base backup", bytes, Progress.Unit.BYTES);
    }

    @Override
    public void copied(long bytes) {
      Progress.Phase current = phase;
      if (current != null) {
        current.advance(bytes);
      }
    }

    @Override
    public void damagedPage(String path, long block) {
      progress.say(
          "warning: page "
              + block
              + " of "
              + path
              + " fails its checksum on the server, too; it is copied as it is");
    }

    @Override
    public synchronized void close() {
      if (phase != null) {
        phase.close();
        phase = null;
      }
    }
  }
}
