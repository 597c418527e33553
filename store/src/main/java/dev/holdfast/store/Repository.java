package dev.holdfast.store;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.WrappedKey.Secret;
import dev.holdfast.store.local.LocalObjectStore;
import dev.holdfast.store.objects.NoSuchObjectException;
import dev.holdfast.store.objects.ObjectStore;
import dev.holdfast.store.s3.S3ObjectStore;
import java.net.URI;
import java.nio.file.FileSystemNotFoundException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
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

  static final String COPY = "holdfast.copy.json";

  private final ObjectStore stored;
  private final ObjectStore objects;
  private final Document document;
  private final KeySources keys;
  private final @Nullable Opened opened;

  private Repository(
      ObjectStore stored, Document document, KeySources keys, @Nullable Opened opened) {
    this.stored = stored;
    this.keys = keys;
    this.objects = opened == null ? stored : new SealedObjects(stored, opened.dataKey());
    this.document = document;
    this.opened = opened;
  }

  /**
   * The content of {@code holdfast.json}.
   *
   * @param compressionLevel null: {@link Creation#USUAL_LEVEL}
   * @param encryption null: nothing is encrypted
   */
  record Document(
      String id,
      Instant createdAt,
      @Nullable Integer compressionLevel,
      @Nullable Encryption encryption) {}

  /**
   * How objects are encrypted.
   *
   * @param scheme {@link DataKey#SCHEME}
   * @param wrappedKeys the data key; any of them opens it
   */
  record Encryption(String scheme, List<WrappedKey> wrappedKeys) {}

  /** How an encrypted repository was opened. */
  private record Opened(DataKey dataKey, Secret secret) {}

  /**
   * How a new repository is to be.
   *
   * @param encrypted whether everything in it is encrypted
   * @param compressionLevel zstd's, from -7 (fast) to 19 (small)
   */
  public record Creation(boolean encrypted, int compressionLevel) {
    /** What nothing was said about. */
    public static final int USUAL_LEVEL = 1;

    /** Neither encrypted nor otherwise out of the ordinary. */
    public static final Creation UNENCRYPTED = new Creation(false, USUAL_LEVEL);

    /** As it is when an operator says nothing. */
    public static final Creation USUAL = new Creation(true, USUAL_LEVEL);

    /** Refuses levels there are none of. */
    public Creation {
      if (compressionLevel < -7 || compressionLevel > 19) {
        throw new OperatorException(
            Kind.USAGE,
            "cannot compress at level " + compressionLevel,
            "zstd's levels are -7 (fast) to 19 (small, and very slow)",
            "leave --compression-level out for 1; 3 makes backups some tenths smaller, and slower");
      }
    }
  }

  /**
   * How a repository is encrypted, without any secret.
   *
   * @param wrappedBy what the data key is wrapped with: {@code passphrase}, {@code generatedKey} or
   *     {@code keyCommand}
   * @param keyFrom where this process found the key, as an operator calls it
   */
  public record KeyInfo(String wrappedBy, String keyFrom) {}

  /** Reads all of it and returns what does not hold; empty when all is well. */
  public List<Problem> verify() {
    return new Verification(stored, keys)
        .run(null, new Verification.Reading(1, 0, 1), Verification.Listener.SILENT)
        .all();
  }

  /** For looking at what is in a repository, though it may not even open. */
  public static Verification verification(String location) {
    return new Verification(objects(location), KeySources.ofProcess());
  }

  /**
   * Makes a new repository in a missing or empty directory, or below an empty prefix of a bucket.
   *
   * @throws OperatorException REFUSED when something is there already; REPOSITORY_UNREACHABLE when
   *     the place cannot be written
   */
  public static Repository create(String location, Creation creation) {
    return create(objects(location), creation, KeySources.ofProcess());
  }

  /** As {@link #create(String, Creation)}, without encryption. */
  public static Repository create(String location) {
    return create(location, Creation.UNENCRYPTED);
  }

  static Repository create(ObjectStore objects) {
    return create(objects, Creation.UNENCRYPTED, KeySources.ofProcess());
  }

  static Repository create(ObjectStore objects, Creation creation, KeySources keys) {
    if (isAt(objects)) {
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
    String id = UUID.randomUUID().toString();
    if (!creation.encrypted()) {
      if (keys.isTold()) {
        throw new OperatorException(
            Kind.USAGE,
            "cannot create a repository in " + objects.location(),
            "a key was given, and it is not to be encrypted",
            "leave out --no-encryption, or the passphrase or key command (in the environment and"
                + " holdfast.yaml, too)");
      }
      var document = new Document(id, Instant.now(), creation.compressionLevel(), null);
      objects.put(DOCUMENT, JsonDocument.wrap(DOCUMENT, KIND, document));
      return new Repository(objects, document, keys, null);
    }
    // The key is durable before the repository is there: no crash leaves one that nobody can open.
    KeySources.ForNew key = keys.forNew(id, objects.location());
    DataKey dataKey = DataKey.generate();
    var document =
        new Document(
            id,
            Instant.now(),
            creation.compressionLevel(),
            new Encryption(DataKey.SCHEME, List.of(WrappedKey.wrap(dataKey, key.secret(), id))));
    objects.put(DOCUMENT, JsonDocument.wrap(DOCUMENT, KIND, document));
    putCopy(objects, document);
    return new Repository(objects, document, keys, new Opened(dataKey, key.secret()));
  }

  /** Without the wrapped key all is lost: one damaged byte must not be the end. */
  private static void putCopy(ObjectStore objects, Document document) {
    objects.replace(COPY, JsonDocument.wrap(COPY, KIND, document));
  }

  /** Puts back whichever of the two documents is missing or does not hold. */
  private void mendDocuments() {
    if (opened == null) {
      return;
    }
    for (String name : List.of(DOCUMENT, COPY)) {
      try {
        readDocument(stored, name);
      } catch (NoSuchObjectException | DamagedObjectException e) {
        stored.replace(name, JsonDocument.wrap(name, KIND, document));
      }
    }
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
    return open(objects, KeySources.ofProcess());
  }

  static Repository open(ObjectStore objects, KeySources keys) {
    return unlock(objects, readDocument(objects), keys);
  }

  /**
   * Reads what holds the wrapped key, for which no key is needed; its copy where the document is
   * gone or does not hold.
   */
  private static Document readDocument(ObjectStore objects) {
    try {
      return readDocument(objects, DOCUMENT);
    } catch (NoSuchObjectException | DamagedObjectException e) {
      try {
        return readDocument(objects, COPY);
      } catch (NoSuchObjectException | DamagedObjectException noCopy) {
        if (e instanceof DamagedObjectException) {
          throw e;
        }
        throw new OperatorException(
            Kind.REPOSITORY_UNREACHABLE,
            "cannot open the repository " + objects.location(),
            "there is no " + DOCUMENT + " in it",
            "check the location, and that its disk is mounted; `holdfast protect` makes a new"
                + " repository in an empty or missing directory, or below an empty prefix of a"
                + " bucket",
            e);
      }
    }
  }

  /**
   * Reads one of the two documents.
   *
   * @param name {@link #DOCUMENT} or {@link #COPY}
   */
  static Document readDocument(ObjectStore objects, String name) {
    return JsonDocument.unwrap(name, KIND, objects.get(name), Document.class);
  }

  /** Finds the key of an encrypted repository. */
  static Repository unlock(ObjectStore objects, Document document, KeySources keys) {
    Encryption encryption = document.encryption();
    String cannot = "cannot open the repository " + objects.location();
    if (encryption == null) {
      if (keys.isTold() || Files.exists(keys.keyFile(document.id()))) {
        // Else whoever can write here could have us write everything to come in the clear.
        throw new OperatorException(
            Kind.REFUSED,
            cannot,
            "a key was given, and the repository says that it is not encrypted",
            "if it was made with --no-encryption, give no key; if not, somebody has changed its "
                + DOCUMENT
                + ": put that back from another copy");
      }
      return new Repository(objects, document, keys, null);
    }
    if (!encryption.scheme().equals(DataKey.SCHEME)) {
      throw new OperatorException(
          Kind.REFUSED,
          cannot,
          "it is encrypted by the scheme \"%s\", which this Holdfast does not know"
              .formatted(encryption.scheme()),
          "use the Holdfast release that wrote it, or a newer one");
    }
    Secret secret = keys.find(document.id());
    if (secret == null) {
      throw new OperatorException(
          Kind.USAGE,
          cannot,
          "it is encrypted, and no key was found for repository %s: not by --passphrase-file or"
                  .formatted(document.id())
              + " --key-command, not in HOLDFAST_PASSPHRASE_FILE, HOLDFAST_PASSPHRASE or"
              + " HOLDFAST_KEY_COMMAND, not by passphraseFile or keyCommand in holdfast.yaml, not in "
              + keys.keyFile(document.id()),
          "fetch the copy of its key (%s) and name it with --passphrase-file FILE, or put it at %s;"
                  .formatted(wrappedWith(encryption), keys.keyFile(document.id()))
              + " without the key nobody can read this repository, Holdfast's makers included");
    }
    for (WrappedKey wrapped : encryption.wrappedKeys()) {
      try {
        return new Repository(
            objects, document, keys, new Opened(wrapped.unwrap(secret, document.id()), secret));
      } catch (WrappedKey.WrongKeyException _) {
        // there may be several
      } catch (IllegalArgumentException e) {
        var damaged = new DamagedObjectException(DOCUMENT, String.valueOf(e.getMessage()));
        damaged.addSuppressed(e);
        throw damaged;
      }
    }
    throw new OperatorException(
        Kind.USAGE,
        cannot,
        "the key from %s does not open repository %s, which takes %s"
            .formatted(secret.origin(), document.id(), wrappedWith(encryption)),
        "give the right one with --passphrase-file FILE; nothing was changed");
  }

  private static String wrappedWith(Encryption encryption) {
    return encryption.wrappedKeys().stream()
        .map(wrapped ->
            switch (wrapped.by()) {
              case WrappedKey.PASSPHRASE -> "a passphrase";
              case WrappedKey.KEY_COMMAND -> "a key command";
              default -> "the key that Holdfast made with it, holdfast-key-1-…";
            })
        .collect(java.util.stream.Collectors.joining(" or "));
  }

  /** Opens the repository, or makes one where nothing is yet, without encryption. */
  public static Repository openOrCreate(String location) {
    return openOrCreate(location, Creation.UNENCRYPTED);
  }

  /** Opens the repository, or makes one where nothing is yet. */
  public static Repository openOrCreate(String location, Creation creation) {
    ObjectStore objects = objects(location);
    return isAt(objects) ? open(objects) : create(objects, creation, KeySources.ofProcess());
  }

  /** Whether there is a repository already. */
  public static boolean isAt(String location) {
    return isAt(objects(location));
  }

  private static boolean isAt(ObjectStore objects) {
    return objects.exists(DOCUMENT) || objects.exists(COPY);
  }

  /** How it is encrypted; null when it is not. */
  public @Nullable KeyInfo keyInfo() {
    Encryption encryption = document.encryption();
    return encryption == null || opened == null
        ? null
        : new KeyInfo(
            String.join(", ", encryption.wrappedKeys().stream().map(WrappedKey::by).toList()),
            opened.secret().origin());
  }

  /** zstd's level for what is written. */
  public int compressionLevel() {
    Integer level = document.compressionLevel();
    return level == null ? Creation.USUAL_LEVEL : level;
  }

  /**
   * Wraps the data key with another secret; the old one opens nothing any more, except together
   * with an old copy of {@code holdfast.json}. What is stored stays as it is.
   *
   * @param toldOf have been told of one
   * @return the repository as opened with the new one
   * @throws OperatorException REFUSED when the repository is not encrypted
   */
  public Repository changeKey(KeySources toldOf) {
    Opened known = opened;
    Encryption encryption = document.encryption();
    if (known == null || encryption == null) {
      throw new OperatorException(
          Kind.REFUSED,
          "cannot change the key of the repository " + location(),
          "it was made with --no-encryption and has none",
          "make a new repository to have an encrypted one; what is stored in this one stays as it"
              + " is");
    }
    Secret secret = toldOf.told();
    var changed =
        new Document(
            document.id(),
            document.createdAt(),
            document.compressionLevel(),
            new Encryption(
                encryption.scheme(), List.of(WrappedKey.wrap(known.dataKey(), secret, id()))));
    // The document last: whoever is cut off before that still has the key that opens it.
    putCopy(stored, changed);
    stored.replace(DOCUMENT, JsonDocument.wrap(DOCUMENT, KIND, changed));
    return new Repository(stored, changed, toldOf, new Opened(known.dataKey(), secret));
  }

  /**
   * Writes the secret that this repository was opened with to a new file.
   *
   * @throws OperatorException REFUSED when it has none that can be written down
   */
  public void exportKey(Path file) {
    if (opened == null || !(opened.secret() instanceof Secret.Text text)) {
      throw new OperatorException(
          Kind.REFUSED,
          "cannot export the key of the repository " + location(),
          opened == null
              ? "it was made with --no-encryption and has none"
              : "a key command opens it, and what that keeps it does not give away",
          opened == null
              ? "make a new repository to have an encrypted one"
              : "see that the service behind the command is backed up");
    }
    KeySources.write(file, text.passphrase(), id(), location());
  }

  ObjectStore objects() {
    return objects;
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
    mendDocuments();
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
            "choose another name, or check the connection URL; where it is %s itself, upgraded or moved: holdfast protect NEW_NAME URL --environment %s --continues %s"
                .formatted(document.name(), known.environment(), document.name()));
      }
      update(document);
    } else {
      objects.put(object, JsonDocument.wrap(object, ClusterStore.KIND, document));
    }
    return new ClusterStore(objects, document, compressionLevel());
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
        JsonDocument.unwrap(object, ClusterStore.KIND, objects.get(object), ClusterDocument.class),
        compressionLevel());
  }

  /**
   * The cluster that goes on under this name: itself, or whichever took its place.
   *
   * @throws OperatorException as {@link #cluster}
   */
  public ClusterStore current(String name) {
    ClusterStore cluster = cluster(name);
    Set<String> passed = new HashSet<>();
    for (Succession next = cluster.succession();
        next != null && passed.add(next.name());
        next = cluster.succession()) {
      cluster = cluster(next.name());
    }
    return cluster;
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
