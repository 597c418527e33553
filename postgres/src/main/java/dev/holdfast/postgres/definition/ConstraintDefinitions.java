package dev.holdfast.postgres.definition;

import static dev.holdfast.postgres.definition.SystemCatalog.CLASS;
import static dev.holdfast.postgres.definition.SystemCatalog.CONSTRAINT;
import static dev.holdfast.postgres.definition.SystemCatalog.INHERITS;
import static dev.holdfast.postgres.definition.SystemCatalog.STATISTIC_EXT;

import dev.holdfast.postgres.definition.Definition.Step;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Indexes, constraints of tables, and extended statistics: what is made after the rows came. */
final class ConstraintDefinitions {
  private final Definitions definitions;
  private final CatalogQueries fork;
  private final List<String> notes = new ArrayList<>();

  ConstraintDefinitions(Definitions definitions) {
    this.definitions = definitions;
    this.fork = definitions.fork();
  }

  void read() throws SQLException {
    readConstraints();
    readIndexes();
    readIndexPartitions();
    readStatistics();
  }

  /** Indexes left out because they were no use. */
  List<String> notes() {
    return notes;
  }

  private void readConstraints() throws SQLException {
    fork.each(
        """
        SELECT k.oid, conrelid, quote_ident(conname) AS name, contype, conparentid, confrelid,
          format('%I.%I', nspname, relname) AS host, relkind, conislocal, connoinherit,
          relispartition, pg_get_constraintdef(k.oid) AS definition, conindid,
          (SELECT i.inhparent FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid
           ORDER BY inhseqno LIMIT 1) AS parent,
          (SELECT quote_ident(spcname) FROM pg_catalog.pg_tablespace s
           JOIN pg_catalog.pg_class x ON s.oid = x.reltablespace WHERE x.oid = conindid) AS tablespace
        FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = conrelid
        JOIN pg_catalog.pg_namespace n ON n.oid = relnamespace
        WHERE contype IN ('p', 'u', 'x', 'c', 'f', 'n') AND k.oid = ANY (?)\
        """,
        definitions.oids(CONSTRAINT), this::readConstraint);
  }

  private void readConstraint(ResultSet row) throws SQLException {
    ObjectKey key = new ObjectKey(CONSTRAINT, row.getLong("oid"));
    ObjectKey table = new ObjectKey(CLASS, row.getLong("conrelid"));
    boolean tableLost = definitions.isLost(table);
    String type = row.getString("contype");
    if (definitions.find(key) != null) {
      return; // NOT NULL, made with its table
    }
    long parentConstraint = row.getLong("conparentid");
    if (type.equals("f") && parentConstraint != 0) {
      // Made by its parent's; where that survives, by attaching the partition again.
      ObjectKey parent = new ObjectKey(CONSTRAINT, parentConstraint);
      ObjectKey attached =
          new ObjectKey(INHERITS, tableLost ? table.oid() : row.getLong("confrelid"));
      definitions.part(key, definitions.isLost(parent) ? parent : attached);
      return;
    }
    boolean comesWithAttach =
        row.getBoolean("relispartition") && !definitions.isLost(CLASS, row.getLong("parent"));
    if (type.equals("c") && !row.getBoolean("conislocal") && !(tableLost && comesWithAttach)) {
      definitions.part(key, table);
      return;
    }
    String host = row.getString("host");
    boolean whole = switch (type) { // with the children, or this table alone
          case "c", "n" -> !row.getBoolean("connoinherit");
          case "f" -> row.getString("relkind").equals("p");
          default -> false;
        };
    Definition constraint =
        definitions.add(
            key,
            type.equals("f") ? "foreign key" : "constraint",
            row.getString("name") + " on " + host,
            switch (type) {
              case "f" -> Step.FOREIGN_KEY;
              case "c", "n" -> Step.CHECK;
              default -> Step.KEY;
            });
    inTablespace(
        constraint,
        row.getString("tablespace"),
        "ALTER TABLE %s%s ADD CONSTRAINT %s %s"
            .formatted(
                whole ? "" : "ONLY ", host, row.getString("name"), row.getString("definition")));
    constraint.needs(table);
    if (type.equals("f")) {
      boolean otherSurvives = !definitions.isLost(CLASS, row.getLong("confrelid"));
      if (!tableLost || otherSurvives) {
        constraint.locksSurvivor();
      }
    } else {
      if (!tableLost) {
        constraint.locksSurvivor();
      }
      long index = row.getLong("conindid");
      if (index != 0) {
        definitions.part(new ObjectKey(CLASS, index), key);
      }
    }
  }

  /** An index goes where {@code default_tablespace} says, and its own clause is hard to place. */
  private static void inTablespace(
      Definition definition, @Nullable String tablespace, String statement) {
    if (tablespace == null) {
      definition.create(statement);
    } else {
      definition.create("SET LOCAL default_tablespace = " + tablespace);
      definition.create(statement);
      definition.create("SET LOCAL default_tablespace = ''");
    }
  }

  private void readIndexes() throws SQLException {
    fork.each(
        """
        SELECT c.oid, format('%I.%I', n.nspname, c.relname) AS name, c.relkind, indrelid,
          format('%I.%I', tn.nspname, t.relname) AS host, t.relkind AS hostkind,
          pg_get_indexdef(c.oid) AS definition, indisvalid, indisclustered,
          indisreplident AND t.relreplident = 'i' AS replident, quote_ident(c.relname) AS bare,
          (SELECT k.oid FROM pg_catalog.pg_constraint k
           WHERE k.conindid = c.oid AND k.contype IN ('p', 'u', 'x')) AS constrained, c.reloptions,
          (SELECT quote_ident(spcname) FROM pg_catalog.pg_tablespace s
           WHERE s.oid = c.reltablespace) AS tablespace
        FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = indexrelid
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_catalog.pg_class t ON t.oid = indrelid
        JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
        WHERE t.relkind IN ('r', 'p', 'm') AND c.oid = ANY (?)\
        """,
        definitions.oids(CLASS), this::readIndex);
    Map<Long, List<String>> targets = new HashMap<>();
    fork.each(
        """
        SELECT attrelid, attnum, attstattarget FROM pg_catalog.pg_attribute
        JOIN pg_catalog.pg_class c ON c.oid = attrelid
        WHERE relkind IN ('i', 'I') AND attstattarget >= 0 AND attrelid = ANY (?)\
        """,
        definitions.oids(CLASS),
        row ->
            targets
                .computeIfAbsent(row.getLong(1), _ -> new ArrayList<>())
                .add("ALTER COLUMN " + row.getInt(2) + " SET STATISTICS " + row.getInt(3)));
    targets.forEach((oid, settings) -> {
      Definition index = definitions.find(CLASS, oid);
      // Only indexes of expressions take a target, and no constraint has those.
      if (index != null && index.ref().kind().equals("index")) {
        settings.forEach(
            setting -> index.create("ALTER INDEX " + index.ref().name() + " " + setting));
      }
    });
  }

  private void readIndex(ResultSet row) throws SQLException {
    ObjectKey key = new ObjectKey(CLASS, row.getLong("oid"));
    ObjectKey table = new ObjectKey(CLASS, row.getLong("indrelid"));
    String name = row.getString("name");
    String host = row.getString("host");
    boolean constrained = row.getLong("constrained") != 0;
    if (!constrained && !row.getBoolean("indisvalid") && row.getString("relkind").equals("i")) {
      notes.add("index " + name + " was invalid (its build had failed) and is left out");
      return;
    }
    Definition index;
    if (constrained) {
      Definition constraint = definitions.find(key);
      if (constraint == null) {
        return;
      }
      index = constraint;
      List<String> options = TableDefinitions.texts(row, "reloptions");
      if (!options.isEmpty()) {
        index.create("ALTER INDEX " + name + " SET " + SqlText.options(options));
      }
    } else {
      index = definitions.add(key, "index", name, Step.INDEX);
      index.needs(table);
      inTablespace(index, row.getString("tablespace"), row.getString("definition"));
      if (!definitions.isLost(table)) {
        index.locksSurvivor();
      }
    }
    if (row.getBoolean("indisclustered")) {
      String kind = row.getString("hostkind").equals("m") ? "MATERIALIZED VIEW " : "TABLE ";
      index.finish("ALTER " + kind + host + " CLUSTER ON " + row.getString("bare"));
    }
    if (row.getBoolean("replident")) {
      index.finish(
          "ALTER TABLE ONLY " + host + " REPLICA IDENTITY USING INDEX " + row.getString("bare"));
    }
  }

  private void readIndexPartitions() throws SQLException {
    fork.each(
        """
        SELECT inhrelid, inhparent, format('%I.%I', cn.nspname, c.relname),
          format('%I.%I', pn.nspname, p.relname), i.indrelid
        FROM pg_catalog.pg_inherits JOIN pg_catalog.pg_class c ON c.oid = inhrelid
        JOIN pg_catalog.pg_namespace cn ON cn.oid = c.relnamespace
        JOIN pg_catalog.pg_class p ON p.oid = inhparent
        JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
        JOIN pg_catalog.pg_index i ON i.indexrelid = inhrelid
        WHERE p.relkind = 'I' AND inhrelid = ANY (?)\
        """,
        definitions.oids(CLASS),
        row -> {
          if (!definitions.isLost(CLASS, row.getLong(2))
              && definitions.isLost(CLASS, row.getLong(5))) {
            return; // ATTACH PARTITION to the surviving table does it
          }
          definitions
              .add(
                  INHERITS,
                  row.getLong(1),
                  "index partition",
                  row.getString(3) + " of " + row.getString(4),
                  Step.INDEX_PARTITION)
              .needs(new ObjectKey(CLASS, row.getLong(1)))
              .needs(new ObjectKey(CLASS, row.getLong(2)))
              .create(
                  "ALTER INDEX %s ATTACH PARTITION %s"
                      .formatted(row.getString(4), row.getString(3)));
        });
  }

  private void readStatistics() throws SQLException {
    fork.each(
        """
        SELECT s.oid, format('%I.%I', nspname, stxname), pg_get_statisticsobjdef(s.oid),
          coalesce(stxstattarget, -1), stxrelid
        FROM pg_catalog.pg_statistic_ext s JOIN pg_catalog.pg_namespace n ON n.oid = stxnamespace
        WHERE s.oid = ANY (?)\
        """,
        definitions.oids(STATISTIC_EXT),
        row -> {
          Definition statistics =
              definitions.add(
                  STATISTIC_EXT,
                  row.getLong(1),
                  "statistics object",
                  row.getString(2),
                  Step.STATISTICS);
          statistics.create(row.getString(3)).needs(new ObjectKey(CLASS, row.getLong(5)));
          if (row.getInt(4) >= 0) {
            statistics.create(
                "ALTER STATISTICS %s SET STATISTICS %d".formatted(row.getString(2), row.getInt(4)));
          }
          if (!definitions.isLost(CLASS, row.getLong(5))) {
            statistics.locksSurvivor();
          }
        });
  }
}
