package dev.holdfast.guard;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * The guard of one database: put in, brought up to date and taken out over a connection. Tables are
 * covered one by one, each in a transaction of its own with a short lock timeout, so that no writer
 * waits for longer than that and no lock is held over several tables.
 */
public final class Guard {
  /** Of the SQL that {@link #install} writes. */
  public static final int VERSION = 3;

  /** The SQLSTATE of every refusal. */
  public static final String REFUSED_STATE = "HF001";

  private static final Set<String> ENVIRONMENTS = Set.of("production", "staging", "development");

  /** What PostgreSQL says of a lock that was not to be had in time. */
  private static final String LOCK_NOT_AVAILABLE = "55P03";

  static final String INSUFFICIENT_PRIVILEGE = "42501";
  static final String UNDEFINED_SCHEMA = "3F000";
  private static final String UNDEFINED_TABLE = "42P01";

  private static final List<String> IDENTITY_TABLES = List.of("identity", "identity_check");

  private static final List<String> EVENT_TRIGGERS =
      List.of(
          "holdfast_ddl_start",
          "holdfast_dropped",
          "holdfast_sentinel",
          "holdfast_renamed",
          "holdfast_rewritten",
          "holdfast_defined");

  private Guard() {}

  /**
   * What to install.
   *
   * @param cluster what Holdfast calls the server
   * @param environment {@code production}, {@code staging} or {@code development}: which rules are
   *     enforced, observed or off at first
   * @param lockTimeout how long a table's writers are made to wait, at most, for each try
   * @param tries for each table
   */
  public record Installation(String cluster, String environment, Duration lockTimeout, int tries) {
    /** Refuses what is no environment. */
    public Installation {
      checkEnvironment(environment);
    }

    /** As usual: half a second for a lock, twenty tries. */
    public Installation(String cluster, String environment) {
      this(cluster, environment, Duration.ofMillis(500), 20);
    }
  }

  /** Refuses what is no environment. */
  static void checkEnvironment(String environment) {
    if (!ENVIRONMENTS.contains(environment)) {
      throw new OperatorException(
          Kind.USAGE,
          "\"" + environment + "\" is not an environment",
          "there are production, staging and development",
          "say --environment production, unless losing this database would hurt nobody");
    }
  }

  /**
   * A guard that is in the database now.
   *
   * @param tables how many tables should be covered
   * @param uncovered those that are not, with why
   * @param eventTriggers whether commands that define and drop can be seen; without, rules about
   *     them do not work and new tables are not covered by themselves
   * @param lost what does not work here and why, a sentence each
   */
  public record Installed(
      int version,
      int tables,
      List<Uncovered> uncovered,
      boolean eventTriggers,
      List<String> lost) {}

  /** A table that the guard does not cover, or not all of it. */
  public record Uncovered(String schema, String table, String why) {}

  /** Told of each table. */
  public interface Listener {
    /** One more of them is looked after. */
    void covered(int done, int of, String table);
  }

  /**
   * Installs the guard, or brings it up to date; modes, exceptions and permits stay.
   *
   * @param connection of a superuser, or of whoever owns the tables; in autocommit mode
   * @throws OperatorException REFUSED when the role may not, with what is missing
   */
  public static Installed install(Connection connection, Installation what) {
    return install(connection, what, (_, _, _) -> {});
  }

  /** As {@link #install(Connection, Installation)}, telling of each table. */
  public static Installed install(Connection connection, Installation what, Listener listener) {
    try {
      List<String> lost = new ArrayList<>();
      boolean events = installObjects(connection, what, lost);
      List<Uncovered> uncovered = cover(connection, what, listener);
      return new Installed(VERSION, tables(connection), uncovered, events, List.copyOf(lost));
    } catch (SQLException e) {
      throw failure("cannot install the guard", e);
    }
  }

  /**
   * Takes the guard out again, event triggers first, then table by table.
   *
   * @param identityStays whether the database goes on saying who it is
   * @throws OperatorException REFUSED when the role may not
   */
  public static void uninstall(
      Connection connection, Installation how, boolean identityStays, Listener listener) {
    try {
      inTransaction(
          connection,
          statement -> {
            tell(statement, "uninstall", "");
            for (String name : EVENT_TRIGGERS) {
              statement.execute("DROP EVENT TRIGGER IF EXISTS " + name);
            }
            statement.execute("SELECT holdfast.set_mode('drop-database', 'off')");
          });
      List<Table> tables = new ArrayList<>();
      try (Statement statement = connection.createStatement();
          ResultSet rows =
              statement.executeQuery(
                  """
                  SELECT DISTINCT c.oid, n.nspname, c.relname FROM pg_catalog.pg_trigger t
                    JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
                    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                    JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
                   WHERE p.pronamespace = 'holdfast'::regnamespace ORDER BY 2, 3
                  """)) {
        while (rows.next()) {
          tables.add(new Table(rows.getLong(1), rows.getString(2), rows.getString(3)));
        }
      }
      int done = 0;
      for (Table table : tables) {
        String why =
            patiently(
                connection,
                how,
                statement -> {
                  List<String> drops = new ArrayList<>();
                  try (ResultSet rows =
                      statement.executeQuery(
                          """
                          SELECT format('DROP TRIGGER %%I ON %%s', t.tgname, t.tgrelid::regclass)
                            FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
                           WHERE t.tgrelid = %d AND t.tgparentid = 0 AND p.pronamespace = 'holdfast'::regnamespace
                          """
                              .formatted(table.oid))) {
                    while (rows.next()) {
                      drops.add(rows.getString(1));
                    }
                  }
                  tell(statement, "uninstall", "");
                  for (String drop : drops) {
                    statement.execute(drop);
                  }
                });
        if (why != null) {
          throw new OperatorException(
              Kind.FAILED,
              "cannot take the guard off " + table,
              why,
              "the event triggers are gone, the other tables' triggers stay until all can go;"
                  + " run it again");
        }
        listener.covered(++done, tables.size(), table.toString());
      }
      inTransaction(
          connection,
          statement -> {
            statement.execute("SET LOCAL lock_timeout = " + how.lockTimeout().toMillis());
            tell(statement, "uninstall", "");
            statement.execute("DROP SCHEMA IF EXISTS holdfast_probe CASCADE");
            statement.execute("DROP SCHEMA IF EXISTS holdfast_sentinel CASCADE");
            // Who the database is stays, unless all is to go: applications ask for it when they
            // start.
            if (identityStays) {
              for (String table : IDENTITY_TABLES) {
                statement.execute(
                    "CREATE TEMPORARY TABLE holdfast_kept_%1$s ON COMMIT DROP AS SELECT * FROM holdfast.%1$s"
                        .formatted(table));
              }
            }
            statement.execute("DROP SCHEMA holdfast CASCADE");
            if (identityStays) {
              Identity.create(statement);
              for (String table : IDENTITY_TABLES) {
                statement.execute(
                    "INSERT INTO holdfast.%1$s SELECT * FROM pg_temp.holdfast_kept_%1$s"
                        .formatted(table));
              }
            }
          });
    } catch (SQLException e) {
      throw failure("cannot take the guard out", e);
    }
  }

  private static boolean installObjects(Connection connection, Installation what, List<String> lost)
      throws SQLException {
    boolean[] events = {false};
    inTransaction(
        connection,
        statement -> {
          statement.execute("SET LOCAL lock_timeout = " + what.lockTimeout().toMillis());
          // Objects of a guard that is there may be changed by whoever owns it, and by nobody else.
          Identity.checkOwner(statement);
          Identity.checkPublications(statement);
          boolean again = Identity.exists(statement, "holdfast.working");
          if (again) {
            beginWorking(statement);
          }
          Identity.create(statement);
          statement.execute(resource("guard.sql"));
          tell(statement, "install", "");
          statement.execute(resource("defaults.sql"));
          boolean same = Identity.write(connection, what.cluster(), what.environment(), true);
          if (!same || !again) { // else modes that somebody has set stay
            try (PreparedStatement set =
                connection.prepareStatement("SELECT holdfast.set_environment(?)")) {
              set.setString(1, what.environment());
              set.execute();
            }
          }
          Savepoint before = connection.setSavepoint();
          try {
            statement.execute(resource("events.sql"));
            events[0] = true;
          } catch (SQLException e) {
            connection.rollback(before);
            if (!INSUFFICIENT_PRIVILEGE.equals(e.getSQLState())) {
              throw e;
            }
            lost.add(
                "drop-table, drop-schema, drop-column, drop-type, alter-column-type, guard-tampering: this role"
                    + " may not create event triggers, so these commands are not seen");
            lost.add(
                "new tables are not covered by themselves: run `holdfast guard install` again after migrations");
          }
          endWorking(statement);
        });
    return events[0];
  }

  /** From here to the transaction's end, or {@link #endWorking}, its owner may change the guard. */
  static void beginWorking(Statement statement) throws SQLException {
    statement.execute(
        "INSERT INTO holdfast.working VALUES (pg_catalog.pg_current_xact_id()) ON CONFLICT DO NOTHING");
  }

  static void endWorking(Statement statement) throws SQLException {
    statement.execute("DELETE FROM holdfast.working WHERE xid = pg_catalog.pg_current_xact_id()");
  }

  /**
   * Says in the transaction's WAL that it is Holdfast which writes to the guard: what is not said
   * so is somebody's doing by hand.
   *
   * @param act one that the reader of the log knows (damage, {@code Origin})
   * @param more members of the JSON object, with a comma before; values without quotes in them
   */
  static void tell(Statement statement, String act, String more) throws SQLException {
    statement.execute(
        "SELECT pg_catalog.pg_logical_emit_message(true, 'holdfast', (holdfast.origin() || '{\"act\": \"%s\"%s}')::text)"
            .formatted(act, more));
  }

  private record Table(long oid, String schema, String name) {
    @Override
    public String toString() {
      return schema + "." + name;
    }
  }

  static List<Uncovered> cover(Connection connection, Installation what, Listener listener)
      throws SQLException {
    List<Table> tables = new ArrayList<>();
    try (Statement statement = connection.createStatement();
        ResultSet rows =
            statement.executeQuery(
                "SELECT relid, schema_name, table_name FROM holdfast.tables()")) {
      while (rows.next()) {
        tables.add(new Table(rows.getLong(1), rows.getString(2), rows.getString(3)));
      }
    }
    List<Uncovered> uncovered = new ArrayList<>();
    int done = 0;
    for (Table table : tables) {
      String why =
          patiently(
              connection,
              what,
              statement -> statement.execute("SELECT holdfast.cover(" + table.oid + ")"));
      if (why != null) {
        uncovered.add(new Uncovered(table.schema, table.name, why));
      }
      listener.covered(++done, tables.size(), table.toString());
    }
    return List.copyOf(uncovered);
  }

  private static int tables(Connection connection) throws SQLException {
    try (Statement statement = connection.createStatement();
        ResultSet row = statement.executeQuery("SELECT count(*) FROM holdfast.tables()")) {
      row.next();
      return row.getInt(1);
    }
  }

  /** Tries as often as it was said, while a lock is not to be had; then, why it could not be. */
  private static @Nullable String patiently(
      Connection connection, Installation how, TransactionWork work) throws SQLException {
    for (int attempt = 1; ; attempt++) {
      try {
        inTransaction(
            connection,
            statement -> {
              statement.execute("SET LOCAL lock_timeout = " + how.lockTimeout().toMillis());
              work.run(statement);
            });
        return null;
      } catch (SQLException e) {
        if (connection.isClosed()) {
          throw e;
        }
        if (!LOCK_NOT_AVAILABLE.equals(e.getSQLState()) || attempt == how.tries()) {
          return oneLine(e);
        }
        pause(how.lockTimeout());
      }
    }
  }

  /** Between two tries writers that queued behind us have their turn. */
  private static void pause(Duration lockTimeout) {
    try {
      Thread.sleep(lockTimeout);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new OperatorException(
          Kind.INTERRUPTED,
          "stopped between two tables",
          "interrupted",
          "run it again: it goes on",
          e);
    }
  }

  static void inTransaction(Connection connection, TransactionWork work) throws SQLException {
    connection.setAutoCommit(false);
    try (Statement statement = connection.createStatement()) {
      work.run(statement);
      connection.commit();
    } catch (SQLException | RuntimeException e) {
      if (!connection.isClosed()) {
        connection.rollback();
      }
      throw e;
    } finally {
      if (!connection.isClosed()) {
        connection.setAutoCommit(true);
      }
    }
  }

  interface TransactionWork {
    void run(Statement statement) throws SQLException;
  }

  static String resource(String name) {
    try (InputStream stream = Guard.class.getResourceAsStream(name)) {
      if (stream == null) {
        throw new IllegalStateException(name + " is not in this build");
      }
      return new String(stream.readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  static String oneLine(SQLException e) {
    String message = String.valueOf(e.getMessage()).strip();
    int end = message.indexOf('\n');
    return (end < 0 ? message : message.substring(0, end)).replaceFirst("^ERROR: ", "");
  }

  static OperatorException failure(String what, SQLException e) {
    String state = String.valueOf(e.getSQLState());
    if (state.equals(UNDEFINED_SCHEMA)
        || (state.equals(UNDEFINED_TABLE) && String.valueOf(e.getMessage()).contains("holdfast"))) {
      return new OperatorException(
          Kind.REFUSED,
          what,
          "there is no guard in this database",
          "install it: holdfast guard install NAME",
          e);
    }
    if (state.equals(REFUSED_STATE)) {
      String hint = String.valueOf(e.getMessage());
      int at = hint.indexOf("Hint: ");
      return new OperatorException(
          Kind.REFUSED,
          what,
          oneLine(e),
          at < 0 ? "holdfast guard status NAME shows the rules" : hint.substring(at + 6).strip(),
          e);
    }
    if (state.equals(INSUFFICIENT_PRIVILEGE)) {
      return new OperatorException(
          Kind.REFUSED,
          what,
          oneLine(e),
          "connect as a superuser, or as the role that owns the tables and may create schemas",
          e);
    }
    if (state.toUpperCase(Locale.ROOT).startsWith("08")) {
      return new OperatorException(
          Kind.DATABASE_UNREACHABLE,
          what,
          oneLine(e),
          "see whether the server is up, then run it again",
          e);
    }
    return new OperatorException(
        Kind.FAILED, what, oneLine(e), "nothing but what was told has changed; run it again", e);
  }
}
