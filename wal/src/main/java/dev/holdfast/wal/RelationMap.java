package dev.holdfast.wal;

import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Which files the mapped catalogs of a database have ("utils/relmapper.h", PostgreSQL 14 to 18):
 * those that pg_class cannot tell because it is read with their help.
 *
 * @param database OID of the database; 0 for the shared catalogs
 * @param tablespace OID of the tablespace the files lie in
 * @param files relfilenumber by OID of the catalog
 */
public record RelationMap(long database, long tablespace, Map<Long, Long> files) {
  private static final int MAGIC = 0x592717;

  /** Copies the map. */
  public RelationMap {
    files = Map.copyOf(files);
  }

  static RelationMap of(Cursor data) {
    long database = data.u32();
    long tablespace = data.u32();
    int length = data.i32();
    if (length != data.remaining()) {
      throw new MalformedRecordException(
          "a relation map of %d bytes is announced where %d are left"
              .formatted(length, data.remaining()));
    }
    if (data.i32() != MAGIC) {
      throw new MalformedRecordException("its relation map does not begin as one");
    }
    int count = data.i32();
    Map<Long, Long> files = new LinkedHashMap<>();
    data.list(count, 8, () -> files.put(data.u32(), data.u32()) == null);
    return new RelationMap(database, tablespace, files);
  }
}
