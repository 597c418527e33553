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
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
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

  /** Lines of the marker that name other folders of the same restore. */
  private static final String ALSO = "also: ";

  /**
   * The line of a marker whose folder held somebody's cluster before: not all in it is ours. Then
   * the system identifier.
   */
  private static final String DELTA = "delta: ";

  /** The line that names the folder in which what must not be lost is put. */
  private static final String ASIDE = "set aside in: ";

  private static final int NAMES_MAX = 3;

  private final Path path;
  private final List<Path> made;
  private final boolean startedOver;
  private final FileChannel marker;
  private final FileLock lock;

  /** Whether a cluster was here that is brought back: nothing is thrown away when that fails. */
  private final boolean takenOver;

  /** Of one taken over, whether anything in it may have been changed. */
  private boolean changed;

  private boolean finished;

  private RestoreFolder(
      Path path,
      List<Path> made,
      boolean startedOver,
      FileChannel marker,
      FileLock lock,
      boolean takenOver) {
    this.path = path;
    this.made = made;
    this.startedOver = startedOver;
    this.marker = marker;
    this.lock = lock;
    this.takenOver = takenOver;
  }

  /**
   * What a marker says.
   *
   * @param system of the cluster that is brought back, as {@link #takeOver} was told; null when the
   *     folder was absent or empty, so that all in it is ours
   * @param aside where what must not be lost is put; null for nowhere
   * @param also other folders of the same restore
   */
  record Marker(@Nullable String system, @Nullable Path aside, List<Path> also) {}

  /** The marker in a folder; null for none. */
  static @Nullable Marker marker(Path path) throws IOException {
    Path file = path.resolve(MARKER);
    if (!Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS)) {
      return null;
    }
    String system = null;
    Path aside = null;
    List<Path> also = new ArrayList<>();
    for (String line : Files.readAllLines(file)) {
      if (line.startsWith(DELTA)) {
        system = line.substring(DELTA.length());
      } else if (line.startsWith(ASIDE)) {
        aside = Path.of(line.substring(ASIDE.length()));
      } else if (line.startsWith(ALSO)) {
        also.add(Path.of(line.substring(ALSO.length())));
      }
    }
    return new Marker(system, aside, also);
  }

  /**
   * Makes a folder ours with what is in it, which stays, whether the restore succeeds or not. It
   * has been looked at before.
   *
   * @param system whose cluster it is
   * @param aside where what must not be lost is put; null for nowhere
   * @param also other folders of the same restore
   * @throws OperatorException REFUSED when another restore is at it
   */
  static RestoreFolder takeOver(
      Path path, String system, @Nullable Path aside, List<Path> also, String what)
      throws IOException {
    boolean interrupted = marker(path) != null;
    FileChannel channel =
        FileChannel.open(
            path.resolve(MARKER),
            StandardOpenOption.CREATE,
            StandardOpenOption.WRITE,
            LinkOption.NOFOLLOW_LINKS);
    boolean taken = false;
    try {
      FileLock lock = locked(channel);
      if (lock == null) {
        throw new OperatorException(
            Kind.REFUSED,
            what,
            "another restore into " + path + " is running",
            "wait until it has ended, or stop it; then run the same command again");
      }
      RestoreFolder folder = new RestoreFolder(path, List.of(), interrupted, channel, lock, true);
      StringBuilder text = new StringBuilder(DELTA).append(system).append('\n');
      if (aside != null) {
        text.append(ASIDE).append(aside).append('\n');
      }
      also.forEach(other -> text.append(ALSO).append(other).append('\n'));
      folder.mark(
          """
          A restore --delta by Holdfast goes on here, or was interrupted: what is in this folder is not complete.
          To have it whole, run the same holdfast restore --delta again. No server must be started on it before.
          """
              + text);
      taken = true;
      return folder;
    } finally {
      if (!taken) {
        channel.close();
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
        why = Files.isRegularFile(path.resolve(MARKER)) ? whole(path) : content(path);
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
  private static @Nullable String whole(Path path) throws IOException {
    Marker marker = marker(path);
    boolean control = Files.exists(path.resolve(BackupFiles.CONTROL), LinkOption.NOFOLLOW_LINKS);
    if (marker != null && marker.system != null) {
      if (control) {
        return path + " is the data directory of a PostgreSQL server";
      }
      return path
          + " holds a cluster that a restore --delta has not brought back completely: to have it"
          + " whole, run that again";
    }
    return control
        ? "%s holds a restored cluster that is whole: to keep it, remove only the file %s in it"
            .formatted(path, MARKER)
        : null;
  }

  /** What is in a folder that is not ours; null for nothing. */
  private static @Nullable String content(Path path) throws IOException {
    List<String> names;
    try (Stream<Path> inside = Files.list(path)) {
      names = inside.map(file -> file.getFileName().toString()).sorted().toList();
    }
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
      boolean interrupted = Files.exists(path.resolve(MARKER));
      FileChannel marker =
          FileChannel.open(
              path.resolve(MARKER), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
      FileLock lock = locked(marker);
      if (lock == null) {
        marker.close();
        throw new OperatorException(
            Kind.REFUSED, what, "another restore into " + path + " is running", next);
      }
      if (interrupted) {
        clearOthers(path);
      }
      RestoreFolder folder = new RestoreFolder(path, made, interrupted, marker, lock, false);
      folder.clear();
      folder.mark(also);
      Files.setPosixFilePermissions(path, PosixFilePermissions.fromString("rwx------"));
      return folder;
    } catch (IOException e) {
      throw new OperatorException(
          Kind.FAILED,
          what,
          "cannot write into " + path + ": " + reason(e),
          "name a folder that " + System.getProperty("user.name") + " can write to",
          e);
    }
  }

  private static @Nullable FileLock locked(FileChannel marker) throws IOException {
    try {
      return marker.tryLock();
    } catch (OverlappingFileLockException e) {
      return null; // this very process restores into it
    }
  }

  private void mark(List<Path> also) throws IOException {
    StringBuilder text =
        new StringBuilder(
            """
            A restore by Holdfast goes on here, or was interrupted: what is in this folder is not complete.
            To have it whole, run the same holdfast restore again. To be rid of it, remove the folder.
            """);
    also.forEach(other -> text.append(ALSO).append(other).append('\n'));
    mark(text.toString());
  }

  private void mark(String text) throws IOException {
    marker.truncate(0);
    marker.write(ByteBuffer.wrap(text.getBytes(StandardCharsets.UTF_8)), 0);
    marker.force(true);
    sync(path);
  }

  /** An interrupted restore may have had other tablespace folders than this one will. */
  private static void clearOthers(Path path) throws IOException {
    Marker marker = marker(path);
    for (Path other : marker == null ? List.<Path>of() : marker.also) {
      Marker its = marker(other);
      if (its != null && its.system == null) {
        clearOther(other);
      }
    }
  }

  private static void clearOther(Path other) throws IOException {
    try (FileChannel marker = FileChannel.open(other.resolve(MARKER), StandardOpenOption.WRITE)) {
      if (locked(marker) != null) { // else another restore has it now
        remove(other, other.resolve(MARKER));
        Files.delete(other.resolve(MARKER)); // last, as ever
      }
    }
  }

  private void clear() throws IOException {
    remove(path, path.resolve(MARKER));
  }

  /** Everything below a folder but one file; links are removed, not followed. */
  private static void remove(Path folder, Path kept) throws IOException {
    Files.walkFileTree(
        folder,
        new SimpleFileVisitor<>() {
          @Override
          public FileVisitResult visitFile(Path file, BasicFileAttributes attributes)
              throws IOException {
            if (!file.equals(kept)) {
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
      clear();
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
    try {
      lock.close();
      marker.close();
    } catch (IOException e) {
      return; // it goes with this process
    }
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
