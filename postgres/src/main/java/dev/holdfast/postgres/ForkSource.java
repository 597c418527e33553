package dev.holdfast.postgres;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.store.BaseManifest;
import dev.holdfast.store.BaseReader;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.Restoration;
import dev.holdfast.wal.ExcludedFiles;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RelFile;
import dev.holdfast.wal.SegmentName;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;

/** What one fork is made from: recorded base backups and WAL, chosen, measured and fetched. */
final class ForkSource {
  /** Segments a fork's {@link WalSpool} keeps ready. */
  static final int SEGMENTS_AHEAD = 8;

  /** Room for what a server writes of its own: WAL after promotion, temporary files. */
  private static final long SERVER_BYTES = 128L << 20;

  /** The fork's max_wal_size and what recovery keeps beyond it before a restartpoint. */
  private static final long WAL_KEPT_BYTES_MAX = 3L << 29;

  private final ClusterStore cluster;
  private final RecoveryTarget target;
  private final ForkOptions options;
  private final String what;
  private final Set<Long> kept = new HashSet<>();
  private boolean whole;
  private boolean othersKept;
  private boolean alone;
  private ExcludedFiles leftOut = ExcludedFiles.of(Set.of());
  private @Nullable FilteredWal filtered;
  private @Nullable String database;
  private @Nullable BaseReader reader;
  private CatalogChanges changes = new CatalogChanges();

  ForkSource(ClusterStore cluster, RecoveryTarget target, ForkOptions options) {
    this.cluster = cluster;
    this.target = target;
    this.options = options;
    this.what = "cannot fork " + cluster.document().name() + " at " + target.lsn();
    this.whole = options.contents() instanceof ForkContents.Whole;
  }

  /** What fails when any of it does, as messages begin. */
  String what() {
    return what;
  }

  RecoveryTarget target() {
    return target;
  }

  /**
   * The way to the target. What the fork holds is decided with it: which files {@link #fetch}
   * leaves out, and {@link #wal} filters.
   *
   * @throws OperatorException REFUSED when there is none
   */
  RecoveryRoute route() {
    RecoveryRoute route = RecoveryRoute.choose(what, cluster, target);
    leftOut = ExcludedFiles.of(Set.of());
    filtered = null;
    database = null;
    alone = false;
    changes = new CatalogChanges();
    if (!whole && options.contents() instanceof ForkContents.Sparse sparse) {
      Catalog catalog = UnwantedFiles.catalog(cluster, route.start());
      if (catalog == null) {
        whole = true; // nothing recorded says which files are whose
      } else {
        catalog.databases().stream()
            .filter(known -> known.oid() == sparse.databaseOid())
            .findFirst()
            .ifPresent(known -> database = known.name());
        Set<RelFile> unwanted = UnwantedFiles.of(catalog, sparse, kept);
        // One that came since may be a copy of any.
        alone = sparse.alone() && !othersKept && kept.isEmpty() && database != null;
        if (alone) {
          unwanted.addAll(
              UnwantedFiles.ofOthers(reader(route.base()).files().keySet(), sparse.databaseOid()));
        }
        leftOut = ExcludedFiles.of(unwanted);
      }
    }
    return route;
  }

  /** What the fork made last holds: what was asked for, or everything. */
  ForkContents contents() {
    return whole ? new ForkContents.Whole() : options.contents();
  }

  /** The wanted tables' database by the name it had at the base backup; null for none known. */
  @Nullable String database() {
    return database;
  }

  /**
   * Whether the fork made last lets nobody into another database than {@link #database}: their
   * catalogs are left out.
   */
  boolean isAlone() {
    return alone;
  }

  /** From the next {@link #route} on, the catalogs of all databases are held. */
  void keepOthers() {
    othersKept = true;
  }

  /** A role of production's that can log in: the one the base backup was made by. */
  String user() {
    return PostgresUrl.parse(cluster.document().url()).user();
  }

  /** Every file left out, under all names that the replay of {@link #wal} copied it to. */
  ExcludedFiles leftOut() {
    return filtered == null ? leftOut : filtered.excluded();
  }

  /**
   * Where the WAL that was handed out so far may have changed what is left out or wanted. Empty
   * where nothing was left out: no change matters there.
   */
  CatalogChanges changes() {
    return changes;
  }

  /** From the next {@link #route} on, files of these numbers are held whatever they belong to. */
  void keep(Set<Long> numbers) {
    kept.addAll(numbers);
  }

  /** From the next {@link #route} on, everything is held. */
  void keepEverything() {
    whole = true;
  }

  /** The way to the target and on, as far as WAL is recorded. */
  RecoveryRoute routeOnwards() {
    return route().onwards(cluster.wal().list(), this::history);
  }

  /** The programs that replay this base backup. */
  PostgresBinaries binaries(BaseManifest base) {
    return options.embeddedOnly()
        ? PostgresBinaries.embedded(base.major())
        : PostgresBinaries.of(base.major());
  }

  /**
   * Looks whether the fork will find room.
   *
   * @throws OperatorException REFUSED when it will not
   */
  void checkRoom(RecoveryRoute route) {
    BaseManifest base = route.base();
    long files = leftOut.files().isEmpty() ? base.bytes() : wantedBytes(reader(base));
    long wal = target.lsn().minus(route.start()) + base.walSegmentSize();
    long needed =
        files
            + Math.min(wal, WAL_KEPT_BYTES_MAX)
            + (long) SEGMENTS_AHEAD * base.walSegmentSize()
            + SERVER_BYTES;
    try {
      Files.createDirectories(options.parent());
      long free = Files.getFileStore(options.parent()).getUsableSpace();
      if (free < needed) {
        throw new OperatorException(
            Kind.REFUSED,
            what,
            "%s has %,d MB free and a fork of %s needs %,d MB"
                .formatted(options.parent(), free >> 20, cluster.document().name(), needed >> 20),
            "make room there, or name another folder");
      }
    } catch (IOException e) {
      throw new OperatorException(
          Kind.FAILED,
          what,
          "cannot use the folder " + options.parent() + ": " + e.getMessage(),
          "name a folder that can be written to",
          e);
    }
  }

  /** The scratch folder could not be written. */
  OperatorException unwritable(IOException e) {
    return new OperatorException(
        Kind.FAILED,
        what,
        String.valueOf(e.getMessage()),
        "make room in " + options.parent() + ", or name another folder",
        e);
  }

  /** Restores a base backup's files, those that are not wanted left out. */
  void fetch(BaseManifest base, Path data) throws IOException {
    BaseReader reader = reader(base);
    long total = leftOut.files().isEmpty() ? base.bytes() : wantedBytes(reader);
    AtomicLong fetched = new AtomicLong();
    reader.restore(
        data,
        path -> isLeftOut(path) ? Restoration.LEFT_OUT : Restoration.WHOLE,
        options.threads(),
        bytes -> {
          synchronized (fetched) { // several threads restore; a listener hears one at a time
            options.progress().fetched(fetched.addAndGet(bytes), total);
          }
        });
  }

  private BaseReader reader(BaseManifest base) {
    if (reader == null || !reader.manifest().label().equals(base.label())) {
      reader = cluster.bases().open(base.label());
    }
    return reader;
  }

  private boolean isLeftOut(String path) {
    RelFile file = leftOut.files().isEmpty() ? null : BackupFiles.relation(path);
    // A free space map is a hint that a server does without and makes again. A visibility map is
    // none: from 17.11 and 18.6 on, records of rows refer to its pages, and replay wants them.
    return file != null && (leftOut.contains(file) || BackupFiles.isFreeSpaceMap(path));
  }

  private long wantedBytes(BaseReader reader) {
    return reader.files().entrySet().stream()
        .filter(file -> file.getValue() > 0 && !isLeftOut(file.getKey()))
        .mapToLong(Map.Entry::getValue)
        .sum();
  }

  /** The WAL of a route, to be handed to a server; filtered where files were left out. */
  WalSpool.Source wal(RecoveryRoute route) {
    if (leftOut.files().isEmpty()) {
      return new CheckedWal(what, route, target.lsn(), cluster.wal()::read, this::history);
    }
    int segmentSize = route.base().walSegmentSize();
    Lsn first = SegmentName.containing(route.start(), route.base().timeline(), segmentSize).start();
    ReplayHazards hazards =
        new ReplayHazards(what, first, segmentSize, route.start(), target.lsn());
    FilteredWal wal =
        new FilteredWal(
            route.segments(),
            segmentSize,
            cluster.wal()::read,
            leftOut,
            hazards,
            changes::note,
            options.threads());
    filtered = wal;
    return new Filtered(wal, hazards);
  }

  private final class Filtered implements WalSpool.Source {
    private final FilteredWal wal;
    private final ReplayHazards hazards;

    /** The segment read last, which a server that is fed step by step gets again and again. */
    private String lastName = "";

    private byte @Nullable [] lastBytes;

    private Filtered(FilteredWal wal, ReplayHazards hazards) {
      this.wal = wal;
      this.hazards = hazards;
    }

    @Override
    public byte @Nullable [] read(String name) {
      if (name.endsWith(".history")) {
        String history = history(Integer.parseUnsignedInt(name.substring(0, 8), 16));
        return history == null ? null : history.getBytes(StandardCharsets.UTF_8);
      }
      if (!name.equals(lastName)) {
        lastBytes = wal.read(name);
        lastName = name;
      }
      hazards.checkSeen();
      return lastBytes;
    }

    @Override
    public void moveTo(Lsn farther) {
      hazards.moveTo(farther);
    }

    @Override
    public void close() {
      wal.close();
    }
  }

  private @Nullable String history(int timeline) {
    return RecoveryRoute.history(cluster, timeline);
  }
}
