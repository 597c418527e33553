package dev.holdfast.guard;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Timestamp;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * The schema {@code holdfast_freeze} of a database and its triggers, which refuse writes until they
 * are taken away. What is refused stands in the function's own text: a transaction whose snapshot
 * is older than the freeze meets it as well.
 *
 * <p>For one thread. The connection is in autocommit mode.
 */
public final class FreezeTriggers {
  /** SQLSTATE of a refused write. */
  public static final String REFUSED = "HF002";

  /** What ends a freeze by hand. */
  public static final String REMOVAL = "DROP SCHEMA holdfast_freeze CASCADE";

  private static final String WHAT = "cannot freeze the database";
  private static final int LOCK_CLASS = 1212239718;
  private static final int PAUSE_MS = 100;

  private static final String USERS =
      "n.nspname NOT IN ('information_schema', 'holdfast', 'holdfast_watch', 'holdfast_freeze')"
          + " AND n.nspname !~ '^pg_' AND c.relkind IN ('r', 'p') AND c.relpersistence <> 't'";

  private final Connection connection;

  /**
   * What is frozen for whom.
   *
   * @param frozenAt to the second
   * @param frozenBy a person and a role
   * @param application only sessions of this application_name; null for all
   * @param role only sessions of this role (session_user); null for all
   * @param exceptRole sessions of this role may write; null for none
   * @param tables qualified names as SQL spells them, partitions and children left out; empty for
   *     every table
   */
  public record State(
      Instant frozenAt,
      String frozenBy,
      @Nullable String reason,
      @Nullable String application,
      @Nullable String role,
      @Nullable String exceptRole,
      List<String> tables) {
    /** Copies; an instant to the second. */
    public State {
      frozenAt = frozenAt.truncatedTo(ChronoUnit.SECONDS);
      tables = List.copyOf(tables);
    }

    /** Whether both freeze the same, whoever did when. */
    public boolean sameScope(State other) {
      return Objects.equals(application, other.application)
          && Objects.equals(role, other.role)
          && Objects.equals(exceptRole, other.exceptRole)
          && tables.equals(other.tables);
    }
  }

  /**
   * How far a freeze has come.
   *
   * @param frozen tables with all triggers, enabled
   * @param missing tables that are meant and lack some, with the reason where one is known
   * @param ddlRefused whether event triggers refuse DDL
   */
  public record Coverage(List<String> frozen, Map<String, String> missing, boolean ddlRefused) {}

  /**
   * What a client meets.
   *
   * @param sqlState always {@value FreezeTriggers#REFUSED}
   */
  public record Refusal(String sqlState, String message, String detail, String hint) {}

  /** Over a connection as the owner of the tables, or a superuser. */
  public FreezeTriggers(Connection connection) {
    this.connection = connection;
  }

  /** What is frozen; null when nothing is. */
  public @Nullable State state() {
    try (Statement statement = connection.createStatement()) {
      if (!flag(statement, "SELECT to_regclass('holdfast_freeze.freeze') IS NOT NULL")) {
        return null;
      }
      try (ResultSet row =
          statement.executeQuery(
              "SELECT frozen_at, frozen_by, reason, application, role, except_role, tables"
                  + " FROM holdfast_freeze.freeze")) {
        if (!row.next()) {
          return null;
        }
        Timestamp at = row.getTimestamp(1);
        java.sql.Array tables = row.getArray(7);
        return new State(
            at.toInstant(),
            row.getString(2),
            row.getString(3),
            row.getString(4),
            row.getString(5),
            row.getString(6),
            tables == null ? List.of() : Arrays.asList((String[]) tables.getArray()));
      }
    } catch (SQLException e) {
      throw StatementFailures.told("cannot read what is frozen", e);
    }
  }

  /** What a client would be told of a table, written as SQL spells it. */
  public static Refusal refusal(State state, String database, String table) {
    return new Refusal(
        REFUSED,
        "writes to %s in database \"%s\" are frozen since %s by %s%s"
            .formatted(
                table,
                database,
                state.frozenAt(),
                state.frozenBy(),
                state.reason() == null ? "" : ": " + state.reason()),
        "Nothing was written."
            + (state.application() == null
                ? ""
                : " Only application \"" + state.application() + "\" is refused.")
            + (state.role() == null ? "" : " Only role \"" + state.role() + "\" is refused.")
            + (state.exceptRole() == null ? "" : " Role \"" + state.exceptRole() + "\" may write."),
        "`holdfast unfreeze` lets everybody write again; so does the owner with: " + REMOVAL);
  }

  /**
   * Writes down what is to be frozen, and makes the function that refuses; from then on triggers
   * refuse as they are put on.
   *
   * @throws OperatorException REFUSED when something else is frozen already, or a table is unknown
   */
  public State begin(State wanted, String database) {
    try (Statement statement = connection.createStatement()) {
      lockOrRefuse(statement);
    } catch (SQLException e) {
      throw StatementFailures.told(WHAT, e);
    }
    State there = state();
    if (there != null && !there.sameScope(wanted)) {
      throw new OperatorException(
          Kind.REFUSED,
          WHAT,
          "it is frozen already, otherwise: since %s by %s"
              .formatted(there.frozenAt(), there.frozenBy()),
          "`holdfast freeze --status` tells how; unfreeze it first, then freeze what is meant");
    }
    if (there != null) {
      return there; // half-done, or complete: the rest goes on
    }
    try (Statement statement = connection.createStatement()) {
      connection.setAutoCommit(false);
      statement.execute("DROP SCHEMA IF EXISTS holdfast_freeze CASCADE");
      statement.execute("CREATE SCHEMA holdfast_freeze");
      statement.execute(Guard.resource("freeze.sql"));
      statement.execute(
          "INSERT INTO holdfast_freeze.freeze VALUES (true, %s, %s, %s, %s, %s, %s, %s::text[])"
              .formatted(
                  Quoted.literal(wanted.frozenAt().toString()),
                  Quoted.literal(wanted.frozenBy()),
                  literal(wanted.reason()),
                  literal(wanted.application()),
                  literal(wanted.role()),
                  literal(wanted.exceptRole()),
                  wanted.tables().isEmpty()
                      ? "NULL"
                      : "ARRAY["
                          + String.join(",", wanted.tables().stream().map(Quoted::literal).toList())
                          + "]"));
      statement.execute(function(wanted, database));
      connection.commit();
      return wanted;
    } catch (SQLException e) {
      throw StatementFailures.told(WHAT, e);
    } finally {
      autoCommit();
    }
  }

  private static String literal(@Nullable String text) {
    return text == null ? "NULL" : Quoted.literal(text);
  }

  private void lockOrRefuse(Statement statement) throws SQLException {
    if (!flag(statement, "SELECT pg_try_advisory_lock(" + LOCK_CLASS + ", 0)")) {
      throw new OperatorException(
          Kind.REFUSED,
          WHAT,
          "another `holdfast freeze` or `unfreeze` is at work on it",
          "wait until that has ended; `holdfast freeze --status` tells what is frozen");
    }
  }

  private static String function(State state, String database) {
    Refusal refusal = refusal(state, database, "\u0001");
    String conditions =
        (state.application() == null
                ? ""
                : " AND current_setting('application_name', true) = "
                    + Quoted.literal(state.application()))
            + (state.role() == null ? "" : " AND session_user = " + Quoted.literal(state.role()))
            + (state.exceptRole() == null
                ? ""
                : " AND session_user <> " + Quoted.literal(state.exceptRole()));
    String raise =
        """
          RAISE EXCEPTION USING ERRCODE = '%s',
            MESSAGE = replace(%s, chr(1), %s), DETAIL = %s, HINT = %s;
        """;
    String body =
        "BEGIN\n  IF true"
            + conditions
            + " THEN\n"
            + raise.formatted(
                REFUSED,
                Quoted.literal(refusal.message()),
                "format('%I.%I', TG_TABLE_SCHEMA, TG_TABLE_NAME)",
                Quoted.literal(refusal.detail()),
                Quoted.literal(refusal.hint()))
            + "  END IF;\n  IF TG_LEVEL = 'STATEMENT' THEN RETURN NULL; END IF;\n"
            + "  IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;\n  RETURN NEW;\nEND";
    String ddl =
        "BEGIN\n  IF true"
            + conditions
            + " AND (CASE TG_EVENT WHEN 'sql_drop' THEN EXISTS (SELECT FROM"
            + " pg_event_trigger_dropped_objects() AS o WHERE o.original AND NOT o.is_temporary"
            + " AND coalesce(o.schema_name, '') <> 'holdfast_freeze'"
            + " AND o.object_name IS DISTINCT FROM 'holdfast_freeze')"
            + " ELSE EXISTS (SELECT FROM pg_event_trigger_ddl_commands() AS o"
            + " WHERE coalesce(o.schema_name, '') NOT IN ('pg_temp', 'holdfast_freeze')"
            + " AND coalesce(o.schema_name, '') !~ '^pg_temp_') END) THEN\n"
            + raise.formatted(
                REFUSED,
                Quoted.literal(
                    refusal.message().replace("writes to \u0001", "changes of the schema")),
                "''",
                Quoted.literal(refusal.detail().replace("written", "changed")),
                Quoted.literal(refusal.hint()))
            + "  END IF;\nEND";
    return "CREATE FUNCTION holdfast_freeze.refuse() RETURNS trigger LANGUAGE plpgsql"
        + " SET search_path = pg_catalog, pg_temp AS "
        + Quoted.literal(body)
        + "; CREATE FUNCTION holdfast_freeze.refuse_ddl() RETURNS event_trigger LANGUAGE plpgsql"
        + " SET search_path = pg_catalog, pg_temp AS "
        + Quoted.literal(ddl);
  }

  /**
   * The names of tables as SQL spells them.
   *
   * @param given each {@code TABLE} or {@code SCHEMA.TABLE}, as SQL spells it
   * @throws OperatorException USAGE for one that is not there
   */
  public List<String> resolve(List<String> given) {
    List<String> names = new ArrayList<>();
    try (Statement statement = connection.createStatement()) {
      for (String name : given) {
        try (ResultSet row =
            statement.executeQuery(
                "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c"
                    + " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass("
                    + Quoted.literal(name)
                    + ") AND "
                    + USERS)) {
          if (!row.next()) {
            throw new OperatorException(
                Kind.USAGE,
                WHAT,
                "there is no table " + name,
                "write TABLE or SCHEMA.TABLE as SQL does, with double quotes where it needs them");
          }
          names.add(row.getString(1));
        }
      }
      return names.stream().sorted().distinct().toList();
    } catch (SQLException e) {
      throw StatementFailures.told(WHAT, e);
    }
  }

  /** Tables that are meant, as SQL spells them, by OID; with partitions and children of those. */
  private Map<Long, String> meant(Statement statement, State state) throws SQLException {
    String roots =
        state.tables().isEmpty()
            ? "true"
            : "format('%I.%I', n.nspname, c.relname) = ANY (ARRAY["
                + String.join(",", state.tables().stream().map(Quoted::literal).toList())
                + "])";
    Map<Long, String> tables = new LinkedHashMap<>();
    try (ResultSet rows =
        statement.executeQuery(
            "WITH RECURSIVE meant AS (SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE "
                + USERS
                + " AND "
                + roots
                + " UNION SELECT i.inhrelid FROM meant JOIN pg_inherits i ON i.inhparent = meant.oid)"
                + " SELECT c.oid::bigint, format('%I.%I', n.nspname, c.relname) FROM meant"
                + " JOIN pg_class c ON c.oid = meant.oid JOIN pg_namespace n ON n.oid = c.relnamespace"
                + " WHERE c.relkind IN ('r', 'p') ORDER BY 2")) {
      while (rows.next()) {
        tables.put(rows.getLong(1), rows.getString(2));
      }
    }
    return tables;
  }

  private record Missing(String name, String event, String level, boolean always) {}

  /**
   * Those of the triggers that a table needs and has not, or has disabled. Rows that come to a
   * partition or a child through its parent fire no statement trigger there: where there is a
   * parent, each row is looked at. TRUNCATE as a subscription applies it must not fail: it would be
   * tried for ever.
   */
  private static List<Missing> missing(Statement statement, long oid) throws SQLException {
    List<Missing> missing = new ArrayList<>();
    String sql =
        """
        SELECT t.name, t.event, t.level, t.always FROM (VALUES
            ('holdfast_freeze_write', 'INSERT OR UPDATE OR DELETE', 'STATEMENT', true, true),
            ('holdfast_freeze_row', 'INSERT OR UPDATE OR DELETE', 'ROW', true,
              EXISTS (SELECT FROM pg_inherits WHERE inhrelid = %1$d::oid)
                AND (SELECT relkind FROM pg_class WHERE oid = %1$d::oid) = 'r'),
            ('holdfast_freeze_truncate', 'TRUNCATE', 'STATEMENT',
              NOT EXISTS (SELECT FROM pg_subscription_rel WHERE srrelid = %1$d::oid), true)
          ) AS t(name, event, level, always, wanted)
        WHERE t.wanted AND NOT EXISTS (
          SELECT FROM pg_trigger g WHERE g.tgrelid = %1$d::oid AND g.tgname = t.name
            AND g.tgenabled = CASE WHEN t.always THEN 'A' ELSE 'O' END)
        """
            .formatted(oid);
    try (ResultSet rows = statement.executeQuery(sql)) {
      while (rows.next()) {
        missing.add(
            new Missing(
                rows.getString(1), rows.getString(2), rows.getString(3), rows.getBoolean(4)));
      }
    }
    return missing;
  }

  /**
   * Puts the triggers on, table by table, each lock waited for shortly; those that others hold are
   * tried again until the time is over.
   *
   * @param waitSeconds how long to go on
   * @param told called with the name of each table that is frozen now
   */
  public Coverage cover(State state, double waitSeconds, Consumer<String> told) {
    Map<String, String> refused = new LinkedHashMap<>();
    long deadline = System.nanoTime() + (long) (waitSeconds * 1e9);
    try (Statement statement = connection.createStatement()) {
      statement.execute("SET lock_timeout = '200ms'");
      dropEventTriggers(statement);
      boolean again = true;
      while (again) {
        again = false;
        for (Map.Entry<Long, String> table : meant(statement, state).entrySet()) {
          if (refused.containsKey(table.getValue())
              && !refused.get(table.getValue()).startsWith(LOCKED)) {
            continue;
          }
          List<Missing> missing = missing(statement, table.getKey());
          if (missing.isEmpty()) {
            continue;
          }
          try {
            put(statement, table.getKey(), missing);
            refused.remove(table.getValue());
            told.accept(table.getValue());
          } catch (SQLException e) {
            connection.rollback();
            boolean locked =
                StatementFailures.LOCK_NOT_AVAILABLE.equals(e.getSQLState())
                    || "40P01".equals(e.getSQLState()); // a deadlock
            again |= locked;
            refused.put(
                table.getValue(),
                locked ? LOCKED + holders(table.getKey()) : StatementFailures.message(e));
          } finally {
            connection.setAutoCommit(true);
          }
        }
        if (System.nanoTime() > deadline) {
          break;
        }
        if (again) {
          TimeUnit.MILLISECONDS.sleep(PAUSE_MS); // nothing tells us when a lock is given back
        }
      }
      makeEventTriggers(statement, state);
    } catch (SQLException e) {
      throw StatementFailures.told(WHAT, e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new OperatorException(
          Kind.INTERRUPTED,
          "stopped while freezing",
          "interrupted; what is frozen stays frozen",
          "run the same command again to go on, or `holdfast unfreeze`",
          e);
    }
    return coverage(state, refused);
  }

  private static final String LOCKED = "others hold locks on it";

  private String holders(long oid) throws SQLException {
    connection.setAutoCommit(true);
    try (Statement statement = connection.createStatement();
        ResultSet row =
            statement.executeQuery(
                "SELECT string_agg(DISTINCT pid::text, ', ') FROM pg_locks WHERE relation = "
                    + oid
                    + "::oid AND granted AND pid <> pg_backend_pid() AND locktype = 'relation'"
                    + " AND mode NOT IN ('AccessShareLock', 'RowShareLock')")) {
      row.next();
      String pids = row.getString(1);
      return pids == null ? "" : " (sessions " + pids + ")";
    }
  }

  private void put(Statement statement, long oid, List<Missing> missing) throws SQLException {
    connection.setAutoCommit(false);
    String table;
    try (ResultSet row =
        statement.executeQuery(
            "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n"
                + " ON n.oid = c.relnamespace WHERE c.oid = "
                + oid
                + "::oid")) {
      if (!row.next()) {
        return; // dropped meanwhile
      }
      table = row.getString(1);
    }
    for (Missing trigger : missing) {
      statement.execute("DROP TRIGGER IF EXISTS %s ON %s".formatted(trigger.name(), table));
      statement.execute(
          "CREATE TRIGGER %s BEFORE %s ON %s FOR EACH %s EXECUTE FUNCTION holdfast_freeze.refuse()"
              .formatted(trigger.name(), trigger.event(), table, trigger.level()));
      if (trigger.always()) {
        statement.execute(
            "ALTER TABLE %s ENABLE ALWAYS TRIGGER %s".formatted(table, trigger.name()));
      }
    }
    connection.commit();
  }

  /** Of everything only: what else is altered is nobody's business. */
  private void makeEventTriggers(Statement statement, State state) throws SQLException {
    if (!state.tables().isEmpty()) {
      return;
    }
    connection.setAutoCommit(false);
    try {
      for (String event : List.of("ddl_command_end", "sql_drop")) {
        statement.execute(
            "CREATE EVENT TRIGGER holdfast_freeze_%1$s ON %1$s EXECUTE FUNCTION holdfast_freeze.refuse_ddl()"
                .formatted(event));
        statement.execute("ALTER EVENT TRIGGER holdfast_freeze_%s ENABLE ALWAYS".formatted(event));
      }
      connection.commit();
    } catch (SQLException e) {
      connection.rollback();
      if (!StatementFailures.INSUFFICIENT_PRIVILEGE.equals(e.getSQLState())) {
        throw e;
      }
    } finally {
      connection.setAutoCommit(true);
    }
  }

  private static void dropEventTriggers(Statement statement) throws SQLException {
    for (String event : List.of("ddl_command_end", "sql_drop")) {
      statement.execute("DROP EVENT TRIGGER IF EXISTS holdfast_freeze_" + event);
    }
  }

  /** How far the freeze has come, as the catalog tells now. */
  public Coverage coverage(State state) {
    return coverage(state, Map.of());
  }

  private Coverage coverage(State state, Map<String, String> reasons) {
    try (Statement statement = connection.createStatement()) {
      List<String> frozen = new ArrayList<>();
      Map<String, String> missing = new LinkedHashMap<>();
      for (Map.Entry<Long, String> table : meant(statement, state).entrySet()) {
        if (missing(statement, table.getKey()).isEmpty()) {
          frozen.add(table.getValue());
        } else {
          missing.put(
              table.getValue(),
              reasons.getOrDefault(table.getValue(), "it lacks triggers, or they are disabled"));
        }
      }
      return new Coverage(
          frozen,
          missing,
          flag(
              statement,
              "SELECT count(*) = 2 FROM pg_event_trigger WHERE evtname IN"
                  + " ('holdfast_freeze_ddl_command_end', 'holdfast_freeze_sql_drop') AND evtenabled = 'A'"));
    } catch (SQLException e) {
      throw StatementFailures.told("cannot read what is frozen", e);
    }
  }

  /**
   * Lets everybody write again, at once, and then takes everything away, table by table.
   *
   * @param waitSeconds how long to try where others hold locks
   * @return tables that keep triggers, which refuse nothing
   */
  public List<String> remove(double waitSeconds) {
    long deadline = System.nanoTime() + (long) (waitSeconds * 1e9);
    try (Statement statement = connection.createStatement()) {
      lockOrRefuse(statement);
      statement.execute("SET lock_timeout = '200ms'");
      dropEventTriggers(statement);
      if (flag(statement, "SELECT to_regprocedure('holdfast_freeze.refuse()') IS NOT NULL")) {
        statement.execute(
            "CREATE OR REPLACE FUNCTION holdfast_freeze.refuse() RETURNS trigger LANGUAGE plpgsql AS $$"
                + " BEGIN IF TG_LEVEL = 'STATEMENT' THEN RETURN NULL; END IF;"
                + " IF TG_OP = 'DELETE' THEN RETURN OLD; END IF; RETURN NEW; END $$");
      }
      while (true) {
        List<String> left = new ArrayList<>();
        for (Map.Entry<String, String> drop : drops(statement).entrySet()) {
          try {
            statement.execute(drop.getValue());
          } catch (SQLException e) {
            if (String.valueOf(e.getSQLState()).startsWith("08")) {
              throw e;
            }
            left.add(drop.getKey());
          }
        }
        if (left.isEmpty()) {
          statement.execute("DROP SCHEMA IF EXISTS holdfast_freeze CASCADE");
          return left;
        }
        if (System.nanoTime() > deadline) {
          return left;
        }
        TimeUnit.MILLISECONDS.sleep(PAUSE_MS); // nothing tells us when a lock is given back
      }
    } catch (SQLException e) {
      throw StatementFailures.told("cannot unfreeze the database", e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new OperatorException(
          Kind.INTERRUPTED,
          "stopped while unfreezing",
          "interrupted; everybody may write again, some triggers that refuse nothing are left",
          "run the same command again",
          e);
    }
  }

  private static Map<String, String> drops(Statement statement) throws SQLException {
    Map<String, String> drops = new LinkedHashMap<>();
    try (ResultSet rows =
        statement.executeQuery(
            "SELECT t.tgrelid::regclass::text,"
                + " string_agg(format('DROP TRIGGER IF EXISTS %I ON %s', t.tgname, t.tgrelid::regclass), '; ')"
                + " FROM pg_trigger t WHERE t.tgfoid = to_regprocedure('holdfast_freeze.refuse()')"
                + " GROUP BY t.tgrelid")) {
      while (rows.next()) {
        drops.put(rows.getString(1), rows.getString(2));
      }
    }
    return drops;
  }

  private void autoCommit() {
    try {
      if (!connection.getAutoCommit()) {
        connection.rollback();
        connection.setAutoCommit(true);
      }
    } catch (SQLException e) {
      throw StatementFailures.told(WHAT, e);
    }
  }

  private static boolean flag(Statement statement, String sql) throws SQLException {
    try (ResultSet row = statement.executeQuery(sql)) {
      row.next();
      return row.getBoolean(1);
    }
  }
}
