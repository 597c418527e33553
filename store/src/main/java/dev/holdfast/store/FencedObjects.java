package dev.holdfast.store;

import dev.holdfast.store.objects.ObjectStore;
import dev.holdfast.store.objects.ObjectWriter;
import java.util.List;

/** Objects that are changed under a lease only: each change asks first whether it is still held. */
final class FencedObjects implements ObjectStore {
  private final ObjectStore stored;
  private final Lease lease;

  FencedObjects(ObjectStore stored, Lease lease) {
    this.stored = stored;
    this.lease = lease;
  }

  @Override
  public String location() {
    return stored.location();
  }

  @Override
  public ObjectWriter create(String name) {
    lease.check();
    ObjectWriter out = stored.create(name);
    return new ObjectWriter() {
      @Override
      public void write(byte[] bytes, int offset, int length) {
        out.write(bytes, offset, length);
      }

      @Override
      public void commit() {
        lease.check(); // nothing of it was visible until now
        out.commit();
      }

      @Override
      public void close() {
        out.close();
      }
    };
  }

  @Override
  public void put(String name, byte[] bytes) {
    lease.check();
    stored.put(name, bytes);
  }

  @Override
  public void put(String name, byte[] bytes, int length) {
    lease.check();
    stored.put(name, bytes, length);
  }

  @Override
  public void replace(String name, byte[] bytes) {
    lease.check();
    stored.replace(name, bytes);
  }

  @Override
  public byte[] get(String name) {
    return stored.get(name);
  }

  @Override
  public byte[] get(String name, long offset, int length) {
    return stored.get(name, offset, length);
  }

  @Override
  public List<StoredObject> list(String prefix) {
    return stored.list(prefix);
  }

  @Override
  public List<String> folders(String prefix) {
    return stored.folders(prefix);
  }

  @Override
  public List<String> children(String prefix) {
    return stored.children(prefix);
  }

  @Override
  public boolean exists(String name) {
    return stored.exists(name);
  }

  @Override
  public void delete(String name) {
    lease.check();
    stored.delete(name);
  }

  @Override
  public void deleteAll(List<String> names) {
    lease.check();
    stored.deleteAll(names);
  }

  @Override
  public void sweep(String prefix) {
    lease.check();
    stored.sweep(prefix);
  }
}
