package dev.holdfast.operations;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.postgres.BaseBackup;
import dev.holdfast.postgres.Catalog;
import dev.holdfast.postgres.CatalogReader;
import dev.holdfast.postgres.OtherCluster;
import dev.holdfast.postgres.PostgresUrl;
import dev.holdfast.postgres.ReplicationSlot;
import dev.holdfast.postgres.ServerFacts;
import dev.holdfast.postgres.WalPosition;
import dev.holdfast.postgres.WalReceiver;
import dev.holdfast.store.BaseManifest;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.Lease;
import dev.holdfast.store.LeaseDocument;
import dev.holdfast.store.Repository;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.SegmentName;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/** Takes a base backup, full or incremental; receives its WAL itself when nobody is recording. */
public final class Backup {
  private static final Duration STORED_MAX = Duration.ofMinutes(10);
  private static final Duration CONNECTED_MAX = Duration.ofSeconds(30);
  private static final Duration RECORDER_MAX = Duration.ofMinutes(1);
  private static final Duration ATTEMPT_MAX = Duration.ofSeconds(6);

  /** A look lists the repository's WAL, which a bucket charges for. */
  private static final long POLL_FIRST_NANOS = 20_000_000L;

  private static final long POLL_MAX_NANOS = 160_000_000L;
  private static final long LOOK_NANOS = 500_000_000L;

  /** From the second time on the receiver is at work when the backup's checkpoint comes. */
  private static final int ATTEMPTS_MAX = 4;

  private static final int DAMAGED_PAGES_TOLD = 100;

  /** What kind is asked for. */
  public enum Wanted {
    /** Every file whole. */
    FULL,
    /** What changed since the newest one, however long the chain is; full where that cannot be. */
    INCREMENTAL,
    /** Incremental, unless there is nothing to stand on, or the chain is long or large enough. */
    AUTOMATIC
  }

  private final ClusterStore cluster;
  private final PostgresUrl recorder;
  private final int connections;
  private final Wanted wanted;
  private boolean throughServer;

  /**
   * @param url the recorder's connection; null: what {@code protect} kept
   * @param connections how many read files at once
   */
  public Backup(
      String repository, String name, @Nullable String url, int connections, Wanted wanted) {
    this.cluster = Repository.open(repository).cluster(name);
    this.recorder = Connections.recorder(cluster.document(), url);
    this.connections = connections;
    this.wanted = wanted;
  }

  Backup(ClusterStore cluster, PostgresUrl recorder, int connections, Wanted wanted) {
    this.cluster = cluster;
    this.recorder = recorder;
    this.connections = connections;
    this.wanted = wanted;
  }

  /** Asks the server for its files also where they could be read on this machine. */
  public Backup throughServer() {
    throughServer = true;
    return this;
  }

  /** Takes it and publishes it. */
  public BackupResult run(Progress progress) {
    for (int attempt = 1; ; attempt++) {
      try {
        return take(progress);
      } catch (LostWal e) {
        if (attempt == ATTEMPTS_MAX) {
          throw e;
        }
        progress.say("the base backup is taken again: " + e.why());
      }
    }
  }

  /** A server without a slot to give removes WAL when a checkpoint ends, sent or not. */
  private static final class LostWal extends OperatorException {
    private static final long serialVersionUID = 1;

    private LostWal(String why) {
      super(
          Kind.FAILED,
          "the base backup was not published",
          why,
          "take the backup again; the server removed that WAL before it was sent, from which a replication slot keeps it (protect without --without-slot)");
    }
  }

  private BackupResult take(Progress progress) {
    long begun = System.nanoTime();
    String found = ServerFacts.read(recorder).systemIdentifier();
    if (!found.equals(cluster.document().systemIdentifier())) { // before it is given a slot
      throw OtherCluster.found(
          "cannot take a base backup of " + cluster.document().name(),
          cluster.document().systemIdentifier(),
          found);
    }
    var warnings = new Warnings(progress);
    try (Receiving receiving = Receiving.unlessRecorded(cluster, recorder, warnings);
        Told told = new Told(progress)) {
      var choice =
          new ParentChoice(
              cluster, wanted, (timeline, position) -> awaitStored(timeline, position, receiving));
      // It takes as long as the last WAL does to arrive.
      var catalog = new FutureTask<Catalog>(() -> CatalogReader.read(recorder));
      BaseManifest manifest =
          BaseBackup.take(
              recorder,
              cluster,
              connections,
              throughServer,
              choice,
              (timeline, start, stop) -> {
                Thread.ofPlatform().daemon().name("backup-catalog").start(catalog);
                awaitStored(timeline, start, stop, receiving);
              },
              told);
      Catalogs.put(cluster, get(catalog));
      return BackupResult.of(
          manifest,
          choice.fullBecause(),
          told.filesReadFrom(),
          told.damagedPages(),
          told.damagedPageCount(),
          warnings.all(),
          (System.nanoTime() - begun) / 1e9);
    }
  }

  private static Catalog get(Future<Catalog> catalog) {
    try {
      return catalog.get();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new OperatorException(
          Kind.INTERRUPTED,
          "stopped while reading the server's catalogs",
          "interrupted",
          "the base backup is published; the recorder reads them, too",
          e);
    } catch (ExecutionException e) {
      switch (e.getCause()) {
        case RuntimeException cause -> throw cause;
        case Error cause -> throw cause;
        case null, default -> throw new IllegalStateException(e);
      }
    }
  }

  private void awaitStored(int timeline, Lsn position, @Nullable Receiving receiving) {
    int segmentSize = cluster.document().walSegmentSize();
    if (SegmentName.containing(position, 1, segmentSize).start().equals(position)) {
      awaitStored(timeline, position.plus(-1), position, receiving);
    } else {
      awaitStored(
          timeline, position, WalPosition.flushed(recorder), receiving); // the record is older
    }
  }

  private void awaitStored(int timeline, Lsn start, Lsn stop, @Nullable Receiving receiving) {
    long deadline = System.nanoTime() + STORED_MAX.toNanos();
    long pause = POLL_FIRST_NANOS;
    while (!RecordedWal.holds(cluster, timeline, start, stop)) {
      if (receiving != null) {
        receiving.rethrow();
      }
      boolean lost = receiving != null && receiving.lacks(cluster, timeline, start);
      boolean late = System.nanoTime() > deadline || Thread.currentThread().isInterrupted();
      if (lost || late) {
        String why =
            "its WAL from %s to %s did not reach the repository; it holds %s"
                .formatted(start, stop, new RecordedWal(cluster).describe());
        if (lost) {
          throw new LostWal(why);
        }
        throw new OperatorException(
            Kind.FAILED,
            "the base backup was not published",
            why,
            "see whether `holdfast record "
                + cluster.document().name()
                + "` is running and its repository has room, then take the backup again");
      }
      LockSupport.parkNanos(pause);
      pause = Math.min(2 * pause, POLL_MAX_NANOS);
    }
  }

  /** A receiver of our own, for as long as the backup takes. */
  private static final class Receiving implements AutoCloseable {
    private final WalReceiver receiver;
    private final Thread thread;
    private volatile @Nullable Throwable failure;

    /** Where the newest connection began: later than the last one ended if WAL was lost. */
    private volatile Lsn begun = Lsn.NONE;

    private final CountDownLatch connected = new CountDownLatch(1);

    /**
     * Returns when WAL is being received: a backup must not begin before the WAL it begins with is.
     *
     * @return null when somebody else receives it. That may be a recorder that began when we did: a
     *     slot has one user, so whoever does not get it looks again
     */
    static @Nullable Receiving unlessRecorded(
        ClusterStore cluster, PostgresUrl recorder, Warnings warnings) {
      awaitRecorder(cluster, recorder, warnings::add, RECORDER_MAX);
      long deadline = System.nanoTime() + CONNECTED_MAX.toNanos();
      while (!WalReceiver.isActive(recorder, cluster.document().name())) {
        Receiving own = new Receiving(cluster, recorder, warnings);
        boolean begun = false;
        try {
          begun = own.isConnected();
          if (begun) {
            return own;
          }
        } finally {
          if (!begun) {
            own.close();
          }
        }
        if (System.nanoTime() > deadline) {
          throw new OperatorException(
              Kind.DATABASE_UNREACHABLE,
              "the base backup was not begun",
              "the server sent no WAL within " + CONNECTED_MAX.toSeconds() + " s",
              "see whether it lets replication connections in (pg_hba.conf), then take the backup"
                  + " again");
        }
      }
      return null;
    }

    private Receiving(ClusterStore cluster, PostgresUrl recorder, Warnings warnings) {
      String slot = cluster.document().slot();
      if (slot != null) {
        switch (ReplicationSlot.mend(recorder, slot)) {
          case MADE -> warnings.add("replication slot " + slot + " was not there; it was made");
          case MADE_ANEW ->
              warnings.add(
                  "replication slot " + slot + " was given up by the server; it was made anew");
          case FINE, UNLIMITED -> {} // the receiver says of the latter that it goes on without
        }
      }
      // A gap is accepted: this very backup is what makes moments after it reachable.
      this.receiver =
          new WalReceiver(
              recorder,
              cluster,
              // Without a slot the checkpoint that a backup begins with may remove what is to be
              // sent.
              WalReceiver.Options.DEFAULT.withSlot(slot).healing().reserving(),
              new WalReceiver.Listener() {
                @Override
                public void durable(int timeline, Lsn from, byte[] bytes, int offset, int length) {}

                @Override
                public void connected(int timeline, Lsn from) {
                  begun = from;
                  connected.countDown();
                }

                @Override
                public void lost(int timeline, Lsn from, Lsn to, String why) {
                  warnings.add(
                      ("WAL from %s to %s is lost (%,d MB): the server no longer has it (%s); what"
                              + " was committed there cannot be seen, undone or restored to, what"
                              + " comes after can, with this base backup")
                          .formatted(from, to, to.minus(from) >> 20, why));
                }

                @Override
                public void slot(String what) {
                  warnings.add(what);
                }
              });
      this.thread =
          Thread.ofPlatform()
              .daemon()
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
    }

    private boolean isConnected() {
      try {
        boolean begun = connected.await(ATTEMPT_MAX.toSeconds(), TimeUnit.SECONDS);
        rethrow();
        return begun;
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new OperatorException(
            Kind.INTERRUPTED, "the base backup was not begun", "interrupted", "take it again", e);
      }
    }

    /** Whether WAL from this position on was removed before it was sent. */
    boolean lacks(ClusterStore cluster, int timeline, Lsn position) {
      Lsn from = begun;
      return from.isAfter(position) && !RecordedWal.holds(cluster, timeline, position, from);
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

  /**
   * Waits for a recorder that is at work and not connected, which it will be in a moment: the slot
   * is its own, and whoever takes it meanwhile keeps it away.
   *
   * @param max after which the backup does without it
   */
  static void awaitRecorder(
      ClusterStore cluster, PostgresUrl recorder, Consumer<String> warnings, Duration max) {
    String name = cluster.document().name();
    long begun = System.nanoTime();
    @Nullable LeaseDocument seen = null;
    long seenAt = begun;
    while (!WalReceiver.isActive(recorder, name)) {
      LeaseDocument holder = cluster.leaseHolder(RecorderPlace.ROLE);
      if (holder == null || Lease.isOver(holder)) {
        return;
      }
      long now = System.nanoTime();
      if (!holder.equals(seen)) {
        seen = holder;
        seenAt = now;
      }
      if (now - seenAt > (long) (holder.termSeconds() * 1.1 * 1e9)) {
        return; // silent for so long that a recorder would take over
      }
      if (now - begun > max.toNanos()) {
        warnings.accept(
            ("a recorder is at work (%s) and not connected to the server; this base backup has"
                    + " received its WAL itself. See what `holdfast record %s` says there")
                .formatted(holder.holder().where(), name));
        return;
      }
      LockSupport.parkNanos(LOOK_NANOS);
      if (Thread.currentThread().isInterrupted()) {
        throw new OperatorException(
            Kind.INTERRUPTED, "the base backup was not begun", "interrupted", "take it again");
      }
    }
  }

  /** What an operator has to hear of besides the base backup; from several threads. */
  private static final class Warnings {
    private final Progress progress;
    private final List<String> said = new ArrayList<>();

    private Warnings(Progress progress) {
      this.progress = progress;
    }

    synchronized void add(String what) {
      if (!said.contains(what)) {
        said.add(what);
        progress.say("warning: " + what);
      }
    }

    synchronized List<String> all() {
      return List.copyOf(said);
    }
  }

  private static final class Told implements BaseBackup.Progress, AutoCloseable {
    private final Progress progress;
    private final List<BackupResult.DamagedPage> damaged = new ArrayList<>();
    private Progress.@Nullable Phase phase;
    private long damagedCount;
    private @Nullable String filesReadFrom;

    private Told(Progress progress) {
      this.progress = progress;
    }

    @Override
    public synchronized void total(long bytes) {
      close();
      phase = progress.begin("base backup", bytes, Progress.Unit.BYTES);
    }

    @Override
    public synchronized void readsItself(Path dataDirectory) {
      filesReadFrom = dataDirectory.toString();
    }

    synchronized @Nullable String filesReadFrom() {
      return filesReadFrom;
    }

    @Override
    public void copied(long bytes) {
      Progress.Phase current = phase;
      if (current != null) {
        current.advance(bytes);
      }
    }

    @Override
    public synchronized void damagedPage(String path, long block) {
      damagedCount++;
      if (damaged.size() < DAMAGED_PAGES_TOLD) {
        damaged.add(new BackupResult.DamagedPage(path, block));
      }
      progress.say(
          "warning: page "
              + block
              + " of "
              + path
              + " fails its checksum on the server, too; it is copied as it is");
    }

    synchronized List<BackupResult.DamagedPage> damagedPages() {
      return List.copyOf(damaged);
    }

    synchronized long damagedPageCount() {
      return damagedCount;
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
