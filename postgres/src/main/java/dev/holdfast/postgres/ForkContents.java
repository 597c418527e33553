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
   * @param alone whether it will do that nobody can connect to another database than this one:
   *     their catalogs are most of the files there are
   */
  record Sparse(
      long databaseOid, Set<Long> tables, boolean indexes, boolean largeObjects, boolean alone)
      implements ForkContents {
    /** The catalogs of every database, and no rows. */
    public static final Sparse SCHEMA_ONLY = new Sparse(0, Set.of(), false, false);

    /** With the catalogs of every database. */
    public Sparse(long databaseOid, Set<Long> tables, boolean indexes, boolean largeObjects) {
      this(databaseOid, tables, indexes, largeObjects, false);
    }

    /** Copies the set. */
    public Sparse {
      tables = Set.copyOf(tables);
      if (databaseOid == 0 && (!tables.isEmpty() || largeObjects || alone)) {
        throw new IllegalArgumentException("tables and large objects belong to a database");
      }
    }

    /** The same, where no other database is connected to. */
    public Sparse asAlone() {
      return new Sparse(databaseOid, tables, indexes, largeObjects, true);
    }
  }
}
