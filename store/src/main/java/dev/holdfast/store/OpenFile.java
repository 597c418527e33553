package dev.holdfast.store;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.LinkOption;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Set;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * Files of a data directory, the last of them kept open: a part holds a file's extents one after
 * the other. Symbolic links in the last component of a path are not followed. One thread.
 */
final class OpenFile implements AutoCloseable {
  private final Function<String, Path> place;
  private final Set<OpenOption> options;
  private @Nullable String openPath;
  private @Nullable FileChannel channel;
  private @Nullable Writeback writeback;

  /** Bytes of the open file that were written since it was told. */
  private long written;

  OpenFile(Function<String, Path> place, StandardOpenOption... options) {
    this.place = place;
    this.options = new HashSet<>(Arrays.asList(options));
    this.options.add(LinkOption.NOFOLLOW_LINKS);
  }

  /** Also says what is written, when it is much. */
  OpenFile telling(@Nullable Writeback told) {
    writeback = told;
    return this;
  }

  /** How many bytes there were, at most {@code length}. */
  int read(String path, long offset, byte[] into, int length) throws IOException {
    FileChannel source = open(path);
    ByteBuffer buffer = ByteBuffer.wrap(into, 0, length);
    while (buffer.hasRemaining() && source.read(buffer, offset + buffer.position()) >= 0) {
      // until all is read, or the file ends
    }
    return buffer.position();
  }

  void write(String path, long offset, byte[] bytes, int from, int length) throws IOException {
    FileChannel target = open(path);
    ByteBuffer buffer = ByteBuffer.wrap(bytes, from, length);
    while (buffer.hasRemaining()) {
      target.write(buffer, offset + (length - buffer.remaining()));
    }
    written += length;
    if (writeback != null && written >= Writeback.BYTES) {
      writeback.written(place.apply(path));
      written = 0;
    }
  }

  private FileChannel open(String path) throws IOException {
    if (channel != null && path.equals(openPath)) {
      return channel;
    }
    close();
    FileChannel opened = FileChannel.open(place.apply(path), options);
    channel = opened;
    openPath = path;
    written = 0;
    return opened;
  }

  @Override
  public void close() throws IOException {
    if (channel != null) {
      channel.close();
      channel = null;
    }
  }
}
