package dev.holdfast.postgres;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.server.PostgresServer;
import dev.holdfast.server.ProcessResult;
import dev.holdfast.server.ScratchFolder;
import dev.holdfast.store.BaseManifest;
import dev.holdfast.store.BaseReader;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.SegmentName;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.channels.Channels;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.atomic.AtomicLong;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** Makes one fork, step by step; whatever step fails, nothing is left behind. */
final class ForkAssembly {
  private static final int SEGMENTS_AHEAD = 8;

  /** Room for what a server writes of its own: WAL after promotion, temporary files. */
  private static final long SERVER_BYTES = 128L << 20;

  /** The fork's max_wal_size and what recovery keeps beyond it before a restartpoint. */
  private static final long WAL_KEPT_BYTES_MAX = 3L << 29;

  /** More than the settings, and the locales, that one cluster can lack. */
  private static final int ATTEMPTS_MAX = 12;

  private static final Duration USABLE_MAX = Duration.ofSeconds(60);
  private static final long POLL_MS = 5;

  /** Databases to run single-user SQL in; the last one refuses connections, which is no matter. */
  private static final List<String> SINGLE_USER_DATABASES =
      List.of("template1", "postgres", "template0");

  private static final Pattern FOUND =
      Pattern.compile("\"(database|prepared) ([0-9a-f]+) ([0-9a-f]*)\"");

  private final ClusterStore cluster;
  private final ForkTarget target;
  private final ForkOptions options;
  private final String what;
  private final ForkRole role = ForkRole.random();
  private long fetchedNanos;
  private long startedNanos;
  private volatile long firstTakenNanos;

  ForkAssembly(ClusterStore cluster, ForkTarget target, ForkOptions options) {
    this.cluster = cluster;
    this.target = target;
    this.options = options;
    this.what = "cannot fork " + cluster.document().name() + " at " + target.lsn();
  }

  Fork run() {
    ForkRoute route =
        ForkRoute.choose(
            cluster.document().name(),
            target,
            cluster.bases().list(),
            cluster.wal().list(),
            this::history);
    PostgresBinaries binaries =
        options.embeddedOnly()
            ? PostgresBinaries.embedded(route.base().major())
            : PostgresBinaries.of(route.base().major());
    checkRoom(route);
    ScratchFolder scratch = ScratchFolder.create(options.parent(), "holdfast-fork-");
    try {
      return assemble(route, binaries, scratch);
    } catch (IOException e) {
      scratch.close();
      throw new OperatorException(
          Kind.FAILED,
          what,
          String.valueOf(e.getMessage()),
          "make room in " + options.parent() + ", or name another folder",
          e);
    } catch (RuntimeException | Error e) {
      scratch.close();
      throw e;
    }
  }

  private Fork assemble(ForkRoute route, PostgresBinaries binaries, ScratchFolder scratch)
      throws IOException {
    long beganNanos = System.nanoTime();
    Path data = scratch.path().resolve("data");
    fetch(route.base(), data);
    fetchedNanos = System.nanoTime();
    ForkConfiguration configuration = new ForkConfiguration(data, route.base().settings());
    recover(route, binaries, scratch, data, configuration);
    long replayedNanos = System.nanoTime();
    Lsn reached = reached(data);
    ForkLocales locales = new ForkLocales(scratch.path().resolve("locale"));
    configuration.writeForUse(role.name());
    scratch.giveToServer(data);
    Contents contents = createRole(binaries, data, locales);
    PostgresServer server = open(binaries, scratch, data, locales, contents);
    try {
      rollBackPrepared(server, contents);
      long readyNanos = System.nanoTime();
      ForkTimings timings =
          new ForkTimings(
              Duration.ofNanos(fetchedNanos - beganNanos),
              Duration.ofNanos(startedNanos - fetchedNanos),
              Duration.ofNanos(replayedNanos - startedNanos),
              Duration.ofNanos(readyNanos - replayedNanos));
      return new Fork(
          server,
          scratch,
          role,
          target,
          reached,
          route.base().label(),
          target.lsn().minus(route.start()),
          contents.databases.stream().map(Database::name).sorted().toList(),
          contents.prepared.stream().map(Prepared::gid).toList(),
          timings);
    } catch (RuntimeException | Error e) {
      server.close();
      throw e;
    }
  }

  private void checkRoom(ForkRoute route) {
    BaseManifest base = route.base();
    long wal = target.lsn().minus(route.start()) + base.walSegmentSize();
    long needed =
        base.bytes()
            + Math.min(wal, WAL_KEPT_BYTES_MAX)
            + (long) SEGMENTS_AHEAD * base.walSegmentSize()
            + SERVER_BYTES;
    try {
      Files.createDirectories(options.parent());
      long free = Files.getFileStore(options.parent()).getUsableSpace();
      if (free < needed) {
        throw new OperatorException(
            Kind.REFUSED,
            what,
            "%s has %,d MB free and a fork of %s needs %,d MB"
                .formatted(options.parent(), free >> 20, cluster.document().name(), needed >> 20),
            "make room there, or name another folder");
      }
    } catch (IOException e) {
      throw new OperatorException(
          Kind.FAILED,
          what,
          "cannot use the folder " + options.parent() + ": " + e.getMessage(),
          "name a folder that can be written to",
          e);
    }
  }

  private void fetch(BaseManifest base, Path data) throws IOException {
    BaseReader reader = cluster.bases().open(base.label());
    AtomicLong fetched = new AtomicLong();
    reader.restore(
        data,
        options.threads(),
        bytes -> {
          synchronized (fetched) { // several threads restore; a listener hears one at a time
            options.progress().fetched(fetched.addAndGet(bytes), base.bytes());
          }
        });
  }

  /** Starts the server in recovery, feeds it, and returns when it has stopped after promotion. */
  private void recover(
      ForkRoute route,
      PostgresBinaries binaries,
      ScratchFolder scratch,
      Path data,
      ForkConfiguration configuration)
      throws IOException {
    int segmentSize = route.base().walSegmentSize();
    CheckedWal checked = new CheckedWal(route);
    try (WalSpool spool =
        new WalSpool(
            scratch.path().resolve("spool"),
            route.segments(),
            segmentSize,
            SEGMENTS_AHEAD,
            checked::read,
            scratch::giveToServer,
            name -> taken(SegmentName.parse(name, segmentSize)))) {
      configuration.writeForRecovery(
          target,
          route,
          spool.restoreCommand(),
          route.base().backupLabel(),
          scratch.path().resolve("tablespaces"));
      scratch.giveToServer(scratch.path());
      for (int attempt = 1; ; attempt++) {
        long logStart = logSize(data);
        PostgresServer server =
            PostgresServer.start(binaries, data, Map.of(), List.of(scratch.path()));
        boolean ready = false;
        try {
          ready = awaitReady(server, spool);
        } finally {
          // Whatever happened, the folder stays for now: the caller removes it, or goes on in it.
          server.stop(ready ? PostgresServer.Stop.FAST : PostgresServer.Stop.IMMEDIATE);
        }
        if (ready) {
          break;
        }
        String log = logFrom(server, logStart);
        if (ForkFailure.portTaken(log) && attempt < ATTEMPTS_MAX) {
          continue;
        }
        Optional<String> tooSmall = ForkFailure.tooSmall(log);
        if (tooSmall.isEmpty() || attempt == ATTEMPTS_MAX) {
          throw ForkFailure.of(what, target, binaries, log, null);
        }
        configuration.raise(tooSmall.get());
        scratch.giveToServer(data);
      }
      startedNanos = firstTakenNanos == 0 ? System.nanoTime() : firstTakenNanos;
    }
  }

  private void taken(SegmentName segment) {
    if (firstTakenNanos == 0) {
      firstTakenNanos = System.nanoTime();
    }
    Lsn through = segment.start().isAfter(target.lsn()) ? target.lsn() : segment.start();
    options.progress().replayed(through, target.lsn());
  }

  /** Waits for the end of recovery; false when the server left instead. */
  private boolean awaitReady(PostgresServer server, @Nullable WalSpool spool) throws IOException {
    while (true) {
      if (spool != null && spool.failure() != null) {
        throw rethrown(spool.failure());
      }
      if (isReady(server.data())) {
        return true;
      }
      if (!server.isAlive()) {
        if (spool != null && spool.failure() != null) {
          throw rethrown(spool.failure());
        }
        return false;
      }
      pause();
    }
  }

  /** The postmaster's own word, in line 8 of postmaster.pid ("miscinit.h", PostgreSQL 14 to 18). */
  private static boolean isReady(Path data) throws IOException {
    try {
      List<String> lines = Files.readAllLines(data.resolve("postmaster.pid"));
      return lines.size() >= 8 && lines.get(7).strip().equals("ready");
    } catch (NoSuchFileException e) {
      return false; // not yet started that far, or gone again
    }
  }

  /** Where recovery left the recorded timeline: the last line of the new timeline's history. */
  private static Lsn reached(Path data) throws IOException {
    try (Stream<Path> files = Files.list(data.resolve("pg_wal"))) {
      Path newest =
          files
              .filter(file -> file.getFileName().toString().endsWith(".history"))
              .max(Comparator.comparing(file -> file.getFileName().toString()))
              .orElseThrow(() -> new IOException("the fork was not promoted"));
      String last =
          Files.readAllLines(newest).stream()
              .map(String::strip)
              .filter(line -> !line.isEmpty() && !line.startsWith("#"))
              .reduce((_, second) -> second)
              .orElseThrow(() -> new IOException(newest + " is empty"));
      return Lsn.parse(last.split("\\s+", 3)[1]);
    }
  }

  private record Database(String name, String locale) {}

  private record Prepared(String gid, String database) {}

  private record Contents(List<Database> databases, List<Prepared> prepared) {}

  /**
   * Makes our role in single-user mode, where neither a password nor the name of production's
   * superuser is needed, and asks for what has to be known before the first connection.
   */
  private Contents createRole(PostgresBinaries binaries, Path data, ForkLocales locales) {
    for (int attempt = 1; ; attempt++) {
      ProcessResult result = singleUser(binaries, data, locales);
      Optional<String> missing = ForkFailure.missingLocale(result.output());
      if (missing.isPresent() && attempt < ATTEMPTS_MAX) {
        locales.make(what, missing.get());
      } else if (result.exitCode() != 0
          || result.output().contains("ERROR:")
          || result.output().contains("FATAL:")) {
        throw ForkFailure.of(what, target, binaries, result.output(), null);
      } else {
        return contents(result.output());
      }
    }
  }

  private ProcessResult singleUser(PostgresBinaries binaries, Path data, ForkLocales locales) {
    List<String> sql = new ArrayList<>();
    sql.add("SET default_transaction_read_only = off");
    sql.add("CREATE ROLE %s SUPERUSER LOGIN PASSWORD '%s'".formatted(role.name(), role.password()));
    // A role's settings win over a database's: nothing production set may run at our connections,
    // load a library this machine lacks, or end our statements.
    List<String> settings =
        new ArrayList<>(
            List.of(
                "default_transaction_read_only = off",
                "statement_timeout = 0",
                "lock_timeout = 0",
                "idle_in_transaction_session_timeout = 0",
                "idle_session_timeout = 0"));
    if (binaries.major() >= 17) {
      settings.add("event_triggers = off"); // login triggers came with 17
      settings.add("transaction_timeout = 0");
    }
    for (String libraries : List.of("session_preload_libraries", "local_preload_libraries")) {
      // SET with '' would ask for one library without a name; only FROM CURRENT makes an empty
      // list.
      sql.add("SELECT set_config('" + libraries + "', '', false)");
      settings.add(libraries + " FROM CURRENT");
    }
    settings.forEach(setting -> sql.add("ALTER ROLE " + role.name() + " SET " + setting));
    // Names travel as hexadecimal: they may hold quotes and line ends.
    sql.add(
        "SELECT 'database ' || encode(convert_to(datname::text, 'UTF8'), 'hex') || ' ' ||"
            + " encode(convert_to(datcollate || '|' || datctype, 'UTF8'), 'hex')"
            + " FROM pg_database WHERE datallowconn AND datconnlimit <> -2");
    sql.add(
        "SELECT 'prepared ' || encode(convert_to(gid, 'UTF8'), 'hex') || ' ' ||"
            + " encode(convert_to(database::text, 'UTF8'), 'hex') FROM pg_prepared_xacts");
    String input = String.join("\n", sql) + "\n";
    @Nullable ProcessResult result = null;
    for (String database : SINGLE_USER_DATABASES) {
      result = PostgresServer.singleUser(binaries, data, database, input, locales.environment());
      if (!result.output().contains("FATAL:  database \"" + database + "\" does not exist")) {
        return result;
      }
    }
    return Objects.requireNonNull(result);
  }

  private static Contents contents(String output) {
    List<Database> databases = new ArrayList<>();
    List<Prepared> prepared = new ArrayList<>();
    Matcher found = FOUND.matcher(output);
    while (found.find()) {
      String first = text(found.group(2));
      String second = text(found.group(3));
      if (found.group(1).equals("database")) {
        databases.add(new Database(first, second));
      } else {
        prepared.add(new Prepared(first, second));
      }
    }
    return new Contents(databases, prepared);
  }

  private static String text(String hex) {
    return new String(HexFormat.of().parseHex(hex), StandardCharsets.UTF_8);
  }

  /** Starts the promoted server for use, with every locale its databases need. */
  private PostgresServer open(
      PostgresBinaries binaries,
      ScratchFolder scratch,
      Path data,
      ForkLocales locales,
      Contents contents)
      throws IOException {
    for (int attempt = 1; ; attempt++) {
      long logStart = logSize(data);
      PostgresServer server =
          PostgresServer.startOn(
              PostgresServer.freePort(),
              binaries,
              data,
              Map.of(),
              locales.environment(),
              List.of(scratch.path()));
      boolean keep = false;
      try {
        if (!awaitReady(server, null)) {
          String log = logFrom(server, logStart);
          if (ForkFailure.portTaken(log) && attempt < ATTEMPTS_MAX) {
            continue;
          }
          throw ForkFailure.of(what, target, binaries, log, null);
        }
        tryOneOfEachLocale(server, contents);
        keep = true;
        return server;
      } catch (SQLException e) {
        String message = String.valueOf(e.getMessage());
        Optional<String> missing = ForkFailure.missingLocale(message);
        if (missing.isEmpty() || attempt == ATTEMPTS_MAX) {
          throw ForkFailure.of(what, target, binaries, message, e);
        }
        locales.make(what, missing.get());
        scratch.giveToServer(scratch.path());
      } finally {
        if (!keep) {
          server.stop(PostgresServer.Stop.FAST);
        }
      }
    }
  }

  private void tryOneOfEachLocale(PostgresServer server, Contents contents) throws SQLException {
    Set<String> seen = new HashSet<>();
    for (Database database : contents.databases) {
      if (seen.add(database.locale)) {
        connectReady(server, database.name).close();
      }
    }
  }

  /** Ready in postmaster.pid comes a moment before the last check that can turn a client away. */
  private Connection connectReady(PostgresServer server, String database) throws SQLException {
    long deadline = System.nanoTime() + USABLE_MAX.toNanos();
    while (true) {
      try {
        return Fork.connect(server, role, database);
      } catch (SQLException e) {
        boolean starting = "57P03".equals(e.getSQLState()) || "08001".equals(e.getSQLState());
        if (!starting || !server.isAlive() || System.nanoTime() > deadline) {
          throw e;
        }
        pause();
      }
    }
  }

  private void rollBackPrepared(PostgresServer server, Contents contents) {
    for (Prepared prepared : contents.prepared) {
      try (Connection connection = Fork.connect(server, role, prepared.database);
          Statement statement = connection.createStatement()) {
        statement.execute("ROLLBACK PREPARED " + statement.enquoteLiteral(prepared.gid));
      } catch (SQLException e) {
        throw new OperatorException(
            Kind.FAILED,
            what,
            "the prepared transaction %s in database %s cannot be rolled back: %s"
                .formatted(prepared.gid, prepared.database, e.getMessage()),
            "choose a target before it was prepared or after it was ended",
            e);
      }
    }
  }

  /** Recorded WAL, no segment of which is handed out before it was read for hazards. */
  private final class CheckedWal {
    private final List<String> route;
    private final Map<String, Integer> indexes = new HashMap<>();
    private final ReplayHazards hazards;
    private int readCount;

    CheckedWal(ForkRoute route) {
      this.route = route.segments();
      for (int index = 0; index < this.route.size(); index++) {
        indexes.put(this.route.get(index), index);
      }
      int segmentSize = route.base().walSegmentSize();
      Lsn first =
          SegmentName.containing(route.start(), route.base().timeline(), segmentSize).start();
      this.hazards = new ReplayHazards(what, first, segmentSize, route.start(), target.lsn());
    }

    byte @Nullable [] read(String name) {
      if (name.endsWith(".history")) {
        String history = history(Integer.parseUnsignedInt(name.substring(0, 8), 16));
        return history == null ? null : history.getBytes(StandardCharsets.UTF_8);
      }
      // Only segments of the route: another timeline's would not have been read for hazards.
      Integer index = indexes.get(name);
      if (index == null) {
        return null;
      }
      while (true) {
        boolean isNext = index <= readCount;
        byte[] bytes = cluster.wal().read(isNext ? name : route.get(readCount));
        if (index >= readCount) {
          hazards.read(bytes);
          readCount++;
        }
        if (isNext) {
          return bytes;
        }
      }
    }
  }

  private @Nullable String history(int timeline) {
    byte @Nullable [] bytes = cluster.wal().readHistory(timeline);
    return bytes == null ? null : new String(bytes, StandardCharsets.UTF_8);
  }

  private static RuntimeException rethrown(Throwable failure) {
    return switch (failure) {
      case OperatorException e -> e;
      case IOException e -> new UncheckedIOException(e);
      default -> new IllegalStateException("the WAL spool failed", failure);
    };
  }

  private static Path log(Path data) {
    return data.resolveSibling(data.getFileName() + ".log");
  }

  private static long logSize(Path data) throws IOException {
    return Files.exists(log(data)) ? Files.size(log(data)) : 0;
  }

  private static String logFrom(PostgresServer server, long start) throws IOException {
    try (var channel = Files.newByteChannel(server.log())) {
      channel.position(start);
      return new String(Channels.newInputStream(channel).readAllBytes(), StandardCharsets.UTF_8);
    }
  }

  private void pause() {
    try {
      Thread.sleep(POLL_MS); // the server is another process: there is nothing to wait on
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new OperatorException(
          Kind.INTERRUPTED, what, "interrupted", "run the same command again", e);
    }
  }
}
