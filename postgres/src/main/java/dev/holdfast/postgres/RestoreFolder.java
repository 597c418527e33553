package dev.holdfast.postgres;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * A folder that a restore fills: the data directory, or a tablespace's.
 *
 * <p>It was absent or empty when it was claimed. From then on a marker file says that all in it is
 * ours and not finished; it goes last of all. So a restore that was interrupted can be told from
 * somebody's data, and be thrown away. While the restore runs, the marker is locked.
 */
final class RestoreFolder implements AutoCloseable {
  static final String MARKER = "holdfast.restoring";

  /** What a marker is written as, before its name is given to it: it is whole or not there. */
  static final String MARKER_PARTIAL = "holdfast.restoring.new";

  /** How the marker of a folder begins that was absent or empty: all in it is ours. */
  private static final String FRESH =
      "A restore by Holdfast goes on here, or was interrupted: what is in this folder is not complete.\n";

  /** How the marker of a folder begins that held somebody's cluster. */
  private static final String TAKEN_OVER =
      "A restore --delta by Holdfast goes on here, or was interrupted: what is in this folder is not complete.\n";

  /** Lines of the marker that name other folders of the same restore. */
  private static final String ALSO = "also: ";

  /**
   * The line of a marker whose folder held somebody's cluster before: not all in it is ours. Then
   * the system identifier.
   */
  private static final String DELTA = "delta: ";

  /** The line that names the folder in which what must not be lost is put. */
  private static final String ASIDE = "set aside in: ";

  /** Lines of what is put there. */
  private static final String SET_ASIDE = "set aside: ";

  private static final int NAMES_MAX = 3;

  private final Path path;
  private final List<Path> made;
  private final boolean startedOver;
  private final Held held;

  /** Whether a cluster was here that is brought back: nothing is thrown away when that fails. */
  private final boolean takenOver;

  /** Of one taken over, whether anything in it may have been changed. */
  private boolean changed;

  private boolean finished;

  private RestoreFolder(
      Path path, List<Path> made, boolean startedOver, Held held, boolean takenOver) {
    this.path = path;
    this.made = made;
    this.startedOver = startedOver;
    this.held = held;
    this.takenOver = takenOver;
  }

  /** What a restore had found in the folder that it marked. */
  enum Begun {
    /** Nothing: all in it is ours. */
    IN_NOTHING,
    /** A cluster, which it brings back: not all in it is ours. */
    IN_A_CLUSTER,
    /** The marker does not say so as we write it: nothing tells whose the files are. */
    UNKNOWN
  }

  /**
   * What a marker says.
   *
   * @param system of the cluster that is brought back, as {@link #takeOver} was told; null for none
   * @param aside what must not be lost, and where it is put
   * @param also other folders of the same restore
   */
  record Marker(Begun begun, @Nullable String system, Aside aside, List<Path> also) {}

  /**
   * What is put aside.
   *
   * @param folder where; null for nowhere, since there is nothing to put there
   * @param names paths in the data directory: pg_wal, and files
   */
  record Aside(@Nullable Path folder, List<String> names) {
    static final Aside NOTHING = new Aside(null, List.of());
  }

  /** The marker in a folder; null for none. */
  static @Nullable Marker marker(Path path) throws IOException {
    Path file = path.resolve(MARKER);
    if (!Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS)) {
      return null;
    }
    String text = new String(Files.readAllBytes(file), StandardCharsets.UTF_8);
    if (!text.startsWith(FRESH) && !text.startsWith(TAKEN_OVER)) {
      return new Marker(Begun.UNKNOWN, null, Aside.NOTHING, List.of());
    }
    String system = null;
    Path aside = null;
    List<String> names = new ArrayList<>();
    List<Path> also = new ArrayList<>();
    for (String line : text.lines().toList()) {
      if (line.startsWith(DELTA)) {
        system = line.substring(DELTA.length());
      } else if (line.startsWith(ASIDE)) {
        aside = Path.of(line.substring(ASIDE.length()));
      } else if (line.startsWith(SET_ASIDE)) {
        names.add(line.substring(SET_ASIDE.length()));
      } else if (line.startsWith(ALSO)) {
        also.add(Path.of(line.substring(ALSO.length())));
      }
    }
    Begun begun =
        text.startsWith(FRESH)
            ? Begun.IN_NOTHING
            : system == null ? Begun.UNKNOWN : Begun.IN_A_CLUSTER;
    return new Marker(begun, system, new Aside(aside, names), also);
  }

  /**
   * Makes a folder ours with what is in it, which stays, whether the restore succeeds or not. It
   * has been looked at before.
   *
   * @param system whose cluster it is
   * @param aside what must not be lost, and where it is put
   * @param also other folders of the same restore
   * @throws OperatorException REFUSED when another restore is at it
   */
  static RestoreFolder takeOver(Path path, String system, Aside aside, List<Path> also, String what)
      throws IOException {
    boolean interrupted = marker(path) != null;
    StringBuilder text =
        new StringBuilder(TAKEN_OVER)
            .append(
                "To have it whole, run the same holdfast restore --delta again. No server must be started on it before.\n")
            .append(DELTA)
            .append(system)
            .append('\n');
    if (aside.folder != null) {
      text.append(ASIDE).append(aside.folder).append('\n');
    }
    aside.names.forEach(name -> text.append(SET_ASIDE).append(name).append('\n'));
    also.forEach(other -> text.append(ALSO).append(other).append('\n'));
    Held held = hold(path);
    if (held == null) {
      throw new OperatorException(
          Kind.REFUSED,
          what,
          "another restore into " + path + " is running",
          "wait until it has ended, or stop it; then run the same command again");
    }
    boolean marked = false;
    try {
      held.mark(text.toString());
      marked = true;
      return new RestoreFolder(path, List.of(), interrupted, held, true);
    } finally {
      if (!marked) {
        held.abandon(interrupted);
      }
    }
  }

  /**
   * Looks, without writing, whether this folder can be filled.
   *
   * @param what the operation that fails when not
   * @param next what to do then
   * @throws OperatorException REFUSED
   */
  static void check(Path path, String what, String next) {
    String why = null;
    try {
      if (Files.exists(path, LinkOption.NOFOLLOW_LINKS) && !Files.isDirectory(path)) {
        why = path + " is not a folder";
      } else if (Files.isDirectory(path)) {
        Marker marker = marker(path);
        why = marker == null ? content(path) : whole(path, marker);
      }
    } catch (IOException e) {
      throw new OperatorException(
          Kind.FAILED, what, "cannot look into " + path + ": " + reason(e), next, e);
    }
    if (why != null) {
      throw new OperatorException(Kind.REFUSED, what, why, next);
    }
  }

  /**
   * Of a restore that was interrupted after its last file, that a server may have been started on
   * it since: then it is somebody's data. Null for any that was interrupted before.
   */
  private static @Nullable String whole(Path path, Marker marker) throws IOException {
    boolean control = Files.exists(path.resolve(BackupFiles.CONTROL), LinkOption.NOFOLLOW_LINKS);
    return switch (marker.begun) {
      case IN_A_CLUSTER ->
          control
              ? path + " is the data directory of a PostgreSQL server"
              : path
                  + " holds a cluster that a restore --delta has not brought back completely: to"
                  + " have it whole, run that again";
      case IN_NOTHING ->
          control
              ? "%s holds a restored cluster that is whole: to keep it, remove only the file %s in it"
                  .formatted(path, MARKER)
              : null;
      case UNKNOWN -> names(path).isEmpty() ? null : unknown(path);
    };
  }

  /** Why nothing is done to a folder whose marker does not say whose the files are. */
  static String unknown(Path path) {
    return "the file %s is not as a restore writes it (it may have been cut off by a full disk), so that nothing tells whose the other files there are"
        .formatted(path.resolve(MARKER));
  }

  /** What is in a folder but markers, in order. */
  private static List<String> names(Path path) throws IOException {
    try (Stream<Path> inside = Files.list(path)) {
      return inside
          .map(file -> file.getFileName().toString())
          .filter(name -> !name.equals(MARKER) && !name.equals(MARKER_PARTIAL))
          .sorted()
          .toList();
    }
  }

  /** What is in a folder that is not ours; null for nothing. */
  private static @Nullable String content(Path path) throws IOException {
    List<String> names = names(path);
    if (names.isEmpty()) {
      return null;
    }
    if (names.contains("postmaster.pid")) {
      String pid = Files.readAllLines(path.resolve("postmaster.pid")).getFirst().strip();
      boolean alive =
          pid.matches("\\d+")
              && ProcessHandle.of(Long.parseLong(pid)).map(ProcessHandle::isAlive).orElse(false);
      return alive
          ? "a PostgreSQL server runs in " + path + " (process " + pid + ")"
          : path + " is the data directory of a PostgreSQL server that has crashed";
    }
    if (names.contains("PG_VERSION")) {
      return path + " is the data directory of a PostgreSQL server";
    }
    if (names.equals(List.of("lost+found"))) {
      return path + " is the top of a file system, which PostgreSQL does not want to own";
    }
    return "%s is not empty: it holds %s%s"
        .formatted(
            path,
            String.join(", ", names.subList(0, Math.min(NAMES_MAX, names.size()))),
            names.size() > NAMES_MAX ? ", ..." : "");
  }

  /**
   * Makes it ours; empty afterwards, save for the marker.
   *
   * @param also other folders that the same restore is going to claim
   * @throws OperatorException as {@link #check}; REFUSED too when another restore is at it
   */
  static RestoreFolder claim(Path path, List<Path> also, String what, String next) {
    check(path, what, next);
    List<Path> made = new ArrayList<>();
    try {
      for (Path missing = path; missing != null && !Files.exists(missing); ) {
        made.add(missing);
        missing = missing.getParent();
      }
      Files.createDirectories(
          path, PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwxr-xr-x")));
      // Read before it is locked: closing it would end a lock of this process.
      Marker interrupted = marker(path);
      Held held = hold(path);
      if (held == null) {
        throw new OperatorException(
            Kind.REFUSED, what, "another restore into " + path + " is running", next);
      }
      boolean marked = false;
      try {
        if (interrupted != null) {
          clearOthers(interrupted);
        }
        clear(path);
        held.mark(text(also));
        Files.setPosixFilePermissions(path, PosixFilePermissions.fromString("rwx------"));
        marked = true;
        return new RestoreFolder(path, made, interrupted != null, held, false);
      } finally {
        if (!marked) {
          held.abandon(interrupted != null);
        }
      }
    } catch (IOException e) {
      throw new OperatorException(
          Kind.FAILED,
          what,
          "cannot write into " + path + ": " + reason(e),
          "name a folder that " + System.getProperty("user.name") + " can write to",
          e);
    }
  }

  private static String text(List<Path> also) {
    StringBuilder text =
        new StringBuilder(FRESH)
            .append(
                "To have it whole, run the same holdfast restore again. To be rid of it, remove the folder.\n");
    also.forEach(other -> text.append(ALSO).append(other).append('\n'));
    return text.toString();
  }

  /**
   * A folder that nobody else restores into: what its marker is going to be is locked, and the
   * marker that an interrupted restore left, if there is one.
   */
  private record Held(Path folder, FileChannel marker, List<FileLock> locks) {
    /**
     * Writes the marker under another name and gives it its own: at no moment is one there that
     * says less than all.
     */
    void mark(String text) throws IOException {
      marker.truncate(0);
      ByteBuffer bytes = ByteBuffer.wrap(text.getBytes(StandardCharsets.UTF_8));
      while (bytes.hasRemaining()) {
        marker.write(bytes, bytes.position());
      }
      marker.force(true);
      Files.move(
          folder.resolve(MARKER_PARTIAL),
          folder.resolve(MARKER),
          StandardCopyOption.ATOMIC_MOVE,
          StandardCopyOption.REPLACE_EXISTING);
      sync(folder);
    }

    /**
     * It could not be marked.
     *
     * @param before whether it had a marker before, which stays, or the new one in its place
     */
    void abandon(boolean before) {
      try {
        Files.deleteIfExists(folder.resolve(MARKER_PARTIAL));
        if (!before) {
          Files.deleteIfExists(folder.resolve(MARKER));
        }
      } catch (IOException e) {
        return; // why it could not is the failure to tell
      } finally {
        release();
      }
    }

    /** Locks go with their channels. */
    void release() {
      locks.forEach(Held::release);
    }

    private static void release(FileLock lock) {
      try {
        lock.acquiredBy().close();
      } catch (IOException e) {
        return; // it goes with this process
      }
    }
  }

  /** Null when another restore has it. */
  private static @Nullable Held hold(Path path) throws IOException {
    Path partial = path.resolve(MARKER_PARTIAL);
    // Not truncated: should another restore have it, it is left as it is.
    FileLock lock =
        locked(
            FileChannel.open(
                partial,
                StandardOpenOption.CREATE,
                StandardOpenOption.WRITE,
                LinkOption.NOFOLLOW_LINKS));
    if (lock == null) {
      return null;
    }
    List<FileLock> locks = new ArrayList<>(List.of(lock));
    Held held = new Held(path, (FileChannel) lock.acquiredBy(), locks);
    boolean alone = false;
    try {
      Path before = path.resolve(MARKER);
      if (Files.isRegularFile(before, LinkOption.NOFOLLOW_LINKS)) {
        FileLock its =
            locked(FileChannel.open(before, StandardOpenOption.WRITE, LinkOption.NOFOLLOW_LINKS));
        if (its == null) {
          return null;
        }
        locks.add(its);
      }
      alone = true;
      return held;
    } finally {
      if (!alone) {
        held.abandon(true);
      }
    }
  }

  /** The lock of a file, which goes with its channel; null, and closed, when another has it. */
  private static @Nullable FileLock locked(FileChannel channel) throws IOException {
    FileLock lock = null;
    try {
      lock = channel.tryLock();
      return lock;
    } catch (OverlappingFileLockException e) {
      return null; // this very process restores into it
    } finally {
      if (lock == null) {
        channel.close();
      }
    }
  }

  /** An interrupted restore may have had other tablespace folders than this one will. */
  private static void clearOthers(Marker interrupted) throws IOException {
    for (Path other : interrupted.also) {
      Marker its = marker(other);
      if (its != null && its.begun == Begun.IN_NOTHING) {
        clearOther(other);
      }
    }
  }

  private static void clearOther(Path other) throws IOException {
    try (FileChannel marker = FileChannel.open(other.resolve(MARKER), StandardOpenOption.WRITE)) {
      if (locked(marker) != null) { // else another restore has it now
        clear(other);
        Files.deleteIfExists(other.resolve(MARKER_PARTIAL));
        Files.delete(other.resolve(MARKER)); // last, as ever
      }
    }
  }

  /** Removes everything below a folder but markers; links are removed, not followed. */
  private static void clear(Path folder) throws IOException {
    Set<Path> kept = Set.of(folder.resolve(MARKER), folder.resolve(MARKER_PARTIAL));
    Files.walkFileTree(
        folder,
        new SimpleFileVisitor<>() {
          @Override
          public FileVisitResult visitFile(Path file, BasicFileAttributes attributes)
              throws IOException {
            if (!kept.contains(file)) {
              Files.delete(file);
            }
            return FileVisitResult.CONTINUE;
          }

          @Override
          public FileVisitResult postVisitDirectory(Path visited, @Nullable IOException e)
              throws IOException {
            if (e != null) {
              throw e;
            }
            if (!visited.equals(folder)) {
              Files.delete(visited);
            }
            return FileVisitResult.CONTINUE;
          }
        });
  }

  Path path() {
    return path;
  }

  /** Whether what an interrupted restore had left was removed. */
  boolean startedOver() {
    return startedOver;
  }

  /** All is there, and on the disk: the folder is no longer ours. */
  void finish() throws IOException {
    Files.delete(path.resolve(MARKER));
    sync(path);
    for (Path folder : made) {
      Path above = folder.getParent();
      if (above != null && Files.isReadable(above)) {
        sync(above);
      }
    }
    finished = true;
    release();
  }

  /** Removes what was restored, unless it was finished; and the folder, where it was made. */
  @Override
  public void close() {
    if (finished) {
      return;
    }
    if (takenOver) {
      leave();
      return;
    }
    try {
      clear(path);
      Files.deleteIfExists(path.resolve(MARKER));
      release();
      for (Path folder : made) {
        Files.delete(folder);
      }
    } catch (IOException e) {
      return; // what stopped the restore is the failure to tell; the marker says the rest
    } finally {
      release();
    }
  }

  /** From now on a folder that was taken over is not what it was: its marker stays. */
  void change() {
    changed = true;
  }

  /** Whether there was a cluster in it. */
  boolean isTakenOver() {
    return takenOver;
  }

  /** What was going to change has not: it is what it was. */
  void spare() {
    changed = false;
  }

  private void leave() {
    try {
      if (!changed && !startedOver) {
        Files.deleteIfExists(path.resolve(MARKER));
      }
    } catch (IOException e) {
      return; // what stopped the restore is the failure to tell
    } finally {
      release();
    }
  }

  private void release() {
    held.release();
  }

  /** Makes what was done to the names in a folder durable. */
  static void sync(Path folder) throws IOException {
    try (FileChannel channel = FileChannel.open(folder, StandardOpenOption.READ)) {
      channel.force(true);
    }
  }

  private static String reason(IOException e) {
    return e.getClass().getSimpleName() + ": " + e.getMessage();
  }
}
