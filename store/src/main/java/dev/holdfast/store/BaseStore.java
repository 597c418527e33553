package dev.holdfast.store;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.objects.NoSuchObjectException;
import dev.holdfast.store.objects.ObjectName;
import dev.holdfast.store.objects.ObjectStore;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;

/** One cluster's base backups. May be used by several threads. */
public final class BaseStore {
  static final String MANIFEST = "manifest.json";
  static final String FILES = "files";
  static final String KIND = "base";
  private static final Duration ABANDONED_AFTER = Duration.ofDays(1);

  private final ObjectStore objects;
  private final String folder;

  BaseStore(ObjectStore objects, String folder) {
    this.objects = objects;
    this.folder = folder;
  }

  /**
   * The published base backups, sorted by label and so by time.
   *
   * @throws OperatorException DAMAGED_DATA naming a manifest that does not hold
   */
  public List<BaseManifest> list() {
    var manifests = new ArrayList<BaseManifest>();
    for (String label : objects.folders(folder)) {
      String name = folder + label + "/" + MANIFEST;
      byte[] bytes;
      try {
        bytes = objects.get(name);
      } catch (NoSuchObjectException e) {
        continue; // being written, abandoned, or just removed: not a base backup
      }
      manifests.add(document(name, bytes).manifest());
    }
    return manifests;
  }

  /** The labels of the published base backups, sorted. */
  List<String> labels() {
    return objects.folders(folder).stream()
        .filter(label -> objects.exists(folder + label + "/" + MANIFEST))
        .toList();
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
    return new BaseWriter(objects, folder + label + "/", label);
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
    String base = folder + label + "/";
    byte[] bytes;
    try {
      bytes = objects.get(base + MANIFEST);
    } catch (NoSuchObjectException e) {
      throw new OperatorException(
          Kind.USAGE,
          "there is no base backup " + label,
          "no manifest of it is in " + objects.location(),
          "list the base backups and choose one",
          e);
    }
    return new BaseReader(objects, base, document(base + MANIFEST, bytes));
  }

  private static BaseDocument document(String name, byte[] bytes) {
    return JsonDocument.unwrap(name, KIND, bytes, BaseDocument.class);
  }
}
