package dev.holdfast.damage;

import dev.holdfast.wal.HeapTuple;
import java.util.OptionalInt;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;

/**
 * PostgreSQL's own tables that say what relations and triggers there are, and where their columns
 * lie: all read here are of fixed width, never null and stand first in the row, so that a row's
 * offset tells them ("catalog/pg_class.h" and so on, PostgreSQL 14 to 18; held against servers by a
 * test).
 */
enum SystemCatalog {
  ATTRIBUTE(1249),
  CLASS(1259),
  DATABASE(1262),
  INDEX(2610),
  NAMESPACE(2615),
  TRIGGER(2620);

  /** OID of the relation, and the number of its first file. */
  final int oid;

  SystemCatalog(int oid) {
    this.oid = oid;
  }

  static @Nullable SystemCatalog ofOid(long oid) {
    for (SystemCatalog catalog : values()) {
      if (catalog.oid == oid) {
        return catalog;
      }
    }
    return null;
  }

  /** The OID that names the row; of a column, that of its relation; of an index, its own. */
  static OptionalLong oid(HeapTuple row) {
    return row.u32(0);
  }

  /** The name in rows of all but {@link #INDEX} and {@link #TRIGGER}. */
  static final int NAME = 4;

  static final int CLASS_NAMESPACE = 68;
  static final int CLASS_FILE = 88;
  static final int CLASS_TABLESPACE = 92;
  static final int CLASS_TUPLES = 100;
  static final int ATTRIBUTE_TYPE = 68;
  static final int INDEX_TABLE = 4;
  static final int TRIGGER_TABLE = 4;
  static final int TRIGGER_NAME = 12;
  static final int TRIGGER_FUNCTION = 76;
  static final int TRIGGER_ENABLED = 82;

  /** PostgreSQL 18 added relallfrozen before it. */
  static int classToast(int major) {
    return major >= 18 ? 112 : 108;
  }

  static int classPersistence(int major) {
    return classToast(major) + 6;
  }

  static int classKind(int major) {
    return classToast(major) + 7;
  }

  /** PostgreSQL 16 moved attstattarget behind it. */
  static int attributeNumber(int major) {
    return major >= 16 ? 74 : 78;
  }

  static OptionalInt attributeNumber(HeapTuple row, int major) {
    return row.i16(attributeNumber(major));
  }
}
