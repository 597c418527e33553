package dev.holdfast.postgres.definition;

import static dev.holdfast.postgres.definition.SystemCatalog.ATTRDEF;
import static dev.holdfast.postgres.definition.SystemCatalog.CLASS;
import static dev.holdfast.postgres.definition.SystemCatalog.CONSTRAINT;
import static dev.holdfast.postgres.definition.SystemCatalog.INHERITS;

import dev.holdfast.postgres.definition.Definition.Step;
import dev.holdfast.row.TableName;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** Tables with their columns, their places among partitions and parents, and their rows. */
final class TableDefinitions {
  /**
   * A mark that the server itself keeps among a column's options since 15.20 (seen there; pg_dump
   * leaves it out, too): no part of a definition.
   */
  private static final String SERVERS_OWN_OPTION = "pg_attver=";

  /** A table while it is read. */
  private static final class Table {
    final long oid;
    final Definition definition;
    final TableName name;
    final boolean partition;
    final boolean partitioned;
    final @Nullable String ofType;
    final boolean unlogged;
    final long estimatedRows;
    final long bytes;
    final String before; // CREATE TABLE name [OF type]
    final String after; // PARTITION BY … WITH … TABLESPACE …
    final List<String> columns = new ArrayList<>();
    final List<String> inherits = new ArrayList<>();
    final List<String> copied = new ArrayList<>();

    Table(
        long oid,
        Definition definition,
        TableName name,
        ResultSet row,
        @Nullable String ofType,
        String before,
        String after)
        throws SQLException {
      this.oid = oid;
      this.definition = definition;
      this.name = name;
      this.partition = row.getBoolean("relispartition");
      this.partitioned = row.getString("relkind").equals("p");
      this.unlogged = row.getString("relpersistence").equals("u");
      this.estimatedRows = row.getLong("estimated");
      this.bytes = row.getLong("bytes");
      this.ofType = ofType;
      this.before = before;
      this.after = after;
    }
  }

  private final Definitions definitions;
  private final CatalogQueries fork;
  private final Map<Long, Table> tables = new LinkedHashMap<>();

  TableDefinitions(Definitions definitions) {
    this.definitions = definitions;
    this.fork = definitions.fork();
  }

  /** Reads the tables; what {@link #copies} gives is known after it. */
  void read() throws SQLException {
    readTables();
    readParents();
    readColumns();
    for (Table table : tables.values()) {
      List<String> lines = table.columns;
      String columns =
          lines.isEmpty() && table.ofType != null
              ? ""
              : " (" + (lines.isEmpty() ? "" : "\n  " + String.join(",\n  ", lines) + "\n") + ")";
      String inherits =
          table.inherits.isEmpty() ? "" : " INHERITS (" + String.join(", ", table.inherits) + ")";
      table.definition.createFirst(table.before + columns + inherits + table.after);
    }
    readLostColumns();
  }

  /** The rows to bring, for every table that holds some of its own. */
  List<TableCopy> copies() {
    return tables.values().stream()
        .filter(table -> !table.partitioned && !table.unlogged)
        .map(table -> new TableCopy(table.name, table.copied, table.estimatedRows, table.bytes))
        .toList();
  }

  /** The definition of the table that a copy fills. */
  Definition definition(TableCopy copy) {
    return tables.values().stream()
        .filter(table -> table.name.equals(copy.table()))
        .findFirst()
        .orElseThrow()
        .definition;
  }

  /** Unlogged tables: a fork has them empty. */
  List<String> unlogged() {
    return tables.values().stream()
        .filter(table -> table.unlogged && !table.partitioned)
        .map(table ->
            "rows of table " + table.definition.ref().name() + ": it is unlogged, no log has them")
        .toList();
  }

  private void readTables() throws SQLException {
    fork.each(
        """
        SELECT c.oid, format('%I.%I', nspname, relname) AS name, nspname, relname, relkind,
          relpersistence, relispartition, relrowsecurity, relforcerowsecurity, relreplident,
          CASE WHEN reloftype <> 0 THEN format_type(reloftype, NULL) END AS oftype,
          CASE WHEN relkind = 'p' THEN pg_get_partkeydef(c.oid) END AS partkey,
          c.reloptions, (SELECT array_agg('toast.' || o) FROM pg_catalog.pg_class t,
            unnest(t.reloptions) o WHERE t.oid = c.reltoastrelid) AS toastoptions,
          nullif(amname, 'heap') AS access,
          (SELECT quote_ident(spcname) FROM pg_catalog.pg_tablespace s
           WHERE s.oid = reltablespace) AS tablespace,
          greatest(reltuples, -1)::bigint AS estimated,
          CASE WHEN relkind = 'r' THEN pg_table_size(c.oid) ELSE 0 END AS bytes
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = relnamespace
        LEFT JOIN pg_catalog.pg_am a ON a.oid = relam
        WHERE relkind IN ('r', 'p') AND c.oid = ANY (?) ORDER BY nspname, relname\
        """,
        definitions.oids(CLASS), this::readTable);
  }

  private void readTable(ResultSet row) throws SQLException {
    long oid = row.getLong("oid");
    String name = row.getString("name");
    String type = row.getString("oftype");
    StringBuilder after = new StringBuilder();
    if (row.getString("partkey") != null) {
      after.append(" PARTITION BY ").append(row.getString("partkey"));
    }
    if (row.getString("access") != null) {
      after.append(" USING ").append(TableName.quote(row.getString("access")));
    }
    List<String> options = new ArrayList<>(texts(row, "reloptions"));
    options.addAll(texts(row, "toastoptions"));
    if (!options.isEmpty()) {
      after.append(" WITH ").append(SqlText.options(options));
    }
    if (row.getString("tablespace") != null) {
      after.append(" TABLESPACE ").append(row.getString("tablespace"));
    }
    Definition definition = definitions.add(CLASS, oid, "table", name, Step.TABLE);
    String before =
        "CREATE "
            + (row.getString("relpersistence").equals("u") ? "UNLOGGED " : "")
            + "TABLE "
            + name
            + (type == null ? "" : " OF " + type);
    tables.put(
        oid,
        new Table(
            oid,
            definition,
            new TableName(row.getString("nspname"), row.getString("relname")),
            row,
            type,
            before,
            after.toString()));
    switch (row.getString("relreplident")) {
      case "f" -> definition.create("ALTER TABLE ONLY " + name + " REPLICA IDENTITY FULL");
      case "n" -> definition.create("ALTER TABLE ONLY " + name + " REPLICA IDENTITY NOTHING");
      default -> {} // d is what a new table has; i is said where the index is made
    }
    if (row.getBoolean("relrowsecurity")) {
      definition.finish("ALTER TABLE " + name + " ENABLE ROW LEVEL SECURITY");
    }
    if (row.getBoolean("relforcerowsecurity")) {
      definition.finish("ALTER TABLE ONLY " + name + " FORCE ROW LEVEL SECURITY");
    }
  }

  private void readParents() throws SQLException {
    fork.each(
        """
        SELECT i.inhrelid, i.inhparent, format('%I.%I', nspname, p.relname),
          pg_get_expr(c.relpartbound, c.oid), c.relkind
        FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = inhrelid
        JOIN pg_catalog.pg_class p ON p.oid = inhparent
        JOIN pg_catalog.pg_namespace n ON n.oid = p.relnamespace
        WHERE c.relkind IN ('r', 'p') AND NOT i.inhdetachpending AND i.inhrelid = ANY (?)
        ORDER BY inhrelid, inhseqno\
        """,
        tables.keySet(),
        row -> {
          Table table = table(row.getLong(1));
          String parent = row.getString(3);
          if (row.getString(4) == null) {
            table.inherits.add(parent);
            return;
          }
          boolean parentLost = definitions.isLost(CLASS, row.getLong(2));
          Definition attach =
              definitions.add(
                  INHERITS,
                  table.oid,
                  "partition",
                  table.definition.ref().name() + " of " + parent,
                  Step.PARTITION);
          attach
              .needs(new ObjectKey(CLASS, table.oid))
              .needs(new ObjectKey(CLASS, row.getLong(2)))
              .create(
                  "ALTER TABLE ONLY %s ATTACH PARTITION %s %s"
                      .formatted(parent, table.definition.ref().name(), row.getString(4)));
          if (!parentLost) {
            // With the rows and the indexes in it: the survivor's indexes then take these over.
            attach.locksSurvivor();
          }
        });
  }

  private void readColumns() throws SQLException {
    boolean catalogedNotNull = fork.major() >= 18;
    Map<Long, Map<Integer, String[]>> notNull = new HashMap<>();
    if (catalogedNotNull) {
      fork.each(
          """
          SELECT conrelid, conkey[1], quote_ident(conname), convalidated, connoinherit,
            conislocal, oid, pg_get_constraintdef(oid)
          FROM pg_catalog.pg_constraint WHERE contype = 'n' AND conrelid = ANY (?)\
          """,
          tables.keySet(),
          row -> {
            Table table = table(row.getLong(1));
            definitions.part(
                new ObjectKey(CONSTRAINT, row.getLong(7)), new ObjectKey(CLASS, table.oid));
            if (!row.getBoolean(6) && !table.partition) {
              return; // comes with the parent
            }
            if (!row.getBoolean(4)) {
              table.definition.finish(
                  "ALTER TABLE %s ADD CONSTRAINT %s %s"
                      .formatted(
                          table.definition.ref().name(), row.getString(3), row.getString(8)));
              return;
            }
            notNull
                .computeIfAbsent(table.oid, _ -> new HashMap<>())
                .put(
                    row.getInt(2),
                    new String[] {row.getString(3), row.getBoolean(5) ? " NO INHERIT" : ""});
          });
    }
    fork.each(
        """
        SELECT a.attrelid, a.attnum, attname, quote_ident(attname) AS name,
          format_type(atttypid, atttypmod) AS type, attnotnull, attidentity, attgenerated,
          (SELECT format('%%I.%%I', cn.nspname, collname) FROM pg_catalog.pg_collation l
           JOIN pg_catalog.pg_namespace cn ON cn.oid = collnamespace
           WHERE l.oid = attcollation AND attcollation <> t.typcollation) AS collation,
          pg_get_expr(d.adbin, d.adrelid) AS expression, d.oid AS defaultoid,
          attislocal, attinhcount, coalesce(attstattarget, -1) AS target,
          CASE WHEN attstorage <> typstorage THEN attstorage END AS storage,
          attcompression, attoptions, %s
        FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = atttypid
        LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = attrelid AND d.adnum = attnum AND atthasdef
        WHERE attnum > 0 AND NOT attisdropped AND a.attrelid = ANY (?) ORDER BY 1, 2\
        """
            .formatted(identity()),
        tables.keySet(),
        row -> {
          Table table = table(row.getLong("attrelid"));
          String[] named = notNull.getOrDefault(table.oid, Map.of()).get(row.getInt("attnum"));
          readColumn(table, row, named, catalogedNotNull);
        });
  }

  /** The options of an identity column's sequence; null when the column has none of its own. */
  private static String identity() {
    return """
    (SELECT format('(SEQUENCE NAME %I.%I START WITH %s INCREMENT BY %s MINVALUE %s MAXVALUE %s CACHE %s %s)',
       sn.nspname, sc.relname, seqstart, seqincrement, seqmin, seqmax, seqcache,
       CASE WHEN seqcycle THEN 'CYCLE' ELSE 'NO CYCLE' END)
     FROM pg_catalog.pg_depend sd JOIN pg_catalog.pg_sequence s ON seqrelid = sd.objid
     JOIN pg_catalog.pg_class sc ON sc.oid = sd.objid
     JOIN pg_catalog.pg_namespace sn ON sn.oid = sc.relnamespace
     WHERE sd.refclassid = 'pg_catalog.pg_class'::regclass AND sd.refobjid = a.attrelid
       AND sd.refobjsubid = a.attnum AND sd.deptype = 'i'
       AND sd.classid = 'pg_catalog.pg_class'::regclass) AS identity\
    """;
  }

  private void readColumn(
      Table table, ResultSet row, String @Nullable [] notNull, boolean catalogedNotNull)
      throws SQLException {
    String name = row.getString("name");
    // A partition is made standalone with all its columns, then attached.
    boolean own = row.getBoolean("attislocal") || table.partition || table.inherits.isEmpty();
    String generated = row.getString("attgenerated");
    if (generated.isEmpty()) {
      table.copied.add(row.getString("attname"));
    } else {
      definitions.part(
          new ObjectKey(ATTRDEF, row.getLong("defaultoid")), new ObjectKey(CLASS, table.oid));
    }
    String rest = "";
    if (!generated.isEmpty()) {
      rest += generatedClause(generated, row.getString("expression"));
    }
    if (notNull != null) {
      rest += " CONSTRAINT " + notNull[0] + " NOT NULL" + notNull[1];
    } else if (!catalogedNotNull && row.getBoolean("attnotnull")) {
      rest += " NOT NULL";
    }
    rest += identityClause(row);
    if (table.ofType != null) {
      if (!rest.isEmpty()) {
        table.columns.add(name + " WITH OPTIONS" + rest);
      }
    } else if (own) {
      String collation = row.getString("collation");
      table.columns.add(
          name
              + " "
              + row.getString("type")
              + (collation == null ? "" : " COLLATE " + collation)
              + rest);
    } else if (notNull != null) {
      table.columns.add("CONSTRAINT " + notNull[0] + " NOT NULL " + name + notNull[1]);
    } else if (!catalogedNotNull && row.getBoolean("attnotnull")) {
      table.definition.create(alter(table, name) + " SET NOT NULL");
    }
    settings(table, name, row);
  }

  private static String generatedClause(String generated, String expression) {
    return " GENERATED ALWAYS AS (%s) %s"
        .formatted(expression, generated.equals("v") ? "VIRTUAL" : "STORED");
  }

  private static String identityClause(ResultSet row) throws SQLException {
    String sequence = row.getString("identity");
    // A partition has its parent's identity and no sequence of its own (17 and later).
    return row.getString("attidentity").isEmpty() || sequence == null
        ? ""
        : " GENERATED %s AS IDENTITY %s"
            .formatted(
                row.getString("attidentity").equals("a") ? "ALWAYS" : "BY DEFAULT", sequence);
  }

  private static void settings(Table table, String name, ResultSet row) throws SQLException {
    Definition definition = table.definition;
    if (row.getInt("target") >= 0) {
      definition.create(alter(table, name) + " SET STATISTICS " + row.getInt("target"));
    }
    String storage = row.getString("storage");
    if (storage != null) {
      definition.create(
          alter(table, name)
              + " SET STORAGE "
              + switch (storage) {
                case "p" -> "PLAIN";
                case "e" -> "EXTERNAL";
                case "m" -> "MAIN";
                default -> "EXTENDED";
              });
    }
    switch (row.getString("attcompression")) {
      case "p" -> definition.create(alter(table, name) + " SET COMPRESSION pglz");
      case "l" -> definition.create(alter(table, name) + " SET COMPRESSION lz4");
      default -> {} // the server's default_toast_compression
    }
    List<String> options =
        texts(row, "attoptions").stream()
            .filter(option -> !option.startsWith(SERVERS_OWN_OPTION))
            .toList();
    if (!options.isEmpty()) {
      definition.create(alter(table, name) + " SET " + SqlText.options(options));
    }
  }

  private static String alter(Table table, String column) {
    return "ALTER TABLE ONLY " + table.definition.ref().name() + " ALTER COLUMN " + column;
  }

  /** Columns that surviving tables lost with a type or function: made again, without values. */
  private void readLostColumns() throws SQLException {
    Set<Long> hosts =
        new HashSet<>(definitions.oids(key -> key.catalog() == CLASS && key.column() > 0));
    fork.each(
        """
        SELECT a.attrelid, a.attnum, format('%%I.%%I', nspname, relname) AS host,
          quote_ident(attname) AS name, format_type(atttypid, atttypmod) AS type,
          attidentity, attgenerated, attnotnull, relkind,
          (SELECT format('%%I.%%I', cn.nspname, collname) FROM pg_catalog.pg_collation l
           JOIN pg_catalog.pg_namespace cn ON cn.oid = collnamespace
           WHERE l.oid = attcollation AND attcollation <> t.typcollation) AS collation,
          pg_get_expr(d.adbin, d.adrelid) AS expression, d.oid AS defaultoid, %s
        FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = atttypid
        JOIN pg_catalog.pg_class c ON c.oid = attrelid
        JOIN pg_catalog.pg_namespace n ON n.oid = relnamespace
        LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = attrelid AND d.adnum = attnum AND atthasdef
        WHERE attnum > 0 AND NOT attisdropped AND a.attrelid = ANY (?) ORDER BY 1, 2\
        """
            .formatted(identity()),
        hosts,
        row -> {
          ObjectKey key = new ObjectKey(CLASS, row.getLong("attrelid"), row.getInt("attnum"));
          if (!definitions.isLost(key) || tables.containsKey(key.oid())) {
            return;
          }
          String name = row.getString("host") + "." + row.getString("name");
          String collation = row.getString("collation");
          String generated = row.getString("attgenerated");
          Definition column = definitions.add(key, "column", name, Step.ON_SURVIVOR);
          column.create(
              "ALTER TABLE "
                  + row.getString("host")
                  + " ADD COLUMN "
                  + row.getString("name")
                  + " "
                  + row.getString("type")
                  + (collation == null ? "" : " COLLATE " + collation)
                  + (generated.isEmpty()
                      ? ""
                      : generatedClause(generated, row.getString("expression")))
                  + identityClause(row));
          column.locksSurvivor();
          if (generated.isEmpty()) {
            column.unrecoverable("values of a column of a surviving table");
          } else {
            definitions.part(new ObjectKey(ATTRDEF, row.getLong("defaultoid")), key);
          }
        });
  }

  private Table table(long oid) {
    return Objects.requireNonNull(tables.get(oid));
  }

  static List<String> texts(ResultSet row, String column) throws SQLException {
    var array = row.getArray(column);
    return array == null ? List.of() : List.of((String[]) array.getArray());
  }
}
