package dev.holdfast.store;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.objects.NoSuchObjectException;
import dev.holdfast.store.objects.ObjectExistsException;
import dev.holdfast.store.objects.ObjectName;
import dev.holdfast.store.objects.ObjectStore;
import java.time.Duration;
import java.time.InstantSource;
import java.util.List;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import tools.jackson.core.JacksonException;

/** What is recorded about one cluster. May be used by several threads. */
public final class ClusterStore {
  private static final Logger LOG = LoggerFactory.getLogger(ClusterStore.class);
  static final String KIND = "cluster";
  static final String SCHEDULE = "schedule";
  static final String CLIENTS = "clients";
  static final String CLIENTS_FILE = "clients.json";
  static final Pattern LSN = Pattern.compile("[0-9A-F]{16}");
  private static final Pattern DOCUMENT_KIND = Pattern.compile("[a-z]+");
  private static final Set<String> RESERVED =
      Set.of("bases", "wal", "summaries", "catalogs", "leases", "schedules");

  private final ObjectStore objects;
  private final ClusterDocument document;
  private final int compressionLevel;
  private final String folder;
  private final WalStore wal;
  private final BaseStore bases;
  private final SummaryStore summaries;

  ClusterStore(ObjectStore objects, ClusterDocument document, int compressionLevel) {
    this.objects = objects;
    this.compressionLevel = compressionLevel;
    this.document = document;
    this.folder = "clusters/" + document.name() + "/";
    this.wal = new WalStore(objects, folder + "wal/", document.walSegmentSize(), compressionLevel);
    this.bases = new BaseStore(objects, folder + "bases/", compressionLevel);
    this.summaries =
        new SummaryStore(
            objects, folder + "summaries/", document.walSegmentSize(), compressionLevel);
  }

  static String documentName(String cluster) {
    return "clusters/" + cluster + "/cluster.json";
  }

  /** Reads a cluster's document. */
  static ClusterDocument readDocument(ObjectStore objects, String cluster) {
    String object = documentName(cluster);
    return JsonDocument.unwrap(object, KIND, objects.get(object), ClusterDocument.class);
  }

  /** Whether {@link #putDocument} takes this kind. */
  static boolean isDocumentKind(String kind) {
    return DOCUMENT_KIND.matcher(kind).matches() && !RESERVED.contains(kind);
  }

  /** As it was when this store was opened. */
  public ClusterDocument document() {
    return document;
  }

  /** Its WAL. */
  public WalStore wal() {
    return wal;
  }

  /** Its base backups. */
  public BaseStore bases() {
    return bases;
  }

  /** What its WAL did, segment by segment. */
  public SummaryStore summaries() {
    return summaries;
  }

  /**
   * For what only one process should do at a time.
   *
   * @param role lower-case letters: {@code record}, {@code schedule}
   * @param purpose what is done, as the others are told: {@code holdfast record acme}
   * @param term how long the holder may stay silent before another takes its place
   */
  public LeaseCandidate candidate(String role, String purpose, Duration term) {
    return new LeaseCandidate(
        leases(role), role, purpose, term, System::nanoTime, InstantSource.system());
  }

  /** Who holds, or last held, a lease; null when nobody ever did, or it cannot be told. */
  public @Nullable LeaseDocument leaseHolder(String role) {
    return leases(role).newest().document();
  }

  LeaseFolder leases(String role) {
    return new LeaseFolder(objects, folder + "leases/" + checkKind(role) + "/");
  }

  /** The same, changed as long as the lease is held, and refused from then on. */
  public ClusterStore fencedBy(Lease lease) {
    return new ClusterStore(new FencedObjects(objects, lease), document, compressionLevel);
  }

  /**
   * Keeps how a scheduled job stands, in the place of what was kept before.
   *
   * @param job lower-case letters
   * @param state a record Jackson can write
   */
  public void putSchedule(String job, Object state) {
    String name = scheduleName(job);
    objects.replace(name, JsonDocument.wrap(name, SCHEDULE, state));
  }

  /**
   * How the scheduled jobs stand, by job, sorted. What does not hold is left out: the job is then
   * one that never ran.
   */
  public <T> SortedMap<String, T> schedules(Class<T> type) {
    var found = new TreeMap<String, T>();
    for (String child : objects.children(folder + "schedules/")) {
      if (child.endsWith(".json")) {
        String job = child.substring(0, child.length() - ".json".length());
        String name = folder + "schedules/" + child;
        try {
          found.put(job, JsonDocument.unwrap(name, SCHEDULE, objects.get(name), type));
        } catch (NoSuchObjectException | DamagedObjectException e) {
          LOG.warn("how the job {} stands cannot be read; it is taken for one that never ran", job);
        }
      }
    }
    return found;
  }

  /** Forgets a job that is scheduled no longer. */
  public void removeSchedule(String job) {
    objects.delete(scheduleName(job));
  }

  private String scheduleName(String job) {
    return folder + "schedules/" + checkKind(job) + ".json";
  }

  /** Which cluster took this one's place; null when none did. */
  public @Nullable Succession succession() {
    String object = documentName(Succession.KIND, Succession.ITEM);
    try {
      return JsonDocument.unwrap(object, Succession.KIND, objects.get(object), Succession.class);
    } catch (NoSuchObjectException e) {
      return null;
    }
  }

  /**
   * Gives its place to another cluster, once and for all.
   *
   * @throws OperatorException REFUSED when another one has it
   */
  public void succeeded(Succession by) {
    String object = documentName(Succession.KIND, Succession.ITEM);
    try {
      objects.put(object, JsonDocument.wrap(object, Succession.KIND, by));
    } catch (ObjectExistsException e) {
      Succession other = succession();
      if (other == null || !other.name().equals(by.name())) {
        throw new OperatorException(
            Kind.REFUSED,
            "%s cannot take the place of %s".formatted(by.name(), document.name()),
            "%s has it".formatted(other == null ? "another cluster" : other.name()),
            "to take the place of that one, say so with --continues",
            e);
      }
    }
  }

  /**
   * Keeps who uses the cluster, in the place of what was kept before.
   *
   * @param clients a record Jackson can write
   */
  public void putClients(Object clients) {
    String name = folder + CLIENTS_FILE;
    objects.replace(name, JsonDocument.wrap(name, CLIENTS, clients));
  }

  /** Who uses the cluster; null when nobody looked yet, or what is kept does not hold. */
  public <T> @Nullable T clients(Class<T> type) {
    String name = folder + CLIENTS_FILE;
    try {
      return JsonDocument.unwrap(name, CLIENTS, objects.get(name), type);
    } catch (NoSuchObjectException e) {
      return null;
    } catch (DamagedObjectException e) {
      LOG.warn("who uses {} cannot be read, and is learnt anew: {}", document.name(), e.why());
      return null;
    }
  }

  /**
   * Stores what the catalogs said at an LSN; a snapshot of the same LSN is replaced.
   *
   * @param lsn 16 upper-case hexadecimal digits
   * @param catalog a record Jackson can write
   */
  public void putCatalog(String lsn, Object catalog) {
    String name = catalogName(lsn);
    byte[] json = Json.compact(catalog);
    objects.replace(
        name, Envelope.wrap(name, Envelope.CATALOG, json, json.length, compressionLevel));
  }

  /**
   * What the catalogs said at an LSN.
   *
   * @throws OperatorException DAMAGED_DATA when it is missing or does not hold
   */
  public <T> T catalog(String lsn, Class<T> type) {
    String name = catalogName(lsn);
    byte[] json = Envelope.unwrap(name, Envelope.CATALOG, objects.get(name));
    try {
      return Json.read(json, type);
    } catch (JacksonException e) {
      var damaged =
          new DamagedObjectException(name, "its content does not fit: " + e.getOriginalMessage());
      damaged.addSuppressed(e);
      throw damaged;
    }
  }

  /** The LSNs that have a catalog snapshot, sorted. */
  public List<String> catalogs() {
    String prefix = folder + "catalogs/";
    return objects.list(prefix).stream()
        .map(object -> object.name().substring(prefix.length()))
        .filter(lsn -> LSN.matcher(lsn).matches())
        .toList();
  }

  /**
   * Stores a small document that never changes.
   *
   * @param kind lower-case letters: {@code incidents}, {@code proofs}, {@code permits}
   * @param name letters, digits, dot, underscore, hyphen
   * @throws OperatorException REFUSED when a document of that name exists
   */
  public void putDocument(String kind, String name, Object content) {
    String object = documentName(kind, name);
    objects.put(object, JsonDocument.wrap(object, kind, content));
  }

  /**
   * Stores a small document in the place of one of that name, if there is one.
   *
   * @param kind as in {@link #putDocument}
   */
  public void replaceDocument(String kind, String name, Object content) {
    String object = documentName(kind, name);
    objects.replace(object, JsonDocument.wrap(object, kind, content));
  }

  /** Removes a document; nothing happens where there is none. */
  public void removeDocument(String kind, String name) {
    objects.delete(documentName(kind, name));
  }

  /**
   * Reads a document.
   *
   * @throws OperatorException USAGE when there is none of that name; DAMAGED_DATA
   */
  public <T> T document(String kind, String name, Class<T> type) {
    String object = documentName(kind, name);
    byte[] bytes;
    try {
      bytes = objects.get(object);
    } catch (NoSuchObjectException e) {
      throw new OperatorException(
          Kind.USAGE,
          "there is no \"%s\" among the %s of cluster %s".formatted(name, kind, document.name()),
          "nothing of that name was stored",
          "check the name",
          e);
    }
    return JsonDocument.unwrap(object, kind, bytes, type);
  }

  /** The names of a kind's documents, sorted. */
  public List<String> documents(String kind) {
    String prefix = folder + checkKind(kind) + "/";
    return objects.list(prefix).stream()
        .map(object -> object.name().substring(prefix.length()))
        .filter(name -> name.endsWith(".json") && name.indexOf('/') < 0)
        .map(name -> name.substring(0, name.length() - ".json".length()))
        .toList();
  }

  /**
   * Removes what is named; nothing happens for what is absent.
   *
   * @param onRemoved told after each base backup's object, segment, summary and catalog
   */
  public void remove(Removal removal, Runnable onRemoved) {
    removal.bases().forEach(label -> bases.remove(label, onRemoved));
    for (String segment : removal.segments()) {
      wal.delete(segment);
      onRemoved.run();
    }
    for (String segment : removal.summaries()) {
      summaries.delete(segment);
      onRemoved.run();
    }
    for (String lsn : removal.catalogs()) {
      objects.delete(catalogName(lsn));
      onRemoved.run();
    }
  }

  /** The kinds of small documents there are, sorted. */
  public List<String> documentKinds() {
    return objects.folders(folder).stream().filter(ClusterStore::isDocumentKind).toList();
  }

  private String catalogName(String lsn) {
    if (!LSN.matcher(lsn).matches()) {
      throw new IllegalArgumentException("\"" + lsn + "\" is not an LSN of 16 hexadecimal digits");
    }
    return folder + "catalogs/" + lsn;
  }

  private String documentName(String kind, String name) {
    return ObjectName.check(folder + checkKind(kind) + "/" + name + ".json");
  }

  private static String checkKind(String kind) {
    if (!isDocumentKind(kind)) {
      throw new IllegalArgumentException("\"" + kind + "\" is no kind of document");
    }
    return kind;
  }
}
