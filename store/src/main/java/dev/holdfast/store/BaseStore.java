package dev.holdfast.store;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.objects.NoSuchObjectException;
import dev.holdfast.store.objects.ObjectName;
import dev.holdfast.store.objects.ObjectStore;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;

/** One cluster's base backups. May be used by several threads. */
public final class BaseStore {
  static final String MANIFEST = "manifest.json";
  static final String FILES = "files";
  static final String KIND = "base";
  private static final Duration ABANDONED_AFTER = Duration.ofDays(1);

  private final ObjectStore objects;
  private final String folder;
  private final int compressionLevel;

  BaseStore(ObjectStore objects, String folder, int compressionLevel) {
    this.objects = objects;
    this.compressionLevel = compressionLevel;
    this.folder = folder;
  }

  /**
   * What is published.
   *
   * @param bases those whose manifest holds, sorted by label and so by time
   * @param damaged the manifests that do not
   */
  public record Listing(List<BaseManifest> bases, List<Problem> damaged) {}

  /**
   * The published base backups whose manifest holds, sorted by label and so by time: one that was
   * damaged takes nothing from the others.
   *
   * @throws OperatorException DAMAGED_DATA, naming a manifest, when there are some and none holds
   */
  public List<BaseManifest> list() {
    Listing listing = listing();
    if (listing.bases().isEmpty() && !listing.damaged().isEmpty()) {
      Problem first = listing.damaged().getFirst();
      throw new DamagedObjectException(first.object(), first.found());
    }
    return listing.bases();
  }

  /** As {@link #list}, with those that cannot be used. */
  public Listing listing() {
    var manifests = new ArrayList<BaseManifest>();
    var damaged = new Findings();
    for (String label : objects.folders(folder)) {
      // Without a manifest: being written, abandoned, or just removed, and no base backup.
      damaged.check(
          Problem.Subject.BASE,
          label,
          folder + label + "/" + MANIFEST,
          () -> manifests.add(reader(label).manifest()));
    }
    return new Listing(List.copyOf(manifests), damaged.sorted());
  }

  /** Whether a base backup of this label is published. */
  public boolean exists(String label) {
    return objects.exists(folder + label + "/" + MANIFEST);
  }

  /**
   * Starts a base backup.
   *
   * @param label letters, digits, dot, underscore, hyphen; sorts by time
   * @throws OperatorException REFUSED when a published base backup has this label
   */
  public BaseWriter begin(String label) {
    if (!ObjectName.isComponent(label)) {
      throw new IllegalArgumentException("\"" + label + "\" cannot label a base backup");
    }
    if (objects.exists(folder + label + "/" + MANIFEST)) {
      throw new OperatorException(
          Kind.REFUSED,
          "cannot begin base backup " + label,
          "a base backup of that label exists",
          "begin another one a second later");
    }
    removeAbandoned(label);
    return new BaseWriter(
        objects, folder + label + "/", label, BaseWriter.PART_BYTES_MAX, compressionLevel);
  }

  /**
   * Objects of a base backup that is not published: it is being taken, or what is left of one whose
   * taking or removing was interrupted.
   *
   * @param objects how many there are
   * @param bytes as stored
   * @param newestAt when the newest of them was stored, by the storage's clock
   */
  public record Unpublished(String label, int objects, long bytes, Instant newestAt) {}

  /** Those that are not published, sorted by label. */
  public List<Unpublished> unpublished() {
    var unpublished = new ArrayList<Unpublished>();
    for (String label : objects.folders(folder)) {
      List<ObjectStore.StoredObject> left = objects.list(folder + label + "/");
      if (!left.isEmpty() && !objects.exists(folder + label + "/" + MANIFEST)) {
        unpublished.add(
            new Unpublished(
                label,
                left.size(),
                left.stream().mapToLong(ObjectStore.StoredObject::bytes).sum(),
                left.stream()
                    .map(ObjectStore.StoredObject::modifiedAt)
                    .max(Comparator.naturalOrder())
                    .orElseThrow()));
      }
    }
    return unpublished;
  }

  /** How many objects there are of a base backup. */
  public int objects(String label) {
    return objects.list(folder + label + "/").size();
  }

  /** Whether all objects of a published base backup are there, of the sizes they should have. */
  public boolean isWhole(String label) {
    String base = folder + label + "/";
    var stored = new HashMap<String, Long>();
    objects.list(base).forEach(object -> stored.put(object.name(), object.bytes()));
    return stored.containsKey(base + FILES)
        && reader(label).parts().stream()
            .allMatch(
                part -> Long.valueOf(part.storedBytes()).equals(stored.get(base + part.name())));
  }

  /** The manifest first, so that what is left after a crash is no base backup. */
  void remove(String label, Runnable onRemoved) {
    String manifest = folder + label + "/" + MANIFEST;
    List<ObjectStore.StoredObject> left = objects.list(folder + label + "/");
    if (left.stream().anyMatch(object -> object.name().equals(manifest))) {
      objects.delete(manifest);
      onRemoved.run();
    }
    for (ObjectStore.StoredObject object : left) {
      if (!object.name().equals(manifest)) {
        objects.delete(object.name());
        onRemoved.run();
      }
    }
  }

  /** What a crash left: of this label at once, of others when nobody wrote for a day. */
  private void removeAbandoned(String beginning) {
    objects.sweep(folder);
    for (String label : objects.folders(folder)) {
      String base = folder + label + "/";
      if (objects.exists(base + MANIFEST)) {
        continue;
      }
      List<ObjectStore.StoredObject> left = objects.list(base);
      Instant limit = Instant.now().minus(ABANDONED_AFTER);
      if (label.equals(beginning)
          || left.stream().allMatch(object -> object.modifiedAt().isBefore(limit))) {
        left.forEach(object -> objects.delete(object.name()));
      }
    }
  }

  /**
   * Opens a published base backup.
   *
   * @throws OperatorException USAGE when there is none of that label; DAMAGED_DATA
   */
  public BaseReader open(String label) {
    try {
      return reader(label);
    } catch (NoSuchObjectException e) {
      throw new OperatorException(
          Kind.USAGE,
          "there is no base backup " + label,
          "no manifest of it is in " + objects.location(),
          "list the base backups and choose one",
          e);
    }
  }

  /** As {@link #open}; throws {@link NoSuchObjectException} when there is none of that label. */
  BaseReader reader(String label) {
    String base = folder + label + "/";
    return new BaseReader(objects, base, document(base + MANIFEST, objects.get(base + MANIFEST)));
  }

  private static BaseDocument document(String name, byte[] bytes) {
    return JsonDocument.unwrap(name, KIND, bytes, BaseDocument.class);
  }
}
