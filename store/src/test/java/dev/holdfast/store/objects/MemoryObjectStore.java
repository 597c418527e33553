package dev.holdfast.store.objects;

import java.io.ByteArrayOutputStream;
import java.time.Instant;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ConcurrentSkipListMap;

/** Objects in memory, for tests; keeps the promises of {@link ObjectStore} but durability. */
public class MemoryObjectStore implements ObjectStore {
  private static final class Stored {
    private final byte[] bytes;
    private final Instant modifiedAt = Instant.now();

    Stored(byte[] bytes) {
      this.bytes = bytes.clone();
    }
  }

  private final ConcurrentSkipListMap<String, Stored> stored = new ConcurrentSkipListMap<>();

  @Override
  public String location() {
    return "memory";
  }

  @Override
  public ObjectWriter create(String name) {
    ObjectName.check(name);
    var bytes = new ByteArrayOutputStream();
    return new ObjectWriter() {
      @Override
      public void write(byte[] source, int offset, int length) {
        bytes.write(source, offset, length);
      }

      @Override
      public void commit() {
        put(name, bytes.toByteArray());
      }

      @Override
      public void close() {}
    };
  }

  @Override
  public void put(String name, byte[] bytes) {
    if (stored.putIfAbsent(ObjectName.check(name), new Stored(bytes)) != null) {
      throw new ObjectExistsException(location(), name);
    }
  }

  @Override
  public void put(String name, byte[] bytes, int length) {
    put(name, Arrays.copyOf(bytes, length));
  }

  @Override
  public void replace(String name, byte[] bytes) {
    stored.put(ObjectName.check(name), new Stored(bytes));
  }

  @Override
  public byte[] get(String name) {
    Stored found = stored.get(ObjectName.check(name));
    if (found == null) {
      throw new NoSuchObjectException(location(), name);
    }
    return found.bytes.clone();
  }

  @Override
  public byte[] get(String name, long offset, int length) {
    byte[] all = get(name);
    int from = (int) Math.min(offset, all.length);
    return Arrays.copyOfRange(all, from, Math.min(all.length, from + length));
  }

  @Override
  public List<StoredObject> list(String prefix) {
    ObjectName.checkPrefix(prefix);
    return stored.entrySet().stream()
        .filter(entry -> entry.getKey().startsWith(prefix))
        .map(entry ->
            new StoredObject(
                entry.getKey(), entry.getValue().bytes.length, entry.getValue().modifiedAt))
        .toList();
  }

  @Override
  public List<String> folders(String prefix) {
    return list(prefix).stream()
        .map(object -> object.name().substring(prefix.length()))
        .filter(rest -> rest.indexOf('/') > 0)
        .map(rest -> rest.substring(0, rest.indexOf('/')))
        .distinct()
        .toList();
  }

  @Override
  public List<String> children(String prefix) {
    return list(prefix).stream()
        .map(object -> object.name().substring(prefix.length()).split("/", 2)[0])
        .distinct()
        .sorted()
        .toList();
  }

  @Override
  public boolean exists(String name) {
    return stored.containsKey(ObjectName.check(name));
  }

  @Override
  public void delete(String name) {
    stored.remove(ObjectName.check(name));
  }

  @Override
  public void deleteAll(List<String> names) {
    names.forEach(ObjectName::check);
    names.forEach(this::delete);
  }

  @Override
  public void sweep(String prefix) {
    ObjectName.checkPrefix(prefix);
  }
}
