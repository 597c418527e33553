package dev.holdfast.store;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.local.StorageFailure;
import java.io.IOException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Function;
import java.util.function.LongConsumer;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * Brings files that are there to what a base backup has, fetching only the frames in which a block
 * differs and writing only the blocks that do.
 *
 * <p>In two passes, so that an operator can be told before anything is written. The first compares
 * what is on the disk with the sums of the blocks that count after folding the chain ({@link
 * Fold}), and keeps one bit for each piece. The second fetches and writes.
 *
 * <p>A part that was written before there were sums is fetched whole, as far as it counts; still
 * only what differs is written.
 *
 * <p>Files are opened without following a symbolic link in the last component of their path; that
 * there is none above it the caller has to see.
 */
public final class BaseDelta {
  private final BaseReader newest;
  private final List<BaseReader> layers = new ArrayList<>();

  BaseDelta(BaseReader newest, List<BaseReader> below) {
    this.newest = newest;
    this.layers.add(newest);
    this.layers.addAll(below);
  }

  /**
   * What the first pass found.
   *
   * @param bytesSame of files, that are there already
   * @param bytesDiffering of files, that are not, or of which it is not known
   * @param bytesToFetch stored bytes of the frames that are needed
   * @param withoutSums whether a part was read that was written before there were sums
   * @param changed files of which something differs, their length or whether they are there
   */
  public record Comparison(
      long bytesSame,
      long bytesDiffering,
      long bytesToFetch,
      boolean withoutSums,
      Set<String> changed,
      Map<String, BitSet> same) {}

  /**
   * What the second pass did.
   *
   * @param bytesFetched stored bytes of frames
   * @param bytesWritten of files
   */
  public record Update(long bytesFetched, long bytesWritten) {}

  /** What is done with the runs of a part that count. One thread. */
  private interface Pass extends AutoCloseable {
    /** Before the frames of a part. */
    void part(String name, BaseDocument.Part part, TableOfContents contents, PartTrailer trailer);

    void frame(String name, TableOfContents.Frame frame, Fold fold) throws IOException;

    void hole(String name, TableOfContents.Hole hole, Fold fold) throws IOException;

    @Override
    void close() throws IOException;
  }

  /** Makes one for a thread. */
  private interface PassFactory {
    Pass open(BaseReader layer);
  }

  /**
   * Compares; writes nothing.
   *
   * @param directory as failures name it
   * @param place where the file of a path is, or would be
   * @param present bytes of each file that is there and may be read, by its path
   * @param wanted which files of the backup are to be there
   * @param onBytes told how many further bytes of files are compared; called by several threads
   */
  public Comparison compare(
      Path directory,
      Function<String, Path> place,
      Map<String, Long> present,
      Predicate<String> wanted,
      int threads,
      LongConsumer onBytes) {
    var found = new Found();
    newest
        .fileList()
        .forEach((path, entry) -> {
          Long there = present.get(path);
          if (!entry.isDirectory()
              && wanted.test(path)
              && (there == null || there != entry.size())) {
            found.changed.add(path);
          }
        });
    run(
        directory,
        wanted,
        threads,
        layer -> new ComparePass(layer, place, present, found, onBytes));
    return new Comparison(
        found.same.get(),
        found.differing.get(),
        found.toFetch.get(),
        !found.withoutSums.isEmpty(),
        new HashSet<>(found.changed),
        Map.copyOf(found.bits));
  }

  /**
   * Fetches and writes. Each file has to be there, with its length: of those that were longer or
   * shorter, the first bytes as they were compared, and zeros after these.
   *
   * @param comparison of these files as they are
   * @param onBytes told how many further stored bytes are fetched; called by several threads
   */
  public Update update(
      Comparison comparison,
      Path directory,
      Function<String, Path> place,
      Predicate<String> wanted,
      int threads,
      LongConsumer onBytes) {
    var fetched = new AtomicLong();
    var written = new AtomicLong();
    run(
        directory,
        wanted,
        threads,
        layer ->
            new UpdatePass(
                layer,
                place,
                comparison,
                bytes -> {
                  fetched.addAndGet(bytes);
                  onBytes.accept(bytes);
                },
                written));
    return new Update(fetched.get(), written.get());
  }

  /** Layer by layer, the newest first; the parts of one at the same time. */
  private void run(Path directory, Predicate<String> wanted, int threads, PassFactory passes) {
    var fold = new Fold(wanted);
    try {
      for (BaseReader layer : layers) {
        if (layer != newest && !fold.goesOn()) {
          break;
        }
        Map<String, FileList.Entry> files = layer.fileList();
        fold.begin(files, layer.manifestName());
        BaseReader.Account account = layer.new Account(files);
        Queue<BaseDocument.Part> queue = new ConcurrentLinkedQueue<>(layer.parts());
        BaseReader.inThreads(
            threads,
            failure -> {
              try (Pass pass = passes.open(layer)) {
                for (BaseDocument.Part part = queue.poll();
                    part != null && failure.get() == null;
                    part = queue.poll()) {
                  run(layer, part, account, fold, pass, failure);
                }
              }
            });
        account.close();
        fold.end(layer.manifestName());
      }
    } catch (IOException e) {
      boolean full = StorageFailure.isDiskFull(e);
      throw new OperatorException(
          Kind.FAILED,
          "cannot restore into " + directory,
          full ? "the disk is full" : StorageFailure.describe(e),
          (full ? "free space there" : "see that all in it can be read and written")
              + ", then run the same command again: it goes on from what is there",
          e);
    }
  }

  private static void run(
      BaseReader layer,
      BaseDocument.Part part,
      BaseReader.Account account,
      Fold fold,
      Pass pass,
      AtomicReference<@Nullable Throwable> failure)
      throws IOException {
    String name = layer.name(part);
    PartTrailer trailer = layer.trailer(name, part);
    TableOfContents contents = layer.contents(name, part, trailer);
    account.add(name, contents);
    pass.part(name, part, contents, trailer);
    for (TableOfContents.Frame frame : contents.frames()) {
      if (failure.get() != null) {
        return;
      }
      pass.frame(name, frame, fold);
    }
    for (TableOfContents.Hole hole : contents.holes()) {
      pass.hole(name, hole, fold);
    }
  }

  /** What the threads of the first pass find together. */
  private static final class Found {
    private final AtomicLong same = new AtomicLong();
    private final AtomicLong differing = new AtomicLong();
    private final AtomicLong toFetch = new AtomicLong();
    private final Set<String> withoutSums = ConcurrentHashMap.newKeySet();
    private final Set<String> changed = ConcurrentHashMap.newKeySet();

    /** By part: of its pieces and then its holes, which need nothing. */
    private final Map<String, BitSet> bits = new ConcurrentHashMap<>();
  }

  /** The first pass. */
  private static final class ComparePass implements Pass {
    private final BaseReader layer;
    private final Map<String, Long> present;
    private final Found found;
    private final LongConsumer onBytes;
    private final OpenFile file;
    private final byte[] bytes = new byte[PartWriter.EXTENT];
    private @Nullable BlockSums sums;
    private BitSet same = new BitSet();
    private int item;
    private int block;

    ComparePass(
        BaseReader layer,
        Function<String, Path> place,
        Map<String, Long> present,
        Found found,
        LongConsumer onBytes) {
      this.layer = layer;
      this.present = present;
      this.found = found;
      this.onBytes = onBytes;
      this.file = new OpenFile(place, StandardOpenOption.READ);
    }

    @Override
    public void part(
        String name, BaseDocument.Part part, TableOfContents contents, PartTrailer trailer) {
      sums = layer.sums(name, trailer, contents);
      if (sums == null && !contents.frames().isEmpty()) {
        found.withoutSums.add(name);
      }
      same = new BitSet();
      found.bits.put(name, same);
      item = 0;
      block = 0;
    }

    @Override
    public void frame(String name, TableOfContents.Frame frame, Fold fold) throws IOException {
      boolean needed = false;
      for (TableOfContents.Piece piece : frame.pieces()) {
        int first = block;
        long[] differing = {0};
        fold.take(
            name,
            piece.path(),
            piece.offset(),
            piece.length(),
            (skipped, length) ->
                differing[0] += compare(piece, first, (int) skipped, (int) length));
        same.set(item++, differing[0] == 0);
        needed |= differing[0] > 0;
        block += BlockSums.count(piece.length());
      }
      if (needed) {
        found.toFetch.addAndGet(frame.storedLength());
      }
    }

    /** Of a run of a piece, how many bytes are not there, as far as one can tell. */
    private long compare(TableOfContents.Piece piece, int first, int skipped, int length)
        throws IOException {
      long there = present.getOrDefault(piece.path(), 0L);
      long from = piece.offset() + skipped;
      int had = (int) Math.max(0, Math.min(length, there - from));
      if (sums != null && had > 0) {
        had = file.read(piece.path(), from, bytes, had);
      }
      long differing = 0;
      for (int at = 0; at < length; at += Fold.BLOCK) {
        int whole = Math.min(Fold.BLOCK, piece.length() - skipped - at);
        int counted = Math.min(whole, length - at);
        // Of a block that a newer layer cuts off there is no sum, nor are all its bytes had.
        if (sums == null
            || at + whole > had
            || !sums.isAt(first + (skipped + at) / Fold.BLOCK, bytes, at, whole)) {
          differing += counted;
        }
      }
      if (differing > 0) {
        found.changed.add(piece.path());
      }
      found.differing.addAndGet(differing);
      found.same.addAndGet(length - differing);
      onBytes.accept(length);
      return differing;
    }

    @Override
    public void hole(String name, TableOfContents.Hole hole, Fold fold) throws IOException {
      long[] differing = {0};
      fold.take(
          name,
          hole.path(),
          hole.offset(),
          hole.length(),
          (skipped, length) -> {
            long from = hole.offset() + skipped;
            long there = present.getOrDefault(hole.path(), 0L);
            long had = Math.max(0, Math.min(length, there - from));
            long other = 0;
            for (long at = 0; at < had; at += bytes.length) {
              int read =
                  file.read(hole.path(), from + at, bytes, (int) Math.min(bytes.length, had - at));
              other += nonZero(bytes, read);
            }
            differing[0] += other;
            found.differing.addAndGet(other);
            found.same.addAndGet(had - other);
            onBytes.accept(length);
          });
      if (differing[0] > 0) {
        found.changed.add(hole.path());
      }
      same.set(item++, differing[0] == 0);
    }

    @Override
    public void close() throws IOException {
      file.close();
    }
  }

  private static final byte[] ZEROS = new byte[Fold.BLOCK];

  /** Bytes of the blocks that are not all zero. */
  private static long nonZero(byte[] bytes, int length) {
    long blocks = 0;
    for (int at = 0; at < length; at += Fold.BLOCK) {
      int end = Math.min(at + Fold.BLOCK, length);
      if (!Arrays.equals(bytes, at, end, ZEROS, 0, end - at)) {
        blocks += end - at;
      }
    }
    return blocks;
  }

  /** The second pass. */
  private static final class UpdatePass implements Pass {
    private final BaseReader layer;
    private final Comparison comparison;
    private final LongConsumer onFetched;
    private final AtomicLong written;
    private final OpenFile file;
    private final byte[] content = new byte[PartWriter.EXTENT];
    private final byte[] bytes = new byte[PartWriter.EXTENT];
    private BitSet same = new BitSet();
    private int item;

    UpdatePass(
        BaseReader layer,
        Function<String, Path> place,
        Comparison comparison,
        LongConsumer onFetched,
        AtomicLong written) {
      this.layer = layer;
      this.comparison = comparison;
      this.onFetched = onFetched;
      this.written = written;
      this.file = new OpenFile(place, StandardOpenOption.READ, StandardOpenOption.WRITE);
    }

    @Override
    public void part(
        String name, BaseDocument.Part part, TableOfContents contents, PartTrailer trailer) {
      // A part that the comparison did not come to is one that is needed whole.
      same = comparison.same.getOrDefault(name, new BitSet());
      item = 0;
    }

    @Override
    public void frame(String name, TableOfContents.Frame frame, Fold fold) throws IOException {
      int first = item;
      item += frame.pieces().size();
      boolean needed = same.nextClearBit(first) < item;
      if (needed) {
        layer.readFrame(name, frame, content);
        onFetched.accept(frame.storedLength());
      }
      int at = 0;
      int index = first;
      for (TableOfContents.Piece piece : frame.pieces()) {
        int from = at;
        boolean differs = !same.get(index++);
        fold.take(
            name,
            piece.path(),
            piece.offset(),
            piece.length(),
            (skipped, length) -> {
              if (differs) {
                write(
                    piece.path(),
                    piece.offset() + skipped,
                    content,
                    from + (int) skipped,
                    (int) length);
              }
            });
        at += piece.length();
      }
    }

    @Override
    public void hole(String name, TableOfContents.Hole hole, Fold fold) throws IOException {
      boolean differs = !same.get(item++);
      fold.take(
          name,
          hole.path(),
          hole.offset(),
          hole.length(),
          (skipped, length) -> {
            for (long at = 0; differs && at < length; at += Fold.BLOCK) {
              int run = (int) Math.min(Fold.BLOCK, length - at);
              write(hole.path(), hole.offset() + skipped + at, ZEROS, 0, run);
            }
          });
    }

    /** Writes the blocks that are others on the disk. */
    private void write(String path, long offset, byte[] wanted, int from, int length)
        throws IOException {
      int had = file.read(path, offset, bytes, length);
      int run = 0; // where the blocks begin that differ and are not written yet
      for (int at = 0; at < length; at += Fold.BLOCK) {
        int end = Math.min(at + Fold.BLOCK, length);
        if (end <= had && Arrays.equals(wanted, from + at, from + end, bytes, at, end)) {
          put(path, offset, wanted, from, run, at);
          run = end;
        }
      }
      put(path, offset, wanted, from, run, length);
    }

    private void put(String path, long offset, byte[] wanted, int from, int run, int end)
        throws IOException {
      if (run < end) {
        file.write(path, offset + run, wanted, from + run, end - run);
        written.addAndGet(end - run);
      }
    }

    @Override
    public void close() throws IOException {
      file.close();
    }
  }
}
