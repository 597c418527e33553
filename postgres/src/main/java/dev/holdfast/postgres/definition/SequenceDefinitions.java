package dev.holdfast.postgres.definition;

import static dev.holdfast.postgres.definition.SystemCatalog.CLASS;

import dev.holdfast.postgres.definition.Definition.Step;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.List;

/** Sequences: free ones, those of serial columns, those of identity columns; and their values. */
final class SequenceDefinitions {
  private final Definitions definitions;
  private final CatalogQueries fork;

  SequenceDefinitions(Definitions definitions) {
    this.definitions = definitions;
    this.fork = definitions.fork();
  }

  void read() throws SQLException {
    List<Definition> sequences = new ArrayList<>();
    fork.each(
        """
        SELECT c.oid, format('%I.%I', nspname, relname), relpersistence, format_type(seqtypid, NULL),
          seqstart, seqincrement, seqmax, seqmin, seqcache, seqcycle,
          d.deptype, d.refobjid,
          (SELECT format('%I.%I', tn.nspname, t.relname) FROM pg_catalog.pg_class t
           JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace WHERE t.oid = d.refobjid),
          (SELECT quote_ident(attname) FROM pg_catalog.pg_attribute
           WHERE attrelid = d.refobjid AND attnum = d.refobjsubid)
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = relnamespace
        JOIN pg_catalog.pg_sequence s ON seqrelid = c.oid
        LEFT JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_class'::regclass
          AND d.objid = c.oid AND d.objsubid = 0 AND d.refclassid = 'pg_catalog.pg_class'::regclass
          AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
        WHERE c.oid = ANY (?)\
        """,
        definitions.oids(CLASS), row -> sequences.add(sequence(row)));
    for (Definition sequence : sequences) {
      fork.each(
          "SELECT last_value, is_called FROM " + sequence.ref().name(),
          row ->
              sequence.finish(
                  "SELECT pg_catalog.setval(%s, %d, %b)"
                      .formatted(
                          SqlText.literal(sequence.ref().name()),
                          row.getLong(1),
                          row.getBoolean(2))));
    }
  }

  private Definition sequence(ResultSet row) throws SQLException {
    String name = row.getString(2);
    Definition sequence = definitions.add(CLASS, row.getLong(1), "sequence", name, Step.SEQUENCE);
    String owner = row.getString(13);
    String ownership = row.getString(11);
    String options =
        "START WITH %s INCREMENT BY %s MINVALUE %s MAXVALUE %s CACHE %s %s"
            .formatted(
                row.getString(5),
                row.getString(6),
                row.getString(8),
                row.getString(7),
                row.getString(9),
                row.getBoolean(10) ? "CYCLE" : "NO CYCLE");
    if (owner != null && ownership.equals("i")) {
      // Made by its identity column; a column added to a survivor likewise.
      return sequence;
    }
    sequence.create(
        "CREATE %sSEQUENCE %s AS %s %s"
            .formatted(
                row.getString(3).equals("u") ? "UNLOGGED " : "", name, row.getString(4), options));
    if (owner != null) {
      sequence.finish("ALTER SEQUENCE %s OWNED BY %s.%s".formatted(name, owner, row.getString(14)));
    }
    return sequence;
  }
}
