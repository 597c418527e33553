package dev.holdfast.store;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.local.LocalObjectStore;
import dev.holdfast.store.objects.NoSuchObjectException;
import dev.holdfast.store.objects.ObjectStore;
import dev.holdfast.store.s3.S3ObjectStore;
import java.net.URI;
import java.nio.file.FileSystemNotFoundException;
import java.nio.file.Path;
import java.time.Instant;
import java.util.List;
import java.util.Locale;
import java.util.UUID;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * Where everything recorded lives; see FORMAT.md. May be used by several threads.
 *
 * <p>Locations are a directory's path, a {@code file:} URL, or {@code s3://bucket/prefix}; where
 * the bucket's server is and who asks it, the environment says as it does to every program that
 * uses S3.
 */
public final class Repository {
  static final String DOCUMENT = "holdfast.json";
  private static final String KIND = "repository";
  private static final Pattern CLUSTER_NAME = Pattern.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,62}");

  private final ObjectStore objects;
  private final Document document;

  private Repository(ObjectStore objects, Document document) {
    this.objects = objects;
    this.document = document;
  }

  /** The content of {@code holdfast.json}. */
  private record Document(String id, Instant createdAt) {}

  /** Reads all of it and returns what does not hold; empty when all is well. */
  public List<Problem> verify() {
    return new Verification(objects)
        .run(null, new Verification.Reading(1, 0, 1), Verification.Listener.SILENT)
        .all();
  }

  /** For looking at what is in a repository, though it may not even open. */
  public static Verification verification(String location) {
    return new Verification(objects(location));
  }

  /**
   * Makes a new repository in a missing or empty directory, or below an empty prefix of a bucket.
   *
   * @throws OperatorException REFUSED when something is there already; REPOSITORY_UNREACHABLE when
   *     the place cannot be written
   */
  public static Repository create(String location) {
    return create(objects(location));
  }

  static Repository create(ObjectStore objects) {
    if (objects.exists(DOCUMENT)) {
      throw new OperatorException(
          Kind.REFUSED,
          "cannot create a repository in " + objects.location(),
          "there is one already",
          "use it, or name another place");
    }
    // One look at one folder: someone's home directory or bucket may hold a great deal below it.
    if (!objects.children("").isEmpty()) {
      throw new OperatorException(
          Kind.REFUSED,
          "cannot create a repository in " + objects.location(),
          "other files are there, and they are no repository",
          "name an empty or a new directory, or another prefix of the bucket");
    }
    var document = new Document(UUID.randomUUID().toString(), Instant.now());
    objects.put(DOCUMENT, JsonDocument.wrap(DOCUMENT, KIND, document));
    return new Repository(objects, document);
  }

  /**
   * Opens a repository.
   *
   * @throws OperatorException REPOSITORY_UNREACHABLE when there is none; REFUSED when another
   *     Holdfast wrote it in a format unknown to this one; DAMAGED_DATA
   */
  public static Repository open(String location) {
    return open(objects(location));
  }

  static Repository open(ObjectStore objects) {
    byte[] bytes;
    try {
      bytes = objects.get(DOCUMENT);
    } catch (NoSuchObjectException e) {
      throw new OperatorException(
          Kind.REPOSITORY_UNREACHABLE,
          "cannot open the repository " + objects.location(),
          "there is no " + DOCUMENT + " in it",
          "check the location, and that its disk is mounted; `holdfast protect` makes a new"
              + " repository in an empty or missing directory, or below an empty prefix of a bucket",
          e);
    }
    return new Repository(objects, JsonDocument.unwrap(DOCUMENT, KIND, bytes, Document.class));
  }

  /** Opens the repository, or makes one where nothing is yet. */
  public static Repository openOrCreate(String location) {
    ObjectStore objects = objects(location);
    return objects.exists(DOCUMENT) ? open(objects) : create(objects);
  }

  private static ObjectStore objects(String location) {
    String lower = location.toLowerCase(Locale.ROOT);
    if (lower.startsWith("s3:")) {
      return S3ObjectStore.open(location);
    }
    try {
      if (lower.startsWith("file:")) {
        return new LocalObjectStore(Path.of(URI.create(location)));
      }
      if (!location.isBlank() && !lower.matches("[a-z][a-z0-9+.-]*://.*")) {
        return new LocalObjectStore(Path.of(location));
      }
    } catch (IllegalArgumentException | FileSystemNotFoundException e) {
      throw unknown(location, e);
    }
    throw unknown(location, null);
  }

  private static OperatorException unknown(String location, @Nullable Throwable cause) {
    return new OperatorException(
        Kind.USAGE,
        "cannot use the repository \"" + location + "\"",
        "a repository is a directory or a bucket",
        "give a path such as /var/lib/holdfast, or s3://BUCKET/PREFIX",
        cause);
  }

  /** Random, given at creation: tells copies of one repository from another repository. */
  public String id() {
    return document.id();
  }

  /** Where it is, as an operator would write it. */
  public String location() {
    return objects.location();
  }

  /** The registered clusters, sorted. */
  public List<String> clusterNames() {
    return objects.folders("clusters/").stream()
        .filter(name -> objects.exists(ClusterStore.documentName(name)))
        .toList();
  }

  /**
   * Registers a cluster; registering the same system identifier again replaces its document.
   *
   * @throws OperatorException REFUSED when the name belongs to another system identifier; USAGE
   *     when the name cannot be one
   */
  public ClusterStore register(ClusterDocument document) {
    String object = documentName(document.name());
    if (objects.exists(object)) {
      ClusterDocument known = cluster(document.name()).document();
      if (!known.engine().equals(document.engine())
          || !known.systemIdentifier().equals(document.systemIdentifier())) {
        throw new OperatorException(
            Kind.REFUSED,
            "cannot register cluster " + document.name(),
            "that name belongs to the %s cluster with system identifier %s, and this is %s %s"
                .formatted(
                    known.engine(),
                    known.systemIdentifier(),
                    document.engine(),
                    document.systemIdentifier()),
            "choose another name, or check the connection URL");
      }
      update(document);
    } else {
      objects.put(object, JsonDocument.wrap(object, ClusterStore.KIND, document));
    }
    return new ClusterStore(objects, document);
  }

  /**
   * A registered cluster.
   *
   * @throws OperatorException USAGE, naming the known clusters, when there is none of that name
   */
  public ClusterStore cluster(String name) {
    if (!CLUSTER_NAME.matcher(name).matches() || !objects.exists(documentName(name))) {
      List<String> known = clusterNames();
      throw new OperatorException(
          Kind.USAGE,
          "there is no cluster \"%s\" in %s".formatted(name, location()),
          known.isEmpty()
              ? "no cluster is registered there"
              : "registered are: " + String.join(", ", known),
          known.isEmpty()
              ? "register one with `holdfast protect NAME URL`"
              : "use one of these names, or register it with `holdfast protect NAME URL`");
    }
    String object = documentName(name);
    return new ClusterStore(
        objects,
        JsonDocument.unwrap(object, ClusterStore.KIND, objects.get(object), ClusterDocument.class));
  }

  /** Replaces the document of a registered cluster. */
  public void update(ClusterDocument document) {
    String object = documentName(document.name());
    ClusterDocument known = cluster(document.name()).document();
    if (!known.systemIdentifier().equals(document.systemIdentifier())) {
      throw new IllegalArgumentException("a cluster's system identifier never changes");
    }
    objects.replace(object, JsonDocument.wrap(object, ClusterStore.KIND, document));
  }

  private static String documentName(String cluster) {
    if (!CLUSTER_NAME.matcher(cluster).matches()) {
      throw new OperatorException(
          Kind.USAGE,
          "cannot name a cluster \"" + cluster + "\"",
          "a name has letters, digits, dots, underscores and hyphens, starts with a letter or a"
              + " digit, and has at most 63 characters",
          "choose such a name, for example acme");
    }
    return ClusterStore.documentName(cluster);
  }
}
