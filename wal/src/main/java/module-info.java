/** Reads PostgreSQL write-ahead log. A library others could use alone. */
module dev.holdfast.wal {
  requires static org.jspecify;
  requires transitive dev.holdfast.failure;

  exports dev.holdfast.wal;
}
