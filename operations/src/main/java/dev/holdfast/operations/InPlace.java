package dev.holdfast.operations;

import dev.holdfast.damage.TableDamage;
import dev.holdfast.damage.TransactionDamage;
import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import java.util.function.Predicate;

/** What can be undone in the database as it stands, and what only a fork can give back. */
final class InPlace {
  private InPlace() {}

  /**
   * Refuses a transaction that no fork's rows could be merged for.
   *
   * @param wanted the tables that are to be undone
   */
  static void require(String cluster, TransactionDamage damage, Predicate<TableDamage> wanted) {
    if (!damage.targetLsn().equals(damage.commitLsn())) {
      throw new OperatorException(
          Kind.REFUSED,
          "transaction "
              + damage.xid()
              + " dropped the database "
              + damage.tables().getFirst().database(),
          "there is nothing left in place to merge its rows into",
          "holdfast fork "
              + cluster
              + " --before "
              + damage.xid()
              + " holds it as it was: pg_dump it there, CREATE DATABASE, and load it");
    }
    for (TableDamage table : damage.tables()) {
      if (table.action() != TableDamage.Action.DROPPED
          && !table.columnsDropped().isEmpty()
          && wanted.test(table)) {
        throw droppedColumns(cluster, damage, table);
      }
    }
  }

  private static OperatorException droppedColumns(
      String cluster, TransactionDamage damage, TableDamage table) {
    boolean one = table.columnsDropped().size() == 1;
    boolean known = !table.table().schema().equals(TableDamage.UNKNOWN_SCHEMA);
    return new OperatorException(
        Kind.REFUSED,
        "transaction %s dropped %s of %s"
            .formatted(
                damage.xid(),
                String.join(", ", table.columnsDropped()),
                known ? table.table().toString() : "a table that no recorded catalog knows"),
        "the table is still there without %s: its rows can be put back only into columns that exist"
            .formatted(one ? "it" : "them"),
        "holdfast fork %s --before %s holds %s as %s: add the column%s and copy the values from there"
            .formatted(
                cluster,
                damage.xid(),
                one ? "the column" : "the columns",
                one ? "it was" : "they were",
                one ? "" : "s"));
  }
}
