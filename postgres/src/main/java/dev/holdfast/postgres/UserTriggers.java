package dev.holdfast.postgres;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.row.TableName;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;

/**
 * Keeps users' triggers and rules from acting on rows that are only put back, until the transaction
 * ends or they are switched on again.
 */
public final class UserTriggers {
  /**
   * A condition on pg_trigger: the trigger is the guard's. These only look, at a whole plan too,
   * and to switch them off would be to tamper with the guard.
   */
  public static final String GUARDS =
      "(tgname ~ '^holdfast_' AND tgfoid IN (SELECT p.oid FROM pg_catalog.pg_proc p"
          + " JOIN pg_catalog.pg_namespace g ON g.oid = p.pronamespace WHERE g.nspname = 'holdfast'))";

  private record Trigger(TableName table, String name, char enabled) {
    String enable() {
      String how =
          switch (enabled) {
            case 'A' -> "ENABLE ALWAYS";
            case 'R' -> "ENABLE REPLICA";
            default -> "ENABLE";
          };
      return "ALTER TABLE ONLY %s %s TRIGGER %s"
          .formatted(table.quoted(), how, TableName.quote(name));
    }

    String disable() {
      return "ALTER TABLE ONLY %s DISABLE TRIGGER %s"
          .formatted(table.quoted(), TableName.quote(name));
    }
  }

  private final Connection connection;
  private final boolean replica;
  private final List<Trigger> disabled = new ArrayList<>();

  private UserTriggers(Connection connection, boolean replica) {
    this.connection = connection;
    this.replica = replica;
  }

  /**
   * Switches triggers off for the transaction where the role may; otherwise table by table later.
   */
  static UserTriggers begin(Connection connection) throws SQLException {
    Savepoint before = connection.setSavepoint();
    try (Statement statement = connection.createStatement()) {
      statement.execute("SET LOCAL session_replication_role = replica");
      return new UserTriggers(connection, true);
    } catch (SQLException e) {
      if (!"42501".equals(e.getSQLState())) {
        throw e;
      }
      connection.rollback(before);
      return new UserTriggers(connection, false);
    }
  }

  /** Whether PostgreSQL's own triggers for foreign keys act while the plan is applied. */
  boolean foreignKeysAct() {
    return !replica;
  }

  /** Switches off what still acts on this table. */
  void disable(TableStructure table) throws SQLException {
    refuseRules(table);
    String acting = replica ? "'A', 'R'" : "'A', 'O'";
    List<Trigger> triggers = new ArrayList<>();
    try (PreparedStatement query =
        connection.prepareStatement(
            "SELECT tgname, tgenabled FROM pg_catalog.pg_trigger WHERE tgrelid = ?::oid"
                + " AND NOT tgisinternal AND tgenabled IN ("
                + acting
                + ") AND NOT "
                + GUARDS
                + " ORDER BY tgname")) {
      query.setLong(1, table.oid());
      try (ResultSet row = query.executeQuery()) {
        while (row.next()) {
          triggers.add(
              new Trigger(table.shape().name(), row.getString(1), row.getString(2).charAt(0)));
        }
      }
    }
    for (Trigger trigger : triggers) {
      execute(trigger.disable());
      disabled.add(trigger);
    }
  }

  /**
   * Leaves every trigger as it was found, and the transaction's later statements with theirs on.
   */
  void enable() throws SQLException {
    if (replica) {
      execute("SET LOCAL session_replication_role = origin");
    }
    for (Trigger trigger : disabled) {
      execute(trigger.enable());
    }
    disabled.clear();
  }

  private void refuseRules(TableStructure table) throws SQLException {
    String acting = replica ? "'A', 'R'" : "'A', 'O'";
    try (PreparedStatement query =
        connection.prepareStatement(
            "SELECT rulename FROM pg_catalog.pg_rewrite WHERE ev_class = ?::oid"
                + " AND ev_type <> '1' AND ev_enabled IN ("
                + acting
                + ") ORDER BY rulename LIMIT 1")) {
      query.setLong(1, table.oid());
      try (ResultSet row = query.executeQuery()) {
        if (row.next()) {
          throw new OperatorException(
              Kind.REFUSED,
              "cannot apply the plan",
              "rule %s would rewrite what is written to %s"
                  .formatted(row.getString(1), table.shape().name()),
              "disable the rule (ALTER TABLE … DISABLE RULE) or connect as a superuser, and run the"
                  + " same command again");
        }
      }
    }
  }

  private void execute(String sql) throws SQLException {
    try (Statement statement = connection.createStatement()) {
      statement.execute(sql);
    }
  }
}
