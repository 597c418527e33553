package dev.holdfast.wal;

import org.jspecify.annotations.Nullable;

/**
 * The files of one relation, as WAL names them: RelFileLocator ("storage/relfilelocator.h",
 * PostgreSQL 18; RelFileNode before 16). All three are unsigned 32-bit.
 *
 * @param tablespace OID of the tablespace: 1663 pg_default, 1664 pg_global
 * @param database OID of the database; 0 for shared catalogs
 * @param number the relfilenumber; differs from the relation's OID after its first rewrite
 */
public record RelFile(long tablespace, long database, long number) {
  // Written out: what a record gets is slow until it is compiled to the last, and millions are
  // compared.
  @Override
  public boolean equals(@Nullable Object other) {
    return other instanceof RelFile file
        && number == file.number
        && database == file.database
        && tablespace == file.tablespace;
  }

  @Override
  public int hashCode() {
    return Long.hashCode(31 * (31 * number + database) + tablespace);
  }

  @Override
  public String toString() {
    return tablespace + "/" + database + "/" + number;
  }
}
