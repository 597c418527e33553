package dev.holdfast.guard;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What a database says of itself (schema {@code holdfast}, identity.sql): put in, with a guard or
 * without, said anew, and who asked for it.
 */
public final class Identity {
  private static final String UNDEFINED_FUNCTION = "42883";

  private Identity() {}

  /**
   * Who asked a database which one it is.
   *
   * @param host as it named itself, or its address
   * @param commit of its code; null when it did not say
   * @param firstAt when it asked first
   * @param rightAt when it was what was expected, last; null when it never was
   * @param wrongAt when it was something else, last; null when it never was
   * @param wrong what was expected then
   */
  public record Asked(
      String application,
      String host,
      String role,
      @Nullable String commit,
      Instant firstAt,
      @Nullable Instant rightAt,
      @Nullable Instant wrongAt,
      @Nullable String wrong) {}

  /**
   * One statement for an application's start, as part of its code: an error where the database is
   * another one, and a plain word where nobody ever stamped it. Any role may execute it, over any
   * driver and through any pooler.
   */
  public static String assertStatement(String cluster, String environment) {
    String expected = cluster + "/" + environment;
    return """
    DO $holdfast$ BEGIN
      IF to_regproc('holdfast.assert_identity') IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'HF004', MESSAGE = %s;
      END IF;
      PERFORM holdfast.assert_identity(%s, %s);
    END $holdfast$\
    """
        .formatted(
            Quoted.literal(
                expected
                    + " was expected, and this database was never protected: it may be a new, empty or hand-made one"),
            Quoted.literal(cluster),
            Quoted.literal(environment));
  }

  /**
   * Stamps a database; one that says already who it is says so anew. Rules of a guard that is there
   * stay, unless the environment is another one.
   *
   * @param connection of a superuser, of whoever may create schemas, or of whoever stamped it
   *     before; in autocommit mode
   * @param environment {@code production}, {@code staging} or {@code development}
   * @throws OperatorException REFUSED when the role may not, USAGE when that is no environment
   */
  public static void stamp(Connection connection, String cluster, String environment) {
    Guard.checkEnvironment(environment);
    try {
      Guard.inTransaction(
          connection,
          statement -> {
            // Whoever else installs something waits for nobody longer than this.
            statement.execute("SET LOCAL lock_timeout = '10s'");
            checkOwner(statement);
            checkPublications(statement);
            boolean guarded = exists(statement, "holdfast.working");
            if (guarded) {
              Guard.beginWorking(statement);
            }
            create(statement);
            boolean same = write(connection, cluster, environment, !guarded);
            if (!same || !fits(statement)) {
              restamp(connection, environment);
            }
            if (guarded) {
              Guard.endWorking(statement);
            }
          });
    } catch (SQLException e) {
      throw Guard.failure("cannot stamp the database", e);
    }
  }

  private static boolean fits(Statement statement) throws SQLException {
    try (ResultSet row = statement.executeQuery("SELECT holdfast.identity_fits()")) {
      row.next();
      return row.getBoolean(1);
    }
  }

  /** Says what a database that came from elsewhere is; rules that were set stay where they can. */
  static void restamp(Connection connection, String environment) throws SQLException {
    try (PreparedStatement restamp = connection.prepareStatement("SELECT holdfast.restamp(?)")) {
      restamp.setString(1, environment);
      restamp.execute();
    }
  }

  /** What {@link #stamp} executes in a database that nobody has stamped yet. */
  public static List<String> statements(String cluster, String environment) {
    return List.of(
        "BEGIN",
        Guard.resource("identity.sql").strip().replaceFirst(";$", ""),
        """
        INSERT INTO holdfast.identity (cluster, environment, system_identifier, database_name, version)
        SELECT %s, %s, (SELECT system_identifier FROM pg_catalog.pg_control_system()), pg_catalog.current_database(), %d
        ON CONFLICT (one) DO NOTHING\
        """
            .formatted(Quoted.literal(cluster), Quoted.literal(environment), Guard.VERSION),
        "SELECT holdfast.restamp(%s)".formatted(Quoted.literal(environment)),
        "COMMIT");
  }

  /** The SQL, over a transaction's statement; objects that are there are brought up to date. */
  static void create(Statement statement) throws SQLException {
    statement.execute("SET LOCAL client_min_messages = warning");
    statement.execute(Guard.resource("identity.sql"));
  }

  /**
   * Refuses a schema that somebody else has made: whoever owns its tables has their triggers run as
   * us, and whoever owns its functions has us run them.
   */
  static void checkOwner(Statement statement) throws SQLException {
    try (ResultSet row =
        statement.executeQuery(
            """
            SELECT min(pg_catalog.format('%s is of %s', what, owner::regrole)) FROM (
              SELECT 'schema holdfast' AS what, nspowner AS owner FROM pg_catalog.pg_namespace WHERE nspname = 'holdfast'
              UNION ALL
              SELECT c.oid::regclass::text, c.relowner FROM pg_catalog.pg_class c WHERE c.relnamespace = pg_catalog.to_regnamespace('holdfast')
              UNION ALL
              SELECT p.oid::regprocedure::text, p.proowner FROM pg_catalog.pg_proc p WHERE p.pronamespace = pg_catalog.to_regnamespace('holdfast')) o
             WHERE owner <> (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = current_user)
               AND NOT (SELECT rolsuper FROM pg_catalog.pg_roles r WHERE r.oid = owner)
            """)) {
      row.next();
      String others = row.getString(1);
      if (others != null) {
        throw new OperatorException(
            Kind.REFUSED,
            "cannot use the schema holdfast that is there",
            others + ", who could have their code run as us by it",
            "do it as that role, or have the schema removed or given to the role that does it: ALTER SCHEMA holdfast OWNER TO …, its tables and functions likewise");
      }
    }
  }

  /**
   * Refuses where new tables would be sent to subscribers, which stop at what they do not have, or
   * would be told that they are this database.
   */
  static void checkPublications(Statement statement) throws SQLException {
    try (ResultSet row =
        statement.executeQuery(
            """
            SELECT string_agg(pg_catalog.quote_ident(pubname), ', ' ORDER BY pubname) FROM pg_catalog.pg_publication
             WHERE puballtables AND pg_catalog.to_regclass('holdfast.identity') IS NULL
            """)) {
      row.next();
      String all = row.getString(1);
      if (all != null) {
        throw new OperatorException(
            Kind.REFUSED,
            "cannot put Holdfast's tables into this database",
            "the publication "
                + all
                + " is FOR ALL TABLES: its subscribers would stop at tables that they do not have, or take this database's stamp for theirs",
            "publish the tables of your own schemas instead (from PostgreSQL 15 on FOR TABLES IN SCHEMA public), then do it again");
      }
    }
  }

  /**
   * Names the cluster; a database that did not say what it is says so from now on.
   *
   * @param versioned whether all of schema holdfast is of this program's version then
   * @return whether it is, and was before, of this environment
   */
  static boolean write(Connection connection, String cluster, String environment, boolean versioned)
      throws SQLException {
    boolean made;
    try (PreparedStatement insert =
        connection.prepareStatement(
            """
            INSERT INTO holdfast.identity (cluster, environment, system_identifier, database_name, version)
            SELECT ?, ?, (SELECT system_identifier FROM pg_catalog.pg_control_system()), pg_catalog.current_database(), ?
            ON CONFLICT (one) DO NOTHING
            """)) {
      insert.setString(1, cluster);
      insert.setString(2, environment);
      insert.setInt(3, Guard.VERSION);
      made = insert.executeUpdate() == 1;
    }
    try (PreparedStatement update =
        connection.prepareStatement(
            "UPDATE holdfast.identity SET cluster = ?, version = CASE WHEN ? THEN ? ELSE version END"
                + " RETURNING environment")) {
      update.setString(1, cluster);
      update.setBoolean(2, versioned);
      update.setInt(3, Guard.VERSION);
      try (ResultSet row = update.executeQuery()) {
        row.next();
        return !made && row.getString(1).equals(environment);
      }
    }
  }

  static boolean exists(Statement statement, String relation) throws SQLException {
    try (ResultSet row =
        statement.executeQuery(
            "SELECT pg_catalog.to_regclass('%s') IS NOT NULL".formatted(relation))) {
      row.next();
      return row.getBoolean(1);
    }
  }

  /**
   * Says what a database that came from elsewhere is from now on.
   *
   * @param connection in autocommit mode
   * @return a sentence; null where there is no stamp
   * @throws OperatorException REFUSED where it is the original, or the role may not
   */
  public static @Nullable String adopt(Connection connection, String environment) {
    Guard.checkEnvironment(environment);
    try (PreparedStatement adopt = connection.prepareStatement("SELECT holdfast.adopt(?)")) {
      try (Statement statement = connection.createStatement()) {
        if (!exists(statement, "holdfast.identity")) {
          return null;
        }
        statement.execute("SET lock_timeout = '10s'");
      }
      adopt.setString(1, environment);
      try (ResultSet row = adopt.executeQuery()) {
        row.next();
        return row.getString(1);
      }
    } catch (SQLException e) {
      throw Guard.failure("cannot adopt the database", e);
    }
  }

  /**
   * Keeps in the database that it was asked who it is; quick, and never in anybody's way.
   *
   * @param connection in autocommit mode
   * @param expected what it had to be
   * @return whether it is kept: not on a standby, not by whoever may not
   */
  public static boolean note(
      Connection connection,
      @Nullable String application,
      @Nullable String host,
      @Nullable String commit,
      String expected,
      boolean asExpected)
      throws SQLException {
    try (PreparedStatement note =
        connection.prepareStatement("SELECT holdfast.note_check(?, ?, ?, ?, ?)")) {
      note.setString(1, application);
      note.setString(2, host);
      note.setString(3, commit);
      note.setString(4, expected);
      note.setBoolean(5, asExpected);
      try (ResultSet row = note.executeQuery()) {
        row.next();
        return row.getBoolean(1);
      }
    } catch (SQLException e) {
      if (UNDEFINED_FUNCTION.equals(e.getSQLState())
          || Guard.UNDEFINED_SCHEMA.equals(e.getSQLState())
          || Guard.INSUFFICIENT_PRIVILEGE.equals(e.getSQLState())) {
        return false;
      }
      throw e;
    }
  }

  /**
   * Who asked, newest first.
   *
   * @param most how long it may take
   * @return empty where there is no stamp, or one of before it was kept
   */
  public static List<Asked> asked(Connection connection, Duration most) throws SQLException {
    List<Asked> asked = new ArrayList<>();
    try (Statement statement = connection.createStatement()) {
      statement.execute("SET statement_timeout = " + most.toMillis());
      if (!exists(statement, "holdfast.identity_check")) {
        return asked;
      }
      try (ResultSet rows =
          statement.executeQuery(
              """
              SELECT application, host, role, commit, first_at, right_at, wrong_at, wrong FROM holdfast.identity_check
               ORDER BY greatest(right_at, wrong_at) DESC, application, host, role
              """)) {
        while (rows.next()) {
          asked.add(
              new Asked(
                  rows.getString(1),
                  rows.getString(2),
                  rows.getString(3),
                  rows.getString(4),
                  rows.getTimestamp(5).toInstant(),
                  Permits.instant(rows.getTimestamp(6)),
                  Permits.instant(rows.getTimestamp(7)),
                  rows.getString(8)));
        }
      }
    }
    return asked;
  }
}
