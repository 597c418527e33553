package dev.holdfast.store.local;

import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.objects.NoSuchObjectException;
import dev.holdfast.store.objects.ObjectExistsException;
import dev.holdfast.store.objects.ObjectName;
import dev.holdfast.store.objects.ObjectStore;
import dev.holdfast.store.objects.ObjectWriter;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.EnumSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * Objects as files below a directory; folders 0700, files 0600.
 *
 * <p>A new object is written to a {@code .tmp-…} file in its folder, synced, then linked to its
 * name (a link, unlike a rename, fails where the name exists), then the folder is synced. What a
 * crash left behind is invisible, and removed by age at a later write to the folder.
 */
public final class LocalObjectStore implements ObjectStore {
  static final Duration STALE_AFTER = Duration.ofDays(1);
  private static final Duration SWEEP_EVERY = Duration.ofHours(1);
  private static final String TEMPORARY = ".tmp-";
  private static final FileAttribute<?> PRIVATE_FOLDER =
      PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------"));
  private static final FileAttribute<?> PRIVATE_FILE =
      PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------"));

  private final Path root;
  private final Map<Path, Instant> sweptAt = new ConcurrentHashMap<>();

  /**
   * Device and inode of the root when it was first seen; null while it does not exist. A recorder
   * whose disk is unmounted would otherwise go on in the empty mount point, on another disk.
   */
  private volatile @Nullable Object rootKey;

  /** Objects below this directory, which is made when the first of them is written. */
  public LocalObjectStore(Path root) {
    this.root = root.toAbsolutePath().normalize();
    try {
      this.rootKey = key(this.root);
    } catch (IOException e) {
      this.rootKey = null; // missing or unreadable: the first use says so
    }
  }

  private static @Nullable Object key(Path directory) throws IOException {
    return Files.readAttributes(directory, BasicFileAttributes.class).fileKey();
  }

  @Override
  public String location() {
    return root.toString();
  }

  @Override
  public ObjectWriter create(String name) {
    return new LocalWriter(name, path(name));
  }

  @Override
  public void put(String name, byte[] bytes) {
    put(name, bytes, bytes.length);
  }

  @Override
  public void put(String name, byte[] bytes, int length) {
    try (ObjectWriter writer = create(name)) {
      writer.write(bytes, 0, length);
      writer.commit();
    }
  }

  @Override
  public void replace(String name, byte[] bytes) {
    try (LocalWriter writer = new LocalWriter(name, path(name))) {
      writer.write(bytes, 0, bytes.length);
      writer.commitReplacing();
    }
  }

  @Override
  public byte[] get(String name) {
    try {
      return Files.readAllBytes(path(name));
    } catch (NoSuchFileException e) {
      throw missing(name, e);
    } catch (IOException e) {
      throw failure("read", name, e);
    }
  }

  @Override
  public byte[] get(String name, long offset, int length) {
    try (FileChannel channel = FileChannel.open(path(name), StandardOpenOption.READ)) {
      int available = (int) Math.max(0, Math.min(length, channel.size() - offset));
      ByteBuffer buffer = ByteBuffer.allocate(available);
      while (buffer.hasRemaining()) {
        if (channel.read(buffer, offset + buffer.position()) < 0) {
          break;
        }
      }
      return buffer.position() == available
          ? buffer.array()
          : Arrays.copyOf(buffer.array(), buffer.position());
    } catch (NoSuchFileException e) {
      throw missing(name, e);
    } catch (IOException e) {
      throw failure("read", name, e);
    }
  }

  @Override
  public List<StoredObject> list(String prefix) {
    Path folder = root.resolve(ObjectName.checkPrefix(prefix));
    var found = new ArrayList<StoredObject>();
    try {
      Files.walkFileTree(
          folder,
          new SimpleFileVisitor<>() {
            @Override
            public FileVisitResult preVisitDirectory(Path visited, BasicFileAttributes attributes) {
              // lost+found and the like are not ours, and may not even be readable.
              return visited.equals(folder) || isObject(visited)
                  ? FileVisitResult.CONTINUE
                  : FileVisitResult.SKIP_SUBTREE;
            }

            @Override
            public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) {
              String name = root.relativize(file).toString();
              if (attributes.isRegularFile() && isObject(file)) {
                found.add(
                    new StoredObject(
                        name, attributes.size(), attributes.lastModifiedTime().toInstant()));
              }
              return FileVisitResult.CONTINUE;
            }

            @Override
            public FileVisitResult visitFileFailed(Path file, IOException e) throws IOException {
              // What vanishes while we list was replaced or deleted: not there is the right answer.
              if (e instanceof NoSuchFileException) {
                return FileVisitResult.CONTINUE;
              }
              throw e;
            }
          });
    } catch (IOException e) {
      throw failure("list", prefix, e);
    }
    found.sort(Comparator.comparing(StoredObject::name));
    return found;
  }

  @Override
  public List<String> folders(String prefix) {
    Path folder = root.resolve(ObjectName.checkPrefix(prefix));
    try (Stream<Path> children = Files.list(folder)) {
      return children
          .filter(child -> isObject(child) && Files.isDirectory(child))
          .map(child -> child.getFileName().toString())
          .sorted()
          .toList();
    } catch (NoSuchFileException e) {
      return List.of();
    } catch (IOException e) {
      throw failure("list", prefix, e);
    }
  }

  @Override
  public List<String> children(String prefix) {
    var found = new ArrayList<String>();
    try (var children = Files.newDirectoryStream(root.resolve(ObjectName.checkPrefix(prefix)))) {
      for (Path child : children) {
        if (isObject(child)) {
          found.add(child.getFileName().toString());
        }
      }
    } catch (NoSuchFileException e) {
      return List.of();
    } catch (DirectoryIteratorException e) {
      throw failure("list", prefix, Objects.requireNonNull(e.getCause()));
    } catch (IOException e) {
      throw failure("list", prefix, e);
    }
    found.sort(Comparator.naturalOrder());
    return found;
  }

  @Override
  public boolean exists(String name) {
    Path path = path(name);
    try {
      return Files.readAttributes(path, BasicFileAttributes.class).isRegularFile();
    } catch (NoSuchFileException e) {
      return false;
    } catch (IOException e) {
      throw failure("look for", name, e);
    }
  }

  @Override
  public void delete(String name) {
    Path path = path(name);
    try {
      if (Files.deleteIfExists(path)) {
        Path folder = parent(path);
        sync(folder);
        removeIfEmpty(folder);
      }
    } catch (IOException e) {
      throw failure("delete", name, e);
    }
  }

  @Override
  public void deleteAll(List<String> names) {
    names.forEach(ObjectName::check); // before the first one goes
    // One sync for each folder, however many of its files go.
    var changed = new LinkedHashSet<Path>();
    for (String name : names) {
      Path path = path(name);
      try {
        if (Files.deleteIfExists(path)) {
          changed.add(parent(path));
        }
      } catch (IOException e) {
        throw failure("delete", name, e);
      }
    }
    for (Path folder : changed) {
      try {
        sync(folder);
        removeIfEmpty(folder);
      } catch (IOException e) {
        throw failure("delete", root.relativize(folder).toString(), e);
      }
    }
  }

  /** An empty folder is no object: it goes with its last one, as it would in a bucket. */
  private void removeIfEmpty(Path folder) throws IOException {
    for (Path empty = folder; !empty.equals(root); empty = parent(empty)) {
      try {
        Files.delete(empty);
        sweptAt.remove(empty);
      } catch (DirectoryNotEmptyException | NoSuchFileException e) {
        return;
      }
    }
  }

  private Path path(String name) {
    return root.resolve(ObjectName.check(name));
  }

  private static Path parent(Path path) {
    Path parent = path.getParent();
    if (parent == null) {
      throw new IllegalArgumentException(path + " has no parent");
    }
    return parent;
  }

  private static boolean isObject(Path path) {
    Path name = path.getFileName();
    return name != null && ObjectName.isComponent(name.toString());
  }

  private static void sync(Path folder) throws IOException {
    try (FileChannel channel = FileChannel.open(folder, StandardOpenOption.READ)) {
      channel.force(true);
    } catch (NoSuchFileException e) {
      // Removed with its last object by another writer: nothing is left to be made durable.
    }
  }

  /** Creates the folder and what is missing above it, each durable in its parent. */
  private void makeFolder(Path folder) throws IOException {
    if (Files.isDirectory(folder)) {
      return;
    }
    if (rootKey == null) {
      Files.createDirectories(root, PRIVATE_FOLDER);
      sync(parent(root));
      rootKey = key(root);
    } else if (!Files.isDirectory(root) || !Objects.equals(rootKey, key(root))) {
      throw new NoSuchFileException(root.toString());
    }
    makeBelowRoot(folder);
  }

  private void makeBelowRoot(Path folder) throws IOException {
    if (Files.isDirectory(folder)) {
      return;
    }
    makeBelowRoot(parent(folder));
    try {
      Files.createDirectory(folder, PRIVATE_FOLDER);
    } catch (FileAlreadyExistsException e) {
      // One look: when it was removed meanwhile, with its last object, the caller begins again.
      if (!Files.readAttributes(folder, BasicFileAttributes.class).isDirectory()) {
        throw e;
      }
    }
    sync(parent(folder));
  }

  @Override
  public void sweep(String prefix) {
    Path folder = root.resolve(ObjectName.checkPrefix(prefix));
    try (Stream<Path> below = Files.walk(folder)) {
      List<Path> folders = below.filter(Files::isDirectory).toList();
      for (Path swept : folders.reversed()) {
        removeStale(swept);
        if (!swept.equals(folder)) {
          removeIfEmpty(swept);
        }
      }
    } catch (NoSuchFileException | UncheckedIOException e) {
      return; // nothing there, or another writer is cleaning up as well
    } catch (IOException e) {
      throw failure("clean up", prefix, e);
    }
  }

  private void sweepNowAndThen(Path folder) {
    Instant now = Instant.now();
    Instant last = sweptAt.get(folder);
    if (last != null && last.plus(SWEEP_EVERY).isAfter(now)) {
      return;
    }
    sweptAt.put(folder, now);
    try {
      removeStale(folder);
    } catch (IOException e) {
      return; // cleaning is a courtesy; the write it came with must not fail for it
    }
  }

  private static void removeStale(Path folder) throws IOException {
    Instant limit = Instant.now().minus(STALE_AFTER);
    try (var leftovers = Files.newDirectoryStream(folder, TEMPORARY + "*")) {
      for (Path leftover : leftovers) {
        if (Files.getLastModifiedTime(leftover, LinkOption.NOFOLLOW_LINKS)
            .toInstant()
            .isBefore(limit)) {
          Files.deleteIfExists(leftover);
        }
      }
    } catch (DirectoryIteratorException e) {
      throw e.getCause();
    }
  }

  /** A missing object is one thing, a repository that is gone (its disk not mounted) another. */
  private OperatorException missing(String name, NoSuchFileException e) {
    if (!Files.isDirectory(root)) {
      return failure("read", name, e);
    }
    OperatorException missing = new NoSuchObjectException(location(), name);
    missing.addSuppressed(e);
    return missing;
  }

  private OperatorException failure(String verb, String name, IOException e) {
    return StorageFailure.of(
        "cannot %s %s in %s".formatted(verb, name.isEmpty() ? "objects" : name, root), root, e);
  }

  private final class LocalWriter implements ObjectWriter {
    private final String name;
    private final Path target;
    private final Path temporary;
    private final FileChannel channel;

    LocalWriter(String name, Path target) {
      this.name = name;
      this.target = target;
      Path folder = parent(target);
      this.temporary = folder.resolve(TEMPORARY + UUID.randomUUID());
      try {
        this.channel = open(folder);
        sweepNowAndThen(folder);
      } catch (IOException e) {
        throw failure("write", name, e);
      }
    }

    private FileChannel open(Path folder) throws IOException {
      for (int attempt = 1; ; attempt++) {
        try {
          makeFolder(folder);
          return FileChannel.open(
              temporary,
              EnumSet.of(StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE),
              PRIVATE_FILE);
        } catch (NoSuchFileException e) {
          // Another writer removed the folder with its last object; or the root is gone.
          if (attempt == 100) {
            throw e;
          }
        }
      }
    }

    @Override
    public void write(byte[] bytes, int offset, int length) {
      try {
        ByteBuffer buffer = ByteBuffer.wrap(bytes, offset, length);
        while (buffer.hasRemaining()) {
          channel.write(buffer);
        }
      } catch (IOException e) {
        throw failure("write", name, e);
      }
    }

    @Override
    public void commit() {
      try {
        channel.force(true);
        channel.close();
        linkToTarget();
        Files.deleteIfExists(temporary);
        sync(parent(target));
      } catch (FileAlreadyExistsException e) {
        ObjectExistsException exists = new ObjectExistsException(location(), name);
        exists.addSuppressed(e);
        throw exists;
      } catch (IOException e) {
        throw failure("write", name, e);
      }
    }

    private void linkToTarget() throws IOException {
      try {
        Files.createLink(target, temporary);
      } catch (FileAlreadyExistsException e) {
        throw e;
      } catch (FileSystemException | UnsupportedOperationException e) {
        // A file system without hard links (exFAT, some network mounts): the look and the rename
        // are two steps there, so two writers of one name could both believe they were first.
        if (Files.exists(target, LinkOption.NOFOLLOW_LINKS)) {
          throw new FileAlreadyExistsException(target.toString());
        }
        Files.move(temporary, target, StandardCopyOption.ATOMIC_MOVE);
      }
    }

    void commitReplacing() {
      try {
        channel.force(true);
        channel.close();
        Files.move(temporary, target, StandardCopyOption.ATOMIC_MOVE);
        sync(parent(target));
      } catch (IOException e) {
        throw failure("write", name, e);
      }
    }

    @Override
    public void close() {
      try {
        channel.close();
        Files.deleteIfExists(temporary);
      } catch (IOException e) {
        // Invisible, and swept by age: what the caller meets is the failure that led here.
        return;
      }
    }
  }
}
