package dev.holdfast.postgres.definition;

import java.sql.SQLException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/** Comments and security labels of lost objects. */
final class Comments {
  private final Definitions definitions;
  private final List<String> unrecoverable = new ArrayList<>();

  Comments(Definitions definitions) {
    this.definitions = definitions;
  }

  /** Labels, which belong to a provider that may not accept them again. */
  List<String> unrecoverable() {
    return unrecoverable;
  }

  void read() throws SQLException {
    List<Long> oids = definitions.oids(_ -> true);
    definitions
        .fork()
        .each(
            """
            SELECT classoid, objoid, objsubid, description,
              (SELECT quote_ident(attname) FROM pg_catalog.pg_attribute
               WHERE attrelid = objoid AND attnum = objsubid
                 AND classoid = 'pg_catalog.pg_class'::regclass),
              (pg_identify_object(classoid, objoid, 0)).identity,
              (SELECT relkind FROM pg_catalog.pg_class WHERE oid = objoid),
              (SELECT format('CONSTRAINT %I ON DOMAIN %I.%I', conname, nspname, typname)
               FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_type t ON t.oid = contypid
               JOIN pg_catalog.pg_namespace n ON n.oid = typnamespace
               WHERE k.oid = objoid AND classoid = 'pg_catalog.pg_constraint'::regclass)
            FROM pg_catalog.pg_description WHERE objoid = ANY (?)
            ORDER BY classoid, objoid, objsubid\
            """,
            oids,
            row -> {
              SystemCatalog catalog = SystemCatalog.byOid(row.getLong(1));
              if (catalog == null) {
                return;
              }
              ObjectKey object = new ObjectKey(catalog, row.getLong(2));
              int column = row.getInt(3);
              ObjectKey key = new ObjectKey(catalog, row.getLong(2), column);
              if (!definitions.isLost(object) && !definitions.isLost(key)) {
                return;
              }
              Definition definition = definitions.find(key);
              String target = row.getString(8);
              if (definition != null && target == null) {
                target =
                    target(
                        catalog,
                        row.getString(6),
                        row.getString(5),
                        definition,
                        String.valueOf(row.getString(7)));
              }
              if (definition != null && target != null) {
                definition.finish(
                    "COMMENT ON " + target + " IS " + SqlText.literal(row.getString(4)));
              }
            });
    definitions
        .fork()
        .each(
            "SELECT classoid, objoid, provider, (pg_identify_object(classoid, objoid, objsubid)).identity"
                + " FROM pg_catalog.pg_seclabel WHERE objoid = ANY (?)",
            oids,
            row -> {
              SystemCatalog catalog = SystemCatalog.byOid(row.getLong(1));
              if (catalog != null && definitions.isLost(catalog, row.getLong(2))) {
                unrecoverable.add(
                    "security label of %s on %s".formatted(row.getString(3), row.getString(4)));
              }
            });
  }

  private static @Nullable String target(
      SystemCatalog catalog,
      String identity,
      @Nullable String column,
      Definition definition,
      String relkind) {
    if (column != null) {
      // Of a composite type too: its attributes are columns of a relation.
      return "COLUMN " + identity + "." + column;
    }
    return switch (catalog) {
      case NAMESPACE -> "SCHEMA " + identity;
      case CLASS ->
          switch (relkind) {
                case "i", "I" -> "INDEX ";
                case "S" -> "SEQUENCE ";
                case "v" -> "VIEW ";
                case "m" -> "MATERIALIZED VIEW ";
                case "f" -> "FOREIGN TABLE ";
                default -> "TABLE ";
              }
              + identity;
      case TYPE -> (definition.ref().kind().equals("domain") ? "DOMAIN " : "TYPE ") + identity;
      case PROC -> definition.ref().kind().toUpperCase(Locale.ROOT) + " " + definition.ref().name();
      case CONSTRAINT -> "CONSTRAINT " + identity;
      case TRIGGER -> "TRIGGER " + identity;
      case REWRITE -> "RULE " + identity;
      case POLICY -> "POLICY " + identity;
      case STATISTIC_EXT -> "STATISTICS " + identity;
      case COLLATION -> "COLLATION " + identity;
      case EXTENSION -> "EXTENSION " + identity;
      default -> null;
    };
  }
}
