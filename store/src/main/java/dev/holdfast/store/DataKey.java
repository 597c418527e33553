package dev.holdfast.store;

import com.google.crypto.tink.StreamingAead;
import com.google.crypto.tink.subtle.AesGcmHkdfStreaming;
import com.google.crypto.tink.subtle.AesGcmJce;
import dev.holdfast.store.objects.ObjectName;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.SeekableByteChannel;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.SecureRandom;
import java.util.Arrays;

/**
 * The key that a repository's objects are encrypted with, and where what is in an encrypted object.
 *
 * <p>Tink's streaming AEAD, AES-256-GCM-HKDF: a header, then segments of one size, each with a tag
 * of its own, so that any of them can be read alone. The nonce of a segment holds its number and
 * whether it is the last one. The associated data is the object's bound name. May be used by
 * several threads.
 */
final class DataKey {
  /** As {@code holdfast.json} calls it. */
  static final String SCHEME = "tink-aes256-gcm-hkdf-16k";

  /** What Tink writes first: its own length, a salt, the beginning of the nonces. */
  static final int STREAM_HEADER_BYTES = 40;

  private static final int SEGMENT_BYTES = 16 << 10;
  private static final int TAG_BYTES = 16;

  /** Content of a segment; the first one has the stream's header less. */
  private static final int CONTENT_BYTES = SEGMENT_BYTES - TAG_BYTES;

  private static final int KEY_BYTES = 32;

  static {
    NativeAes.install();
  }

  private final byte[] key;
  private final StreamingAead aead;

  private DataKey(byte[] key) {
    this.key = key;
    try {
      this.aead = new AesGcmHkdfStreaming(key, "HmacSha256", KEY_BYTES, SEGMENT_BYTES, 0);
    } catch (GeneralSecurityException e) {
      throw new IllegalStateException(e);
    }
  }

  /** A new one, random. */
  static DataKey generate() {
    byte[] key = new byte[KEY_BYTES];
    new SecureRandom().nextBytes(key);
    return new DataKey(key);
  }

  /**
   * The key itself, encrypted by AES-256-GCM: 12 bytes of nonce, the ciphertext, 16 bytes of tag.
   *
   * @param keyEncryptionKey 32 bytes
   * @param repositoryId goes into the associated data
   */
  byte[] wrap(byte[] keyEncryptionKey, String repositoryId) {
    try {
      return new AesGcmJce(keyEncryptionKey).encrypt(key, associatedWithKey(repositoryId));
    } catch (GeneralSecurityException e) {
      throw new IllegalStateException(e);
    }
  }

  /**
   * Reads what {@link #wrap} wrote.
   *
   * @throws GeneralSecurityException when it was wrapped with another key, or does not hold
   */
  static DataKey unwrap(byte[] wrapped, byte[] keyEncryptionKey, String repositoryId)
      throws GeneralSecurityException {
    byte[] key = new AesGcmJce(keyEncryptionKey).decrypt(wrapped, associatedWithKey(repositoryId));
    if (key.length != KEY_BYTES) {
      throw new GeneralSecurityException("a key of " + key.length + " bytes");
    }
    return new DataKey(key);
  }

  private static byte[] associatedWithKey(String repositoryId) {
    return associated("repository " + repositoryId);
  }

  private static byte[] associated(String what) {
    return ("holdfast " + what).getBytes(StandardCharsets.UTF_8);
  }

  private static byte[] associatedWith(String name) {
    return associated("object " + ObjectName.bound(name));
  }

  /** Encrypts what is written to it, into {@code target}. */
  OutputStream encrypting(String name, OutputStream target) {
    try {
      return aead.newEncryptingStream(target, associatedWith(name));
    } catch (GeneralSecurityException e) {
      throw new IllegalStateException(e);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /**
   * Decrypts a whole object.
   *
   * @param from where the stream begins in {@code stored}
   * @throws GeneralSecurityException when it is not what was encrypted under that name
   */
  byte[] decrypt(String name, byte[] stored, int from) throws GeneralSecurityException {
    long length = plainBytes(stored.length - from);
    var source = new ByteArrayInputStream(stored, from, stored.length - from);
    byte[] plain = new byte[Math.toIntExact(length)];
    try (InputStream in = aead.newDecryptingStream(source, associatedWith(name))) {
      int read = in.readNBytes(plain, 0, plain.length);
      // Looks for the end, too: only the last segment says that it is the last.
      if (read < plain.length || in.read() >= 0) {
        throw new GeneralSecurityException("another length");
      }
      return plain;
    } catch (IOException e) {
      throw new GeneralSecurityException(e);
    }
  }

  /** The segments that hold some content. */
  record Window(long from, long to) {
    /** Whether the stream's header is part of it. */
    boolean first() {
      return from == 0;
    }
  }

  /**
   * Where the content is, in bytes of the stream; one that begins at 0 includes its header.
   *
   * @param length at least 1
   */
  static Window window(long offset, int length) {
    long first = (offset + STREAM_HEADER_BYTES) / CONTENT_BYTES;
    long last = (offset + length - 1 + STREAM_HEADER_BYTES) / CONTENT_BYTES;
    return new Window(first * SEGMENT_BYTES, (last + 1) * SEGMENT_BYTES);
  }

  /** Of the content of a stream of so many bytes; 0 when there is no stream so short. */
  static long plainBytes(long streamBytes) {
    long segments = (streamBytes + SEGMENT_BYTES - 1) / SEGMENT_BYTES;
    return Math.max(0, streamBytes - STREAM_HEADER_BYTES - segments * TAG_BYTES);
  }

  /**
   * Decrypts some content out of the segments that hold it.
   *
   * @param header the stream's
   * @param segments what the stream has from {@code window.from()} on: a byte of what follows the
   *     window, if anything does
   * @return fewer bytes than wanted where the content ends earlier
   * @throws GeneralSecurityException when they are not what was encrypted there under that name
   */
  byte[] decrypt(
      String name, byte[] header, Window window, byte[] segments, long offset, int length)
      throws GeneralSecurityException {
    if (segments.length == 0) {
      return segments;
    }
    boolean more = segments.length > window.to() - window.from();
    // Tink wants to know which segment is the last. Where another one follows, how long it is makes
    // no difference: the shortest there can be.
    long size = more ? window.to() + TAG_BYTES + 1 : window.from() + segments.length;
    int available = (int) Math.min(length, Math.max(0, plainBytes(size) - offset));
    ByteBuffer plain = ByteBuffer.allocate(available);
    try (SeekableByteChannel channel =
        aead.newSeekableDecryptingChannel(
            new StreamPiece(header, window.from(), segments, size), associatedWith(name))) {
      channel.position(offset);
      while (plain.hasRemaining()) {
        if (channel.read(plain) <= 0) {
          throw new GeneralSecurityException("another length");
        }
      }
    } catch (IOException e) {
      throw new GeneralSecurityException(e);
    }
    return plain.array();
  }

  /** A stream of which the header and some segments are known. One thread. */
  private static final class StreamPiece implements SeekableByteChannel {
    private final byte[] header;
    private final long from;
    private final byte[] segments;
    private final long size;
    private long position;

    StreamPiece(byte[] header, long from, byte[] segments, long size) {
      this.header = header;
      this.from = from;
      this.segments = segments;
      this.size = size;
    }

    @Override
    public int read(ByteBuffer target) {
      byte[] source = position < header.length ? header : segments;
      long at = position < header.length ? position : position - from;
      if (at < 0 || at >= source.length) {
        return -1;
      }
      int count = (int) Math.min(target.remaining(), source.length - at);
      target.put(source, (int) at, count);
      position += count;
      return count;
    }

    @Override
    public long position() {
      return position;
    }

    @Override
    public SeekableByteChannel position(long newPosition) {
      position = newPosition;
      return this;
    }

    @Override
    public long size() {
      return size;
    }

    @Override
    public int write(ByteBuffer source) {
      throw new UnsupportedOperationException();
    }

    @Override
    public SeekableByteChannel truncate(long newSize) {
      throw new UnsupportedOperationException();
    }

    @Override
    public boolean isOpen() {
      return true;
    }

    @Override
    public void close() {}
  }

  /** How many bytes the stream of so much content has. */
  static long streamBytes(long plainBytes) {
    long whole = plainBytes + STREAM_HEADER_BYTES;
    return whole + (whole + CONTENT_BYTES - 1) / CONTENT_BYTES * TAG_BYTES;
  }

  /** The stream's header out of the stream's beginning. */
  static byte[] header(byte[] stream) {
    return Arrays.copyOf(stream, STREAM_HEADER_BYTES);
  }
}
