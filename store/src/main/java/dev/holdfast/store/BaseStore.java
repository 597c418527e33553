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
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.ThreadLocalRandom;
import java.util.function.LongConsumer;
import org.jspecify.annotations.Nullable;

/** One cluster's base backups. May be used by several threads. */
public final class BaseStore {
  static final String MANIFEST = "manifest.json";
  static final String FILES = "files";
  static final String KIND = "base";
  static final String MADE_FROM = "made-from.json";
  static final String MADE_FROM_KIND = "source";
  private static final Duration ABANDONED_AFTER = Duration.ofDays(1);

  private final ObjectStore objects;
  private final String folder;
  private final int compressionLevel;

  BaseStore(ObjectStore objects, String folder, int compressionLevel) {
    this.objects = objects;
    this.compressionLevel = compressionLevel;
    this.folder = folder;
  }

  /** The content of {@code made-from.json}. */
  record MadeFrom(String label) {}

  /**
   * What is published.
   *
   * @param bases those whose manifest holds, sorted by label and so by time
   * @param damaged the manifests that do not
   */
  public record Listing(List<BaseManifest> bases, List<Problem> damaged) {}

  /**
   * The published base backups whose manifest holds, and those of all that they stand on, sorted by
   * label and so by time: one that was damaged takes nothing from those that do not need it.
   *
   * @throws OperatorException DAMAGED_DATA, naming a manifest, when there are some and none holds
   */
  public List<BaseManifest> list() {
    Listing listing = listing();
    if (listing.bases().isEmpty() && !listing.damaged().isEmpty()) {
      Problem first = listing.damaged().getFirst();
      throw new DamagedObjectException(first.object(), first.found());
    }
    Map<String, BaseManifest> known = new HashMap<>();
    listing.bases().forEach(base -> known.put(base.label(), base));
    return listing.bases().stream().filter(base -> chain(base, known) != null).toList();
  }

  /**
   * A base backup and those it stands on, the full one last.
   *
   * @param known by label
   * @return null when one of them is not among the known
   */
  public static @Nullable List<BaseManifest> chain(
      BaseManifest base, Map<String, BaseManifest> known) {
    var chain = new LinkedHashSet<BaseManifest>();
    for (BaseManifest layer = base; layer != null; layer = known.get(layer.parent())) {
      if (!chain.add(layer)) {
        return null; // they stand on each other
      }
      if (layer.parent() == null) {
        return List.copyOf(chain);
      }
    }
    return null;
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

  /** Whether there is anything of this label, published or not. */
  public boolean isTaken(String label) {
    return !objects.list(folder + label + "/").isEmpty();
  }

  /**
   * Starts a base backup.
   *
   * @param label letters, digits, dot, underscore, hyphen; sorts by time
   * @throws OperatorException REFUSED when a published base backup has this label, or another one
   *     of this label is being taken, or was cut off less than a day ago
   */
  public BaseWriter begin(String label) {
    makeRoom(label);
    if (isTaken(label)) {
      throw new OperatorException(
          Kind.REFUSED,
          "cannot begin base backup " + label,
          "another one of that label is being taken, or its taking was cut off",
          "begin another one a second later");
    }
    return writer(label, "");
  }

  /** Refuses what is published, and makes room. */
  private void makeRoom(String label) {
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
    removeAbandoned();
  }

  private BaseWriter writer(String label, String attempt) {
    return new BaseWriter(
        objects, folder + label + "/", label, BaseWriter.PART_BYTES_MAX, compressionLevel, attempt);
  }

  /**
   * Objects of a base backup that is not published: it is being taken, or what is left of one whose
   * taking or removing was interrupted.
   *
   * @param objects how many there are
   * @param bytes as stored
   * @param newestAt when the newest of them was stored, by the storage's clock
   * @param madeFrom label of the base backup that it is being made from; null for none
   */
  public record Unpublished(
      String label, int objects, long bytes, Instant newestAt, @Nullable String madeFrom) {}

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
                    .orElseThrow(),
                madeFrom(label)));
      }
    }
    return unpublished;
  }

  private @Nullable String madeFrom(String label) {
    String name = folder + label + "/" + MADE_FROM;
    try {
      return madeFrom(name, objects.get(name)).label();
    } catch (NoSuchObjectException e) {
      return null;
    }
  }

  static MadeFrom madeFrom(String name, byte[] bytes) {
    return JsonDocument.unwrap(name, MADE_FROM_KIND, bytes, MadeFrom.class);
  }

  /** Reads what a base backup was made from; throws when that does not hold. */
  void checkMadeFrom(String label) {
    madeFrom(label);
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

  /**
   * The manifest first, so that what is left after a crash is no base backup.
   *
   * @throws OperatorException REFUSED when another one stands on it, or is being made from it
   */
  void remove(String label, Runnable onRemoved) {
    String manifest = folder + label + "/" + MANIFEST;
    List<ObjectStore.StoredObject> left = objects.list(folder + label + "/");
    if (left.stream().anyMatch(object -> object.name().equals(manifest))) {
      refuseNeeded(label);
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

  /** Plans are made before: what was begun or published since may need it. */
  private void refuseNeeded(String label) {
    String needs =
        listing().bases().stream()
            .filter(base -> label.equals(base.parent()))
            .map(BaseManifest::label)
            .findFirst()
            .or(() ->
                unpublished().stream()
                    .filter(unpublished -> label.equals(unpublished.madeFrom()))
                    .filter(unpublished -> !unpublished.newestAt().isBefore(abandonedLimit()))
                    .map(Unpublished::label)
                    .findFirst())
            .orElse(null);
    if (needs != null) {
      throw new OperatorException(
          Kind.REFUSED,
          "cannot remove base backup " + label,
          needs + " stands on it, or is being made from it",
          "look at the plan again: what was removed so far is whole");
    }
  }

  private static Instant abandonedLimit() {
    return Instant.now().minus(ABANDONED_AFTER);
  }

  /** What a crash left, when nobody wrote to it for a day: until then somebody may be at it. */
  private void removeAbandoned() {
    objects.sweep(folder);
    for (String label : objects.folders(folder)) {
      String base = folder + label + "/";
      if (objects.exists(base + MANIFEST)) {
        continue;
      }
      List<ObjectStore.StoredObject> left = objects.list(base);
      Instant limit = abandonedLimit();
      if (left.stream().allMatch(object -> object.modifiedAt().isBefore(limit))) {
        left.forEach(object -> objects.delete(object.name()));
      }
    }
  }

  /**
   * Opens a published base backup, with all that it stands on.
   *
   * @throws OperatorException USAGE when there is none of that label; DAMAGED_DATA, also when one
   *     that it stands on is missing
   */
  public BaseReader open(String label) {
    var chain = new ArrayList<BaseReader>();
    try {
      chain.add(reader(label));
    } catch (NoSuchObjectException e) {
      throw new OperatorException(
          Kind.USAGE,
          "there is no base backup " + label,
          "no manifest of it is in " + objects.location(),
          "list the base backups and choose one",
          e);
    }
    var seen = new HashSet<>(List.of(label));
    for (String parent = chain.getLast().manifest().parent();
        parent != null;
        parent = chain.getLast().manifest().parent()) {
      String manifest = folder + parent + "/" + MANIFEST;
      String standing = chain.getLast().manifest().label();
      if (!seen.add(parent)) {
        throw new DamagedObjectException(manifest, "it and " + standing + " stand on each other");
      }
      try {
        chain.add(reader(parent));
      } catch (NoSuchObjectException e) {
        throw DamagedObjectException.missing(
            manifest, "it is missing, and " + standing + " stands on it");
      }
    }
    return chain.getFirst().over(List.copyOf(chain.subList(1, chain.size())));
  }

  /**
   * The label that a chain's newest layer gets when the chain is folded: its moment is the same.
   */
  public static String rolledUp(String label) {
    int kind = label.lastIndexOf('-');
    return (kind < 0 ? label : label.substring(0, kind)) + "-" + BaseManifest.FULL;
  }

  /**
   * Folds a chain into a new full base backup of the same moment, labelled {@link #rolledUp}; reads
   * and writes the repository only. The chain stays.
   *
   * <p>Several may do so at once, and one that was killed may be run again at once: each attempt
   * has parts of its own, and the first to publish wins.
   *
   * @param threads parts worked on at once
   * @param onBytes told how many further bytes of files are folded; called by several threads
   * @return the new one's manifest
   * @throws OperatorException REFUSED when it exists, or another attempt was first; DAMAGED_DATA,
   *     naming the object; then nothing new is there
   */
  public BaseManifest rollUp(String label, int threads, LongConsumer onBytes) {
    BaseReader reader = open(label);
    if (!reader.manifest().isIncremental()) {
      throw new IllegalArgumentException(label + " is a full base backup");
    }
    String full = rolledUp(label);
    makeRoom(full);
    String attempt =
        String.format(Locale.ROOT, "%09d", ThreadLocalRandom.current().nextInt(1_000_000_000));
    try (BaseWriter writer = writer(full, attempt)) {
      writer.madeFrom(label);
      reader.foldInto(writer, threads, onBytes);
      return writer.publish(reader.manifest().asFull(writer.label()));
    }
  }

  /** One layer by itself; throws {@link NoSuchObjectException} when there is none of that label. */
  BaseReader reader(String label) {
    String base = folder + label + "/";
    return new BaseReader(objects, base, document(base + MANIFEST, objects.get(base + MANIFEST)));
  }

  private static BaseDocument document(String name, byte[] bytes) {
    return JsonDocument.unwrap(name, KIND, bytes, BaseDocument.class);
  }
}
