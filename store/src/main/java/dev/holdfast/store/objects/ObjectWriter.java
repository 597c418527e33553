package dev.holdfast.store.objects;

/** An object that is being written; it becomes visible at {@link #commit} or never. One thread. */
public interface ObjectWriter extends AutoCloseable {
  /** Appends bytes. */
  void write(byte[] bytes, int offset, int length);

  /** Makes the object durable and visible; fails with {@link ObjectExistsException}. */
  void commit();

  /** Drops what was written unless it was committed. */
  @Override
  void close();
}
