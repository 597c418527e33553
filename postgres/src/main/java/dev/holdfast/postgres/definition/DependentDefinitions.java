package dev.holdfast.postgres.definition;

import static dev.holdfast.postgres.definition.SystemCatalog.ATTRDEF;
import static dev.holdfast.postgres.definition.SystemCatalog.CLASS;
import static dev.holdfast.postgres.definition.SystemCatalog.DEFAULT_ACL;
import static dev.holdfast.postgres.definition.SystemCatalog.NAMESPACE;
import static dev.holdfast.postgres.definition.SystemCatalog.POLICY;
import static dev.holdfast.postgres.definition.SystemCatalog.PUBLICATION_NAMESPACE;
import static dev.holdfast.postgres.definition.SystemCatalog.PUBLICATION_REL;
import static dev.holdfast.postgres.definition.SystemCatalog.REWRITE;
import static dev.holdfast.postgres.definition.SystemCatalog.TRIGGER;

import dev.holdfast.postgres.definition.Definition.Step;
import java.sql.ResultSet;
import java.sql.SQLException;

/**
 * What hangs on a relation, lost or surviving: defaults, triggers, rules, policies, publications;
 * and the default privileges of a schema.
 */
final class DependentDefinitions {
  private final Definitions definitions;
  private final CatalogQueries fork;

  DependentDefinitions(Definitions definitions) {
    this.definitions = definitions;
    this.fork = definitions.fork();
  }

  void read() throws SQLException {
    readDefaults();
    readTriggers();
    readRules();
    readPolicies();
    readPublications();
    readDefaultPrivileges();
  }

  private Definition on(SystemCatalog catalog, ResultSet row, String kind, String name, Step step)
      throws SQLException {
    ObjectKey host = new ObjectKey(CLASS, row.getLong("host"));
    Definition definition =
        definitions.add(
            catalog, row.getLong("oid"), kind, name + " on " + row.getString("hostname"), step);
    definition.needs(host);
    return definitions.isLost(host) ? definition : definition.locksSurvivor();
  }

  private void readDefaults() throws SQLException {
    fork.each(
        """
        SELECT d.oid, adrelid AS host, format('%I.%I', nspname, relname) AS hostname, relkind,
          quote_ident(attname) AS name, adnum, pg_get_expr(adbin, adrelid) AS expression
        FROM pg_catalog.pg_attrdef d JOIN pg_catalog.pg_class c ON c.oid = adrelid
        JOIN pg_catalog.pg_namespace n ON n.oid = relnamespace
        JOIN pg_catalog.pg_attribute a ON attrelid = adrelid AND attnum = adnum
        WHERE attgenerated = '' AND d.oid = ANY (?)\
        """,
        definitions.oids(ATTRDEF),
        row ->
            on(ATTRDEF, row, "default", row.getString("name"), Step.DEFAULT)
                .needs(new ObjectKey(CLASS, row.getLong("host"), row.getInt("adnum")))
                .create(
                    "ALTER %s %s ALTER COLUMN %s SET DEFAULT %s"
                        .formatted(
                            row.getString("relkind").equals("v") ? "VIEW" : "TABLE ONLY",
                            row.getString("hostname"),
                            row.getString("name"),
                            row.getString("expression"))));
  }

  private void readTriggers() throws SQLException {
    fork.each(
        """
        SELECT t.oid, t.tgrelid AS host, format('%I.%I', nspname, relname) AS hostname,
          quote_ident(t.tgname) AS name, t.tgenabled, pg_get_triggerdef(t.oid) AS definition,
          t.tgparentid, p.tgenabled AS parentenabled
        FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
        JOIN pg_catalog.pg_namespace n ON n.oid = relnamespace
        LEFT JOIN pg_catalog.pg_trigger p ON p.oid = t.tgparentid
        WHERE (NOT t.tgisinternal OR t.tgparentid <> 0 AND NOT EXISTS (
            SELECT FROM pg_catalog.pg_constraint k WHERE k.oid = t.tgconstraint AND contype = 'f'))
          AND t.oid = ANY (?)\
        """,
        definitions.oids(TRIGGER),
        row -> {
          Definition trigger = on(TRIGGER, row, "trigger", row.getString("name"), Step.TRIGGER);
          boolean cloned = row.getLong("tgparentid") != 0;
          String enabled = row.getString("tgenabled");
          if (cloned) { // made by its parent's; only its own state is to be said
            trigger.needs(new ObjectKey(TRIGGER, row.getLong("tgparentid")));
            trigger.needs(new ObjectKey(SystemCatalog.INHERITS, row.getLong("host")));
            if (enabled.equals(row.getString("parentenabled"))) {
              return;
            }
          } else {
            trigger.create(row.getString("definition"));
            if (enabled.equals("O")) {
              return;
            }
          }
          trigger.create(
              "ALTER TABLE %s %s TRIGGER %s"
                  .formatted(row.getString("hostname"), state(enabled), row.getString("name")));
        });
  }

  private static String state(String enabled) {
    return switch (enabled) {
      case "D" -> "DISABLE";
      case "R" -> "ENABLE REPLICA";
      case "A" -> "ENABLE ALWAYS";
      default -> "ENABLE";
    };
  }

  private void readRules() throws SQLException {
    fork.each(
        """
        SELECT r.oid, ev_class AS host, format('%I.%I', nspname, relname) AS hostname,
          quote_ident(rulename) AS name, ev_enabled, pg_get_ruledef(r.oid) AS definition
        FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_class c ON c.oid = ev_class
        JOIN pg_catalog.pg_namespace n ON n.oid = relnamespace
        WHERE rulename <> '_RETURN' AND r.oid = ANY (?)\
        """,
        definitions.oids(REWRITE),
        row -> {
          Definition rule = on(REWRITE, row, "rule", row.getString("name"), Step.RULE);
          rule.create(SqlText.withoutSemicolon(row.getString("definition")));
          if (!row.getString("ev_enabled").equals("O")) {
            rule.create(
                "ALTER TABLE %s %s RULE %s"
                    .formatted(
                        row.getString("hostname"),
                        state(row.getString("ev_enabled")),
                        row.getString("name")));
          }
        });
  }

  private void readPolicies() throws SQLException {
    fork.each(
        """
        SELECT p.oid, polrelid AS host, format('%I.%I', nspname, relname) AS hostname,
          quote_ident(polname) AS name, polpermissive,
          CASE polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE'
            WHEN 'd' THEN 'DELETE' ELSE 'ALL' END AS command,
          (SELECT string_agg(CASE WHEN r = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(r)) END,
             ', ') FROM unnest(polroles) r) AS roles,
          pg_get_expr(polqual, polrelid) AS qual, pg_get_expr(polwithcheck, polrelid) AS withcheck
        FROM pg_catalog.pg_policy p JOIN pg_catalog.pg_class c ON c.oid = polrelid
        JOIN pg_catalog.pg_namespace n ON n.oid = relnamespace WHERE p.oid = ANY (?)\
        """,
        definitions.oids(POLICY),
        row -> {
          String qual = row.getString("qual");
          String check = row.getString("withcheck");
          on(POLICY, row, "policy", row.getString("name"), Step.POLICY)
              .create(
                  "CREATE POLICY %s ON %s%s FOR %s TO %s%s%s"
                      .formatted(
                          row.getString("name"),
                          row.getString("hostname"),
                          row.getBoolean("polpermissive") ? "" : " AS RESTRICTIVE",
                          row.getString("command"),
                          row.getString("roles"),
                          qual == null ? "" : " USING (" + qual + ")",
                          check == null ? "" : " WITH CHECK (" + check + ")"));
        });
  }

  private void readPublications() throws SQLException {
    String columns =
        fork.major() >= 15
            ? """
            (SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum)
             FROM pg_catalog.pg_attribute
             WHERE attrelid = prrelid AND attnum = ANY (prattrs)), pg_get_expr(prqual, prrelid)\
            """
            : "NULL, NULL";
    fork.each(
        """
        SELECT m.oid, prrelid, format('%%I.%%I', nspname, relname), quote_ident(pubname), %s
        FROM pg_catalog.pg_publication_rel m JOIN pg_catalog.pg_class c ON c.oid = prrelid
        JOIN pg_catalog.pg_namespace n ON n.oid = relnamespace
        JOIN pg_catalog.pg_publication p ON p.oid = prpubid WHERE m.oid = ANY (?)\
        """
            .formatted(columns),
        definitions.oids(PUBLICATION_REL),
        row -> {
          String list = row.getString(5);
          String filter = row.getString(6);
          definitions
              .add(
                  PUBLICATION_REL,
                  row.getLong(1),
                  "publication of",
                  row.getString(3) + " in " + row.getString(4),
                  Step.PUBLICATION)
              .needs(new ObjectKey(CLASS, row.getLong(2)))
              .create(
                  "ALTER PUBLICATION %s ADD TABLE ONLY %s%s%s"
                      .formatted(
                          row.getString(4),
                          row.getString(3),
                          list == null ? "" : " (" + list + ")",
                          filter == null ? "" : " WHERE (" + filter + ")"));
        });
    if (fork.major() >= 15) {
      fork.each(
          """
          SELECT m.oid, pnnspid, quote_ident(nspname), quote_ident(pubname)
          FROM pg_catalog.pg_publication_namespace m
          JOIN pg_catalog.pg_namespace n ON n.oid = pnnspid
          JOIN pg_catalog.pg_publication p ON p.oid = pnpubid WHERE m.oid = ANY (?)\
          """,
          definitions.oids(PUBLICATION_NAMESPACE),
          row ->
              definitions
                  .add(
                      PUBLICATION_NAMESPACE,
                      row.getLong(1),
                      "publication of",
                      "schema " + row.getString(3) + " in " + row.getString(4),
                      Step.PUBLICATION)
                  .needs(new ObjectKey(NAMESPACE, row.getLong(2)))
                  .create(
                      "ALTER PUBLICATION %s ADD TABLES IN SCHEMA %s"
                          .formatted(row.getString(4), row.getString(3))));
    }
  }

  private void readDefaultPrivileges() throws SQLException {
    fork.each(
        """
        SELECT d.oid, quote_ident(pg_get_userbyid(defaclrole)) AS role, quote_ident(nspname) AS name,
          CASE defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f'
            THEN 'FUNCTIONS' WHEN 'T' THEN 'TYPES' ELSE 'SCHEMAS' END AS what, defaclnamespace,
          (SELECT array_agg(format(
             'ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA %I GRANT %s ON %s TO %s%s',
             pg_get_userbyid(defaclrole), nspname, privileges,
             CASE defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f'
               THEN 'FUNCTIONS' ELSE 'TYPES' END,
             CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END,
             CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END))
           FROM (SELECT grantee, is_grantable, string_agg(privilege_type, ', ') AS privileges
                 FROM aclexplode(defaclacl) GROUP BY 1, 2 ORDER BY 1, 2) g) AS grants
        FROM pg_catalog.pg_default_acl d JOIN pg_catalog.pg_namespace n ON n.oid = defaclnamespace
        WHERE d.oid = ANY (?)\
        """,
        definitions.oids(DEFAULT_ACL),
        row -> {
          Definition privileges =
              definitions.add(
                  DEFAULT_ACL,
                  row.getLong(1),
                  "default privileges",
                  "of %s in %s on %s"
                      .formatted(
                          row.getString("role"), row.getString("name"), row.getString("what")),
                  Step.DEFAULT_PRIVILEGES);
          privileges.needs(new ObjectKey(NAMESPACE, row.getLong("defaclnamespace")));
          // Not before the last object is made: new ones would be granted more than they had.
          TableDefinitions.texts(row, "grants").forEach(privileges::finish);
        });
  }
}
