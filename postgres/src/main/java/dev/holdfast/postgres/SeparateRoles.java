package dev.holdfast.postgres;

import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * SQL that gives a database three roles to log in with: one for the application, which reads and
 * writes rows; one for migrations, which owns what is there and what they make; one that reads.
 * Holds for PostgreSQL 14 to 18, in one transaction, and may be run again.
 */
public final class SeparateRoles {
  private static final int SECONDS_MAX = 5;
  private static final String TAG = "holdfast";

  /** What they are called. */
  public record Names(String app, String migrator, String reader) {}

  /**
   * One statement.
   *
   * @param why for people; without line ends
   */
  public record Step(String why, String sql) {}

  /**
   * What a database is like.
   *
   * @param systemIdentifier of its server, decimal
   * @param schemas the users', sorted; neither extensions' nor the guard's
   * @param owners roles that own something there, may log in and are no superusers; sorted
   * @param secured tables with row level security, which holds for all but their owner; sorted
   */
  public record Seen(
      int major,
      String systemIdentifier,
      List<String> schemas,
      List<String> owners,
      List<String> secured) {
    /** Copies the lists. */
    public Seen {
      schemas = List.copyOf(schemas);
      owners = List.copyOf(owners);
      secured = List.copyOf(secured);
    }
  }

  private SeparateRoles() {}

  /** Looks at the catalogs alone; takes no lock that anybody would notice. */
  public static Seen look(Connection connection) throws SQLException {
    try (Statement statement = connection.createStatement()) {
      statement.setQueryTimeout(SECONDS_MAX);
      int major;
      String systemIdentifier;
      try (ResultSet row =
          statement.executeQuery(
              "SELECT pg_catalog.current_setting('server_version_num')::int / 10000,"
                  + " (pg_catalog.pg_control_system()).system_identifier")) {
        row.next();
        major = row.getInt(1);
        systemIdentifier = Long.toUnsignedString(row.getLong(2));
      }
      return new Seen(
          major,
          systemIdentifier,
          texts(
              statement,
              """
              SELECT n.nspname FROM pg_catalog.pg_namespace n
               WHERE n.nspname !~ '^(pg_|information_schema$|holdfast$|holdfast_(freeze|look|probe|sentinel|watch)$)'
                 AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                                  WHERE d.classid = 'pg_catalog.pg_namespace'::pg_catalog.regclass
                                    AND d.objid = n.oid AND d.deptype = 'e')
               ORDER BY 1
              """),
          texts(
              statement,
              """
              SELECT r.rolname FROM pg_catalog.pg_roles r
               WHERE r.rolcanlogin AND NOT r.rolsuper
                 AND r.oid IN (SELECT c.relowner FROM pg_catalog.pg_class c
                                 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                                WHERE c.relpersistence <> 't'
                                  AND n.nspname !~ '^(pg_|information_schema$|holdfast$|holdfast_(freeze|look|probe|sentinel|watch)$)')
               ORDER BY 1
              """),
          texts(
              statement,
              """
              SELECT pg_catalog.format('%I.%I', n.nspname, c.relname)
                FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
               WHERE c.relrowsecurity ORDER BY 1
              """));
    }
  }

  private static List<String> texts(Statement statement, String sql) throws SQLException {
    List<String> texts = new ArrayList<>();
    try (ResultSet rows = statement.executeQuery(sql)) {
      while (rows.next()) {
        texts.add(rows.getString(1));
      }
    }
    return texts;
  }

  /**
   * The statements, to be run in this order, in this database, by a superuser or by a role that may
   * make roles and owns everything.
   *
   * @param schemas whose tables the roles are for
   * @param connecting keep the right to connect, which is taken from everybody else
   */
  public static List<Step> steps(
      String database, Names names, List<String> schemas, Collection<String> connecting) {
    String name = Sql.identifier(database);
    String app = Sql.identifier(names.app());
    String migrator = Sql.identifier(names.migrator());
    String reader = Sql.identifier(names.reader());
    List<Step> steps = new ArrayList<>();
    steps.add(new Step("All of it or nothing.", "BEGIN"));
    steps.add(
        new Step(
            "Nobody waits behind a lock that this waits for; names mean what they say.",
            "SET LOCAL lock_timeout = '10s'"));
    steps.add(new Step("", "SET LOCAL search_path = pg_catalog"));
    steps.add(new Step("Only in the right database.", rightPlace(database)));
    steps.add(
        new Step(
            "The roles. They have no password, so that nobody can log in with one before you set it.",
            made(names)));
    steps.add(
        new Step(
            "Nobody connects but who is named here.",
            "REVOKE CONNECT ON DATABASE %s FROM PUBLIC".formatted(name)));
    steps.add(
        new Step(
            "",
            "GRANT CONNECT ON DATABASE %s TO %s"
                .formatted(
                    name,
                    Stream.concat(
                            Stream.of(names.app(), names.migrator(), names.reader()),
                            connecting.stream())
                        .distinct()
                        .map(Sql::identifier)
                        .collect(Collectors.joining(", ")))));
    steps.add(
        new Step(
            "Migrations may make schemas and trusted extensions.",
            "GRANT CREATE ON DATABASE %s TO %s".formatted(name, migrator)));
    List<String> quoted = schemas.stream().map(Sql::identifier).toList();
    boolean first = true;
    for (String schema : quoted) {
      steps.add(
          new Step(
              first
                  ? "Only migrations make things; up to PostgreSQL 14 everybody may in public."
                  : "",
              "GRANT USAGE, CREATE ON SCHEMA %s TO %s".formatted(schema, migrator)));
      steps.add(
          new Step(
              "", "REVOKE CREATE ON SCHEMA %s FROM PUBLIC, %s, %s".formatted(schema, app, reader)));
      steps.add(new Step("", "GRANT USAGE ON SCHEMA %s TO %s, %s".formatted(schema, app, reader)));
      first = false;
    }
    steps.add(
        new Step(
            "What is there becomes the migrator's, so that it alone can ALTER and DROP it. Who owned it and logs in still reads and"
                + " writes rows, as a member of the application's role. Left out: what belongs to extensions, functions that run"
                + " with their owner's rights.",
            handedOver(database, names, schemas)));
    first = true;
    for (String schema : quoted) {
      String tables = " ON ALL TABLES IN SCHEMA " + schema;
      String sequences = " ON ALL SEQUENCES IN SCHEMA " + schema;
      steps.add(
          new Step(
              first ? "Rows: the application reads and writes them, the reader reads." : "",
              "REVOKE INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER"
                  + tables
                  + " FROM PUBLIC"));
      steps.add(new Step("", "REVOKE ALL%s FROM %s, %s".formatted(tables, app, reader)));
      steps.add(
          new Step("", "GRANT SELECT, INSERT, UPDATE, DELETE%s TO %s".formatted(tables, app)));
      steps.add(new Step("", "GRANT SELECT%s TO %s".formatted(tables, reader)));
      steps.add(new Step("", "REVOKE ALL%s FROM PUBLIC, %s, %s".formatted(sequences, app, reader)));
      steps.add(new Step("", "GRANT USAGE, SELECT%s TO %s".formatted(sequences, app)));
      steps.add(new Step("", "GRANT SELECT%s TO %s".formatted(sequences, reader)));
      first = false;
    }
    String of = "ALTER DEFAULT PRIVILEGES FOR ROLE " + migrator + " GRANT ";
    steps.add(
        new Step(
            "The same for what migrations will make, in whatever schema.",
            of + "SELECT, INSERT, UPDATE, DELETE ON TABLES TO " + app));
    steps.add(new Step("", of + "SELECT ON TABLES TO " + reader));
    steps.add(new Step("", of + "USAGE, SELECT ON SEQUENCES TO " + app));
    steps.add(new Step("", of + "SELECT ON SEQUENCES TO " + reader));
    steps.add(new Step("", of + "USAGE ON SCHEMAS TO " + app + ", " + reader));
    String settings = "ALTER ROLE %s IN DATABASE " + name.replace("%", "%%") + " SET ";
    steps.add(
        new Step(
            "A migration that waits for a lock has everybody wait behind it: it gives up and is run again.",
            settings.formatted(migrator) + "lock_timeout = '5s'"));
    steps.add(
        new Step(
            "One that was forgotten ends; for a long CREATE INDEX: SET statement_timeout = 0.",
            settings.formatted(migrator) + "statement_timeout = '1h'"));
    steps.add(
        new Step(
            "The reader is told early.",
            settings.formatted(reader) + "default_transaction_read_only = on"));
    steps.add(
        new Step(
            "Whoever ran this without being a superuser is no member of the migrator any more.",
            left(names.migrator())));
    steps.add(new Step("", "COMMIT"));
    return steps;
  }

  /** How psql asks for a role's password: typed twice, hashed, never in a text. */
  public static String passwordCommand(String role) {
    return "\\password " + Sql.identifier(role);
  }

  /** What ends the logins of a role that is not needed any more. */
  public static String retirement(String role) {
    return "ALTER ROLE " + Sql.identifier(role) + " NOLOGIN";
  }

  private static String literal(String text) {
    return Sql.literal(text).strip();
  }

  private static String rightPlace(String database) {
    return block(
        """
        BEGIN
          IF current_database() <> %s THEN
            RAISE EXCEPTION 'this is database %%, and the roles are for another one', current_database();
          END IF;
        END\
        """
            .formatted(literal(database)));
  }

  private static String made(Names names) {
    String all =
        Stream.of(names.app(), names.migrator(), names.reader())
            .map(SeparateRoles::literal)
            .collect(Collectors.joining(", "));
    return block(
        """
        DECLARE
          wanted text;
          other record;
        BEGIN
          FOREACH wanted IN ARRAY ARRAY[%1$s] LOOP
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
              EXECUTE format('CREATE ROLE %%I LOGIN', wanted);
            ELSIF EXISTS (SELECT FROM pg_roles WHERE rolname = wanted
                             AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls)) THEN
              RAISE EXCEPTION 'role %% is there already and may do more than it should', wanted
                USING HINT = 'choose another name, or take from it SUPERUSER, CREATEROLE, CREATEDB, REPLICATION, BYPASSRLS';
            END IF;
          END LOOP;
          FOREACH wanted IN ARRAY ARRAY[%2$s] LOOP
            IF EXISTS (SELECT FROM pg_database WHERE datname = current_database() AND pg_get_userbyid(datdba) = wanted) THEN
              RAISE EXCEPTION 'role %% owns this database, and may drop it', wanted
                USING HINT = format('choose another name, or: ALTER DATABASE %%I OWNER TO %%I', current_database(), current_user);
            END IF;
            FOR other IN SELECT m.rolname FROM pg_auth_members a
                           JOIN pg_roles g ON g.oid = a.member AND g.rolname = wanted
                           JOIN pg_roles m ON m.oid = a.roleid LOOP
              RAISE EXCEPTION 'role %% is a member of %%, and may do whatever that one may', wanted, other.rolname
                USING HINT = format('choose another name, or: REVOKE %%I FROM %%I', other.rolname, wanted);
            END LOOP;
          END LOOP;
          IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
             AND NOT pg_has_role(%3$s, 'USAGE') THEN
            EXECUTE format('GRANT %%I TO %%I', %3$s, current_user);
            PERFORM set_config('holdfast.joined', 'yes', true);
          END IF;
        END\
        """
            .formatted(
                all,
                literal(names.app()) + ", " + literal(names.reader()),
                literal(names.migrator())));
  }

  private static String left(String migrator) {
    return block(
        """
        BEGIN
          IF current_setting('holdfast.joined', true) = 'yes' THEN
            EXECUTE format('REVOKE %%I FROM %%I', %s, current_user);
          END IF;
        END\
        """
            .formatted(literal(migrator)));
  }

  private static String handedOver(String database, Names names, List<String> schemas) {
    String among =
        schemas.isEmpty()
            ? "ARRAY[]::name[]"
            : schemas.stream()
                .map(SeparateRoles::literal)
                .collect(Collectors.joining(", ", "ARRAY[", "]::name[]"));
    return block(
        """
        DECLARE
          thing text;
          owner text;
        BEGIN
          FOR owner IN
            SELECT DISTINCT r.rolname FROM pg_class c
              JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles r ON r.oid = c.relowner
             WHERE n.nspname = ANY (%1$s) AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
               AND r.rolcanlogin AND NOT r.rolsuper AND r.rolname NOT IN (%3$s)
          LOOP
            EXECUTE format('GRANT %%I TO %%I', %4$s, owner);
            EXECUTE format('GRANT CONNECT ON DATABASE %%I TO %%I', %5$s, owner);
          END LOOP;
          FOR thing IN
            SELECT format('SCHEMA %%I', n.nspname) FROM pg_namespace n
             WHERE n.nspname = ANY (%1$s) AND n.nspname <> 'public' AND pg_get_userbyid(n.nspowner) <> %2$s
            UNION ALL
            SELECT format('%%s %%I.%%I',
                          CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE'
                                         WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END, n.nspname, c.relname)
              FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = ANY (%1$s) AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND pg_get_userbyid(c.relowner) <> %2$s
               AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                                  AND (d.deptype = 'e' OR c.relkind = 'S' AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0))
            UNION ALL
            SELECT format('ROUTINE %%s', p.oid::regprocedure)
              FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
             WHERE n.nspname = ANY (%1$s) AND NOT p.prosecdef AND pg_get_userbyid(p.proowner) <> %2$s
               AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype IN ('e', 'i'))
            UNION ALL
            SELECT format('TYPE %%I.%%I', n.nspname, t.typname)
              FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace LEFT JOIN pg_class c ON c.oid = t.typrelid
             WHERE n.nspname = ANY (%1$s) AND (t.typtype IN ('d', 'e', 'r') OR t.typtype = 'c' AND c.relkind = 'c')
               AND pg_get_userbyid(t.typowner) <> %2$s
               AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e')
          LOOP
            EXECUTE format('ALTER %%s OWNER TO %%I', thing, %2$s);
          END LOOP;
        END\
        """
            .formatted(
                among,
                literal(names.migrator()),
                Stream.of(names.app(), names.migrator(), names.reader())
                    .map(SeparateRoles::literal)
                    .collect(Collectors.joining(", ")),
                literal(names.app()),
                literal(database)));
  }

  /** An anonymous block, quoted by a tag that nothing in it contains. */
  private static String block(String body) {
    String tag = "$" + TAG + "$";
    for (int i = 1; body.contains(tag); i++) {
      tag = "$" + TAG + i + "$";
    }
    return String.join("\n", Arrays.asList("DO " + tag, body, tag));
  }
}
