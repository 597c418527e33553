package dev.holdfast.postgres.definition;

import static dev.holdfast.postgres.definition.SystemCatalog.CLASS;
import static dev.holdfast.postgres.definition.SystemCatalog.COLLATION;
import static dev.holdfast.postgres.definition.SystemCatalog.CONSTRAINT;
import static dev.holdfast.postgres.definition.SystemCatalog.EXTENSION;
import static dev.holdfast.postgres.definition.SystemCatalog.NAMESPACE;
import static dev.holdfast.postgres.definition.SystemCatalog.PROC;
import static dev.holdfast.postgres.definition.SystemCatalog.TYPE;

import dev.holdfast.postgres.definition.Definition.Step;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.HashMap;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/** Schemas, extensions, collations, types, domains and routines. */
final class TypeDefinitions {
  private final Definitions definitions;
  private final CatalogQueries fork;

  TypeDefinitions(Definitions definitions) {
    this.definitions = definitions;
    this.fork = definitions.fork();
  }

  void read() throws SQLException {
    fork.each(
        "SELECT oid, quote_ident(nspname) FROM pg_catalog.pg_namespace WHERE oid = ANY (?)",
        definitions.oids(NAMESPACE),
        row ->
            definitions
                .add(NAMESPACE, row.getLong(1), "schema", row.getString(2), Step.SCHEMA)
                .create("CREATE SCHEMA " + row.getString(2)));
    fork.each(
        """
        SELECT e.oid, quote_ident(extname), quote_ident(nspname), extversion, extconfig IS NOT NULL
        FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = extnamespace
        WHERE e.oid = ANY (?)\
        """,
        definitions.oids(EXTENSION),
        row -> {
          Definition extension =
              definitions.add(
                  EXTENSION, row.getLong(1), "extension", row.getString(2), Step.EXTENSION);
          extension.create(
              "CREATE EXTENSION %s SCHEMA %s VERSION %s"
                  .formatted(
                      row.getString(2), row.getString(3), SqlText.literal(row.getString(4))));
          if (row.getBoolean(5)) {
            extension.unrecoverable("its own tables may have held rows of yours");
          }
        });
    readCollations();
    readEnums();
    readComposites();
    readRanges();
    readDomains();
    readRoutines();
  }

  private void readCollations() throws SQLException {
    String locale =
        fork.major() >= 17 ? "colllocale" : fork.major() >= 15 ? "colliculocale" : "NULL";
    String rules = fork.major() >= 16 ? "collicurules" : "NULL";
    fork.each(
        """
        SELECT c.oid, format('%%I.%%I', nspname, collname), collprovider, collisdeterministic,
          collcollate, collctype, %s, %s
        FROM pg_catalog.pg_collation c JOIN pg_catalog.pg_namespace n ON n.oid = collnamespace
        WHERE c.oid = ANY (?)\
        """
            .formatted(locale, rules),
        definitions.oids(COLLATION),
        row -> {
          String provider = row.getString(3);
          StringBuilder sql = new StringBuilder("CREATE COLLATION " + row.getString(2));
          sql.append(" (provider = ")
              .append(provider.equals("i") ? "icu" : provider.equals("b") ? "builtin" : "libc");
          String own = row.getString(7);
          if (own != null) {
            sql.append(", locale = ").append(SqlText.literal(own));
          } else if (provider.equals("i")) { // before 15 ICU's locale stood in both columns
            sql.append(", locale = ").append(SqlText.literal(row.getString(5)));
          } else {
            sql.append(", lc_collate = ").append(SqlText.literal(row.getString(5)));
            sql.append(", lc_ctype = ").append(SqlText.literal(row.getString(6)));
          }
          String tailoring = row.getString(8);
          if (tailoring != null) {
            sql.append(", rules = ").append(SqlText.literal(tailoring));
          }
          sql.append(row.getBoolean(4) ? ")" : ", deterministic = false)");
          definitions
              .add(COLLATION, row.getLong(1), "collation", row.getString(2), Step.COLLATION)
              .create(sql.toString());
        });
  }

  private void readEnums() throws SQLException {
    fork.each(
        """
        SELECT t.oid, format('%I.%I', nspname, typname),
          (SELECT string_agg(quote_literal(enumlabel), ', ' ORDER BY enumsortorder)
           FROM pg_catalog.pg_enum WHERE enumtypid = t.oid)
        FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = typnamespace
        WHERE typtype = 'e' AND t.oid = ANY (?)\
        """,
        definitions.oids(TYPE),
        row -> {
          String labels = row.getString(3);
          definitions
              .add(TYPE, row.getLong(1), "type", row.getString(2), Step.TYPE)
              .create(
                  "CREATE TYPE %s AS ENUM (%s)"
                      .formatted(row.getString(2), labels == null ? "" : labels));
        });
  }

  private void readComposites() throws SQLException {
    fork.each(
        """
        SELECT t.oid, c.oid, format('%I.%I', nspname, typname),
          (SELECT string_agg(quote_ident(attname) || ' ' || format_type(atttypid, atttypmod)
             || CASE WHEN attcollation <> 0 AND attcollation <> typcollation
                THEN (SELECT format(' COLLATE %I.%I', cn.nspname, collname)
                      FROM pg_catalog.pg_collation l
                      JOIN pg_catalog.pg_namespace cn ON cn.oid = collnamespace
                      WHERE l.oid = attcollation)
                ELSE '' END, ', ' ORDER BY attnum)
           FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type at ON at.oid = atttypid
           WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped)
        FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = typnamespace
        JOIN pg_catalog.pg_class c ON c.oid = typrelid
        WHERE relkind = 'c' AND t.oid = ANY (?)\
        """,
        definitions.oids(TYPE),
        row -> {
          String attributes = row.getString(4);
          definitions
              .add(TYPE, row.getLong(1), "type", row.getString(3), Step.TYPE)
              .create(
                  "CREATE TYPE %s AS (%s)"
                      .formatted(row.getString(3), attributes == null ? "" : attributes));
          definitions.part(
              new ObjectKey(CLASS, row.getLong(2)), new ObjectKey(TYPE, row.getLong(1)));
        });
  }

  private void readRanges() throws SQLException {
    fork.each(
        """
        SELECT t.oid, format('%I.%I', n.nspname, t.typname), format_type(rngsubtype, NULL),
          (SELECT format('%I.%I', on_.nspname, opcname) FROM pg_catalog.pg_opclass o
           JOIN pg_catalog.pg_namespace on_ ON on_.oid = opcnamespace
           WHERE o.oid = rngsubopc AND NOT opcdefault),
          (SELECT format('%I.%I', cn.nspname, collname) FROM pg_catalog.pg_collation l
           JOIN pg_catalog.pg_namespace cn ON cn.oid = collnamespace
           WHERE l.oid = rngcollation AND rngcollation <> s.typcollation),
          nullif(rngcanonical, 0)::regproc::text, nullif(rngsubdiff, 0)::regproc::text,
          format('%I.%I', mn.nspname, m.typname), m.oid
        FROM pg_catalog.pg_range r JOIN pg_catalog.pg_type t ON t.oid = rngtypid
        JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
        JOIN pg_catalog.pg_type s ON s.oid = rngsubtype
        JOIN pg_catalog.pg_type m ON m.oid = rngmultitypid
        JOIN pg_catalog.pg_namespace mn ON mn.oid = m.typnamespace
        WHERE t.oid = ANY (?)\
        """,
        definitions.oids(TYPE),
        row -> {
          StringBuilder sql = new StringBuilder("CREATE TYPE " + row.getString(2) + " AS RANGE (");
          sql.append("subtype = ").append(row.getString(3));
          option(sql, "subtype_opclass", row.getString(4));
          option(sql, "collation", row.getString(5));
          option(sql, "subtype_diff", row.getString(7));
          option(sql, "multirange_type_name", row.getString(8));
          Definition range =
              definitions.add(TYPE, row.getLong(1), "type", row.getString(2), Step.TYPE);
          range.create(sql.append(')').toString());
          if (row.getString(6) != null) {
            // Needs the function, which needs the type: a shell type first.
            range.unrecoverable("a range type with a canonical function");
          }
          definitions.part(
              new ObjectKey(TYPE, row.getLong(9)), new ObjectKey(TYPE, row.getLong(1)));
        });
  }

  private static void option(StringBuilder sql, String name, @Nullable String value) {
    if (value != null) {
      sql.append(", ").append(name).append(" = ").append(value);
    }
  }

  private void readDomains() throws SQLException {
    Map<Long, Definition> domains = new HashMap<>();
    Map<Long, StringBuilder> texts = new HashMap<>();
    fork.each(
        """
        SELECT t.oid, format('%I.%I', n.nspname, t.typname), format_type(t.typbasetype, t.typtypmod),
          (SELECT format('%I.%I', cn.nspname, collname) FROM pg_catalog.pg_collation l
           JOIN pg_catalog.pg_namespace cn ON cn.oid = collnamespace
           WHERE l.oid = t.typcollation AND t.typcollation <> b.typcollation),
          coalesce(pg_get_expr(t.typdefaultbin, 0), quote_literal(t.typdefault)), t.typnotnull,
          EXISTS (SELECT FROM pg_catalog.pg_constraint WHERE contypid = t.oid AND contype = 'n')
        FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
        JOIN pg_catalog.pg_type b ON b.oid = t.typbasetype
        WHERE t.typtype = 'd' AND t.oid = ANY (?)\
        """,
        definitions.oids(TYPE),
        row -> {
          StringBuilder sql =
              new StringBuilder("CREATE DOMAIN " + row.getString(2) + " AS " + row.getString(3));
          String collation = row.getString(4);
          if (collation != null) {
            sql.append(" COLLATE ").append(collation);
          }
          String fallback = row.getString(5);
          if (fallback != null) {
            sql.append(" DEFAULT ").append(fallback);
          }
          if (row.getBoolean(6) && !row.getBoolean(7)) {
            sql.append(" NOT NULL");
          }
          domains.put(
              row.getLong(1),
              definitions.add(TYPE, row.getLong(1), "domain", row.getString(2), Step.TYPE));
          texts.put(row.getLong(1), sql);
        });
    fork.each(
        """
        SELECT oid, contypid, quote_ident(conname), pg_get_constraintdef(oid), convalidated
        FROM pg_catalog.pg_constraint WHERE contypid = ANY (?) ORDER BY conname\
        """,
        domains.keySet(),
        row -> {
          long type = row.getLong(2);
          Definition domain = Objects.requireNonNull(domains.get(type));
          String clause = " CONSTRAINT " + row.getString(3) + " " + row.getString(4);
          if (row.getBoolean(5)) {
            Objects.requireNonNull(texts.get(type)).append(clause);
          } else { // holds for new values only: the rows that come back may break it
            domain.finish("ALTER DOMAIN " + domain.ref().name() + " ADD" + clause);
          }
          definitions.part(new ObjectKey(CONSTRAINT, row.getLong(1)), new ObjectKey(TYPE, type));
        });
    texts.forEach(
        (oid, sql) -> Objects.requireNonNull(domains.get(oid)).createFirst(sql.toString()));
    // Constraints added to a surviving domain.
    fork.each(
        """
        SELECT c.oid, format('%I.%I', nspname, typname), quote_ident(conname),
          pg_get_constraintdef(c.oid), contypid
        FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_type t ON t.oid = contypid
        JOIN pg_catalog.pg_namespace n ON n.oid = typnamespace WHERE c.oid = ANY (?)\
        """,
        definitions.oids(CONSTRAINT),
        row -> {
          if (!definitions.isLost(TYPE, row.getLong(5))) {
            definitions
                .add(
                    CONSTRAINT,
                    row.getLong(1),
                    "domain constraint",
                    row.getString(3) + " on " + row.getString(2),
                    Step.ON_SURVIVOR)
                .create(
                    "ALTER DOMAIN %s ADD CONSTRAINT %s %s"
                        .formatted(row.getString(2), row.getString(3), row.getString(4)));
          }
        });
  }

  private void readRoutines() throws SQLException {
    fork.each(
        """
        SELECT p.oid, prokind,
          format('%I.%I(%s)', nspname, proname, pg_get_function_identity_arguments(p.oid)),
          CASE WHEN prokind <> 'a' THEN pg_get_functiondef(p.oid) END
        FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = pronamespace
        WHERE p.oid = ANY (?)
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend
          WHERE classid = 'pg_catalog.pg_proc'::regclass AND objid = p.oid AND deptype IN ('i', 'e'))
        """,
        definitions.oids(PROC), this::addRoutine);
  }

  private void addRoutine(ResultSet row) throws SQLException {
    String kind = row.getString(2);
    String name = row.getString(3);
    Definition routine =
        definitions.add(
            PROC,
            row.getLong(1),
            switch (kind) {
              case "p" -> "procedure";
              case "a" -> "aggregate";
              default -> "function";
            },
            name,
            Step.ROUTINE);
    if (kind.equals("a")) {
      routine.unrecoverable("an aggregate function");
    } else {
      routine.create(SqlText.withoutSemicolon(row.getString(4)));
    }
  }
}
