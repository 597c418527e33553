package dev.holdfast.store.objects;

import java.util.List;

/** Loses power at its n-th change, which lands or does not; from then on nothing works. */
public class CrashingObjectStore implements ObjectStore {
  /** What a process would not live to see. */
  public static final class PowerLost extends RuntimeException {
    private static final long serialVersionUID = 1L;
  }

  private final ObjectStore disk;
  private final int crashAt;
  private final boolean lands;
  private int changes;

  public CrashingObjectStore(ObjectStore disk, int crashAt, boolean lands) {
    this.disk = disk;
    this.crashAt = crashAt;
    this.lands = lands;
  }

  /** Puts, replacements, commits and deletions so far. */
  public int changes() {
    return changes;
  }

  private synchronized void change(Runnable change) {
    checkPower();
    changes++;
    if (changes < crashAt || lands) {
      change.run();
    }
    checkPower();
  }

  private void checkPower() {
    if (changes >= crashAt) {
      throw new PowerLost();
    }
  }

  @Override
  public String location() {
    return disk.location();
  }

  @Override
  public ObjectWriter create(String name) {
    checkPower();
    ObjectWriter writer = disk.create(name);
    return new ObjectWriter() {
      @Override
      public void write(byte[] bytes, int offset, int length) {
        checkPower();
        writer.write(bytes, offset, length);
      }

      @Override
      public void commit() {
        change(writer::commit);
      }

      @Override
      public void close() {
        // Without power nobody cleans up either: what was written stays as it is.
        if (changes < crashAt) {
          writer.close();
        }
      }
    };
  }

  @Override
  public void put(String name, byte[] bytes) {
    change(() -> disk.put(name, bytes));
  }

  @Override
  public void put(String name, byte[] bytes, int length) {
    change(() -> disk.put(name, bytes, length));
  }

  @Override
  public void replace(String name, byte[] bytes) {
    change(() -> disk.replace(name, bytes));
  }

  @Override
  public byte[] get(String name) {
    checkPower();
    return disk.get(name);
  }

  @Override
  public byte[] get(String name, long offset, int length) {
    checkPower();
    return disk.get(name, offset, length);
  }

  @Override
  public List<StoredObject> list(String prefix) {
    checkPower();
    return disk.list(prefix);
  }

  @Override
  public List<String> children(String prefix) {
    checkPower();
    return disk.children(prefix);
  }

  @Override
  public List<String> folders(String prefix) {
    checkPower();
    return disk.folders(prefix);
  }

  @Override
  public boolean exists(String name) {
    checkPower();
    return disk.exists(name);
  }

  @Override
  public void delete(String name) {
    change(() -> disk.delete(name));
  }

  /** Each is a change of its own. */
  @Override
  public void deleteAll(List<String> names) {
    names.forEach(this::delete);
  }

  @Override
  public void sweep(String prefix) {
    checkPower();
    disk.sweep(prefix);
  }
}
