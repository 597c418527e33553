package dev.holdfast.operations;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RawRecord;
import dev.holdfast.wal.SegmentName;
import dev.holdfast.wal.WalDamagedException;
import dev.holdfast.wal.WalReader;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Consumer;
import java.util.function.Predicate;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * WAL in segment files, as PostgreSQL's pg_wal and archives hold it, read as one log.
 *
 * <p>A segment's name says where in the log it belongs, and every page in it repeats that. Files
 * after the end of the log whose pages say otherwise are kept by the server for reuse: they are no
 * damage, unless log that does belong follows them.
 */
final class WalFiles implements WalSource {
  private static final int CHUNK = 1 << 20;

  /** Enough of a file for its first page header, whatever the page size. */
  private static final int BEGINNING = 8192;

  private static final String PARTIAL = ".partial";

  /** As pgBackRest, WAL-G, pgmoneta, pg_receivewal and archive_command with gzip name them. */
  private static final Pattern COMPRESSED =
      Pattern.compile("([0-9A-F]{24}).*\\.(gz|zst|zstd|lz4|bz2|xz|br|lzo|lzma)");

  private static final Map<String, String> DECOMPRESSORS =
      Map.of(
          "gz",
          "gzip -dc",
          "zst",
          "zstd -dc",
          "zstd",
          "zstd -dc",
          "lz4",
          "lz4 -dc",
          "bz2",
          "bzip2 -dc",
          "xz",
          "xz -dc",
          "br",
          "brotli -dc",
          "lzo",
          "lzop -dc",
          "lzma",
          "xz -dc");

  private static final Map<String, byte[]> MAGICS =
      Map.of(
          "gz", new byte[] {0x1F, (byte) 0x8B},
          "zst", new byte[] {0x28, (byte) 0xB5, 0x2F, (byte) 0xFD},
          "lz4", new byte[] {0x04, 0x22, 0x4D, 0x18},
          "bz2", new byte[] {'B', 'Z', 'h'},
          "xz", new byte[] {(byte) 0xFD, '7', 'z', 'X', 'Z', 0});

  /** In the order of the log, without holes that matter: one file for each segment. */
  private final List<SegmentFile> files;

  private final int segmentSize;
  private final long systemIdentifier;

  private record SegmentFile(SegmentName name, Path path, boolean partial, long bytes) {
    boolean isShort() {
      return bytes < name.segmentSize();
    }
  }

  private WalFiles(List<SegmentFile> files, int segmentSize) {
    this.files = files;
    this.segmentSize = segmentSize;
    long identifier = 0;
    for (int i = 0; i < files.size() && identifier == 0; i++) {
      identifier = probe(files.get(i).path, files.get(i).name).systemIdentifier();
    }
    this.systemIdentifier = identifier;
  }

  /**
   * Finds the segments.
   *
   * @param given segment files, and directories that hold them: a pg_wal, an archive, a data
   *     directory
   * @throws OperatorException USAGE when one is missing, is no segment, or is compressed
   */
  static WalFiles open(List<Path> given) {
    List<Path> paths = new ArrayList<>();
    for (Path path : given) {
      if (Files.isDirectory(path)) {
        paths.addAll(segmentsIn(path));
      } else {
        paths.add(checkedSegment(path));
      }
    }
    paths.sort(Comparator.comparing(WalFiles::fileName));
    int segmentSize = segmentSize(paths);
    return new WalFiles(oneLog(paths, segmentSize), segmentSize);
  }

  /** The cluster's system identifier, unsigned; 0 when no file says one. */
  long systemIdentifier() {
    return systemIdentifier;
  }

  @Override
  public long bytes(Lsn from, @Nullable Lsn to) {
    return files.stream()
        .filter(file -> file.name.end().isAfter(from))
        .filter(file -> to == null || file.name.start().isBefore(to))
        .mapToLong(SegmentFile::bytes)
        .sum();
  }

  // ---- which files -----------------------------------------------------------------------------

  private static List<Path> segmentsIn(Path directory) {
    List<Path> segments = new ArrayList<>();
    Map<String, Path> compressed = new TreeMap<>();
    try (DirectoryStream<Path> entries = Files.newDirectoryStream(directory)) {
      for (Path entry : entries) {
        Matcher name = COMPRESSED.matcher(fileName(entry));
        if (isSegment(fileName(entry))) {
          segments.add(entry);
        } else if (name.matches()) {
          compressed.putIfAbsent(name.group(1), entry);
        }
      }
    } catch (IOException | DirectoryIteratorException e) {
      throw unreadable(directory, e);
    }
    segments.forEach(segment -> compressed.remove(fileName(segment)));
    if (!compressed.isEmpty()) {
      throw compressed(compressed.values().iterator().next(), compressed.size());
    }
    if (!segments.isEmpty()) {
      return segments;
    }
    if (Files.isDirectory(directory.resolve("pg_wal"))) {
      return segmentsIn(directory.resolve("pg_wal"));
    }
    boolean repository = Files.exists(directory.resolve("holdfast.json"));
    throw new OperatorException(
        Kind.USAGE,
        "there is no WAL in " + directory,
        repository
            ? "it is a Holdfast repository"
            : "no file in it is named like a segment, such as 000000010000000000000003",
        repository
            ? "read what it recorded with --repository " + directory + " --cluster NAME"
            : "name a pg_wal, a folder that archive_command fills, or segment files",
        null);
  }

  private static Path checkedSegment(Path file) {
    if (!Files.exists(file)) {
      throw new OperatorException(
          Kind.USAGE,
          "cannot read " + file,
          "there is no such file",
          "name WAL segments, or a directory of them");
    }
    Matcher compressed = COMPRESSED.matcher(fileName(file));
    if (compressed.matches()) {
      throw compressed(file, 1);
    }
    if (!isSegment(fileName(file))) {
      throw new OperatorException(
          Kind.USAGE,
          "cannot read " + file,
          "it is not named like a WAL segment, such as 000000010000000000000003, and the name says"
              + " where in the log it belongs",
          "give it the name it had in pg_wal, or name another file");
    }
    return file;
  }

  private static boolean isSegment(String name) {
    return SegmentName.isSegmentName(withoutPartial(name));
  }

  private static String withoutPartial(String name) {
    return name.endsWith(PARTIAL) ? name.substring(0, name.length() - PARTIAL.length()) : name;
  }

  private static String fileName(Path path) {
    return String.valueOf(path.getFileName());
  }

  /**
   * A segment's length is in its first page; a name tells a position only to who knows that length.
   * So lengths are tried until a file's name and its first page agree.
   */
  private static int segmentSize(List<Path> paths) {
    int likely = SegmentName.DEFAULT_SIZE;
    for (Path path : paths) {
      long bytes = size(path);
      if (bytes >= 1 << 20 && bytes <= 1 << 30 && Long.bitCount(bytes) == 1) {
        likely = (int) bytes;
        break;
      }
    }
    for (Path path : paths.subList(0, Math.min(paths.size(), 8))) {
      if (agrees(path, likely)) {
        return likely;
      }
      for (int size = 1 << 20; size > 0 && size <= 1 << 30; size <<= 1) {
        if (agrees(path, size)) {
          return size;
        }
      }
    }
    return likely;
  }

  private static boolean agrees(Path path, int segmentSize) {
    return probe(path, SegmentName.parse(withoutPartial(fileName(path)), segmentSize))
            .systemIdentifier()
        != 0;
  }

  /** One file for each segment, of the newest timeline that has it; in the order of the log. */
  private static List<SegmentFile> oneLog(List<Path> paths, int segmentSize) {
    Map<Long, SegmentFile> segments = new TreeMap<>();
    for (Path path : paths) {
      SegmentName name = SegmentName.parse(withoutPartial(fileName(path)), segmentSize);
      SegmentFile file = new SegmentFile(name, path, fileName(path).endsWith(PARTIAL), size(path));
      segments.merge(name.number(), file, WalFiles::better);
    }
    int newest = 0;
    for (SegmentFile file : segments.values()) {
      if (Integer.compareUnsigned(file.name.timeline(), newest) > 0) {
        newest = file.name.timeline();
      }
    }
    long begun = Long.MAX_VALUE;
    for (SegmentFile file : segments.values()) {
      begun = file.name.timeline() == newest ? Math.min(begun, file.name.number()) : begun;
    }
    // What an older timeline wrote past the beginning of the newest never became its history.
    int timeline = newest;
    long first = begun;
    segments
        .values()
        .removeIf(file -> file.name.timeline() != timeline && file.name.number() > first);
    return List.copyOf(segments.values());
  }

  private static SegmentFile better(SegmentFile one, SegmentFile other) {
    int newer = Integer.compareUnsigned(one.name.timeline(), other.name.timeline());
    if (newer != 0) {
      return newer > 0 ? one : other;
    }
    if (one.partial != other.partial) {
      return one.partial ? other : one;
    }
    try {
      if (Files.isSameFile(one.path, other.path)) {
        return one;
      }
    } catch (IOException e) {
      throw unreadable(one.path, e);
    }
    throw new OperatorException(
        Kind.USAGE,
        "cannot read segment " + one.name + " twice",
        one.path + " and " + other.path + " have the same name",
        "name one of the two");
  }

  // ---- reading ---------------------------------------------------------------------------------

  @Override
  public void read(
      Lsn from,
      @Nullable Lsn to,
      Progress.Phase progress,
      Predicate<RawRecord> sink,
      Consumer<WalNote> notes) {
    WalReader reader = null;
    SegmentFile last = null;
    boolean asked = true;
    for (int i = 0; i < files.size(); i++) {
      SegmentFile file = files.get(i);
      if (!file.name.end().isAfter(from)) {
        continue;
      }
      if (to != null && !file.name.start().isBefore(to)) {
        asked = false; // more is here, and nobody wants it
        break;
      }
      if (reader == null || last == null) {
        reader = begin(file);
      } else {
        WalDamagedException end = endOfLog(reader, last);
        if (end != null) {
          if (files.subList(i, files.size()).stream().anyMatch(this::belongs)) {
            throw told(end, last);
          }
          break;
        }
        refuseCut(reader, last);
        if (last.name.number() + 1 != file.name.number()) {
          notes.accept(gap(reader, last, file));
          reader = begin(file);
        }
      }
      last = file;
      if (!feed(reader, file, from, to, progress, sink)) {
        return;
      }
    }
    if (reader == null || last == null) {
      notes.accept(nothing());
      return;
    }
    if (asked) {
      notes.accept(end(reader, last));
    }
  }

  /** False when no more is wanted. */
  private boolean feed(
      WalReader reader,
      SegmentFile file,
      Lsn from,
      @Nullable Lsn to,
      Progress.Phase progress,
      Predicate<RawRecord> sink) {
    byte[] chunk = new byte[CHUNK];
    long done = 0;
    try (InputStream in = Files.newInputStream(file.path)) {
      for (int read = in.readNBytes(chunk, 0, CHUNK);
          read > 0;
          read = in.readNBytes(chunk, 0, CHUNK)) {
        if (done == 0) {
          refuseCompressed(file, chunk);
        }
        done += read;
        if (done > segmentSize) {
          throw damaged(
              reader, file, "it has more than the %d bytes of a segment".formatted(segmentSize));
        }
        progress.advance(read);
        reader.feed(chunk, 0, read);
        for (RawRecord record = reader.poll(); record != null; record = reader.poll()) {
          if (to != null && Long.compareUnsigned(record.lsn(), to.position()) >= 0) {
            return false;
          }
          if (Long.compareUnsigned(record.lsn(), from.position()) >= 0 && !sink.test(record)) {
            return false;
          }
        }
      }
      return true;
    } catch (IOException e) {
      throw unreadable(file.path, e);
    } catch (WalDamagedException e) {
      throw told(e, file);
    }
  }

  /** Why nothing but zeros or old pages follow in this file; null when the log goes on. */
  private static @Nullable WalDamagedException endOfLog(WalReader reader, SegmentFile last) {
    try {
      reader.finish(last.name.end());
      return null;
    } catch (WalDamagedException e) {
      return e;
    }
  }

  private void refuseCut(WalReader reader, SegmentFile file) {
    if (file.isShort()) {
      throw damaged(
          reader,
          file,
          file.bytes == 0
              ? "it is empty"
              : "it has %d bytes where a segment has %d: the rest of it is missing"
                  .formatted(file.bytes, file.name.segmentSize()));
    }
  }

  /** A reader for the file and those that follow it. */
  private WalReader begin(SegmentFile file) {
    long identifier = probe(file.path, file.name).systemIdentifier();
    if (identifier != 0 && identifier != systemIdentifier) {
      throw new OperatorException(
          Kind.USAGE,
          "cannot read " + file.path + " with the files before it",
          "it belongs to the cluster with system identifier %s, they to %s"
              .formatted(
                  Long.toUnsignedString(identifier), Long.toUnsignedString(systemIdentifier)),
          "read the WAL of one cluster at a time");
    }
    return new WalReader(file.name.start(), segmentSize);
  }

  private static void refuseCompressed(SegmentFile file, byte[] beginning) {
    MAGICS.forEach((kind, magic) -> {
      if (Arrays.equals(magic, 0, magic.length, beginning, 0, magic.length)) {
        throw compressed(file.path, 1, kind);
      }
    });
  }

  /** Whether the file begins with the page that its name promises. */
  private boolean belongs(SegmentFile file) {
    return probe(file.path, file.name).majorVersion() != 0;
  }

  /** A reader that has read the beginning of the file: it knows what the page header says. */
  private static WalReader probe(Path path, SegmentName name) {
    WalReader reader = new WalReader(name.start(), name.segmentSize());
    try (InputStream in = Files.newInputStream(path)) {
      byte[] beginning = in.readNBytes(BEGINNING);
      reader.feed(beginning, 0, beginning.length);
      reader.poll();
    } catch (IOException e) {
      throw unreadable(path, e);
    } catch (WalDamagedException e) {
      // The page says nothing, or not all: whoever reads the file will be told.
      return reader;
    }
    return reader;
  }

  // ---- what is told ----------------------------------------------------------------------------

  private static WalNote gap(WalReader reader, SegmentFile last, SegmentFile next) {
    SegmentName first = last.name.next();
    long missing = next.name.number() - first.number();
    return WalNote.gap(
        reader.position(),
        missing == 1
            ? "segment %s is missing: reading goes on at %s".formatted(first, next.name.start())
            : "%d segments from %s are missing: reading goes on at %s"
                .formatted(missing, first, next.name.start()));
  }

  private WalNote end(WalReader reader, SegmentFile last) {
    Lsn at = reader.position();
    if (endOfLog(reader, last) != null) {
      return WalNote.end(at, "the log ends at %s in %s".formatted(at, last.path));
    }
    if (!last.partial) {
      refuseCut(reader, last);
    }
    return WalNote.end(
        at,
        at.isBefore(last.name.end()) && !last.isShort()
            ? "read to %s; the record there goes on in segment %s, which is not among the files"
                .formatted(at, last.name.next())
            : "read to %s, the end of %s".formatted(at, last.path));
  }

  private WalNote nothing() {
    Lsn first = files.getFirst().name.start();
    Lsn end = files.getLast().name.end();
    return WalNote.end(
        end, "the files hold %s to %s: nothing of what was asked for".formatted(first, end));
  }

  private OperatorException told(WalDamagedException damage, SegmentFile current) {
    SegmentFile file =
        files.stream()
            .filter(segment -> segment.name.toString().equals(damage.segment()))
            .findFirst()
            .orElse(current);
    return new OperatorException(
        Kind.DAMAGED_DATA,
        past(damage.at(), file),
        damage.why(),
        belongs(file)
            ? damage.next() + whileWritten(file)
            : "check that the file is the segment its name says, of PostgreSQL 14 to 18, and not"
                + " renamed or encrypted; else fetch another copy of it (the archive, or a"
                + " standby's pg_wal) and run again",
        damage);
  }

  /** Of the last page of a running server's log one may catch half. */
  private String whileWritten(SegmentFile file) {
    boolean last =
        files.stream()
            .filter(other -> other.name.number() > file.name.number())
            .noneMatch(this::belongs);
    return last ? "; if a server is writing this file just now, run the same command again" : "";
  }

  private OperatorException damaged(WalReader reader, SegmentFile file, String found) {
    return new OperatorException(
        Kind.DAMAGED_DATA,
        past(reader.position(), file),
        found,
        "fetch another copy of this segment (the archive, or a standby's pg_wal) and run again");
  }

  private String past(Lsn at, SegmentFile file) {
    // Without one good page a name's position is a guess: it depends on how long segments are.
    return systemIdentifier == 0
        ? "cannot read " + file.path
        : "cannot read WAL past " + at + " in " + file.path;
  }

  private static OperatorException compressed(Path file, int count) {
    Matcher name = COMPRESSED.matcher(fileName(file));
    return compressed(file, count, name.matches() ? name.group(2) : "gz");
  }

  private static OperatorException compressed(Path file, int count, String kind) {
    String segment = fileName(file).substring(0, 24);
    return new OperatorException(
        Kind.USAGE,
        "cannot read " + file + (count > 1 ? " and " + (count - 1) + " more like it" : ""),
        "it is compressed",
        "decompress it into another folder first and read that: "
            + DECOMPRESSORS.get(kind)
            + " '"
            + file
            + "' > wal/"
            + segment);
  }

  private static OperatorException unreadable(Path path, Exception e) {
    return new OperatorException(
        Kind.FAILED,
        "cannot read " + path,
        e instanceof java.nio.file.AccessDeniedException ? "permission denied" : e.toString(),
        "run as a user who may read it, such as the server's own, or copy it first",
        e);
  }

  private static long size(Path path) {
    try {
      return Files.size(path);
    } catch (IOException e) {
      throw unreadable(path, e);
    }
  }
}
