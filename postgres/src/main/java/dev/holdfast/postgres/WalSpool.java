package dev.holdfast.postgres;

import dev.holdfast.failure.OperatorException;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.SegmentName;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Hands WAL to a recovering server through a folder: a thread keeps a few segments ready, and the
 * server's {@code restore_command} is a shell script that moves them away. So no Java process is
 * started for a segment, and the disk never holds more than the few.
 *
 * <p>The protocol, all of it files in the folder: {@code NAME} is ready to be taken; the script
 * writes {@code NAME.wanted} when it has to wait; {@code NAME.absent} answers that it was never
 * recorded; {@code failed} tells every script to make the server give up. A file is written under
 * another name and renamed, so what is there is whole.
 *
 * <p>What is handed out can end at a position ({@link #feedTo}): the segment that holds it comes
 * with zeros from there on, and is handed out again, longer, when the end has moved. Until then a
 * script that asks for more waits; a server that asks has replayed all it was given.
 */
final class WalSpool implements AutoCloseable {
  /** Where segments and history files come from. */
  interface Source extends AutoCloseable {
    /** What was recorded of this file, perhaps less than a whole segment; null for nothing. */
    byte @Nullable [] read(String name);

    /** Replay goes on to here; told before the server is fed further. */
    default void moveTo(Lsn farther) {}

    /** Nothing more will be read. */
    @Override
    default void close() {}
  }

  private static final long POLL_MS = 5;
  private static final Lsn UNBOUNDED = new Lsn(-1);

  private static final String SCRIPT =
      """
      #!/bin/sh
      # restore_command: $1 is the file PostgreSQL wants, $2 where it wants it.
      # Above 125 PostgreSQL gives up instead of taking the log as ended.
      spool=${0%/*}
      if [ ! -f "$spool/$1" ]; then
        : > "$spool/$1.wanted" || exit 255
        until [ -f "$spool/$1" ]; do
          if [ -f "$spool/$1.absent" ]; then
            rm -f "$spool/$1.wanted" "$spool/$1.absent"
            exit 1
          fi
          if [ -f "$spool/failed" ] || [ ! -d "$spool" ]; then exit 255; fi
          sleep 0.01
        done
        rm -f "$spool/$1.wanted"
      fi
      mv -f "$spool/$1" "$2" || exit 255
      """;

  private final Path folder;
  private final List<String> route;
  private final Map<String, Integer> indexes = new HashMap<>();
  private final int segmentSize;
  private final int aheadMax;
  private final Source source;
  private final Consumer<Path> giveToServer;
  private final Consumer<String> onTaken;
  private final Thread thread;

  /** Segments in the folder that nobody took yet, in order. */
  private final Deque<String> ahead = new ArrayDeque<>();

  private int cursor;
  private volatile Lsn end = UNBOUNDED;

  /** The end at which the server was seen to ask for more; null when it was not. */
  private volatile @Nullable Lsn drained;

  /** The segment handed out last of all, and the last that was cut off, with the end it had. */
  private @Nullable String lastTaken;

  private @Nullable String cutName;
  private Lsn cutAt = UNBOUNDED;
  private volatile boolean closed;
  private volatile @Nullable Throwable failure;

  /**
   * Starts filling the folder.
   *
   * @param folder created here; on the file system of the server's pg_wal, so that taking a segment
   *     is a rename
   * @param route segments in the order they will be wanted
   * @param segmentSize bytes; what was recorded in part is filled up with zeros
   * @param aheadMax segments kept ready
   * @param giveToServer lets the server's operating system user own a file
   * @param onTaken told each segment of the route that the server took
   */
  WalSpool(
      Path folder,
      List<String> route,
      int segmentSize,
      int aheadMax,
      Source source,
      Consumer<Path> giveToServer,
      Consumer<String> onTaken) {
    this.folder = folder;
    this.route = List.copyOf(route);
    this.segmentSize = segmentSize;
    this.aheadMax = aheadMax;
    this.source = source;
    this.giveToServer = giveToServer;
    this.onTaken = onTaken;
    for (int index = 0; index < this.route.size(); index++) {
      indexes.put(this.route.get(index), index);
    }
    try {
      Files.createDirectory(folder);
      Files.writeString(script(), SCRIPT);
      giveToServer.accept(folder);
    } catch (IOException e) {
      throw new UncheckedIOException("cannot create " + folder, e);
    }
    this.thread = Thread.ofPlatform().daemon().name("wal-spool").start(this::run);
  }

  /** The server setting {@code restore_command}. */
  String restoreCommand() {
    // In the setting a % starts a placeholder; in the shell's single quotes only ' is special.
    String quoted = "'" + script().toString().replace("'", "'\\''") + "'";
    return "sh " + quoted.replace("%", "%%") + " %f %p";
  }

  /**
   * From now on nothing at or past this position is handed out, and everything before it is.
   *
   * @param farther where a record ends; not before what was said last
   */
  void feedTo(Lsn farther) {
    end = farther;
  }

  /** Whether the server has replayed everything before {@link #feedTo}'s position. */
  boolean isDrained() {
    return end.equals(drained);
  }

  /** The server was stopped, and another will ask from some earlier place on. */
  synchronized void startAgain() throws IOException {
    for (String name : wanted()) {
      Files.deleteIfExists(folder.resolve(name + ".wanted"));
      Files.deleteIfExists(folder.resolve(name + ".absent"));
    }
    lastTaken = null;
    drained = null;
  }

  /** Why the server was told to give up; null while all is well. */
  @Nullable Throwable failure() {
    return failure;
  }

  /**
   * Throws it, if there is one.
   *
   * @throws OperatorException as the source threw it
   */
  void throwFailure() {
    switch (failure) {
      case null -> {}
      case OperatorException e -> throw e;
      case IOException e -> throw new UncheckedIOException(e);
      case Throwable e -> throw new IllegalStateException("the WAL spool failed", e);
    }
  }

  /** Stops filling; scripts that still wait make the server give up. */
  @Override
  public void close() {
    closed = true;
    try {
      thread.join();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private Path script() {
    return folder.resolve("restore.sh");
  }

  private void run() {
    try {
      while (!closed) {
        if (!step()) {
          Thread.sleep(POLL_MS); // the server asks by making a file: there is nothing to wait on
        }
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } catch (IOException | RuntimeException | Error e) {
      failure = e; // whoever waits for the server throws it
    }
    try {
      Files.writeString(folder.resolve("failed"), "");
    } catch (IOException e) {
      // The folder is gone or the disk is full. The first ends waiting scripts as well; after the
      // second nothing can be told, and whoever waits for the server sees the failure and stops it.
      if (failure == null) {
        failure = e;
      }
    }
  }

  /** One thing that is to be done now; false when there is nothing. */
  private synchronized boolean step() throws IOException {
    forgetTaken();
    Lsn until = end;
    for (String name : wanted()) {
      if (ahead.contains(name)) {
        continue; // it became ready while the script was asking
      }
      if (asksForMore(name, until)) {
        drained = until;
        continue;
      }
      Integer index = indexes.get(name);
      if (index != null) {
        goTo(index);
        fill(until);
        return true;
      }
      Path file = folder.resolve(name);
      Path absent = folder.resolve(name + ".absent");
      if (Files.exists(file) || Files.exists(absent)) {
        continue; // answered; the script has not looked yet
      }
      byte @Nullable [] bytes = source.read(name);
      if (bytes == null) {
        Files.writeString(absent, "");
        giveToServer.accept(absent);
      } else {
        write(name, bytes, bytes.length, bytes.length);
      }
      return true;
    }
    return fill(until);
  }

  /** Whether it is asked for because everything before this end was replayed. */
  private boolean asksForMore(String name, Lsn until) {
    boolean hadIt = name.equals(lastTaken) && name.equals(cutName) && cutAt.equals(until);
    // Past the end it may be a segment of any timeline, and one that was never recorded.
    return hadIt || (SegmentName.isSegmentName(name) && !segment(name).start().isBefore(until));
  }

  private void forgetTaken() {
    while (!ahead.isEmpty() && !Files.exists(folder.resolve(ahead.getFirst()))) {
      lastTaken = ahead.removeFirst();
      onTaken.accept(lastTaken);
    }
  }

  private List<String> wanted() throws IOException {
    List<String> names = new ArrayList<>();
    try (DirectoryStream<Path> files = Files.newDirectoryStream(folder, "*.wanted")) {
      for (Path file : files) {
        String name = file.getFileName().toString();
        names.add(name.substring(0, name.length() - ".wanted".length()));
      }
    }
    return names;
  }

  /** The server reads from another place: it was started again, or skips what it has. */
  private void goTo(int index) throws IOException {
    for (String name : ahead) {
      Files.deleteIfExists(folder.resolve(name));
    }
    ahead.clear();
    cutName = null;
    cursor = index;
  }

  private boolean fill(Lsn until) throws IOException {
    if (ahead.size() >= aheadMax || cursor >= route.size()) {
      return false;
    }
    String name = route.get(cursor);
    SegmentName segment = segment(name);
    boolean isCut = segment.end().isAfter(until);
    if (!segment.start().isBefore(until) || (name.equals(cutName) && cutAt.equals(until))) {
      return false;
    }
    byte @Nullable [] bytes = source.read(name);
    if (bytes == null) {
      throw new IllegalStateException("segment " + name + " was listed and is gone");
    }
    int length = Math.min(bytes.length, isCut ? (int) until.minus(segment.start()) : segmentSize);
    write(name, bytes, length, segmentSize);
    if (!name.equals(ahead.peekLast())) {
      ahead.addLast(name);
    }
    if (isCut) {
      cutName = name;
      cutAt = until;
    } else {
      cursor++;
    }
    return true;
  }

  private SegmentName segment(String name) {
    return SegmentName.parse(name, segmentSize);
  }

  /** The first {@code length} bytes, and zeros up to {@code size}. */
  private void write(String name, byte[] bytes, int length, int size) throws IOException {
    Path partial = folder.resolve(name + ".partial");
    Files.createFile(
        partial,
        PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")));
    try (FileChannel file = FileChannel.open(partial, StandardOpenOption.WRITE)) {
      ByteBuffer rest = ByteBuffer.wrap(bytes, 0, length);
      while (rest.hasRemaining()) {
        file.write(rest);
      }
      if (length < size) {
        file.write(ByteBuffer.wrap(new byte[1]), size - 1L); // a hole reads as zeros
      }
    }
    giveToServer.accept(partial);
    Files.move(partial, folder.resolve(name), StandardCopyOption.ATOMIC_MOVE);
  }
}
