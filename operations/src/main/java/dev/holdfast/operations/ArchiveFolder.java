package dev.holdfast.operations;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.StoredSegment;
import dev.holdfast.wal.RawRecord;
import dev.holdfast.wal.SegmentName;
import dev.holdfast.wal.TimelineHistory;
import dev.holdfast.wal.WalDamagedException;
import dev.holdfast.wal.WalReader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Consumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * A folder that archive_command fills: complete segments and history files go into the repository,
 * after they were read from end to end and found to be WAL of this cluster. What is there and is
 * not, is told once and left alone; so are {@code .partial} and {@code .backup} files, which no
 * restore needs: the next timeline's segment has the part of a partial one that counts.
 */
final class ArchiveFolder {
  private static final Pattern SEGMENT = Pattern.compile("[0-9A-F]{24}");
  private static final Pattern HISTORY = Pattern.compile("([0-9A-F]{8})\\.history");
  private static final Pattern COMPRESSED =
      Pattern.compile("[0-9A-F]{24}\\.(gz|zst|lz4|bz2|xz|Z|br)");

  /** A file that has not grown for so long is not being copied any more. */
  private static final Duration COPYING_MAX = Duration.ofMinutes(1);

  /** Told of what was taken; segments in the order of their names. */
  interface Listener {
    void taken(SegmentName segment, byte[] bytes);
  }

  /**
   * What a look at the folder came to.
   *
   * @param taken segments and history files that were not recorded before
   * @param refused files that are no WAL of this cluster, or differ from what is recorded
   * @param removed files removed after they were recorded
   */
  record Pass(int taken, int refused, int removed) {}

  private final ClusterStore cluster;
  private final Path folder;
  private final boolean remove;
  private final Listener listener;
  private final Consumer<RecordingAlarm> alarms;
  private final Set<String> recorded = new HashSet<>();
  private final Map<String, String> told = new HashMap<>();
  private int refused;

  /**
   * @param remove whether files are removed once the repository has them
   */
  ArchiveFolder(
      ClusterStore cluster,
      Path folder,
      boolean remove,
      Listener listener,
      Consumer<RecordingAlarm> alarms) {
    this.cluster = cluster;
    this.folder = folder;
    this.remove = remove;
    this.listener = listener;
    this.alarms = alarms;
    if (!Files.isDirectory(folder)) {
      throw new OperatorException(
          Kind.USAGE,
          "cannot take WAL from " + folder,
          "there is no such folder",
          "name the folder that archive_command copies to");
    }
    if (!remove) {
      cluster.wal().list().stream()
          .filter(StoredSegment::complete)
          .map(StoredSegment::name)
          .forEach(recorded::add);
    }
  }

  /**
   * Takes what is new.
   *
   * @throws OperatorException when the folder cannot be read, or the repository cannot be written
   */
  Pass pass() {
    refused = 0;
    int taken = 0;
    int removed = 0;
    var segments = new TreeSet<String>();
    for (String name : names()) {
      Matcher history = HISTORY.matcher(name);
      if (SEGMENT.matcher(name).matches()) {
        segments.add(name);
      } else if (history.matches()) {
        int before = taken;
        taken += takeHistory(name, Integer.parseUnsignedInt(history.group(1), 16)) ? 1 : 0;
        removed += remove && (taken > before || recorded.contains(name)) && remove(name) ? 1 : 0;
      } else if (COMPRESSED.matcher(name).matches()) {
        refuse(
            name,
            "it is compressed",
            "have archive_command copy segments as they are; they are compressed when recorded");
      }
    }
    for (String name : segments) {
      if (Thread.currentThread().isInterrupted()) {
        break;
      }
      if (!recorded.contains(name) && take(name)) {
        taken++;
        recorded.add(name);
      }
      removed += remove && recorded.contains(name) && remove(name) ? 1 : 0;
    }
    return new Pass(taken, refused, removed);
  }

  private List<String> names() {
    List<String> names = new ArrayList<>();
    try (var files = Files.newDirectoryStream(folder)) {
      files.forEach(file -> names.add(String.valueOf(file.getFileName())));
    } catch (IOException e) {
      throw unreadable(folder, e);
    }
    return names;
  }

  private boolean takeHistory(String name, int timeline) {
    if (recorded.contains(name)) {
      return false;
    }
    byte[] content = read(name);
    if (content == null || content.length == 0) {
      return false; // it is being copied
    }
    try {
      TimelineHistory.parse(timeline, content);
      boolean isNew = cluster.wal().readHistory(timeline) == null;
      cluster.wal().putHistory(timeline, content);
      recorded.add(name);
      return isNew;
    } catch (OperatorException e) {
      rethrowUnlessOfTheFile(e);
      refuse(name, e.why(), e.next());
      return false;
    }
  }

  /** Whether the repository has it now. */
  private boolean take(String name) {
    SegmentName segment = SegmentName.parse(name, cluster.document().walSegmentSize());
    byte[] bytes = read(name);
    if (bytes == null) {
      return false;
    }
    if (bytes.length != segment.segmentSize()) {
      if (bytes.length > segment.segmentSize() || isOld(name)) {
        refuse(
            name,
            "it has %,d bytes where a segment has %,d"
                .formatted(bytes.length, segment.segmentSize()),
            "copy it again, or see whether archive_command tells success too early");
      }
      return false;
    }
    try {
      String wrong = wrong(segment, bytes);
      if (wrong != null) {
        refuse(
            name,
            wrong,
            "copy it again from the server's pg_wal or a standby's; if it is another server's, name"
                + " another folder");
        return false;
      }
      cluster.wal().put(name, bytes);
    } catch (OperatorException e) {
      rethrowUnlessOfTheFile(e);
      refuse(name, e.why(), e.next());
      return false;
    }
    listener.taken(segment, bytes);
    return true;
  }

  /** What is wrong with it; null when it is a whole segment of this cluster's WAL. */
  private @Nullable String wrong(SegmentName segment, byte[] bytes) {
    WalReader reader = new WalReader(segment.start());
    reader.feed(bytes, 0, bytes.length);
    try {
      RawRecord record = reader.poll();
      while (record != null) { // each is checked by being read
        record = reader.poll();
      }
      String identifier = Long.toUnsignedString(reader.systemIdentifier());
      if (reader.systemIdentifier() == 0) {
        return "it does not begin with the page that its name promises";
      }
      if (!identifier.equals(cluster.document().systemIdentifier())) {
        return "it is WAL of another cluster: its system identifier is %s, and that of %s is %s"
            .formatted(
                identifier, cluster.document().name(), cluster.document().systemIdentifier());
      }
      if (reader.segmentSize() != segment.segmentSize()) {
        return "its segments have %,d bytes, and those of %s %,d"
            .formatted(reader.segmentSize(), cluster.document().name(), segment.segmentSize());
      }
      // Before the position of a switch a segment holds the pages of the timeline that was left.
      if (Integer.compareUnsigned(reader.timeline(), segment.timeline()) > 0) {
        return "its pages are of timeline " + Integer.toUnsignedString(reader.timeline());
      }
      reader.finish(segment.end());
      return null;
    } catch (WalDamagedException e) {
      return "it cannot be read past " + e.at() + ": " + e.why();
    }
  }

  private boolean remove(String name) {
    try {
      return Files.deleteIfExists(folder.resolve(name));
    } catch (IOException e) {
      tell(
          name,
          "warning",
          folder.resolve(name) + " is recorded and cannot be removed: " + e,
          "remove it, and let this user remove files there");
      return false;
    }
  }

  private byte @Nullable [] read(String name) {
    try {
      return Files.readAllBytes(folder.resolve(name));
    } catch (NoSuchFileException e) {
      return null; // somebody cleans up
    } catch (IOException e) {
      refuse(name, e.toString(), "let this user read it");
      return null;
    }
  }

  private boolean isOld(String name) {
    try {
      return Files.getLastModifiedTime(folder.resolve(name)).toMillis()
          < System.currentTimeMillis() - COPYING_MAX.toMillis();
    } catch (IOException e) {
      return false;
    }
  }

  /** What is wrong with the repository stops recording; what is wrong with a file does not. */
  private static void rethrowUnlessOfTheFile(OperatorException e) {
    if (e.kind() != Kind.REFUSED && e.kind() != Kind.DAMAGED_DATA) {
      throw e;
    }
  }

  private void refuse(String name, String why, String next) {
    refused++;
    tell(name, "critical", folder.resolve(name) + " was not taken: " + why, next);
  }

  private void tell(String name, String level, String what, String next) {
    if (!what.equals(told.put(name, what))) {
      alarms.accept(RecordingAlarm.of("archive", level, what, next));
    }
  }

  private static OperatorException unreadable(Path path, IOException e) {
    return new OperatorException(
        Kind.FAILED,
        "cannot take WAL from " + path,
        e.toString(),
        "let this user read the folder, then run the same command again",
        e);
  }
}
