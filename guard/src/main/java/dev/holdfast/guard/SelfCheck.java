package dev.holdfast.guard;

import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Proves that a guard is armed: each rule is provoked, on a table made for it, in a transaction
 * that is rolled back. Nothing of it remains, and nothing else is touched.
 */
public final class SelfCheck {
  private static final String PROBE = "holdfast_probe";

  /** What provokes each rule; each is refused by an armed guard. */
  private static final Map<String, String> PROBES = new LinkedHashMap<>();

  static {
    PROBES.put("drop-table", "DROP TABLE holdfast_probe.sample");
    PROBES.put("drop-schema", "DROP SCHEMA holdfast_probe CASCADE");
    PROBES.put("drop-column", "ALTER TABLE holdfast_probe.sample DROP COLUMN data");
    PROBES.put("drop-type", "DROP TYPE holdfast_probe.kind CASCADE");
    PROBES.put(
        "alter-column-type",
        "ALTER TABLE holdfast_probe.sample ALTER COLUMN name TYPE integer USING 1");
    PROBES.put("truncate", "TRUNCATE holdfast_probe.sample");
    PROBES.put("mass-delete", "DELETE FROM holdfast_probe.sample");
    PROBES.put("mass-update", "UPDATE holdfast_probe.sample SET name = 'x'");
    PROBES.put(
        "json-keys-lost", "UPDATE holdfast_probe.sample SET data = '{\"a\": 1}' WHERE id = 1");
    PROBES.put("guard-tampering", "ALTER TABLE holdfast_probe.sample DISABLE TRIGGER ALL");
  }

  private SelfCheck() {}

  /**
   * How a guard is.
   *
   * @param version of its SQL; this program's is {@link Guard#VERSION}
   * @param cluster and {@code environment}: who the database says to be
   * @param identityFits whether the stamp was made on this server and for this database; false in a
   *     restored copy, and after pg_upgrade until it is adopted
   * @param aliveAt when the recorder was last connected to it; null if never
   * @param rules each rule, and whether it works
   * @param tables how many should be covered
   * @param uncovered those with something missing
   * @param disarmers roles that can switch the guard off, with how
   * @param tampered what was done to it that could not be refused
   */
  public record Report(
      int version,
      String cluster,
      String environment,
      String database,
      boolean identityFits,
      @Nullable Instant aliveAt,
      List<CheckedRule> rules,
      List<Rules.RuleOverride> exceptions,
      int tables,
      List<Guard.Uncovered> uncovered,
      List<Disarmer> disarmers,
      List<String> tampered,
      List<String> freeSchemas,
      long observations) {
    /** Whether every rule that is not off was seen to work, on every table. */
    public boolean armed() {
      return uncovered.isEmpty()
          && tampered.isEmpty()
          && rules.stream().allMatch(r -> r.rule().mode().equals("off") || r.works().equals("yes"));
    }
  }

  /**
   * One rule.
   *
   * @param works {@code yes} when a probe was refused by it, {@code no} when it was not, {@code
   *     unknown} when it could not be tried
   * @param note why not
   */
  public record CheckedRule(Rules.Rule rule, String works, @Nullable String note) {}

  /** A role that can switch the guard off. */
  public record Disarmer(String role, String how) {}

  /**
   * Looks and probes.
   *
   * @param connection of the guard's owner; another role's cannot probe, and then nothing is known
   */
  public static Report of(Connection connection) {
    try {
      return report(connection);
    } catch (SQLException e) {
      throw Guard.failure("cannot check the guard", e);
    }
  }

  private static Report report(Connection connection) throws SQLException {
    int version;
    String cluster;
    String environment;
    String database;
    boolean fits;
    Instant alive;
    try (Statement statement = connection.createStatement();
        ResultSet row =
            statement.executeQuery(
                """
                SELECT version, cluster, environment, pg_catalog.current_database(), holdfast.identity_fits(), alive_at
                  FROM holdfast.identity
                """)) {
      row.next();
      version = row.getInt(1);
      cluster = row.getString(2);
      environment = row.getString(3);
      database = row.getString(4);
      fits = row.getBoolean(5);
      alive = Permits.instant(row.getTimestamp(6));
    }
    Map<String, String> found = probe(connection);
    List<CheckedRule> rules = new ArrayList<>();
    for (Rules.Rule rule : Rules.list(connection)) {
      String note = found.getOrDefault(rule.name(), "it was not tried");
      rules.add(
          switch (note) {
            case "" -> new CheckedRule(rule, "yes", null);
            case "passed" -> new CheckedRule(rule, "no", "a probe was not refused");
            default ->
                rule.name().equals("drop-database")
                    ? dropDatabase(connection, rule)
                    : new CheckedRule(rule, "unknown", note);
          });
    }
    Covered covered = covered(connection);
    return new Report(
        version,
        cluster,
        environment,
        database,
        fits,
        alive,
        List.copyOf(rules),
        Rules.exceptions(connection),
        covered.tables,
        covered.uncovered,
        disarmers(connection),
        tampered(connection),
        texts(connection, "SELECT name_like FROM holdfast.free_schema ORDER BY 1"),
        Long.parseLong(
            texts(connection, "SELECT count(*)::text FROM holdfast.observation").getFirst()));
  }

  /**
   * How the tables are covered.
   *
   * @param tables how many should be
   * @param uncovered those with something missing
   */
  record Covered(int tables, List<Guard.Uncovered> uncovered) {}

  static Covered covered(Connection connection) throws SQLException {
    List<Guard.Uncovered> uncovered = new ArrayList<>();
    int tables = 0;
    try (Statement statement = connection.createStatement();
        ResultSet rows =
            statement.executeQuery(
                "SELECT schema_name, table_name, missing FROM holdfast.tables()")) {
      while (rows.next()) {
        tables++;
        if (rows.getString(3) != null) {
          uncovered.add(
              new Guard.Uncovered(rows.getString(1), rows.getString(2), rows.getString(3)));
        }
      }
    }
    return new Covered(tables, List.copyOf(uncovered));
  }

  private static CheckedRule dropDatabase(Connection connection, Rules.Rule rule)
      throws SQLException {
    boolean template =
        texts(
                connection,
                "SELECT datistemplate::text FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()")
            .getFirst()
            .equals("true");
    return template
        ? new CheckedRule(
            rule,
            "yes",
            "the database is marked as a template, which PostgreSQL refuses to drop; roles with CREATEDB"
                + " may clone it")
        : new CheckedRule(rule, "no", "the database is not marked as a template");
  }

  /** Rule to empty text (refused as it should be), {@code passed}, or why it was not tried. */
  private static Map<String, String> probe(Connection connection) throws SQLException {
    Map<String, String> found = new LinkedHashMap<>();
    connection.setAutoCommit(false);
    try (Statement statement = connection.createStatement()) {
      try {
        statement.execute("SET LOCAL lock_timeout = '2s'");
        for (String sql :
            List.of(
                "CREATE SCHEMA " + PROBE,
                "CREATE TYPE holdfast_probe.kind AS ENUM ('one')",
                "CREATE TABLE holdfast_probe.sample (id int PRIMARY KEY, name text, data jsonb, kind holdfast_probe.kind)",
                "INSERT INTO holdfast_probe.sample SELECT i, 'n', '{\"a\": 1, \"b\": 2, \"c\": 3}', 'one' FROM generate_series(1, 3) i",
                """
                INSERT INTO holdfast.exception (rule, table_like, mode, rows_max, reason)
                SELECT name, 'holdfast_probe.%', 'enforce', CASE WHEN name LIKE 'mass%' THEN 1 END, 'self-check' FROM holdfast.rule
                """,
                "SELECT holdfast.set_mode('guard-tampering', 'enforce')",
                "SELECT holdfast.cover('holdfast_probe.sample'::regclass)",
                // As if it had been there for long: what is new is free.
                "UPDATE holdfast.guarded SET made_by = NULL WHERE relid = 'holdfast_probe.sample'::regclass")) {
          statement.execute(sql);
        }
      } catch (SQLException e) {
        PROBES.keySet().forEach(rule -> found.put(rule, "it cannot be tried: " + Guard.oneLine(e)));
        return found;
      }
      for (Map.Entry<String, String> probe : PROBES.entrySet()) {
        Savepoint before = connection.setSavepoint();
        try {
          statement.execute(probe.getValue());
          found.put(probe.getKey(), "passed");
        } catch (SQLException e) {
          found.put(
              probe.getKey(), Guard.REFUSED_STATE.equals(e.getSQLState()) ? "" : Guard.oneLine(e));
        }
        connection.rollback(before);
      }
      return found;
    } finally {
      connection.rollback();
      connection.setAutoCommit(true);
    }
  }

  private static List<Disarmer> disarmers(Connection connection) throws SQLException {
    List<Disarmer> disarmers = new ArrayList<>();
    try (Statement statement = connection.createStatement();
        ResultSet rows =
            statement.executeQuery(
                """
                SELECT r.rolname, CASE WHEN r.rolsuper
                         THEN 'a superuser: ALTER EVENT TRIGGER … DISABLE, and from PostgreSQL 17 on event_triggers = off'
                         ELSE 'acts as the guard''s owner ' || o.rolname END
                  FROM pg_catalog.pg_roles r, pg_catalog.pg_class c JOIN pg_catalog.pg_roles o ON o.oid = c.relowner
                 WHERE c.oid = 'holdfast.identity'::regclass
                   AND (r.rolsuper OR pg_catalog.pg_has_role(r.oid, c.relowner, 'MEMBER')) AND r.rolname !~ '^pg_'
                 ORDER BY 1
                """)) {
      while (rows.next()) {
        disarmers.add(new Disarmer(rows.getString(1), rows.getString(2)));
      }
    }
    return List.copyOf(disarmers);
  }

  /** What a superuser can do and nothing refuses: it is seen here. */
  static List<String> tampered(Connection connection) throws SQLException {
    List<String> tampered = new ArrayList<>();
    tampered.addAll(
        texts(
            connection,
            """
            SELECT pg_catalog.format('rule %%s is gone', n) FROM pg_catalog.unnest('{%s}'::text[]) n
             WHERE NOT EXISTS (SELECT FROM holdfast.rule WHERE name = n)
            UNION ALL
            SELECT 'the guard''s stamp is gone' WHERE NOT EXISTS (SELECT FROM holdfast.identity)
            """
                .formatted(String.join(",", Rules.NAMES))));
    tampered.addAll(
        texts(
            connection,
            """
            SELECT pg_catalog.format('event trigger %s is %s', e.evtname,
                     CASE e.evtenabled WHEN 'D' THEN 'disabled' WHEN 'R' THEN 'for replicas only' ELSE 'not for replicas' END)
              FROM pg_catalog.pg_event_trigger e WHERE e.evtname LIKE 'holdfast\\_%' AND e.evtenabled <> 'A'
            """));
    tampered.addAll(
        texts(
            connection,
            """
            SELECT pg_catalog.format('event trigger %s is gone', w) FROM pg_catalog.unnest(ARRAY['holdfast_ddl_start', 'holdfast_dropped',
                     'holdfast_sentinel', 'holdfast_renamed', 'holdfast_rewritten', 'holdfast_defined']) w
             WHERE EXISTS (SELECT FROM pg_catalog.pg_event_trigger WHERE evtname LIKE 'holdfast\\_%')
               AND NOT EXISTS (SELECT FROM pg_catalog.pg_event_trigger WHERE evtname = w)
            """));
    tampered.addAll(
        texts(
            connection,
            """
            SELECT pg_catalog.format('setting %s%s%s', c, COALESCE(' for the role ' || s.setrole::regrole::text, ''),
                     COALESCE(' in the database ' || d.datname, ''))
              FROM (SELECT NULLIF(setrole, 0) AS setrole, setdatabase, pg_catalog.unnest(setconfig) AS c FROM pg_catalog.pg_db_role_setting) s
              LEFT JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
             WHERE (d.oid IS NULL OR d.datname = pg_catalog.current_database())
               AND (c ~ '^(event_triggers|track_counts)=(off|false|no|0)' OR c LIKE 'session_replication_role=%' OR c LIKE 'holdfast.%')
            UNION ALL
            SELECT 'setting ' || name || ' is off in the configuration' FROM pg_catalog.pg_settings
             WHERE name IN ('event_triggers', 'track_counts') AND reset_val = 'off'
            """));
    return List.copyOf(tampered);
  }

  private static List<String> texts(Connection connection, String sql) throws SQLException {
    List<String> texts = new ArrayList<>();
    try (Statement statement = connection.createStatement();
        ResultSet rows = statement.executeQuery(sql)) {
      while (rows.next()) {
        texts.add(rows.getString(1));
      }
    }
    return texts;
  }
}
