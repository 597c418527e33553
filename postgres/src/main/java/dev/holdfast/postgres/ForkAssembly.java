package dev.holdfast.postgres;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.server.PostgresServer;
import dev.holdfast.server.ProcessResult;
import dev.holdfast.server.ScratchFolder;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.wal.ExcludedFiles;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.SegmentName;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
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
  private static final int LOG_LINES = 10;

  /** Databases to run single-user SQL in; the last one refuses connections, which is no matter. */
  private static final List<String> SINGLE_USER_DATABASES =
      List.of("template1", "postgres", "template0");

  /** Names travel as hexadecimal: they may hold quotes and line ends. */
  private static final List<String> QUESTIONS =
      List.of(
          "SELECT 'database ' || encode(convert_to(datname::text, 'UTF8'), 'hex') || ' ' ||"
              + " encode(convert_to(datcollate || '|' || datctype, 'UTF8'), 'hex')"
              + " FROM pg_database WHERE datallowconn AND datconnlimit <> -2",
          "SELECT 'prepared ' || encode(convert_to(gid, 'UTF8'), 'hex') || ' ' ||"
              + " encode(convert_to(database::text, 'UTF8'), 'hex') FROM pg_prepared_xacts");

  private static final Pattern FOUND =
      Pattern.compile("\"(database|prepared|wanted) ([0-9a-f]+) ([0-9a-f]*)\"");

  private final ForkSource source;
  private final RecoveryTarget target;
  private final ForkOptions options;
  private final String what;
  private final ForkRole role = ForkRole.random();
  private ForkTimings timings = ForkTimings.NONE;
  private volatile long firstTakenNanos;

  ForkAssembly(ClusterStore cluster, RecoveryTarget target, ForkOptions options) {
    this.source = new ForkSource(cluster, target, options);
    this.target = target;
    this.options = options;
    this.what = source.what();
  }

  Fork run() {
    for (int attempt = 1; ; attempt++) {
      RecoveryRoute route = source.route();
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

  /** Null when a sparse fork turned out to lack what it needs: it has to be built again. */
  private @Nullable Fork assemble(
      RecoveryRoute route, PostgresBinaries binaries, ScratchFolder scratch, int attempt)
      throws IOException {
    long beganNanos = System.nanoTime();
    firstTakenNanos = 0;
    Path data = scratch.path().resolve("data");
    ForkConfiguration configuration = new ForkConfiguration(data, route.base().settings());
    ForkLocales locales = new ForkLocales(scratch.path().resolve("locale"));
    PostgresServer server;
    @Nullable Held held;
    Lsn reached;
    long fetchedNanos;
    long replayedNanos;
    Contents contents;
    try (PrivateSocket socket =
        new PrivateSocket(scratch, binaries.major(), source.user(), source.database())) {
      int segmentSize = route.base().walSegmentSize();
      try (WalSpool.Source wal = source.wal(route);
          // Begun first: while files are fetched the first segments get ready.
          WalSpool spool =
              new WalSpool(
                  scratch.path().resolve("spool"),
                  route.segments(),
                  segmentSize,
                  ForkSource.SEGMENTS_AHEAD,
                  WalSpool.UNBOUNDED,
                  wal,
                  scratch::giveToServer,
                  name -> taken(SegmentName.parse(name, segmentSize)))) {
        source.fetch(route.base(), data);
        fetchedNanos = System.nanoTime();
        configuration.writeForRecovery(
            target, route, spool.restoreCommand(), scratch.path().resolve("tablespaces"));
        scratch.giveToServer(scratch.path());
        server = recover(spool, binaries, scratch, data, configuration, socket);
      }
      try {
        ExcludedFiles unwanted = source.leftOut();
        UnwantedFiles.remove(data, unwanted);
        replayedNanos = System.nanoTime();
        reached = reached(data);
        Admitted admitted = admit(server, socket);
        if (admitted == null && source.isAlone()) {
          // Perhaps it was renamed since; single-user mode needs some database, too.
          source.keepOthers();
          server.stop(PostgresServer.Stop.IMMEDIATE);
          return null;
        } else if (admitted == null) {
          server.stop(PostgresServer.Stop.FAST);
          configuration.writeForUse(role.name());
          scratch.giveToServer(data);
          contents = createRole(binaries, data, locales);
          PostgresServer opened = open(binaries, scratch, data, locales, contents);
          server = opened;
          Databases databases = database -> Fork.connect(opened, role, database);
          rollBackPrepared(databases, contents);
          held = held(databases, contents, unwanted, attempt);
        } else {
          contents = admitted.contents;
          rollBackPrepared(admitted.databases, contents);
          held = held(admitted.databases, contents, unwanted, attempt);
          configuration.writeForUse(role.name());
          shut(server, socket, admitted);
        }
      } catch (IOException | RuntimeException | Error e) {
        server.close();
        throw e;
      }
    }
    try {
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
      Databases databases, Contents contents, ExcludedFiles unwanted, int attempt) {
    if (!(options.contents() instanceof ForkContents.Sparse sparse)) {
      return Held.everything(attempt);
    }
    if (sparse.databaseOid() == 0) {
      return new Held(source.contents(), null, List.of(), Set.of(), attempt);
    }
    try {
      String database = contents.wanted;
      if (database == null) {
        return new Held(source.contents(), null, List.of(), sparse.tables(), attempt);
      }
      try (Connection connection = databases.connect(database)) {
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

  /** Starts the server in recovery and returns when it is promoted. */
  private PostgresServer recover(
      WalSpool spool,
      PostgresBinaries binaries,
      ScratchFolder scratch,
      Path data,
      ForkConfiguration configuration,
      PrivateSocket socket)
      throws IOException {
    for (int attempt = 1; ; attempt++) {
      StartedServer started =
          StartedServer.start(
              what,
              binaries,
              scratch,
              data,
              Map.of("unix_socket_directories", socket.setting()),
              Map.of());
      boolean ready = false;
      try {
        ready = started.awaitReady(spool);
      } finally {
        if (!ready) {
          // The folder stays for now: the caller removes it, or goes on in it.
          started.server().stop(PostgresServer.Stop.IMMEDIATE);
        }
      }
      if (ready) {
        return started.server();
      }
      String log = started.log();
      if (RecoveryFailure.portTaken(log) && attempt < StartedServer.ATTEMPTS_MAX) {
        continue;
      }
      Optional<String> tooSmall = RecoveryFailure.tooSmall(log);
      if (tooSmall.isEmpty() || attempt == StartedServer.ATTEMPTS_MAX) {
        throw RecoveryFailure.of(what, target, binaries, log, null);
      }
      configuration.raise(tooSmall.get());
      scratch.giveToServer(data);
    }
  }

  /** How a server is reached as superuser. */
  private interface Databases {
    Connection connect(String database) throws SQLException;
  }

  /**
   * Our role, made through the private socket.
   *
   * @param control the connection it was made by
   * @param superuser who made it
   */
  private record Admitted(
      Connection control, String superuser, Databases databases, Contents contents) {}

  /**
   * Makes our role in the server that was just promoted; null where no superuser is let in, or
   * something else is in the way: what single-user mode can do about it is seen there.
   */
  private @Nullable Admitted admit(PostgresServer server, PrivateSocket socket) {
    @Nullable Connection control = null;
    boolean admitted = false;
    try {
      control = socket.openAny(what, server.port());
      if (control == null) {
        return null;
      }
      String superuser = control.getMetaData().getUserName();
      Databases databases = database -> socket.open(server.port(), superuser, database);
      // One transaction: where all this does not come to its end, there is no role.
      control.setAutoCommit(false);
      StringBuilder found = new StringBuilder();
      try (Statement statement = control.createStatement()) {
        statement.execute(String.join("; ", creation(server.binaries().major())));
        for (String question : questions()) {
          try (ResultSet rows = statement.executeQuery(question)) {
            while (rows.next()) {
              found.append('"').append(rows.getString(1)).append('"');
            }
          }
        }
      }
      Contents contents = contents(found.toString());
      if (source.isAlone()) {
        contents = contents.of(contents.wanted);
      }
      tryOneOfEachLocale(databases, contents, control.getCatalog());
      control.commit();
      control.setAutoCommit(true);
      admitted = true;
      return new Admitted(control, superuser, databases, contents);
    } catch (SQLException e) {
      return null;
    } finally {
      if (!admitted) {
        close(control);
      }
    }
  }

  private static void close(@Nullable Connection connection) {
    try {
      if (connection != null) {
        connection.close();
      }
    } catch (SQLException e) {
      // The server is stopped next.
    }
  }

  /** From here on nobody is let in but our role, with its password. */
  private void shut(PostgresServer server, PrivateSocket socket, Admitted admitted) {
    try (Connection control = admitted.control;
        Statement statement = control.createStatement()) {
      statement.execute("SELECT pg_catalog.pg_reload_conf()");
    } catch (SQLException e) {
      throw new OperatorException(
          Kind.FAILED,
          what,
          "the fork's server does not take its configuration: " + e.getMessage(),
          "run the same command again",
          e);
    }
    long deadline = System.nanoTime() + USABLE_MAX.toNanos();
    while (!socket.isShut(server.port(), admitted.superuser)) {
      if (System.nanoTime() > deadline) {
        throw new OperatorException(
            Kind.FAILED,
            what,
            "the fork's server still lets in who has no password:\n" + server.logTail(LOG_LINES),
            "run the same command again");
      }
      StartedServer.pause(what);
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

  /**
   * @param wanted the wanted tables' database; null when there is none
   */
  private record Contents(
      List<Database> databases, List<Prepared> prepared, @Nullable String wanted) {
    /** Without what is of other databases than this one. */
    private Contents of(@Nullable String database) {
      return new Contents(
          databases.stream().filter(one -> one.name.equals(database)).toList(),
          prepared.stream().filter(one -> one.database.equals(database)).toList(),
          wanted);
    }
  }

  /**
   * Makes our role in single-user mode, where neither a password nor the name of production's
   * superuser is needed, and asks for what has to be known before the first connection.
   */
  private Contents createRole(PostgresBinaries binaries, Path data, ForkLocales locales) {
    for (int attempt = 1; ; attempt++) {
      ProcessResult result = singleUser(binaries, data, locales);
      Optional<String> missing = RecoveryFailure.missingLocale(result.output());
      if (missing.isPresent() && attempt < StartedServer.ATTEMPTS_MAX) {
        locales.make(what, missing.get());
      } else if (result.exitCode() != 0
          || result.output().contains("ERROR:")
          || result.output().contains("FATAL:")) {
        throw RecoveryFailure.of(what, target, binaries, result.output(), null);
      } else {
        return contents(result.output());
      }
    }
  }

  private ProcessResult singleUser(PostgresBinaries binaries, Path data, ForkLocales locales) {
    List<String> sql = new ArrayList<>(List.of("SET default_transaction_read_only = off"));
    sql.addAll(creation(binaries.major()));
    sql.addAll(questions());
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

  /** The statements that make our role. */
  private List<String> creation(int major) {
    List<String> sql = new ArrayList<>();
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
    if (major >= 17) {
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
    return sql;
  }

  private List<String> questions() {
    List<String> questions = new ArrayList<>(QUESTIONS);
    if (options.contents() instanceof ForkContents.Sparse sparse) {
      questions.add(
          "SELECT 'wanted ' || encode(convert_to(datname::text, 'UTF8'), 'hex') || ' '"
              + " FROM pg_database WHERE oid = "
              + sparse.databaseOid());
    }
    return questions;
  }

  private static Contents contents(String output) {
    @Nullable String wanted = null;
    List<Database> databases = new ArrayList<>();
    List<Prepared> prepared = new ArrayList<>();
    Matcher found = FOUND.matcher(output);
    while (found.find()) {
      String first = text(found.group(2));
      String second = text(found.group(3));
      switch (found.group(1)) {
        case "database" -> databases.add(new Database(first, second));
        case "prepared" -> prepared.add(new Prepared(first, second));
        default -> wanted = first;
      }
    }
    return new Contents(databases, prepared, wanted);
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
          if (RecoveryFailure.portTaken(log) && attempt < StartedServer.ATTEMPTS_MAX) {
            continue;
          }
          throw RecoveryFailure.of(what, target, binaries, log, null);
        }
        connectReady(server, contents.databases.getFirst().name).close();
        tryOneOfEachLocale(
            database -> Fork.connect(server, role, database),
            contents,
            contents.databases.getFirst().name);
        keep = true;
        return server;
      } catch (SQLException e) {
        String message = String.valueOf(e.getMessage());
        Optional<String> missing = RecoveryFailure.missingLocale(message);
        if (missing.isEmpty() || attempt == StartedServer.ATTEMPTS_MAX) {
          throw RecoveryFailure.of(what, target, binaries, message, e);
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

  /**
   * @param tried a database that let us in already
   */
  private static void tryOneOfEachLocale(Databases databases, Contents contents, String tried)
      throws SQLException {
    Set<String> seen = new HashSet<>();
    contents.databases.stream()
        .filter(database -> database.name.equals(tried))
        .forEach(database -> seen.add(database.locale));
    for (Database database : contents.databases) {
      if (seen.add(database.locale)) {
        databases.connect(database.name).close();
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

  private void rollBackPrepared(Databases databases, Contents contents) {
    for (Prepared prepared : contents.prepared) {
      try (Connection connection = databases.connect(prepared.database);
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
