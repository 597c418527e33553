/** Reads PostgreSQL write-ahead log. A library others could use alone. */
module dev.holdfast.wal {
  requires static org.jspecify;
  requires transitive dev.holdfast.failure;
  requires com.github.luben.zstd_jni;
  requires org.lz4.java;

  exports dev.holdfast.wal;
}
