package dev.holdfast.postgres;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.server.PostgresServer;
import dev.holdfast.server.ProcessResult;
import dev.holdfast.server.ScratchFolder;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RelFile;
import dev.holdfast.wal.SegmentName;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** Makes one fork, step by step; whatever step fails, nothing is left behind. */
final class ForkAssembly {
  /** Tries of a sparse fork; after them it is built whole. */
  private static final int SPARSE_ATTEMPTS_MAX = 2;

  private static final Duration USABLE_MAX = Duration.ofSeconds(60);

  /** Databases to run single-user SQL in; the last one refuses connections, which is no matter. */
  private static final List<String> SINGLE_USER_DATABASES =
      List.of("template1", "postgres", "template0");

  private static final Pattern FOUND =
      Pattern.compile("\"(database|prepared) ([0-9a-f]+) ([0-9a-f]*)\"");

  private final ForkSource source;
  private final ForkTarget target;
  private final ForkOptions options;
  private final String what;
  private final ForkRole role = ForkRole.random();
  private ForkTimings timings = ForkTimings.NONE;
  private volatile long firstTakenNanos;

  ForkAssembly(ClusterStore cluster, ForkTarget target, ForkOptions options) {
    this.source = new ForkSource(cluster, target, options);
    this.target = target;
    this.options = options;
    this.what = source.what();
  }

  Fork run() {
    for (int attempt = 1; ; attempt++) {
      ForkRoute route = source.route();
      PostgresBinaries binaries = source.binaries(route.base());
      source.checkRoom(route);
      ScratchFolder scratch = ScratchFolder.create(options.parent(), "holdfast-fork-");
      try {
        Fork fork = assemble(route, binaries, scratch, attempt);
        if (fork != null) {
          return fork;
        }
      } catch (IOException e) {
        scratch.close();
        throw source.unwritable(e);
      } catch (RuntimeException | Error e) {
        scratch.close();
        throw e;
      }
      scratch.close();
    }
  }

  /** Null when a sparse fork turned out to lack what was wanted: it has to be built again. */
  private @Nullable Fork assemble(
      ForkRoute route, PostgresBinaries binaries, ScratchFolder scratch, int attempt)
      throws IOException {
    long beganNanos = System.nanoTime();
    firstTakenNanos = 0;
    Path data = scratch.path().resolve("data");
    source.fetch(route.base(), data);
    long fetchedNanos = System.nanoTime();
    ForkConfiguration configuration = new ForkConfiguration(data, route.base().settings());
    Set<RelFile> unwanted = recover(route, binaries, scratch, data, configuration);
    UnwantedFiles.remove(data, unwanted);
    long replayedNanos = System.nanoTime();
    Lsn reached = reached(data);
    ForkLocales locales = new ForkLocales(scratch.path().resolve("locale"));
    configuration.writeForUse(role.name());
    scratch.giveToServer(data);
    Contents contents = createRole(binaries, data, locales);
    PostgresServer server = open(binaries, scratch, data, locales, contents);
    try {
      rollBackPrepared(server, contents);
      Held held = held(server, contents, unwanted, attempt);
      long startedNanos = firstTakenNanos == 0 ? replayedNanos : firstTakenNanos;
      timings =
          timings.plus(
              new ForkTimings(
                  Duration.ofNanos(fetchedNanos - beganNanos),
                  Duration.ofNanos(startedNanos - fetchedNanos),
                  Duration.ofNanos(replayedNanos - startedNanos),
                  Duration.ofNanos(System.nanoTime() - replayedNanos)));
      if (held == null) {
        server.stop(PostgresServer.Stop.IMMEDIATE);
        return null;
      }
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
          held,
          timings);
    } catch (RuntimeException | Error e) {
      server.close();
      throw e;
    }
  }

  /**
   * What the finished fork holds; null when that is not what was wanted. Then the next attempt
   * keeps the files that were missed, and the one after it everything: a table may have got yet
   * another one's file than the catalogs of this attempt could show.
   */
  private @Nullable Held held(
      PostgresServer server, Contents contents, Set<RelFile> unwanted, int attempt) {
    if (!(options.contents() instanceof ForkContents.Sparse sparse)) {
      return Held.everything(attempt);
    }
    if (sparse.databaseOid() == 0) {
      return new Held(source.contents(), null, List.of(), Set.of(), attempt);
    }
    try {
      String database = database(server, contents, sparse.databaseOid());
      if (database == null) {
        return new Held(source.contents(), null, List.of(), sparse.tables(), attempt);
      }
      try (Connection connection = Fork.connect(server, role, database)) {
        WantedProof proof = WantedProof.of(connection, sparse, unwanted);
        if (proof.holed().isEmpty()) {
          proof.hideIndexes(connection);
          return new Held(source.contents(), database, proof.tables(), proof.absent(), attempt);
        }
        source.keep(proof.holed());
        if (attempt >= SPARSE_ATTEMPTS_MAX) {
          source.keepEverything();
        }
        return null;
      }
    } catch (SQLException e) {
      throw new OperatorException(
          Kind.FAILED,
          what,
          "the fork cannot be asked what it holds: " + e.getMessage(),
          "fork everything instead of single tables",
          e);
    }
  }

  private @Nullable String database(PostgresServer server, Contents contents, long oid)
      throws SQLException {
    String any = contents.databases.getFirst().name;
    try (Connection connection = Fork.connect(server, role, any);
        PreparedStatement statement =
            connection.prepareStatement(
                "SELECT datname FROM pg_catalog.pg_database WHERE oid = ?::oid")) {
      statement.setLong(1, oid);
      try (ResultSet row = statement.executeQuery()) {
        return row.next() ? row.getString(1) : null;
      }
    }
  }

  /**
   * Starts the server in recovery, feeds it, and returns when it has stopped after promotion.
   *
   * @return every file that was left out, under all names that replay copied it to
   */
  private Set<RelFile> recover(
      ForkRoute route,
      PostgresBinaries binaries,
      ScratchFolder scratch,
      Path data,
      ForkConfiguration configuration)
      throws IOException {
    int segmentSize = route.base().walSegmentSize();
    try (WalSpool spool =
        new WalSpool(
            scratch.path().resolve("spool"),
            route.segments(),
            segmentSize,
            ForkSource.SEGMENTS_AHEAD,
            source.wal(route),
            scratch::giveToServer,
            name -> taken(SegmentName.parse(name, segmentSize)))) {
      configuration.writeForRecovery(
          target, route, spool.restoreCommand(), scratch.path().resolve("tablespaces"));
      scratch.giveToServer(scratch.path());
      for (int attempt = 1; ; attempt++) {
        StartedServer started =
            StartedServer.start(what, binaries, scratch, data, Map.of(), Map.of());
        boolean ready = false;
        try {
          ready = started.awaitReady(spool);
        } finally {
          // Whatever happened, the folder stays for now: the caller removes it, or goes on in it.
          started.server().stop(ready ? PostgresServer.Stop.FAST : PostgresServer.Stop.IMMEDIATE);
        }
        if (ready) {
          break;
        }
        String log = started.log();
        if (ForkFailure.portTaken(log) && attempt < StartedServer.ATTEMPTS_MAX) {
          continue;
        }
        Optional<String> tooSmall = ForkFailure.tooSmall(log);
        if (tooSmall.isEmpty() || attempt == StartedServer.ATTEMPTS_MAX) {
          throw ForkFailure.of(what, target, binaries, log, null);
        }
        configuration.raise(tooSmall.get());
        scratch.giveToServer(data);
      }
      return source.leftOut();
    }
  }

  private void taken(SegmentName segment) {
    if (firstTakenNanos == 0) {
      firstTakenNanos = System.nanoTime();
    }
    Lsn through = segment.start().isAfter(target.lsn()) ? target.lsn() : segment.start();
    options.progress().replayed(through, target.lsn());
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
      if (missing.isPresent() && attempt < StartedServer.ATTEMPTS_MAX) {
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
      StartedServer started =
          StartedServer.start(what, binaries, scratch, data, Map.of(), locales.environment());
      PostgresServer server = started.server();
      boolean keep = false;
      try {
        if (!started.awaitReady(null)) {
          String log = started.log();
          if (ForkFailure.portTaken(log) && attempt < StartedServer.ATTEMPTS_MAX) {
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
        if (missing.isEmpty() || attempt == StartedServer.ATTEMPTS_MAX) {
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
        StartedServer.pause(what);
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
}
