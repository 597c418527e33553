package dev.holdfast.postgres;

import java.util.Set;

/** What of a cluster a fork holds. Catalogs and shared files it always holds. */
public sealed interface ForkContents {
  /** Everything. */
  record Whole() implements ForkContents {}

  /**
   * The rows of some tables of one database. Sequences of all databases are there as well; what
   * came after the base backup may be; everything else answers with an error, never with wrong
   * rows.
   *
   * @param databaseOid the database; 0, with no tables, for none
   * @param tables OIDs of tables, with their TOAST tables, partitions and children, at the target;
   *     empty for the catalogs alone
   * @param indexes whether the tables' indexes are held; those left out are hidden from the planner
   * @param largeObjects whether that database's large objects are held
   */
  record Sparse(long databaseOid, Set<Long> tables, boolean indexes, boolean largeObjects)
      implements ForkContents {
    /** The catalogs of every database, and no rows. */
    public static final Sparse SCHEMA_ONLY = new Sparse(0, Set.of(), false, false);

    /** Copies the set. */
    public Sparse {
      tables = Set.copyOf(tables);
      if (databaseOid == 0 && (!tables.isEmpty() || largeObjects)) {
        throw new IllegalArgumentException("tables and large objects belong to a database");
      }
    }
  }
}
