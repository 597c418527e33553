package dev.holdfast.postgres;

import dev.holdfast.failure.OperatorException;
import dev.holdfast.server.ProcessResult;
import dev.holdfast.server.Processes;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.SegmentName;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.RandomAccessFile;
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
import java.util.Objects;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Hands WAL to a recovering server through a folder: a thread keeps a few segments ready, and the
 * server's {@code restore_command} is a shell script that moves them away. So no Java process is
 * started for a segment, and the disk never holds more than the few.
 *
 * <p>The protocol, all of it files in the folder: {@code NAME} is ready to be taken; the script
 * writes its process ID into {@code NAME.wanted} when it has to wait; {@code NAME.absent} answers
 * that it was never recorded, {@code grown.ID} that the server has it; {@code failed} tells every
 * script to make the server give up. A file is written under another name and renamed, so what is
 * there is whole. Where a wait may be long, {@code bell} is a FIFO that a script waits at instead
 * of looking again and again.
 *
 * <p>What is handed out can end at a position ({@link #feedTo}): the segment that holds it comes
 * with zeros from there on. A server that asks for it again has replayed all it was given; it waits
 * until the end has moved. Then the same file, which is its own by now, is written on in place, and
 * the script says that there is none to fetch: PostgreSQL goes on with the one it kept in pg_wal
 * ("access/transam/xlogrecovery.c", XLogFileReadAnyTLI, PostgreSQL 14 to 18). It reads nothing
 * while the script waits, so it never sees half of what is written.
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

  /** While stops follow each other. */
  private static final long SHORT_POLL_MS = 1;

  private static final long SHORT_POLLS_NANOS = 100_000_000;

  /** Everything of the route is handed out. */
  static final Lsn UNBOUNDED = new Lsn(-1);

  private static final String SCRIPT =
      """
      #!/bin/sh
      # restore_command: $1 is the file PostgreSQL wants, $2 where it wants it.
      # A bell whose owner died ends read at once, and so do we.
      # Above 125 PostgreSQL gives up instead of taking the log as ended.
      spool=${0%/*}
      if [ ! -f "$spool/$1" ]; then
        echo $$ > "$spool/$1.wanted" || exit 255
        until [ -f "$spool/$1" ]; do
          if [ -f "$spool/$1.absent" ]; then
            rm -f "$spool/$1.wanted" "$spool/$1.absent"
            exit 1
          fi
          if [ -f "$spool/grown.$$" ]; then exit 1; fi
          if [ -f "$spool/failed" ] || [ ! -d "$spool" ]; then exit 255; fi
          if [ -p "$spool/bell" ]; then
            read -r _ < "$spool/bell" 2>&- || [ ! -p "$spool/bell" ] || exit 255
          else
            sleep 0.01
          fi
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
  private volatile Lsn end;

  /** The end at which the server was seen to ask for more; null when it was not. */
  private volatile @Nullable Lsn drained;

  /** The segment handed out last of all, and the last that was cut off, with the end it had. */
  private @Nullable String lastTaken;

  private @Nullable String cutName;
  private Lsn cutAt = UNBOUNDED;

  /** That file, wherever it was moved to. */
  private @Nullable FileChannel cutFile;

  private @Nullable Path lastGrown;

  /** Both ends of the FIFO, so that nobody waits to open it; null until it was needed. */
  private @Nullable RandomAccessFile bell;

  private boolean bellHangs;

  /** Permits tell that {@link #end} has changed, and {@link #drained}. */
  private final Semaphore fed = new Semaphore(0);

  private final Semaphore drainings = new Semaphore(0);
  private volatile long fedNanos;
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
   * @param end where a record ends: nothing at or past it is handed out until {@link #feedTo} says
   *     so. {@link #UNBOUNDED} for all
   * @param giveToServer lets the server's operating system user own a file
   * @param onTaken told each segment of the route that the server took
   */
  WalSpool(
      Path folder,
      List<String> route,
      int segmentSize,
      int aheadMax,
      Lsn end,
      Source source,
      Consumer<Path> giveToServer,
      Consumer<String> onTaken) {
    this.folder = folder;
    this.route = List.copyOf(route);
    this.segmentSize = segmentSize;
    this.aheadMax = aheadMax;
    this.end = end;
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
    String ready = quoted(folder) + "/%f";
    // What is there is taken without a second shell: starting those is most of it, where WAL is
    // much.
    return "[ ! -f %1$s ] || { mv -f %1$s %%p && exit 0; exit 255; }; exec sh %2$s %%f %%p"
        .formatted(ready, quoted(script()));
  }

  /** In the setting a % starts a placeholder; in the shell's single quotes only ' is special. */
  private static String quoted(Path path) {
    return "'" + path.toString().replace("'", "'\\''").replace("%", "%%") + "'";
  }

  /**
   * From now on nothing at or past this position is handed out, and everything before it is.
   *
   * @param farther where a record ends; not before what was said last
   */
  void feedTo(Lsn farther) {
    drainings.drainPermits();
    end = farther;
    fedNanos = System.nanoTime();
    fed.release();
  }

  /** Whether the server has replayed everything before {@link #feedTo}'s position. */
  boolean isDrained() {
    return end.equals(drained);
  }

  /**
   * Waits until it {@link #isDrained}, or a few milliseconds.
   *
   * @throws InterruptedException as {@link Thread#sleep}
   */
  void awaitDrained() throws InterruptedException {
    if (!isDrained()) {
      drainings.tryAcquire(POLL_MS, TimeUnit.MILLISECONDS);
    }
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
      foresee();
      while (!closed) {
        if (step()) {
          ring();
        } else {
          pause();
        }
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } catch (IOException | RuntimeException | Error e) {
      failure = e; // whoever waits for the server throws it
    }
    try {
      Files.writeString(folder.resolve("failed"), "");
      ring();
      closeCut();
      if (bell != null) {
        bell.close();
      }
    } catch (IOException e) {
      // The folder is gone or the disk is full. The first ends waiting scripts as well; after the
      // second nothing can be told, and whoever waits for the server sees the failure and stops it.
      if (failure == null) {
        failure = e;
      }
    }
  }

  /** The server asks by making a file: there is nothing to wait on. */
  private void pause() throws InterruptedException {
    boolean often = System.nanoTime() - fedNanos < SHORT_POLLS_NANOS;
    fed.tryAcquire(often ? SHORT_POLL_MS : POLL_MS, TimeUnit.MILLISECONDS);
    fed.drainPermits();
  }

  /** From now on whoever waits does so at the bell. */
  private void hangBell() throws IOException {
    if (bellHangs) {
      return;
    }
    Path away = folder.resolve("bell.away");
    if (bell == null) {
      ProcessResult made = Processes.run(List.of("mkfifo", "-m", "600", away.toString()));
      if (made.exitCode() != 0) {
        throw new IOException("cannot make " + away + ": " + made.output().strip());
      }
      giveToServer.accept(away);
      bell = new RandomAccessFile(away.toFile(), "rw");
    }
    Files.move(away, folder.resolve("bell"), StandardCopyOption.ATOMIC_MOVE);
    bellHangs = true;
  }

  /** Something is there: whoever waits looks again. */
  private void ring() throws IOException {
    if (!bellHangs || bell == null) {
      return;
    }
    Files.move(folder.resolve("bell"), folder.resolve("bell.away"), StandardCopyOption.ATOMIC_MOVE);
    bellHangs = false;
    // A line that nobody read wakes the next as well: they must not pile up.
    if (new FileInputStream(bell.getFD()).available() == 0) {
      bell.write('\n');
    }
  }

  /** One thing that is to be done now; false when there is nothing. */
  private synchronized boolean step() throws IOException, InterruptedException {
    forgetTaken();
    Lsn until = end;
    for (String name : wanted()) {
      if (ahead.contains(name)) {
        continue; // it became ready while the script was asking
      }
      if (asksForMore(name, until)) {
        hangBell();
        if (!until.equals(drained)) {
          drained = until;
          drainings.release();
        }
        continue;
      }
      if (name.equals(lastTaken) && isGrowing(name)) {
        if (!answerGrown(name, until)) {
          continue;
        }
        return true;
      }
      Integer index = indexes.get(name);
      if (index != null) {
        goTo(index);
        fill(until);
        return true;
      }
      if (answer(name)) {
        return true;
      }
    }
    return fill(until);
  }

  /**
   * A file that is no segment of the route, or that there is none.
   *
   * @return false when that was answered, and the script has not looked yet
   */
  private boolean answer(String name) throws IOException {
    Path absent = folder.resolve(name + ".absent");
    if (Files.exists(folder.resolve(name)) || Files.exists(absent)) {
      return false;
    }
    byte @Nullable [] bytes = source.read(name);
    if (bytes == null) {
      Files.writeString(absent, "");
      giveToServer.accept(absent);
    } else {
      write(name, bytes, bytes.length, bytes.length, false);
    }
    return true;
  }

  /** A server that promotes itself asks for its timeline's history, and for the next one's. */
  private synchronized void foresee() throws IOException {
    if (!route.isEmpty()) {
      int timeline = segment(route.getLast()).timeline();
      answer("%08X.history".formatted(timeline));
      answer("%08X.history".formatted(timeline + 1));
    }
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
    closeCut();
    cursor = index;
  }

  private void closeCut() throws IOException {
    if (cutFile != null) {
      cutFile.close();
      cutFile = null;
    }
  }

  /** Whether the file that was handed out cut off is still the one to write on. */
  private boolean isGrowing(String name) {
    return cutFile != null && name.equals(cutName);
  }

  /**
   * Writes on what the server has, and tells it. The question is removed before the answer comes,
   * so the next one of this name is asked after what was written now has been replayed. An old
   * answer that a later script of the same process ID finds makes the server ask once more.
   *
   * @return false when the script has not finished asking
   */
  private boolean answerGrown(String name, Lsn until) throws IOException {
    Path question = folder.resolve(name + ".wanted");
    String asker = Files.readString(question);
    if (!asker.endsWith("\n")) {
      return false;
    }
    grow(name, until);
    Files.delete(question);
    if (lastGrown != null) {
      Files.deleteIfExists(lastGrown);
    }
    lastGrown = folder.resolve("grown." + asker.strip());
    Files.writeString(lastGrown, "");
    giveToServer.accept(lastGrown);
    return true;
  }

  /** Writes on what the server has, and waits for. */
  private void grow(String name, Lsn until) throws IOException {
    FileChannel file = Objects.requireNonNull(cutFile);
    SegmentName segment = segment(name);
    byte[] bytes = listed(name);
    int from = (int) cutAt.minus(segment.start());
    int length = length(segment, bytes, until);
    if (from < length) {
      ByteBuffer rest = ByteBuffer.wrap(bytes, from, length - from);
      while (rest.hasRemaining()) {
        file.write(rest, rest.position());
      }
    }
    cutAt = until;
    if (!segment.end().isAfter(until)) {
      cutName = null;
      closeCut();
      cursor++;
    }
  }

  private byte[] listed(String name) throws IOException {
    byte @Nullable [] bytes = source.read(name);
    if (bytes == null) {
      throw new IllegalStateException("segment " + name + " was listed and is gone");
    }
    return bytes;
  }

  /** How much of a segment may be handed out. */
  private int length(SegmentName segment, byte[] bytes, Lsn until) {
    boolean isCut = segment.end().isAfter(until);
    return Math.min(bytes.length, isCut ? (int) until.minus(segment.start()) : segmentSize);
  }

  private boolean fill(Lsn until) throws IOException {
    if (ahead.size() >= aheadMax || cursor >= route.size()) {
      return false;
    }
    String name = route.get(cursor);
    SegmentName segment = segment(name);
    boolean isCut = segment.end().isAfter(until);
    boolean grows = isGrowing(name) && !ahead.contains(name); // when the server asks for it
    if (!segment.start().isBefore(until)
        || grows
        || (name.equals(cutName) && cutAt.equals(until))) {
      return false;
    }
    byte[] bytes = listed(name);
    closeCut();
    cutFile = write(name, bytes, length(segment, bytes, until), segmentSize, isCut);
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

  /**
   * The first {@code length} bytes, and zeros up to {@code size}.
   *
   * @param open whether more will be written
   * @return the file, if so
   */
  private @Nullable FileChannel write(String name, byte[] bytes, int length, int size, boolean open)
      throws IOException {
    Path partial = folder.resolve(name + ".partial");
    Files.createFile(
        partial,
        PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")));
    FileChannel file = FileChannel.open(partial, StandardOpenOption.WRITE);
    boolean kept = false;
    try {
      ByteBuffer rest = ByteBuffer.wrap(bytes, 0, length);
      while (rest.hasRemaining()) {
        file.write(rest);
      }
      if (length < size) {
        file.write(ByteBuffer.wrap(new byte[1]), size - 1L); // a hole reads as zeros
      }
      giveToServer.accept(partial);
      Files.move(partial, folder.resolve(name), StandardCopyOption.ATOMIC_MOVE);
      kept = open;
      return open ? file : null;
    } finally {
      if (!kept) {
        file.close();
      }
    }
  }
}
