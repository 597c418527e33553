package dev.holdfast.store;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.LinkedHashSet;
import java.util.SequencedSet;
import org.jspecify.annotations.Nullable;

/**
 * Brings files to the disk while more is written: the system begins with that late, and who syncs
 * everything in the end would wait for all of it. Nothing is promised: they have to be synced in
 * the end all the same, which has little left to do then.
 *
 * <p>Only what is worth a request to the disk is told here: {@link #BYTES} or more of a file, or a
 * whole WAL segment. A file that is told may be removed. May be used by several threads.
 */
public final class Writeback implements AutoCloseable {
  /** So many new bytes of a file are worth it. */
  public static final long BYTES = 16L << 20;

  private final SequencedSet<Path> waiting = new LinkedHashSet<>();
  private final Thread thread;
  private boolean closed;
  private @Nullable IOException failure;

  /** Begins; costs a thread until it is closed. */
  public Writeback() {
    thread = Thread.ofPlatform().name("writeback").daemon().start(this::run);
  }

  /**
   * Much of a file was written.
   *
   * @throws IOException when a file told before could not be brought to the disk. A system says
   *     that once: who syncs it later may not hear of it any more
   */
  public synchronized void written(Path file) throws IOException {
    rethrow();
    waiting.add(file);
    notifyAll();
  }

  private void run() {
    for (Path file = next(); file != null; file = next()) {
      try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
        channel.force(false);
      } catch (IOException e) {
        failed(e);
      }
    }
  }

  private synchronized @Nullable Path next() {
    while (waiting.isEmpty() && !closed) {
      try {
        wait();
      } catch (InterruptedException e) {
        return null; // nobody has this thread but us
      }
    }
    return closed ? null : waiting.removeFirst();
  }

  private synchronized void failed(IOException e) {
    // What was removed meanwhile does not have to be on the disk.
    if (failure == null && !(e instanceof NoSuchFileException)) {
      failure = e;
    }
  }

  private synchronized void rethrow() throws IOException {
    if (failure != null) {
      throw failure;
    }
  }

  /**
   * Ends with the file in work.
   *
   * @throws IOException as {@link #written}
   */
  @Override
  public void close() throws IOException {
    synchronized (this) {
      closed = true;
      notifyAll();
    }
    boolean interrupted = false;
    while (thread.isAlive()) {
      try {
        thread.join();
      } catch (InterruptedException e) {
        interrupted =
            true; // a request to the disk ends, and whoever removes files must wait for it
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
    rethrow();
  }
}
