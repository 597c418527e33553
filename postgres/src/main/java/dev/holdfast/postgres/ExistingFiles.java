package dev.holdfast.postgres;

import java.io.IOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.Function;
import java.util.function.Predicate;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * What is in a data directory and the folders of its tablespaces, held against what a base backup
 * has. No symbolic link is followed but the tablespaces' own, which are given as folders. Nothing
 * is changed here.
 *
 * <p>What is neither counted nor touched: pg_wal, the marker, {@code lost+found}, and in a
 * tablespace's folder everything but the folder of the base backup's version. Of these nothing is
 * read either, and the last two keep their owners.
 */
final class ExistingFiles {
  /** Where WAL is fetched to before anything else is changed. */
  static final String WAL_STAGE = "holdfast.restoring.wal";

  private static final String LOST_AND_FOUND = "lost+found";

  private static final Pattern LINK = Pattern.compile("pg_tblspc/(\\d+)");

  /** Others deal with them, or they are the file system's. */
  private static final Set<String> LEFT_ALONE =
      Set.of(
          "pg_wal", WAL_STAGE, RestoreFolder.MARKER, RestoreFolder.MARKER_PARTIAL, LOST_AND_FOUND);

  private final Path data;
  private final Map<Long, Path> tablespaces;

  /** What is to be there: bytes of each file. */
  private final Map<String, Long> wanted = new TreeMap<>();

  private final Set<String> folders = new HashSet<>();
  private final Map<String, Long> present = new HashMap<>();

  /** What is to go, each folder after what is in it. */
  private final List<Path> surplus = new ArrayList<>();

  private final Set<String> removed = new TreeSet<>();
  private final List<String> notes = new ArrayList<>();

  /** Bytes of files that are to go, by the data directory's or tablespace's folder. */
  private final Map<Path, Long> bytesRemoved = new HashMap<>();

  private Path control;

  private ExistingFiles(Path data, Map<Long, Path> tablespaces, Map<String, Long> backup) {
    this.data = data;
    this.tablespaces = tablespaces;
    backup.forEach((path, size) -> {
      if (size < 0) {
        addFolders(path);
      } else if (!DataDirectory.isLeftOut(path)) {
        wanted.put(path, size);
        addFolders(above(path));
      }
    });
    DataDirectory.FOLDERS.forEach(this::addFolders);
    Path named = data.resolve(BackupFiles.CONTROL);
    Path partial = data.resolve(Restore.CONTROL_PARTIAL);
    control =
        Files.exists(named, LinkOption.NOFOLLOW_LINKS)
                || Files.notExists(partial, LinkOption.NOFOLLOW_LINKS)
            ? named
            : partial;
  }

  private static String above(String path) {
    int slash = path.lastIndexOf('/');
    return slash < 0 ? "" : path.substring(0, slash);
  }

  private void addFolders(String path) {
    for (String folder = path; !folder.isEmpty() && folders.add(folder); folder = above(folder)) {
      // and those above it
    }
  }

  /**
   * Looks.
   *
   * @param tablespaces the folders by OID
   * @param looked which of these may be looked into; the others are to be empty first
   * @param backup the base backup's files and folders
   */
  static ExistingFiles of(
      Path data, Map<Long, Path> tablespaces, Set<Long> looked, Map<String, Long> backup)
      throws IOException {
    ExistingFiles files = new ExistingFiles(data, tablespaces, backup);
    files.walk(data, "");
    for (Map.Entry<Long, Path> one : tablespaces.entrySet()) {
      if (looked.contains(one.getKey())) {
        files.walk(one.getValue(), "pg_tblspc/" + one.getKey() + "/");
      }
    }
    return files;
  }

  /**
   * @param prefix of the paths of what is in it: empty for the data directory
   */
  private void walk(Path root, String prefix) throws IOException {
    boolean tablespace = !prefix.isEmpty();
    Files.walkFileTree(
        root,
        new SimpleFileVisitor<>() {
          private String path(Path file) {
            return prefix + root.relativize(file);
          }

          @Override
          public FileVisitResult preVisitDirectory(Path folder, BasicFileAttributes attributes) {
            if (folder.equals(root)) {
              return FileVisitResult.CONTINUE;
            }
            return leave(folder) ? FileVisitResult.SKIP_SUBTREE : FileVisitResult.CONTINUE;
          }

          /** Whether what is there stays as it is. */
          private boolean leave(Path file) {
            String path = path(file);
            if (tablespace && isBeside(path)) {
              notes.add(file + " is not in the base backup: it is left as it is");
              return true;
            }
            return !tablespace && LEFT_ALONE.contains(path);
          }

          /** A folder is opened before anybody is asked whether to go into it. */
          @Override
          public FileVisitResult visitFileFailed(Path file, IOException e) throws IOException {
            if (file.equals(root) || !leave(file)) {
              throw e;
            }
            return FileVisitResult.CONTINUE;
          }

          @Override
          public FileVisitResult visitFile(Path file, BasicFileAttributes attributes)
              throws IOException {
            String path = path(file);
            if (!tablespace) {
              inData(path, file, attributes);
            } else if (!isBeside(path)) {
              settle(path, root, file, attributes);
            }
            return FileVisitResult.CONTINUE;
          }

          @Override
          public FileVisitResult postVisitDirectory(Path folder, @Nullable IOException e)
              throws IOException {
            if (e != null) {
              throw e;
            }
            String path = path(folder);
            if (!folder.equals(root)
                && (!folders.contains(path) || (!tablespace && tablespaceOf(path) != null))) {
              surplus.add(folder);
            }
            return FileVisitResult.CONTINUE;
          }
        });
  }

  /** In a tablespace's folder beside that of the version: of another cluster, or somebody's. */
  private boolean isBeside(String path) {
    return LINK.matcher(above(path)).matches() && !folders.contains(path);
  }

  /** The folder that a path lies in, if it is a tablespace's that is known; or is its link. */
  private @Nullable Path tablespaceOf(String path) {
    Matcher matcher = Restore.TABLESPACE.matcher(path);
    return matcher.matches() ? tablespaces.get(Long.parseLong(matcher.group(1))) : null;
  }

  private void inData(String path, Path file, BasicFileAttributes attributes) throws IOException {
    if (LEFT_ALONE.contains(path)) {
      return;
    }
    if (file.equals(control)) {
      settle(BackupFiles.CONTROL, data, file, attributes);
      return;
    }
    Path planned = tablespaceOf(path);
    if (planned == null) {
      if (LINK.matcher(path).matches() && attributes.isSymbolicLink()) {
        notes.add(
            "the tablespace in %s is not in the base backup: its link goes, its files stay"
                .formatted(Files.readSymbolicLink(file)));
      }
      settle(path, data, file, attributes);
    } else if (!leadsTo(file, planned)) {
      surplus.add(file); // a link elsewhere, or a copy of the tablespace in the place of its link
      removes(data, attributes);
      if (!LINK.matcher(path).matches()) {
        removed.add(path);
      }
    }
  }

  private void removes(Path root, BasicFileAttributes attributes) {
    if (attributes.isRegularFile()) {
      bytesRemoved.merge(root, attributes.size(), Long::sum);
    }
  }

  private void settle(String path, Path root, Path file, BasicFileAttributes attributes)
      throws IOException {
    // A file with another name elsewhere (a copy by hard links) would be changed there too.
    if (wanted.containsKey(path) && attributes.isRegularFile() && names(file) == 1) {
      present.put(path, attributes.size());
      return;
    }
    surplus.add(file);
    if (!wanted.containsKey(path)) {
      removed.add(path);
      removes(root, attributes);
    }
  }

  private static int names(Path file) throws IOException {
    return file.getFileSystem().supportedFileAttributeViews().contains("unix")
        ? (Integer) Files.getAttribute(file, "unix:nlink", LinkOption.NOFOLLOW_LINKS)
        : 1;
  }

  static boolean leadsTo(Path link, Path folder) throws IOException {
    return Files.isSymbolicLink(link)
        && Files.exists(folder)
        && Files.exists(link)
        && Files.isSameFile(link, folder);
  }

  /** Says that {@code global/pg_control} has another name meanwhile. */
  void controlIsAt(Path file) {
    control = file;
  }

  /** Where the file or folder of a path is, or would be. */
  Function<String, Path> place() {
    return path -> {
      if (path.equals(BackupFiles.CONTROL)) {
        return control;
      }
      Matcher matcher = Restore.TABLESPACE.matcher(path);
      Path folder = matcher.matches() ? tablespaces.get(Long.parseLong(matcher.group(1))) : null;
      if (folder == null) {
        return data.resolve(path);
      }
      String below = path.substring(("pg_tblspc/" + matcher.group(1)).length());
      return below.isEmpty() ? folder : folder.resolve(below.substring(1));
    };
  }

  /** Files that are to be there, with their bytes. */
  Map<String, Long> wanted() {
    return wanted;
  }

  /** Folders that are to be there. */
  Set<String> folders() {
    return folders;
  }

  /** Files that are there, may be written to, and are to be there, with the bytes they have. */
  Map<String, Long> present() {
    return present;
  }

  /** What is to go, each folder after what is in it. */
  List<Path> surplus() {
    return surplus;
  }

  /** Paths of the files and links that the base backup has not. */
  Set<String> removed() {
    return removed;
  }

  /**
   * Bytes of the files that go, by the folder that they are in: the data directory, or a
   * tablespace's.
   */
  Map<Path, Long> bytesRemoved() {
    return bytesRemoved;
  }

  /**
   * Everything that is in the folders now and belongs to the data directory, the folders themselves
   * too: what is given to its owner and made durable. What was there beside is left out.
   */
  List<Path> all() throws IOException {
    List<Path> all = new ArrayList<>();
    collect(data, path -> path.equals(LOST_AND_FOUND), all);
    for (Map.Entry<Long, Path> one : tablespaces.entrySet()) {
      String prefix = "pg_tblspc/" + one.getKey() + "/";
      collect(one.getValue(), path -> isBeside(prefix + path), all);
    }
    return all;
  }

  /** Paths below a folder, and itself, but what is left out. */
  private static void collect(Path root, Predicate<String> leftOut, List<Path> all)
      throws IOException {
    Files.walkFileTree(
        root,
        new SimpleFileVisitor<>() {
          private boolean isLeftOut(Path file) {
            return !file.equals(root) && leftOut.test(root.relativize(file).toString());
          }

          @Override
          public FileVisitResult preVisitDirectory(Path folder, BasicFileAttributes attributes) {
            if (isLeftOut(folder)) {
              return FileVisitResult.SKIP_SUBTREE;
            }
            all.add(folder);
            return FileVisitResult.CONTINUE;
          }

          @Override
          public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) {
            if (!isLeftOut(file)) {
              all.add(file);
            }
            return FileVisitResult.CONTINUE;
          }

          @Override
          public FileVisitResult visitFileFailed(Path file, IOException e) throws IOException {
            if (!isLeftOut(file)) {
              throw e;
            }
            return FileVisitResult.CONTINUE;
          }
        });
  }

  List<String> notes() {
    return notes;
  }
}
