package dev.holdfast.postgres.definition;

import static dev.holdfast.postgres.definition.SystemCatalog.CLASS;

import dev.holdfast.postgres.definition.Definition.Step;
import dev.holdfast.row.TableName;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.List;

/** Views, materialised views (filled again from the rows that came back) and foreign tables. */
final class ViewDefinitions {
  private final Definitions definitions;

  ViewDefinitions(Definitions definitions) {
    this.definitions = definitions;
  }

  void read() throws SQLException {
    CatalogQueries fork = definitions.fork();
    fork.each(
        """
        SELECT c.oid, format('%I.%I', nspname, relname) AS name, relkind, relispopulated,
          CASE WHEN relkind <> 'f' THEN pg_get_viewdef(c.oid) END AS query, reloptions,
          nullif(amname, 'heap') AS access,
          (SELECT quote_ident(spcname) FROM pg_catalog.pg_tablespace s
           WHERE s.oid = reltablespace) AS tablespace
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = relnamespace
        LEFT JOIN pg_catalog.pg_am a ON a.oid = relam
        WHERE relkind IN ('v', 'm', 'f') AND c.oid = ANY (?)\
        """,
        definitions.oids(CLASS), this::readView);
    fork.each(
        """
        SELECT a.attrelid, quote_ident(attname), coalesce(attstattarget, -1),
          CASE WHEN attstorage <> typstorage THEN attstorage END, attcompression
        FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = atttypid
        JOIN pg_catalog.pg_class c ON c.oid = attrelid
        WHERE relkind = 'm' AND attnum > 0 AND a.attrelid = ANY (?) ORDER BY attnum\
        """,
        definitions.oids(CLASS),
        row -> {
          Definition view = definitions.find(CLASS, row.getLong(1));
          if (view == null) {
            return;
          }
          String alter =
              "ALTER MATERIALIZED VIEW " + view.ref().name() + " ALTER COLUMN " + row.getString(2);
          if (row.getInt(3) >= 0) {
            view.create(alter + " SET STATISTICS " + row.getInt(3));
          }
          if (row.getString(4) != null) {
            view.create(
                alter
                    + " SET STORAGE "
                    + switch (row.getString(4)) {
                      case "p" -> "PLAIN";
                      case "e" -> "EXTERNAL";
                      case "m" -> "MAIN";
                      default -> "EXTENDED";
                    });
          }
        });
  }

  private void readView(ResultSet row) throws SQLException {
    String name = row.getString("name");
    long oid = row.getLong("oid");
    List<String> options = TableDefinitions.texts(row, "reloptions");
    String with = options.isEmpty() ? "" : " WITH " + SqlText.options(options);
    switch (row.getString("relkind")) {
      case "v" ->
          definitions
              .add(CLASS, oid, "view", name, Step.VIEW)
              .create(
                  "CREATE VIEW "
                      + name
                      + with
                      + " AS "
                      + SqlText.withoutSemicolon(row.getString("query")));
      case "m" -> {
        String access = row.getString("access");
        String tablespace = row.getString("tablespace");
        definitions
            .add(CLASS, oid, "materialized view", name, Step.MATERIALIZED_VIEW)
            .create(
                "CREATE MATERIALIZED VIEW "
                    + name
                    + (access == null ? "" : " USING " + TableName.quote(access))
                    + with
                    + (tablespace == null ? "" : " TABLESPACE " + tablespace)
                    + " AS "
                    + SqlText.withoutSemicolon(row.getString("query"))
                    + (row.getBoolean("relispopulated") ? " WITH DATA" : " WITH NO DATA"));
      }
      default ->
          definitions
              .add(CLASS, oid, "foreign table", name, Step.TABLE)
              .unrecoverable("a foreign table");
    }
  }
}
