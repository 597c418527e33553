package dev.holdfast.postgres.definition;

import static dev.holdfast.postgres.definition.SystemCatalog.CLASS;
import static dev.holdfast.postgres.definition.SystemCatalog.NAMESPACE;
import static dev.holdfast.postgres.definition.SystemCatalog.PROC;
import static dev.holdfast.postgres.definition.SystemCatalog.TYPE;

import dev.holdfast.row.TableName;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

/**
 * Owners and grants, brought back exactly: a lost object's grants are what its ACL said in the
 * fork, with their grantors, whatever production's default privileges add to new objects.
 */
final class Privileges {
  private record Grant(String grantor, String grantee, boolean grantable) {}

  private final Definitions definitions;
  private final CatalogQueries fork;
  private final Session session;
  private final Set<String> roles = new LinkedHashSet<>();

  /**
   * What matters of the session that will apply the plan.
   *
   * @param user the role that will own new objects, not quoted
   * @param role what {@code SET ROLE} must name to come back to it, quoted, or {@code NONE}
   * @param defaultGrantees roles, quoted, that default privileges will grant something to
   */
  record Session(String user, String role, List<String> defaultGrantees) {
    static Session of(CatalogQueries production) throws SQLException {
      String[] user = new String[2];
      production.each(
          """
          SELECT current_user, CASE current_setting('role') WHEN 'none' THEN 'NONE'
            ELSE quote_ident(current_setting('role')) END\
          """,
          row -> {
            user[0] = row.getString(1);
            user[1] = row.getString(2);
          });
      Set<String> grantees = new LinkedHashSet<>();
      production.each(
          """
          SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC'
            ELSE quote_ident(pg_get_userbyid(a.grantee)) END
          FROM pg_catalog.pg_default_acl d, aclexplode(defaclacl) a
          WHERE defaclrole = current_user::regrole\
          """,
          row -> grantees.add(row.getString(1)));
      return new Session(user[0], user[1], List.copyOf(grantees));
    }
  }

  Privileges(Definitions definitions, Session session) {
    this.definitions = definitions;
    this.fork = definitions.fork();
    this.session = session;
  }

  /** Every role, not quoted, that the definitions name. */
  Set<String> roles() {
    return roles;
  }

  void read() throws SQLException {
    read(NAMESPACE, "nspowner", "nspacl", "'n'", "'SCHEMA'");
    read(TYPE, "typowner", "typacl", "'T'", "CASE typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END");
    read(
        PROC,
        "proowner",
        "proacl",
        "'f'",
        "CASE prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END");
    read(
        CLASS,
        "relowner",
        "relacl",
        "CASE relkind WHEN 'S' THEN 's' ELSE 'r' END",
        """
        CASE relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW'
          WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'TABLE' END\
        """);
    read(SystemCatalog.COLLATION, "collowner", "NULL::aclitem[]", "NULL", "'COLLATION'");
    read(SystemCatalog.STATISTIC_EXT, "stxowner", "NULL::aclitem[]", "NULL", "'STATISTICS'");
    readColumns();
    readPolicyRoles();
  }

  private void read(SystemCatalog catalog, String owner, String acl, String aclKind, String target)
      throws SQLException {
    // Default privileges of the applying role would widen an ACL that was never set: then the
    // built-in one is said in full.
    String effective =
        session.defaultGrantees().isEmpty() || aclKind.equals("NULL")
            ? acl
            : "coalesce(%s, acldefault((%s)::\"char\", %s))".formatted(acl, aclKind, owner);
    Map<ObjectKey, Map<Grant, Set<String>>> grants = new LinkedHashMap<>();
    Map<ObjectKey, String> targets = new LinkedHashMap<>();
    Map<ObjectKey, String> owners = new LinkedHashMap<>();
    fork.each(
        """
        SELECT o.oid, %s AS target, pg_get_userbyid(%s) AS owner, %s IS NOT NULL AS granted
        FROM pg_catalog.%s o WHERE o.oid = ANY (?)\
        """
            .formatted(target, owner, effective, catalog.table()),
        definitions.oids(catalog),
        row -> {
          ObjectKey key = new ObjectKey(catalog, row.getLong(1));
          Definition definition = definitions.find(key);
          if (definition == null
              || !definition.key().equals(key)
              || definition.ref().kind().equals("index")
              || (definition.unrecoverable() != null && definition.createStatements().isEmpty())) {
            return;
          }
          own(definition, row.getString(2), row.getString(3));
          if (row.getBoolean(4)) {
            targets.put(key, row.getString(2));
            owners.put(key, row.getString(3));
          }
        });
    if (aclKind.equals("NULL")) {
      return;
    }
    fork.each(
        """
        SELECT o.oid, %s FROM pg_catalog.%s o, aclexplode(%s) WITH ORDINALITY a
        WHERE o.oid = ANY (?) ORDER BY o.oid, a.ordinality\
        """
            .formatted(GRANT_COLUMNS, catalog.table(), effective),
        definitions.oids(catalog),
        row -> collect(grants, new ObjectKey(catalog, row.getLong(1)), row));
    targets.forEach((key, kind) -> {
      Definition definition = definitions.find(key);
      if (definition != null) {
        String noun = kind.endsWith("VIEW") ? "TABLE" : kind;
        grant(
            definition,
            noun + " " + definition.ref().name(),
            "",
            Objects.requireNonNull(owners.get(key)),
            grants.getOrDefault(key, Map.of()));
      }
    });
  }

  private static final String GRANT_COLUMNS =
      """
      pg_get_userbyid(a.grantor) AS grantor,
      CASE a.grantee WHEN 0 THEN '' ELSE pg_get_userbyid(a.grantee) END AS grantee,
      a.privilege_type AS privilege, a.is_grantable AS grantable\
      """;

  private void own(Definition definition, String kind, String owner) {
    roles.add(owner);
    boolean madeByColumn = kind.equals("SEQUENCE") && definition.createStatements().isEmpty();
    if (!owner.equals(session.user()) && !madeByColumn) {
      definition.create(
          "ALTER %s %s OWNER TO %s".formatted(kind, definition.ref().name(), quoted(owner)));
    }
  }

  private void collect(Map<ObjectKey, Map<Grant, Set<String>>> grants, ObjectKey key, ResultSet row)
      throws SQLException {
    roles.add(row.getString("grantor"));
    if (!row.getString("grantee").isEmpty()) {
      roles.add(row.getString("grantee"));
    }
    grants
        .computeIfAbsent(key, _ -> new LinkedHashMap<>())
        .computeIfAbsent(
            new Grant(
                row.getString("grantor"), row.getString("grantee"), row.getBoolean("grantable")),
            _ -> new LinkedHashSet<>())
        .add(row.getString("privilege"));
  }

  private void grant(
      Definition definition,
      String target,
      String columns,
      String owner,
      Map<Grant, Set<String>> grants) {
    if (columns.isEmpty()) {
      Set<String> from = new LinkedHashSet<>(List.of("PUBLIC", quoted(owner)));
      from.addAll(session.defaultGrantees());
      definition.finish("REVOKE ALL ON " + target + " FROM " + String.join(", ", from));
    }
    // The owner's grants first: others can grant only what they were given.
    grants.entrySet().stream()
        .sorted((a, b) ->
            Boolean.compare(
                !a.getKey().grantor().equals(owner), !b.getKey().grantor().equals(owner)))
        .forEach(entry -> {
          Grant grant = entry.getKey();
          boolean byAnother = !grant.grantor().equals(owner);
          if (byAnother) {
            definition.finish("SET LOCAL ROLE " + quoted(grant.grantor()));
          }
          definition.finish(
              "GRANT %s%s ON %s TO %s%s"
                  .formatted(
                      String.join(columns + ", ", entry.getValue()),
                      columns,
                      target,
                      grant.grantee().isEmpty() ? "PUBLIC" : quoted(grant.grantee()),
                      grant.grantable() ? " WITH GRANT OPTION" : ""));
          if (byAnother) {
            definition.finish("SET LOCAL ROLE " + session.role());
          }
        });
  }

  private void readColumns() throws SQLException {
    Map<ObjectKey, Map<Grant, Set<String>>> grants = new LinkedHashMap<>();
    Map<ObjectKey, String[]> columns = new LinkedHashMap<>();
    fork.each(
        """
        SELECT attrelid, attnum, quote_ident(attname) AS name, pg_get_userbyid(relowner) AS owner, %s
        FROM pg_catalog.pg_attribute t JOIN pg_catalog.pg_class c ON c.oid = attrelid,
          aclexplode(attacl) WITH ORDINALITY a
        WHERE attnum > 0 AND NOT attisdropped AND attrelid = ANY (?)
        ORDER BY attrelid, attnum, a.ordinality\
        """
            .formatted(GRANT_COLUMNS),
        definitions.oids(key -> key.catalog() == CLASS),
        row -> {
          ObjectKey key = new ObjectKey(CLASS, row.getLong("attrelid"), row.getInt("attnum"));
          if (definitions.find(key) != null) {
            columns.put(key, new String[] {row.getString("name"), row.getString("owner")});
            collect(grants, key, row);
          }
        });
    columns.forEach((key, column) -> {
      Definition definition = definitions.find(key);
      if (definition != null) {
        String relation = definition.ref().name();
        if (definition.key().column() > 0) { // a column of a survivor is named table.column
          relation = relation.substring(0, relation.length() - column[0].length() - 1);
        }
        grant(
            definition,
            "TABLE " + relation,
            " (" + column[0] + ")",
            column[1],
            grants.getOrDefault(key, Map.of()));
      }
    });
  }

  private void readPolicyRoles() throws SQLException {
    fork.each(
        """
        SELECT DISTINCT pg_get_userbyid(r) FROM pg_catalog.pg_policy p, unnest(polroles) r
        WHERE r <> 0 AND p.oid = ANY (?)\
        """,
        definitions.oids(SystemCatalog.POLICY),
        row -> roles.add(row.getString(1)));
  }

  private static String quoted(String role) {
    return TableName.quote(role);
  }
}
