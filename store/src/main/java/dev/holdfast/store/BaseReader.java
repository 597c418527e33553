package dev.holdfast.store;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.local.StorageFailure;
import dev.holdfast.store.objects.ObjectStore;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Queue;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Function;
import java.util.function.LongConsumer;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * One published base backup: a layer, and those it stands on. May be used by several threads.
 *
 * <p>What is restored is the chain folded: of each block the newest ({@link Fold}).
 */
public final class BaseReader {
  private static final FileAttribute<?> PRIVATE_DIRECTORY =
      PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------"));
  private static final FileAttribute<?> PRIVATE_FILE =
      PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------"));

  private final ObjectStore objects;
  private final String folder;
  private final BaseDocument document;
  private final List<BaseReader> below;

  BaseReader(ObjectStore objects, String folder, BaseDocument document) {
    this(objects, folder, document, List.of());
  }

  private BaseReader(
      ObjectStore objects, String folder, BaseDocument document, List<BaseReader> below) {
    this.objects = objects;
    this.folder = folder;
    this.document = document;
    this.below = below;
  }

  /** The same layer, with those it stands on, the full one last. */
  BaseReader over(List<BaseReader> layers) {
    return new BaseReader(objects, folder, document, layers);
  }

  /** Where the content of a part goes. One thread. */
  private interface Sink extends AutoCloseable {
    void write(String path, long offset, byte[] bytes, int from, int length) throws IOException;

    void hole(String path, long offset, long length);

    @Override
    void close() throws IOException;
  }

  private interface SinkFactory {
    Sink open();
  }

  /** What this base backup is. */
  public BaseManifest manifest() {
    return document.manifest();
  }

  /**
   * Writes the files below a directory that is missing or empty: directories 0700, files 0600,
   * zeros as holes. The files are not synced: PostgreSQL syncs a data directory before it recovers.
   * What was written is removed when it fails.
   *
   * @param threads parts worked on at once
   * @param onBytes told how many further bytes of files are restored; called by several threads
   * @throws OperatorException REFUSED when the directory is not empty; DAMAGED_DATA naming the
   *     object that does not hold; FAILED when the directory cannot be written
   */
  public void restore(Path directory, int threads, LongConsumer onBytes) {
    restore(directory, _ -> Restoration.WHOLE, threads, onBytes);
  }

  /**
   * As {@link #restore(Path, int, LongConsumer)}, of some files only. What is not restored is
   * neither fetched nor unpacked, except what shares a frame with a small file or a file's end that
   * is: the time taken follows what is wanted. All that is restored is checked; of the rest, that
   * the parts account for it.
   *
   * @param choice for each path of {@link #files} that is a file, asked once; directories are
   *     always made
   * @param onBytes told how many further bytes of {@link Restoration#WHOLE} files are restored
   * @throws OperatorException likewise
   */
  public void restore(
      Path directory, Function<String, Restoration> choice, int threads, LongConsumer onBytes) {
    boolean restored = false;
    boolean created = prepare(directory);
    try {
      restore(directory, directory::resolve, choice, threads, null, onBytes);
      restored = true;
    } finally {
      if (!restored) {
        clear(directory, created);
      }
    }
  }

  /**
   * As {@link #restore(Path, Function, int, LongConsumer)}, to places of the caller's choice, which
   * has to see that nothing is there yet, and to remove what was written when it fails.
   *
   * @param directory what is restored into, as failures name it
   * @param place where the file or empty directory of a path goes; its parents are made
   * @param writeback told what was written; null where nothing has to be on the disk in the end
   */
  public void restore(
      Path directory,
      Function<String, Path> place,
      Function<String, Restoration> choice,
      int threads,
      @Nullable Writeback writeback,
      LongConsumer onBytes) {
    Map<String, Long> files = files();
    var choices = new HashMap<String, Restoration>();
    files.forEach((path, size) -> {
      if (size != BaseWriter.DIRECTORY) {
        choices.put(path, choice.apply(path));
      }
    });
    try {
      create(place, files, choices, threads);
      transfer(
          path -> choices.get(path) == Restoration.WHOLE,
          threads,
          () -> new FileSink(new OpenFile(place, StandardOpenOption.WRITE).telling(writeback)),
          onBytes);
    } catch (IOException e) {
      throw cannotRestore(directory, e);
    }
  }

  /** Refuses a directory with content; returns whether the directory had to be made. */
  private static boolean prepare(Path directory) {
    try {
      if (Files.notExists(directory)) {
        Files.createDirectories(directory, PRIVATE_DIRECTORY);
        return true;
      }
      try (var children = Files.newDirectoryStream(directory)) {
        if (children.iterator().hasNext()) {
          throw new OperatorException(
              Kind.REFUSED,
              "cannot restore into " + directory,
              "it is not empty",
              "name a new or an empty directory");
        }
      }
      return false;
    } catch (IOException e) {
      throw cannotRestore(directory, e);
    }
  }

  /** Makes directories, then files of their sizes, several at once. */
  private static void create(
      Function<String, Path> place,
      Map<String, Long> files,
      Map<String, Restoration> choices,
      int threads)
      throws IOException {
    // By folder: two threads that make files in one wait for each other.
    Map<Path, List<Map.Entry<String, Long>>> wanted = new LinkedHashMap<>();
    for (Map.Entry<String, Long> file : files.entrySet()) {
      Path path = place.apply(file.getKey());
      if (file.getValue() == BaseWriter.DIRECTORY) {
        Files.createDirectories(path, PRIVATE_DIRECTORY);
        continue;
      }
      if (choices.get(file.getKey()) == Restoration.LEFT_OUT) {
        continue;
      }
      Path parent = Objects.requireNonNull(path.getParent());
      if (!wanted.containsKey(parent) && !Files.isDirectory(parent)) {
        Files.createDirectories(parent, PRIVATE_DIRECTORY);
      }
      wanted.computeIfAbsent(parent, _ -> new ArrayList<>()).add(file);
    }
    Queue<List<Map.Entry<String, Long>>> folders = new ConcurrentLinkedQueue<>(wanted.values());
    inThreads(
        threads,
        failure -> {
          for (var folder = folders.poll(); folder != null; folder = folders.poll()) {
            for (Map.Entry<String, Long> file : folder) {
              if (failure.get() != null) {
                return;
              }
              create(place.apply(file.getKey()), file.getValue());
            }
          }
        });
  }

  private static void create(Path path, long size) throws IOException {
    Files.createFile(path, PRIVATE_FILE);
    if (size > 0) {
      try (var sized = new RandomAccessFile(path.toFile(), "rw")) {
        sized.setLength(size); // all of it is a hole until it is written
      }
    }
  }

  private static void clear(Path directory, boolean itself) {
    try {
      Files.walkFileTree(
          directory,
          new SimpleFileVisitor<>() {
            @Override
            public FileVisitResult visitFile(Path file, BasicFileAttributes attributes)
                throws IOException {
              Files.delete(file);
              return FileVisitResult.CONTINUE;
            }

            @Override
            public FileVisitResult postVisitDirectory(Path visited, @Nullable IOException e)
                throws IOException {
              if (itself || !visited.equals(directory)) {
                Files.delete(visited);
              }
              return FileVisitResult.CONTINUE;
            }
          });
    } catch (IOException e) {
      return; // what stopped the restore is the failure to tell
    }
  }

  private static OperatorException cannotRestore(Path directory, IOException e) {
    boolean full = StorageFailure.isDiskFull(e);
    return new OperatorException(
        Kind.FAILED,
        "cannot restore into " + directory,
        full ? "the disk is full" : StorageFailure.describe(e),
        full
            ? "free space there, or name a directory on another disk; what was restored so far is"
                + " removed"
            : "check that it is a directory this user can write to",
        e);
  }

  /** For bringing a directory that is there to what is restored from here. */
  public BaseDelta delta() {
    return new BaseDelta(this, below);
  }

  /** The whole name of this layer's manifest, as failures name it. */
  String manifestName() {
    return folder + BaseStore.MANIFEST;
  }

  /** Writes every file of the chain, folded, as one layer. */
  void foldInto(BaseWriter writer, int threads, LongConsumer onBytes) {
    Map<String, Long> files = files();
    files.forEach((path, size) -> {
      if (size == BaseWriter.DIRECTORY) {
        writer.directory(path);
      } else {
        writer.sized(path, size);
      }
    });
    try {
      transfer(_ -> true, threads, () -> new LayerSink(writer.pieces()), onBytes);
    } catch (IOException e) {
      throw new UncheckedIOException(e); // nothing here works with files
    }
  }

  /**
   * Every file with its size in bytes, every empty directory with -1, sorted by path: relative to
   * the data directory, with slashes.
   *
   * @throws OperatorException DAMAGED_DATA when the list of files does not hold
   */
  public Map<String, Long> files() {
    var sizes = new TreeMap<String, Long>();
    fileList().forEach((path, entry) -> sizes.put(path, entry.size()));
    return sizes;
  }

  /** The list of files of this layer. */
  Map<String, FileList.Entry> fileList() {
    String name = folder + BaseStore.FILES;
    byte[] bytes = Envelope.unwrap(name, Envelope.BASE_FILES, objects.get(name));
    int found = Envelope.checksum(bytes, 0, bytes.length);
    if (found != document.filesChecksum()) {
      throw new DamagedObjectException(
          name, Envelope.mismatch(document.filesChecksum(), found) + " in the manifest");
    }
    return FileList.decode(name, bytes, document.parent() != null);
  }

  /**
   * Layer by layer, the newest first; of one, several parts or several places of a part at once.
   */
  private void transfer(
      Predicate<String> wanted, int threads, SinkFactory sinks, LongConsumer onBytes)
      throws IOException {
    var fold = new Fold(wanted);
    transferLayer(fold, threads, sinks, onBytes);
    for (BaseReader layer : below) {
      if (!fold.goesOn()) {
        break;
      }
      layer.transferLayer(fold, threads, sinks, onBytes);
    }
  }

  private void transferLayer(Fold fold, int threads, SinkFactory sinks, LongConsumer onBytes)
      throws IOException {
    Map<String, FileList.Entry> files = fileList();
    fold.begin(files, folder + BaseStore.MANIFEST);
    var account = new Account(files);
    var slices = new PartSlices(document.partList(), part -> contents(name(part), part));
    inThreads(
        threads,
        failure -> {
          try (Sink sink = sinks.open();
              PartSlices.Worker worker = slices.worker()) {
            for (PartSlices.Slice slice = worker.next();
                slice != null && failure.get() == null;
                slice = worker.next()) {
              readSlice(slice, account, fold, sink, failure, onBytes);
            }
          }
        });
    account.close();
    fold.end(folder + BaseStore.MANIFEST);
  }

  /** What each of several threads does; it ends early when another's failure is there. */
  interface Work {
    void run(AtomicReference<@Nullable Throwable> failure) throws IOException;
  }

  static void inThreads(int threads, Work work) throws IOException {
    var failure = new AtomicReference<@Nullable Throwable>();
    try (var executor = Executors.newFixedThreadPool(threads)) {
      for (int i = 0; i < threads; i++) {
        executor.execute(() -> {
          try {
            work.run(failure);
          } catch (Throwable e) {
            failure.compareAndSet(null, e);
          }
        });
      }
    }
    Throwable failed = failure.get();
    switch (failed) {
      case null -> {}
      case RuntimeException e -> throw e;
      case Error e -> throw e;
      case IOException e -> throw e;
      default -> throw new IllegalStateException(failed);
    }
  }

  /** The parts, as the manifest has them. */
  List<BaseDocument.Part> parts() {
    return document.partList();
  }

  /** The whole name of a part's object. */
  String name(BaseDocument.Part part) {
    return folder + part.name();
  }

  /**
   * What the parts hold of each file, counted down: every byte that {@link #fileList} says this
   * layer has, exactly once. May be used by several threads.
   */
  final class Account {
    private final Map<String, FileList.Entry> files;
    private final Map<String, AtomicLong> missing = new HashMap<>();

    Account(Map<String, FileList.Entry> files) {
      this.files = files;
      files.forEach((path, entry) -> {
        if (!entry.isDirectory()) {
          missing.put(path, new AtomicLong(entry.held()));
        }
      });
    }

    /** Counts all that a part says it holds; reads its table of contents. */
    void add(BaseDocument.Part part) {
      String name = name(part);
      add(name, contents(name, part));
    }

    /** As {@link #add(BaseDocument.Part)}, of a table of contents that was read. */
    void add(String name, TableOfContents contents) {
      for (TableOfContents.Frame frame : contents.frames()) {
        for (TableOfContents.Piece piece : frame.pieces()) {
          add(name, piece.path(), piece.offset(), piece.length());
        }
      }
      for (TableOfContents.Hole hole : contents.holes()) {
        add(name, hole.path(), hole.offset(), hole.length());
      }
    }

    private void add(String name, String path, long offset, long length) {
      AtomicLong left = missing.get(path);
      FileList.Entry entry = files.get(path);
      if (left == null
          || entry == null
          || offset + length > entry.size()
          || left.addAndGet(-length) < 0) {
        throw new DamagedObjectException(
            name, "it holds bytes of %s that the list of files does not know".formatted(path));
      }
    }

    /** After all parts: throws when bytes of a file are in none. */
    void close() {
      missing.forEach((path, left) -> {
        if (left.get() != 0) {
          throw new DamagedObjectException(
              folder + BaseStore.MANIFEST,
              "the parts hold %d bytes too few of %s".formatted(left.get(), path));
        }
      });
    }
  }

  /** Reads a part's table of contents, and throws when it does not hold. */
  void checkStructure(BaseDocument.Part part) {
    contents(name(part), part);
  }

  /**
   * Reads all frames of a part and checks them.
   *
   * @param onBytes told how many further stored bytes were read
   */
  void checkContent(BaseDocument.Part part, LongConsumer onBytes) {
    String name = name(part);
    PartTrailer trailer = trailer(name, part);
    TableOfContents contents = contents(name, part, trailer);
    BlockSums sums = sums(name, trailer, contents);
    byte[] content = new byte[PartWriter.EXTENT];
    long read = 0;
    int block = 0;
    for (TableOfContents.Frame frame : contents.frames()) {
      readFrame(name, frame, content);
      if (sums != null) {
        block = sums.check(name, frame, content, block);
      }
      onBytes.accept(frame.storedLength());
      read += frame.storedLength();
    }
    onBytes.accept(part.storedBytes() - read);
  }

  private void readSlice(
      PartSlices.Slice slice,
      Account account,
      Fold fold,
      Sink sink,
      AtomicReference<@Nullable Throwable> failure,
      LongConsumer onBytes)
      throws IOException {
    String name = name(slice.part());
    byte[] content = new byte[PartWriter.EXTENT];
    for (TableOfContents.Frame frame : slice.frames()) {
      if (failure.get() != null) {
        return;
      }
      boolean anyWanted = false;
      for (TableOfContents.Piece piece : frame.pieces()) {
        account.add(name, piece.path(), piece.offset(), piece.length());
        anyWanted |= fold.wants(piece.path(), piece.offset(), piece.length());
      }
      if (!anyWanted) {
        continue;
      }
      readFrame(name, frame, content);
      int at = 0;
      for (TableOfContents.Piece piece : frame.pieces()) {
        int from = at;
        fold.take(
            name,
            piece.path(),
            piece.offset(),
            piece.length(),
            (skipped, length) -> {
              sink.write(
                  piece.path(),
                  piece.offset() + skipped,
                  content,
                  from + (int) skipped,
                  (int) length);
              onBytes.accept(length);
            });
        at += piece.length();
      }
    }
    for (TableOfContents.Hole hole : slice.holes()) {
      account.add(name, hole.path(), hole.offset(), hole.length());
      fold.take(
          name,
          hole.path(),
          hole.offset(),
          hole.length(),
          (skipped, length) -> {
            sink.hole(hole.path(), hole.offset() + skipped, length);
            onBytes.accept(length);
          });
    }
  }

  void readFrame(String name, TableOfContents.Frame frame, byte[] content) {
    byte[] stored = objects.get(name, frame.position(), frame.storedLength());
    if (stored.length != frame.storedLength()) {
      throw new DamagedObjectException(name, "it ends inside a frame");
    }
    Envelope.decompress(name, stored, 0, stored.length, content, frame.contentLength());
    int found = Envelope.checksum(content, 0, frame.contentLength());
    if (found != frame.checksum()) {
      throw new DamagedObjectException(
          name,
          "the frame at %d: %s"
              .formatted(frame.position(), Envelope.mismatch(frame.checksum(), found)));
    }
  }

  TableOfContents contents(String name, BaseDocument.Part part) {
    return contents(name, part, trailer(name, part));
  }

  TableOfContents contents(String name, BaseDocument.Part part, PartTrailer trailer) {
    byte[] stored = objects.get(name, trailer.position(), trailer.storedLength());
    byte[] content = new byte[trailer.contentLength()];
    Envelope.decompress(name, stored, 0, stored.length, content, content.length);
    int found = Envelope.checksum(content, 0, content.length);
    if (found != part.contentsChecksum()) {
      throw new DamagedObjectException(
          name, "its table of contents: " + Envelope.mismatch(part.contentsChecksum(), found));
    }
    return TableOfContents.decode(name, content);
  }

  /** The sums of a part's blocks; null when it was written without. */
  @Nullable BlockSums sums(String name, PartTrailer trailer, TableOfContents contents) {
    int length = trailer.sumsLength();
    return BlockSums.decode(
        name,
        length == 0 ? new byte[0] : objects.get(name, trailer.position() - length, length),
        trailer.sumsChecksum(),
        contents);
  }

  PartTrailer trailer(String name, BaseDocument.Part part) {
    Envelope.header(name, Envelope.BASE_PART, objects.get(name, 0, Envelope.HEADER_BYTES));
    byte[] trailer =
        objects.get(
            name, part.storedBytes() - PartWriter.TRAILER_BYTES, PartWriter.TRAILER_BYTES + 1);
    return PartTrailer.decode(name, part, trailer);
  }

  /** Into files that are there, with their length. */
  private record FileSink(OpenFile file) implements Sink {
    @Override
    public void write(String path, long offset, byte[] bytes, int from, int length)
        throws IOException {
      file.write(path, offset, bytes, from, length);
    }

    @Override
    public void hole(String path, long offset, long length) {} // the file has it already

    @Override
    public void close() throws IOException {
      file.close();
    }
  }

  /** Into another layer. */
  private record LayerSink(PieceWriter pieces) implements Sink {
    @Override
    public void write(String path, long offset, byte[] bytes, int from, int length) {
      pieces.write(path, offset, bytes, from, length);
    }

    @Override
    public void hole(String path, long offset, long length) {
      pieces.hole(path, offset, length);
    }

    @Override
    public void close() {
      pieces.close();
    }
  }
}
