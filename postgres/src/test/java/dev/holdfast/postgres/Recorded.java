package dev.holdfast.postgres;

import dev.holdfast.server.PostgresServer;
import dev.holdfast.store.BaseManifest;
import dev.holdfast.store.ClusterDocument;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.Repository;
import dev.holdfast.store.StoredSegment;
import dev.holdfast.testkit.TestServer;
import dev.holdfast.wal.Lsn;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/** A server with a repository and a recorder role that is no superuser. */
final class Recorded implements AutoCloseable {
  final TestServer server;
  final PostgresUrl recorder;
  final String repository;

  Recorded(TestServer server) {
    this.server = server;
    this.repository = server.folder().resolve("repository").toString();
    PostgresUrl owner = PostgresUrl.parse(server.url("postgres"));
    this.recorder = RecorderRole.create(owner, "holdfast", RecorderRole.randomPassword());
    ServerFacts facts = ServerFacts.read(owner);
    Repository.openOrCreate(repository)
        .register(
            new ClusterDocument(
                "acme",
                "postgresql",
                facts.systemIdentifier(),
                facts.major(),
                "production",
                facts.walSegmentSize(),
                recorder.withoutPassword(),
                null,
                Instant.now(),
                Map.of()));
  }

  ClusterStore store() {
    return Repository.open(repository).cluster("acme");
  }

  /** The position a client's last commit is surely before. */
  Lsn written() {
    return Lsn.parse(server.value("SELECT pg_current_wal_insert_lsn()"));
  }

  /** A base backup by the recorder role, its WAL awaited from the receiver. */
  BaseManifest backUp(Recording recording) {
    return BaseBackup.take(recorder, store(), 2, (_, _, stop) -> recording.await(stop), _ -> {});
  }

  /** The base and all recorded WAL, started and promoted. */
  PostgresServer restore(String label) throws IOException {
    ClusterStore store = store();
    Path data = Files.createTempDirectory(server.folder(), "restored").resolve("data");
    store.bases().open(label).restore(data, 2, _ -> {});
    BaseManifest manifest = store.bases().open(label).manifest();
    Files.writeString(data.resolve("backup_label"), manifest.backupLabel());
    for (StoredSegment segment : store.wal().list()) {
      byte[] bytes = store.wal().read(segment.name());
      Files.write(
          data.resolve("pg_wal").resolve(segment.name()),
          Arrays.copyOf(bytes, manifest.walSegmentSize()));
    }
    Files.createFile(data.resolve("recovery.signal"));
    Map<String, String> settings = new TreeMap<>(manifest.settings());
    settings.put("restore_command", "false");
    settings.put("fsync", "off");
    return PostgresServer.start(server.server().binaries(), data, settings, List.of());
  }

  @Override
  public void close() {
    server.close();
  }

  /** A receiver in a thread of its own. */
  static final class Recording implements AutoCloseable {
    final WalReceiver receiver;
    private final Thread thread;
    private volatile @Nullable RuntimeException failure;

    Recording(PostgresUrl url, ClusterStore store) {
      this(url, store, WalReceiver.Options.DEFAULT, (_, _, _, _, _) -> {});
    }

    Recording(
        PostgresUrl url,
        ClusterStore store,
        WalReceiver.Options options,
        WalReceiver.Listener listener) {
      boolean usual = options.flushInterval().equals(WalReceiver.Options.DEFAULT.flushInterval());
      receiver =
          new WalReceiver(
              url,
              store,
              usual ? options.withFlushInterval(Duration.ofMillis(100)) : options,
              listener);
      thread =
          Thread.ofPlatform()
              .start(() -> {
                try {
                  receiver.run();
                } catch (RuntimeException e) {
                  failure = e;
                }
              });
    }

    void await(Lsn lsn) {
      try {
        if (!receiver.awaitStored(lsn, Duration.ofSeconds(60))) {
          throw new IllegalStateException(
              "stored through " + receiver.storedThrough() + ", not " + lsn, failure);
        }
      } catch (InterruptedException e) {
        throw new IllegalStateException(e);
      }
    }

    /** What the receiver ended with. */
    @Nullable RuntimeException failure() throws InterruptedException {
      thread.join(Duration.ofSeconds(60));
      return failure;
    }

    @Override
    public void close() {
      receiver.stop();
      try {
        thread.join();
      } catch (InterruptedException e) {
        throw new IllegalStateException(e);
      }
      if (failure != null) {
        throw failure;
      }
    }
  }
}
