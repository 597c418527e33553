package dev.holdfast.postgres;

import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.store.BaseManifest;
import dev.holdfast.store.BaseWriter;
import dev.holdfast.store.ClusterDocument;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.Repository;
import dev.holdfast.testkit.TestServer;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.SegmentName;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.file.FileVisitOption;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * A server and a repository that records it by the plainest means: files copied between
 * pg_backup_start and pg_backup_stop, segments copied from pg_wal. What forks are made from is then
 * known by construction, whatever the recorder does.
 */
final class RecordedServer implements AutoCloseable {
  private static final List<String> MINIMUMS =
      List.of(
          "max_connections",
          "max_worker_processes",
          "max_wal_senders",
          "max_prepared_transactions",
          "max_locks_per_transaction");
  private static final Pattern LABEL =
      Pattern.compile("START WAL LOCATION: (\\S+) .*START TIMELINE: (\\d+)", Pattern.DOTALL);

  private final TestServer server;
  private final ClusterStore cluster;
  private int backups;

  private RecordedServer(TestServer server, ClusterStore cluster) {
    this.server = server;
    this.cluster = cluster;
  }

  static RecordedServer start(int major, Map<String, String> settings) {
    return start(PostgresBinaries.embedded(major), settings, List.of());
  }

  static RecordedServer start(
      PostgresBinaries binaries, Map<String, String> settings, List<String> initdb) {
    Map<String, String> all = new TreeMap<>(settings);
    all.putIfAbsent("autovacuum", "off");
    all.putIfAbsent("wal_keep_size", "1GB"); // a checkpoint must not remove what is recorded later
    TestServer server = TestServer.start(binaries, all, initdb);
    Repository repository = Repository.create(server.folder().resolve("repository").toString());
    ClusterStore cluster =
        repository.register(
            new ClusterDocument(
                "acme",
                "postgresql",
                server.value("SELECT system_identifier FROM pg_control_system()"),
                binaries.major(),
                "production",
                Integer.parseInt(
                    server.value(
                        "SELECT setting FROM pg_settings WHERE name = 'wal_segment_size'")),
                "postgresql://postgres@db.example/shop",
                null,
                Instant.now(),
                Map.of()));
    return new RecordedServer(server, cluster);
  }

  TestServer server() {
    return server;
  }

  ClusterStore cluster() {
    return cluster;
  }

  /** An empty folder outside the data directory that the server may make a tablespace of. */
  Path tablespaceFolder() {
    try {
      Path folder = Files.createDirectory(server.folder().resolve("tablespace"));
      Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString("rwx------"));
      return Files.setOwner(folder, Files.getOwner(server.server().data()));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  Lsn insertLsn() {
    return Lsn.parse(server.value("SELECT pg_current_wal_insert_lsn()"));
  }

  /** Runs statements in one transaction; returns where its commit record starts. */
  Lsn commit(String... statements) {
    try (Connection connection = server.connect();
        Statement statement = connection.createStatement()) {
      connection.setAutoCommit(false);
      for (String sql : statements) {
        statement.execute(sql);
      }
      Lsn commit;
      try (ResultSet row = statement.executeQuery("SELECT pg_current_wal_insert_lsn()")) {
        row.next();
        commit = Lsn.parse(row.getString(1));
      }
      connection.commit();
      return commit;
    } catch (SQLException e) {
      throw new IllegalStateException(e);
    }
  }

  BaseManifest backUp() {
    return backUp(settings());
  }

  /** As if one setting had had another value when the backup was made. */
  BaseManifest backUp(String setting, String value) {
    Map<String, String> settings = settings();
    settings.put(setting, value);
    return backUp(settings);
  }

  private BaseManifest backUp(Map<String, String> settings) {
    boolean exclusiveExists = server.server().binaries().major() < 15;
    String label = "20261121T0400%02dZ-full".formatted(backups++);
    Instant startedAt = Instant.now();
    try (Connection connection = server.connect();
        Statement statement = connection.createStatement();
        BaseWriter writer = cluster.bases().begin(label)) {
      statement.execute(
          exclusiveExists
              ? "SELECT pg_start_backup('test', true, false)"
              : "SELECT pg_backup_start('test', true)");
      copy(writer);
      String stopLsn;
      String backupLabel;
      String tablespaceMap;
      try (ResultSet row =
          statement.executeQuery(
              exclusiveExists
                  ? "SELECT * FROM pg_stop_backup(false, false)"
                  : "SELECT * FROM pg_backup_stop(false)")) {
        row.next();
        stopLsn = row.getString(1);
        backupLabel = row.getString(2);
        tablespaceMap = row.getString(3);
      }
      Matcher start = LABEL.matcher(backupLabel);
      if (!start.find()) {
        throw new IllegalStateException(backupLabel);
      }
      return writer.publish(
          new BaseManifest(
              label,
              "full",
              null,
              Integer.parseInt(start.group(2)),
              Lsn.parse(start.group(1)).position(),
              Lsn.parse(stopLsn).position(),
              startedAt,
              Instant.now(),
              cluster.document().major(),
              cluster.document().systemIdentifier(),
              cluster.document().walSegmentSize(),
              backupLabel,
              blankToNull(tablespaceMap),
              settings,
              0,
              0));
    } catch (SQLException | IOException e) {
      throw new IllegalStateException(e);
    }
  }

  /** Records everything that was flushed to pg_wal. */
  void recordWal() {
    recordWal(Lsn.parse(server.value("SELECT pg_current_wal_flush_lsn()")));
  }

  /** Records pg_wal up to this position. */
  void recordWal(Lsn end) {
    recordWal(end, Lsn.NONE);
  }

  /** Records everything, with bytes turned over from one position on. */
  void recordWalDamagedAt(Lsn position) {
    recordWal(Lsn.parse(server.value("SELECT pg_current_wal_flush_lsn()")), position);
  }

  private void recordWal(Lsn end, Lsn damaged) {
    int segmentSize = cluster.document().walSegmentSize();
    try (Stream<Path> files = Files.list(wal())) {
      for (Path file : files.sorted().toList()) {
        String name = file.getFileName().toString();
        if (name.endsWith(".history")) {
          cluster
              .wal()
              .putHistory(
                  Integer.parseUnsignedInt(name.substring(0, 8), 16), Files.readAllBytes(file));
        } else if (SegmentName.isSegmentName(name)) {
          SegmentName segment = SegmentName.parse(name, segmentSize);
          byte[] bytes = Files.readAllBytes(file);
          if (!damaged.isBefore(segment.start()) && damaged.isBefore(segment.end())) {
            int at = (int) damaged.minus(segment.start());
            for (int index = at; index < at + 64; index++) {
              bytes[index] ^= (byte) 0xFF;
            }
          }
          if (!segment.end().isAfter(end)) {
            cluster.wal().put(name, bytes);
          } else if (segment.start().isBefore(end)) {
            cluster.wal().putPartial(name, bytes, (int) end.minus(segment.start()));
          }
        }
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Where the server's log ends, for a server that lets nobody in: asked of its files. */
  Lsn writtenEnd() {
    // All of the newest segment: behind its last record there are zeros, which end the log.
    try (Stream<Path> files = Files.list(wal())) {
      return files
          .map(file -> file.getFileName().toString())
          .filter(SegmentName::isSegmentName)
          .max(String::compareTo)
          .map(name -> SegmentName.parse(name, cluster.document().walSegmentSize()).end())
          .orElseThrow();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Where recorded WAL ends. */
  Lsn recordedEnd() {
    var last = cluster.wal().list().getLast();
    return SegmentName.parse(last.name(), cluster.document().walSegmentSize())
        .start()
        .plus(last.bytes());
  }

  private Path wal() {
    return server.server().data().resolve("pg_wal");
  }

  private Map<String, String> settings() {
    Map<String, String> settings = new TreeMap<>();
    MINIMUMS.forEach(name -> settings.put(name, server.value("SHOW " + name)));
    return settings;
  }

  private void copy(BaseWriter writer) throws IOException {
    Path data = server.server().data();
    try (Stream<Path> paths = Files.walk(data, FileVisitOption.FOLLOW_LINKS)) {
      for (Path path : paths.filter(p -> !p.equals(data)).toList()) {
        String name = data.relativize(path).toString();
        if (name.startsWith("pg_wal/") || name.startsWith("postmaster.")) {
          continue;
        }
        if (Files.isDirectory(path)) {
          writer.directory(name);
        } else {
          try (InputStream in = Files.newInputStream(path)) {
            writer.file(name, Files.size(path), in);
          }
        }
      }
    }
  }

  private static @Nullable String blankToNull(String text) {
    return text.isBlank() ? null : text;
  }

  @Override
  public void close() {
    server.close();
  }
}
