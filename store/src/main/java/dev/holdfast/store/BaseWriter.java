package dev.holdfast.store;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.objects.ObjectExistsException;
import dev.holdfast.store.objects.ObjectStore;
import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * A base backup while it is written; invisible until {@link #publish}.
 *
 * <p>Several threads may write different files at once: each open file has a part of its own, so
 * memory is about 4 MiB for each file that is open at the same time.
 */
public final class BaseWriter implements AutoCloseable {
  /** Marks a directory in the list of files. */
  static final long DIRECTORY = -1;

  static final long PART_BYTES_MAX = 256L << 20;
  private static final int READ_BYTES = 256 * 1024;

  private final ObjectStore objects;
  private final String folder;
  private final String label;
  private final long partBytesMax;
  private final int compressionLevel;

  /**
   * Digits that end the names of this attempt's parts. With some, several attempts at the same
   * layer may run at once: all write the same list of files, and the manifest decides whose parts
   * count. Without, this writer is alone.
   */
  private final String attempt;

  private final TreeMap<String, Long> files = new TreeMap<>();
  private final ArrayDeque<PartWriter> idle = new ArrayDeque<>();
  private final List<PartWriter> open = new ArrayList<>();
  private final List<BaseDocument.Part> finished = new ArrayList<>();
  private final Map<String, Boolean> writing = new HashMap<>();

  /** Of files written in pieces, how much; all others are held whole. */
  private final Map<String, Long> held = new HashMap<>();

  private int pieceWriters;
  private int partsBegun;
  private boolean putMadeFrom;
  private boolean putFiles;
  private boolean published;

  /** Whether the storage was asked for the manifest and did not say whether it is there. */
  private boolean undecided;

  BaseWriter(ObjectStore objects, String folder, String label, long partBytesMax) {
    this(objects, folder, label, partBytesMax, Repository.Creation.USUAL_LEVEL, "");
  }

  BaseWriter(
      ObjectStore objects,
      String folder,
      String label,
      long partBytesMax,
      int compressionLevel,
      String attempt) {
    this.objects = objects;
    this.folder = folder;
    this.label = label;
    this.partBytesMax = partBytesMax;
    this.compressionLevel = compressionLevel;
    this.attempt = attempt;
  }

  /** The base's label. */
  public String label() {
    return label;
  }

  /**
   * Stores one file. A file may change its length while a server runs: what it has grown past
   * {@code size} is left to the WAL, and one that ends earlier is stored as it ended.
   *
   * @param path relative to the data directory, with slashes
   * @param size bytes to store at most
   * @return the bytes stored
   * @throws IOException when the stream fails; the base backup can then not be published
   */
  public long file(String path, long size, InputStream content) throws IOException {
    FileWriter writer = open(path);
    byte[] buffer = new byte[(int) Math.max(1, Math.min(READ_BYTES, size))];
    long left = size;
    while (left > 0) {
      int read = content.read(buffer, 0, (int) Math.min(buffer.length, left));
      if (read < 0) {
        break;
      }
      writer.write(buffer, 0, read);
      left -= read;
    }
    // Not in a finally: a file that failed stays open, and publishing is refused.
    writer.close();
    return size - left;
  }

  /**
   * Starts a file; its content ends when the writer is closed.
   *
   * @param path relative to the data directory, with slashes
   * @throws IllegalArgumentException when the path could lead out of the data directory, or is
   *     stored already
   */
  public FileWriter open(String path) {
    BasePath.check(path);
    PartWriter part;
    synchronized (this) {
      checkNotPublished();
      if (files.containsKey(path) || writing.putIfAbsent(path, true) != null) {
        throw new IllegalArgumentException(path + " is in this base backup already");
      }
      part = takePart();
    }
    return new FileWriter(this, path, part);
  }

  /**
   * Says what this layer is made from: while it is, that one must not be removed. Comes before
   * everything else.
   *
   * @param source label of the parent, or of the newest layer of a chain that is folded into this
   * @throws OperatorException REFUSED when the source is not there (any more)
   */
  public void madeFrom(String source) {
    String name = folder + BaseStore.MADE_FROM;
    var madeFrom = new BaseStore.MadeFrom(source);
    try {
      objects.put(name, JsonDocument.wrap(name, BaseStore.MADE_FROM_KIND, madeFrom));
      putMadeFrom = true;
    } catch (ObjectExistsException e) {
      if (attempt.isEmpty() || !madeFrom.equals(BaseStore.madeFrom(name, objects.get(name)))) {
        throw e;
      }
    }
    requireSource(source); // whoever removes it from now on sees that it is needed
  }

  private void requireSource(String source) {
    if (!objects.exists(manifestBeside(source))) {
      throw new OperatorException(
          Kind.REFUSED,
          "cannot publish base backup " + label,
          source + ", which it is made from, was removed meanwhile",
          "take the backup again; it chooses another one to stand on, or is a full one");
    }
  }

  private String manifestBeside(String other) {
    String bases = folder.substring(0, folder.length() - 1);
    return bases.substring(0, bases.lastIndexOf('/') + 1) + other + "/" + BaseStore.MANIFEST;
  }

  /**
   * For writing files in pieces: those of an incremental layer that its parent has too. Each has to
   * be {@link #sized}.
   */
  public synchronized PieceWriter pieces() {
    checkNotPublished();
    pieceWriters++;
    return new PieceWriter(this, takePart());
  }

  /**
   * Says how long a file is that is written in pieces. What no piece holds is the parent's.
   *
   * @throws IllegalArgumentException when it is in the layer already
   */
  public synchronized void sized(String path, long size) {
    checkNotPublished();
    if (writing.containsKey(path) || files.putIfAbsent(BasePath.check(path), size) != null) {
      throw new IllegalArgumentException(path + " is in this base backup already");
    }
    held.putIfAbsent(path, 0L);
  }

  /** Records a directory, so that it is restored even when it holds no file. */
  public synchronized void directory(String path) {
    checkNotPublished();
    files.putIfAbsent(BasePath.check(path), DIRECTORY);
  }

  private PartWriter takePart() {
    PartWriter part = idle.poll();
    if (part == null) {
      partsBegun++;
      part =
          new PartWriter(
              objects,
              folder + String.format(Locale.ROOT, "part-%04d", partsBegun) + attempt,
              compressionLevel);
      open.add(part);
    }
    return part;
  }

  /** The part in which a file goes on after an extent. */
  PartWriter continueIn(PartWriter part) {
    if (!isDone(part)) {
      return part;
    }
    finish(part);
    synchronized (this) {
      return takePart();
    }
  }

  private boolean isDone(PartWriter part) {
    return part.storedBytes() >= partBytesMax || part.isFull();
  }

  private void finish(PartWriter part) {
    BaseDocument.Part done = part.finish();
    synchronized (this) {
      finished.add(done);
      open.remove(part);
      part.close();
    }
  }

  /**
   * For the next file; ends the part where many small files have filled it. One that failed is for
   * nobody: who writes to it would hear that it failed, and not why.
   */
  private void giveBack(PartWriter part) {
    if (part.isBroken()) {
      return;
    }
    if (isDone(part)) {
      finish(part);
      return;
    }
    synchronized (this) {
      idle.push(part);
    }
  }

  void ended(String path, long size, PartWriter part) {
    giveBack(part);
    synchronized (this) {
      writing.remove(path);
      files.put(path, size);
    }
  }

  void ended(Map<String, Long> written, PartWriter part) {
    giveBack(part);
    synchronized (this) {
      written.forEach((path, bytes) -> held.merge(path, bytes, Long::sum));
      pieceWriters--;
    }
  }

  /** Bytes of all files closed so far. */
  public synchronized long bytes() {
    return files.values().stream()
        .filter(size -> size != DIRECTORY)
        .mapToLong(Long::longValue)
        .sum();
  }

  /**
   * Makes the base backup visible; durable on return. The WAL through its stop LSN has to be stored
   * before.
   *
   * @return the manifest as stored, with the sizes filled in
   * @throws OperatorException REFUSED when another base backup has this label, or the one it stands
   *     on is gone
   */
  public synchronized BaseManifest publish(BaseManifest manifest) {
    checkNotPublished();
    if (!writing.isEmpty()) {
      throw new IllegalStateException("still being written: " + writing.keySet());
    }
    if (pieceWriters > 0) {
      throw new IllegalStateException("pieces are still being written");
    }
    if (!manifest.label().equals(label)) {
      throw new IllegalArgumentException(manifest.label() + " is not " + label);
    }
    for (PartWriter part : open) {
      finished.add(part.finish());
      part.close();
    }
    open.clear();
    idle.clear();
    finished.sort(Comparator.comparing(BaseDocument.Part::name));
    Map<String, FileList.Entry> entries = entries(manifest.isIncremental());
    byte[] list = FileList.encode(entries, manifest.isIncremental());
    String filesName = folder + BaseStore.FILES;
    byte[] storedList = storeList(filesName, list);
    checkComplete();
    BaseManifest complete =
        manifest.withSizes(
            bytes(),
            storedList.length + finished.stream().mapToLong(BaseDocument.Part::storedBytes).sum(),
            entries.values().stream()
                .filter(entry -> !entry.isDirectory())
                .mapToLong(FileList.Entry::held)
                .sum());
    String parent = manifest.parent();
    if (parent != null) {
      requireSource(parent);
    }
    String name = folder + BaseStore.MANIFEST;
    byte[] document =
        JsonDocument.wrap(
            name,
            BaseStore.KIND,
            BaseDocument.of(
                complete, files.size(), Envelope.checksum(list, 0, list.length), finished));
    undecided = true;
    try {
      objects.put(name, document);
    } catch (ObjectExistsException e) {
      undecided = false;
      throw overtaken(e);
    }
    if (parent != null) {
      withdrawWithout(name, parent);
    }
    published = true;
    removeOtherAttempts();
    return complete;
  }

  /** Stores the list of files, or takes the same one of another attempt. */
  private byte[] storeList(String name, byte[] list) {
    byte[] stored = Envelope.wrap(name, Envelope.BASE_FILES, list, list.length, compressionLevel);
    try {
      objects.put(name, stored);
      putFiles = true;
      return stored;
    } catch (ObjectExistsException e) {
      if (objects.exists(folder + BaseStore.MANIFEST)) {
        throw overtaken(e);
      }
      byte[] other = objects.get(name);
      if (attempt.isEmpty()
          || !Arrays.equals(list, Envelope.unwrap(name, Envelope.BASE_FILES, other))) {
        throw e;
      }
      return other;
    }
  }

  private OperatorException overtaken(ObjectExistsException e) {
    return new OperatorException(
        Kind.REFUSED,
        "cannot publish base backup " + label,
        "somebody else has published one of that label meanwhile",
        "use that one: it is whole; what was written here is removed",
        e);
  }

  /** A manifest never names what is not there, even if someone cleaned up meanwhile. */
  private void checkComplete() {
    var stored = new HashMap<String, Long>();
    objects.list(folder).forEach(object -> stored.put(object.name(), object.bytes()));
    for (BaseDocument.Part part : finished) {
      Long bytes = stored.get(folder + part.name());
      if (bytes == null || bytes != part.storedBytes()) {
        throw new OperatorException(
            Kind.FAILED,
            "cannot publish base backup " + label,
            part.name() + " was removed or changed while the backup ran",
            "see whether another Holdfast or a cleaning job works in "
                + objects.location()
                + ", then take the backup again");
      }
    }
  }

  /** Parts of those that were cut off, or come too late from now on. */
  private void removeOtherAttempts() {
    if (attempt.isEmpty()) {
      return;
    }
    var ours = new HashSet<String>();
    finished.forEach(part -> ours.add(folder + part.name()));
    try {
      objects.list(folder).stream()
          .map(ObjectStore.StoredObject::name)
          .filter(name -> name.startsWith(folder + "part-") && !ours.contains(name))
          .forEach(objects::delete);
    } catch (OperatorException e) {
      // The base backup is published; they are in nobody's way, and go when it goes.
    }
  }

  /** The last look was before this layer could be seen: the parent may have gone in between. */
  private void withdrawWithout(String manifest, String parent) {
    try {
      requireSource(parent);
    } catch (OperatorException e) {
      objects.delete(manifest);
      undecided = false;
      throw e;
    }
  }

  private Map<String, FileList.Entry> entries(boolean incremental) {
    var entries = new TreeMap<String, FileList.Entry>();
    files.forEach((path, size) -> {
      @Nullable Long pieces = held.get(path);
      if (pieces != null && (pieces > size || (!incremental && pieces != size.longValue()))) {
        throw new IllegalStateException(path + ": pieces of " + pieces + " bytes, not " + size);
      }
      entries.put(path, new FileList.Entry(size, pieces == null ? size : pieces));
    });
    for (String path : held.keySet()) {
      if (!files.containsKey(path)) {
        throw new IllegalStateException("nobody said how long " + path + " is");
      }
    }
    return entries;
  }

  private void checkNotPublished() {
    if (published) {
      throw new IllegalStateException(label + " is published");
    }
  }

  /**
   * Removes what this writer wrote and nothing else, unless it was published, or may have been: of
   * a layer that others can see nothing is missing then, and what is left else is removed after a
   * day.
   */
  @Override
  public synchronized void close() {
    for (PartWriter part : open) {
      part.close();
    }
    open.clear();
    idle.clear();
    if (published || undecided) {
      return;
    }
    for (BaseDocument.Part part : finished) {
      objects.delete(folder + part.name());
    }
    finished.clear();
    String files = folder + BaseStore.FILES;
    String madeFrom = folder + BaseStore.MADE_FROM;
    if (attempt.isEmpty()) {
      if (putFiles) {
        objects.delete(files);
      }
      if (putMadeFrom) {
        objects.delete(madeFrom);
      }
    } else if (putMadeFrom
        && objects.list(folder).stream().allMatch(object -> object.name().equals(madeFrom))) {
      // The list of files stays: another attempt may be about to publish with it.
      objects.delete(madeFrom);
    }
  }
}
