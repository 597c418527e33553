package dev.holdfast.postgres;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import java.security.SecureRandom;
import java.sql.Connection;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;

/**
 * The role that records and backs up: no superuser, and without the right to SELECT from anybody's
 * table. It reads the files of the server, though, and with them everything that is in them,
 * password hashes too.
 */
public final class RecorderRole {
  /** What stands for the password where statements are shown. */
  public static final String PASSWORD_PLACEHOLDER = "********";

  private static final int PASSWORD_BYTES = 24;

  private RecorderRole() {}

  /** The functions it must be able to execute, as regprocedure understands them. */
  static List<String> functions(int major) {
    List<String> functions =
        new ArrayList<>(
            major >= 15
                ? List.of("pg_backup_start(text, boolean)", "pg_backup_stop(boolean)")
                : List.of(
                    "pg_start_backup(text, boolean, boolean)", "pg_stop_backup(boolean, boolean)"));
    functions.add("pg_read_binary_file(text, bigint, bigint, boolean)");
    functions.add("pg_ls_dir(text, boolean, boolean)");
    functions.add("pg_stat_file(text, boolean)");
    return functions;
  }

  /**
   * The statements that make the role or bring it up to date; run by a superuser in the database
   * the recorder connects to, since rights on functions hold in one database only. Running them
   * again changes nothing but the password.
   *
   * @param password shown in the statements; {@link #PASSWORD_PLACEHOLDER} for people
   */
  public static List<String> statements(int major, String role, String database, String password) {
    String name = Sql.identifier(role);
    List<String> statements = new ArrayList<>();
    // Statements of the server's log would show the password otherwise.
    statements.add("SET LOCAL log_statement = 'none'");
    statements.add("SET LOCAL log_min_error_statement = 'panic'");
    statements.add("SET LOCAL log_min_duration_statement = -1");
    statements.add("SET LOCAL password_encryption = 'scram-sha-256'");
    statements.add(
        """
        DO $holdfast$ BEGIN
          IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = %s) THEN
            CREATE ROLE %s;
          END IF;
        END $holdfast$\
        """
            .formatted(Sql.literal(role).strip(), name));
    statements.add(
        "ALTER ROLE "
            + name
            + " WITH LOGIN REPLICATION NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS"
            + " CONNECTION LIMIT -1 PASSWORD "
            + Sql.literal(password).strip());
    statements.add("GRANT pg_monitor TO " + name);
    statements.add("GRANT CONNECT ON DATABASE " + Sql.identifier(database) + " TO " + name);
    for (String function : functions(major)) {
      statements.add("GRANT EXECUTE ON FUNCTION pg_catalog." + function + " TO " + name);
    }
    return statements;
  }

  /** A password nobody has to remember: 192 random bits. */
  public static String randomPassword() {
    byte[] bytes = new byte[PASSWORD_BYTES];
    new SecureRandom().nextBytes(bytes);
    return Base64.getUrlEncoder().withoutPadding().encodeToString(bytes);
  }

  /**
   * Makes the role, or brings it up to date with a new password, in one transaction.
   *
   * @param owner a superuser's URL, in the database the recorder will connect to
   * @param role its name, such as {@code holdfast}
   * @return the same server and database as that role, with the password
   * @throws OperatorException REFUSED when the role is a superuser in use for something else, or
   *     the URL's user may not make roles
   */
  public static PostgresUrl create(PostgresUrl owner, String role, String password) {
    try (Connection connection = owner.open();
        Statement statement = connection.createStatement()) {
      ServerFacts facts = ServerFacts.read(connection);
      if (role.equals(facts.role().name())) {
        throw new OperatorException(
            Kind.REFUSED,
            "cannot make the recorder role " + role,
            "that is the role of the URL itself, and it would lose its rights",
            "choose another name for the recorder role");
      }
      boolean superuser =
          ServerFacts.value(
                  connection,
                  "SELECT count(*) FROM pg_roles WHERE rolsuper AND rolname = " + Sql.literal(role))
              .equals("1");
      if (superuser) {
        throw new OperatorException(
            Kind.REFUSED,
            "cannot make the recorder role " + role,
            "a superuser has that name, and recording must not take its rights away",
            "choose another name for the recorder role");
      }
      connection.setAutoCommit(false);
      for (String sql : statements(facts.major(), role, owner.database(), password)) {
        statement.execute(sql);
      }
      connection.commit();
      return owner.withUser(role, password);
    } catch (SQLException e) {
      // The message is the server's; it repeats no literals, and the statement is not shown.
      boolean denied = "42501".equals(e.getSQLState());
      throw new OperatorException(
          denied ? Kind.REFUSED : Kind.FAILED,
          "cannot make the recorder role " + role,
          ConnectFailures.firstLine(e),
          denied
              ? "give a superuser's URL, or print the statements (--print-sql) for a superuser to"
                  + " run"
              : "check the server's log for this moment, then run the same command again",
          null);
    }
  }

  /** The statements that undo {@link #create}, for the database it was made in. */
  public static List<String> removal(String role) {
    String name = Sql.identifier(role);
    return List.of("DROP OWNED BY " + name, "DROP ROLE " + name);
  }
}
