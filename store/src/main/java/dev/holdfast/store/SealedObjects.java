package dev.holdfast.store;

import dev.holdfast.store.objects.ObjectStore;
import dev.holdfast.store.objects.ObjectWriter;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.security.GeneralSecurityException;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * An object store whose objects are encrypted before they reach the one beneath: who uses it sees
 * names, contents, positions and lengths as if they were not. A sealed object is an envelope of
 * kind {@link #SEALED}, see FORMAT.md.
 *
 * <p>Reading a range asks for the segments of 16 KiB that hold it and one byte more, and once for
 * each object for its first {@value #START_BYTES} bytes. What does not decrypt is damaged.
 */
final class SealedObjects implements ObjectStore {
  /** The kind of an envelope whose payload is another object, encrypted. */
  static final byte SEALED = 10;

  private static final int START_BYTES = Envelope.HEADER_BYTES + DataKey.STREAM_HEADER_BYTES;
  private static final int STARTS_MAX = 1024;

  private final ObjectStore stored;
  private final DataKey key;

  /** The streams' headers, of objects that are read by ranges. */
  private final Map<String, byte[]> starts =
      new LinkedHashMap<>(16, 0.75f, true) {
        private static final long serialVersionUID = 1L;

        @Override
        protected boolean removeEldestEntry(Map.Entry<String, byte[]> eldest) {
          return size() > STARTS_MAX;
        }
      };

  SealedObjects(ObjectStore stored, DataKey key) {
    this.stored = stored;
    this.key = key;
  }

  @Override
  public String location() {
    return stored.location();
  }

  @Override
  public ObjectWriter create(String name) {
    return new SealingWriter(name, stored.create(name));
  }

  @Override
  public void put(String name, byte[] bytes) {
    put(name, bytes, bytes.length);
  }

  @Override
  public void put(String name, byte[] bytes, int length) {
    Sealed sealed = seal(name, bytes, length);
    stored.put(name, sealed.bytes(), sealed.size());
  }

  @Override
  public void replace(String name, byte[] bytes) {
    stored.replace(name, seal(name, bytes, bytes.length).toByteArray());
    forget(name);
  }

  /** Bytes that need not be copied once more. */
  private static final class Sealed extends ByteArrayOutputStream {
    Sealed(int size) {
      super(size);
    }

    byte[] bytes() {
      return buf;
    }
  }

  private Sealed seal(String name, byte[] bytes, int length) {
    var sealed = new Sealed(Math.toIntExact(Envelope.HEADER_BYTES + DataKey.streamBytes(length)));
    sealed.writeBytes(Envelope.sealedHeader(name));
    try (OutputStream out = key.encrypting(name, sealed)) {
      out.write(bytes, 0, length);
    } catch (IOException e) {
      throw new UncheckedIOException(e); // memory does not fail
    }
    return sealed;
  }

  @Override
  public byte[] get(String name) {
    byte[] sealed = stored.get(name);
    checkStart(name, sealed);
    try {
      return key.decrypt(name, sealed, Envelope.HEADER_BYTES);
    } catch (GeneralSecurityException e) {
      throw doesNotDecrypt(name, e);
    }
  }

  @Override
  public byte[] get(String name, long offset, int length) {
    if (length == 0) {
      return stored.get(name, 0, 0);
    }
    DataKey.Window window = DataKey.window(offset, length);
    int wanted = Math.toIntExact(window.to() - window.from() + 1);
    if (window.first()) {
      byte[] sealed = stored.get(name, 0, Envelope.HEADER_BYTES + wanted);
      checkStart(name, sealed);
      byte[] stream = Arrays.copyOfRange(sealed, Envelope.HEADER_BYTES, sealed.length);
      try {
        return key.decrypt(name, DataKey.header(stream), window, stream, offset, length);
      } catch (GeneralSecurityException e) {
        throw doesNotDecrypt(name, e);
      }
    }
    byte[] known = knownStart(name);
    byte[] segments = stored.get(name, Envelope.HEADER_BYTES + window.from(), wanted);
    if (known != null) {
      try {
        return key.decrypt(name, known, window, segments, offset, length);
      } catch (GeneralSecurityException e) {
        forget(name); // perhaps it was replaced by another process: looks again, below
      }
    }
    byte[] header = readStart(name);
    try {
      byte[] plain = key.decrypt(name, header, window, segments, offset, length);
      synchronized (starts) {
        starts.put(name, header);
      }
      return plain;
    } catch (GeneralSecurityException e) {
      throw doesNotDecrypt(name, e);
    }
  }

  private byte[] readStart(String name) {
    byte[] start = stored.get(name, 0, START_BYTES);
    checkStart(name, start);
    return Arrays.copyOfRange(start, Envelope.HEADER_BYTES, START_BYTES);
  }

  private byte @Nullable [] knownStart(String name) {
    synchronized (starts) {
      return starts.get(name);
    }
  }

  private void forget(String name) {
    synchronized (starts) {
      starts.remove(name);
    }
  }

  private static void checkStart(String name, byte[] start) {
    Envelope.checkSealed(name, start);
    if (start.length < START_BYTES) {
      throw new DamagedObjectException(
          name, "it ends after %d bytes, before its content".formatted(start.length));
    }
  }

  private static DamagedObjectException doesNotDecrypt(String name, GeneralSecurityException e) {
    var damaged =
        new DamagedObjectException(
            name, "it does not decrypt: damaged, changed, or moved under another name");
    damaged.addSuppressed(e);
    return damaged;
  }

  @Override
  public List<StoredObject> list(String prefix) {
    return stored.list(prefix).stream()
        .map(object ->
            new StoredObject(
                object.name(),
                DataKey.plainBytes(object.bytes() - Envelope.HEADER_BYTES),
                object.modifiedAt()))
        .toList();
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
    stored.delete(name);
    forget(name);
  }

  @Override
  public void deleteAll(List<String> names) {
    stored.deleteAll(names);
    names.forEach(this::forget);
  }

  @Override
  public void sweep(String prefix) {
    stored.sweep(prefix);
  }

  /** Encrypts an object while it is written. */
  private final class SealingWriter implements ObjectWriter {
    private final ObjectWriter out;
    private final OutputStream encrypting;

    SealingWriter(String name, ObjectWriter out) {
      this.out = out;
      byte[] header = Envelope.sealedHeader(name);
      out.write(header, 0, header.length);
      this.encrypting = key.encrypting(name, new Beneath(out));
    }

    @Override
    public void write(byte[] bytes, int offset, int length) {
      try {
        encrypting.write(bytes, offset, length);
      } catch (IOException e) {
        throw new UncheckedIOException(e); // what is beneath throws no such thing
      }
    }

    @Override
    public void commit() {
      try {
        encrypting.close(); // writes the last segment, which says that it is
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
      out.commit();
    }

    @Override
    public void close() {
      out.close();
    }
  }

  /** An object being written, as a stream. */
  private static final class Beneath extends OutputStream {
    private final ObjectWriter out;

    Beneath(ObjectWriter out) {
      this.out = out;
    }

    @Override
    public void write(int value) {
      write(new byte[] {(byte) value}, 0, 1);
    }

    @Override
    public void write(byte[] bytes, int offset, int length) {
      out.write(bytes, offset, length);
    }
  }
}
