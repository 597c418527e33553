package dev.holdfast.postgres.definition;

import static dev.holdfast.postgres.definition.SystemCatalog.NAMESPACE;

import dev.holdfast.row.TableName;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/** What production has now that stands in the way. */
final class Conflicts {
  private static final String RELATIONS =
      """
      SELECT format('%I.%I', nspname, relname) FROM pg_catalog.pg_class c
      JOIN pg_catalog.pg_namespace n ON n.oid = relnamespace
      WHERE format('%I.%I', nspname, relname) = ANY (?)\
      """;
  private static final String TYPES =
      """
      SELECT format('%I.%I', nspname, typname) FROM pg_catalog.pg_type t
      JOIN pg_catalog.pg_namespace n ON n.oid = typnamespace
      WHERE format('%I.%I', nspname, typname) = ANY (?)\
      """;
  private static final String ROUTINES =
      """
      SELECT format('%I.%I(%s)', nspname, proname, pg_get_function_identity_arguments(p.oid))
      FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = pronamespace
      WHERE format('%I.%I(%s)', nspname, proname, pg_get_function_identity_arguments(p.oid))
        = ANY (?)\
      """;
  private static final String CONSTRAINTS =
      on("conname", "pg_constraint", "conrelid", "contype <> 't'");
  private static final String TRIGGERS = on("tgname", "pg_trigger", "tgrelid", "true");
  private static final String POLICIES = on("polname", "pg_policy", "polrelid", "true");
  private static final String RULES = on("rulename", "pg_rewrite", "ev_class", "true");
  private static final String DEFAULTS =
      on(
          "attname",
          "pg_attrdef JOIN pg_catalog.pg_attribute ON attrelid = adrelid AND attnum = adnum",
          "adrelid",
          "true");
  private static final String COLUMNS =
      """
      SELECT format('%I.%I.%I', nspname, relname, attname) FROM pg_catalog.pg_attribute
      JOIN pg_catalog.pg_class c ON c.oid = attrelid
      JOIN pg_catalog.pg_namespace n ON n.oid = relnamespace
      WHERE NOT attisdropped AND format('%I.%I.%I', nspname, relname, attname) = ANY (?)\
      """;
  private static final String STATISTICS =
      """
      SELECT format('%I.%I', nspname, stxname) FROM pg_catalog.pg_statistic_ext s
      JOIN pg_catalog.pg_namespace n ON n.oid = stxnamespace
      WHERE format('%I.%I', nspname, stxname) = ANY (?)\
      """;

  private final Definitions definitions;
  private final CatalogQueries production;
  private final List<String> notes = new ArrayList<>();

  Conflicts(Definitions definitions, CatalogQueries production) {
    this.definitions = definitions;
    this.production = production;
  }

  List<String> notes() {
    return notes;
  }

  /**
   * Names in use again and roles that are gone. A schema made again since is used as it is: its
   * statement is taken out of the plan.
   */
  List<String> find(Collection<String> roles) throws SQLException {
    useSchemas();
    Map<String, List<Definition>> byQuery = new LinkedHashMap<>();
    for (Definition definition : definitions.all()) {
      String query =
          switch (definition.ref().kind()) {
            case "table", "view", "materialized view", "sequence", "index", "foreign table" ->
                RELATIONS;
            case "type", "domain" -> TYPES;
            case "function", "procedure", "aggregate" -> ROUTINES;
            case "constraint", "foreign key" -> CONSTRAINTS;
            case "trigger" -> TRIGGERS;
            case "policy" -> POLICIES;
            case "rule" -> RULES;
            case "default" -> DEFAULTS;
            case "column" -> COLUMNS;
            case "statistics object" -> STATISTICS;
            default -> "";
          };
      if (!query.isEmpty()) {
        byQuery.computeIfAbsent(query, _ -> new ArrayList<>()).add(definition);
      }
    }
    Set<String> conflicts = new TreeSet<>();
    try (SearchPath _ = SearchPath.empty(production)) {
      for (Map.Entry<String, List<Definition>> entry : byQuery.entrySet()) {
        Set<String> taken =
            production.matching(
                entry.getKey(), entry.getValue().stream().map(d -> d.ref().name()).toList());
        for (Definition definition : entry.getValue()) {
          if (taken.contains(definition.ref().name())) {
            conflicts.add(definition.ref() + " exists again: it was made since");
          }
        }
      }
    }
    Set<String> existing =
        production.matching(
            "SELECT rolname FROM pg_catalog.pg_roles WHERE rolname = ANY (?)", roles);
    for (String role : roles) {
      if (!existing.contains(role)) {
        conflicts.add(
            "role " + TableName.quote(role) + ", an owner or grantee, does not exist any more");
      }
    }
    return List.copyOf(conflicts);
  }

  private void useSchemas() throws SQLException {
    List<Definition> schemas =
        definitions.all().stream().filter(d -> d.key().catalog() == NAMESPACE).toList();
    Set<String> existing =
        production.matching(
            "SELECT quote_ident(nspname) FROM pg_catalog.pg_namespace"
                + " WHERE quote_ident(nspname) = ANY (?)",
            schemas.stream().map(schema -> schema.ref().name()).toList());
    for (Definition schema : schemas) {
      if (existing.contains(schema.ref().name())) {
        schema.createStatements().removeFirst();
        notes.add(
            schema.ref() + " was made again since: it is used, with the owner and grants it had");
      }
    }
  }

  private static String on(String name, String from, String relation, String condition) {
    return """
    SELECT quote_ident(%1$s) || ' on ' || format('%%I.%%I', nspname, relname)
    FROM pg_catalog.%2$s JOIN pg_catalog.pg_class c ON c.oid = %3$s
    JOIN pg_catalog.pg_namespace n ON n.oid = relnamespace
    WHERE %4$s AND quote_ident(%1$s) || ' on ' || format('%%I.%%I', nspname, relname) = ANY (?)\
    """
        .formatted(name, from, relation, condition);
  }
}
