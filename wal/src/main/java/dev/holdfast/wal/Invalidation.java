package dev.holdfast.wal;

import java.util.List;

/**
 * One cache invalidation message: what changed in the catalogs, as other sessions and standbys are
 * told ("storage/sinval.h", PostgreSQL 18). Of all parts of a commit the one that names changed
 * relations by OID on every version.
 *
 * @param kind {@link #CATALOG} and so on; 0 and above: a row of the system cache with this id
 * @param database OID of its database; 0 for shared catalogs
 * @param object by kind: {@link #RELATION}, {@link #SNAPSHOT} and {@link #RELATION_SYNC} the
 *     relation's OID, 0 for all; {@link #CATALOG} the catalog's OID; {@link #STORAGE} the
 *     relfilenumber; a system cache the hash of the row's key; else 0
 */
public record Invalidation(int kind, long database, long object) {
  /** A whole catalog was rewritten. */
  public static final int CATALOG = -1;

  /** The definition or the storage of a relation changed. */
  public static final int RELATION = -2;

  /** Files are gone: close them. */
  public static final int STORAGE = -3;

  /** The relation map changed. */
  public static final int RELATION_MAP = -4;

  /** Snapshots of a catalog are out of date. */
  public static final int SNAPSHOT = -5;

  /** What is published of a relation changed; PostgreSQL 18. */
  public static final int RELATION_SYNC = -6;

  static final int SIZE = 16;

  static Invalidation read(Cursor data) {
    int kind = (byte) data.u8();
    data.skip(3); // of STORAGE, the backend whose temporary file it is
    long second = data.u32();
    long third = data.u32();
    long fourth = data.u32();
    return switch (kind) {
      case STORAGE -> new Invalidation(kind, third, fourth); // after the tablespace
      case RELATION_MAP -> new Invalidation(kind, second, 0);
      default -> new Invalidation(kind, second, third);
    };
  }

  /** The relations whose definition or storage changed, as the messages tell. */
  static List<RelationId> relations(List<Invalidation> messages) {
    return messages.stream()
        .filter(message -> message.kind == RELATION)
        .map(message -> new RelationId(message.database, message.object))
        .toList();
  }
}
