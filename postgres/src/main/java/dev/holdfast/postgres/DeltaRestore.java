package dev.holdfast.postgres;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.postgres.RestoreFolder.Aside;
import dev.holdfast.postgres.RestoreFolder.Begun;
import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.store.BaseDelta;
import dev.holdfast.store.BaseManifest;
import dev.holdfast.store.BaseReader;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.Writeback;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.file.FileStore;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;
import java.util.function.LongConsumer;
import java.util.function.ObjLongConsumer;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * Restores a whole cluster into a data directory of the same cluster, fetching and writing only
 * what differs. The result is that of {@link Restore}.
 *
 * <p>Invariants:
 *
 * <ul>
 *   <li>Nothing is changed in a directory that is another cluster's, or whose cluster cannot be
 *       told, unless the operator said so; nor while a server is at it.
 *   <li>WAL is fetched, and read to its target, before anything that was there is changed.
 *   <li>{@code global/pg_control} loses its name before anything else is changed, and gets it back
 *       last but for the marker's end: no server starts on a directory that is neither what it was
 *       nor whole.
 *   <li>pg_wal is put aside, never removed: it may hold the only copy of the last commits. So are
 *       copies of the settings, on the disk before anything that was there is changed.
 *   <li>What lies beside a tablespace's own folder is neither read nor given to another owner.
 *   <li>A symbolic link in the directory is removed, never followed.
 * </ul>
 */
public final class DeltaRestore {
  private static final FileAttribute<?> PRIVATE_FOLDER =
      PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------"));
  private static final FileAttribute<?> PRIVATE_FILE =
      PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------"));

  private static final String ASIDE = ".set-aside";

  /** What a copy that is put aside is called until it is whole. */
  private static final String PARTIAL = ".partial";

  private static final String PG_WAL = "pg_wal";

  /** Kept with the old WAL: what ALTER SYSTEM and people set since is in no base backup. */
  private static final List<String> KEPT =
      List.of(
          "postgresql.conf",
          "postgresql.auto.conf",
          "pg_hba.conf",
          "pg_ident.conf",
          BackupFiles.CONTROL);

  private final ClusterStore cluster;
  private final RecoveryTarget target;
  private final RestoreOptions options;
  private final boolean overwriteUnidentified;
  private final Restore restore;
  private final String what;
  private final Path data;

  private DeltaRestore(
      ClusterStore cluster,
      RecoveryTarget target,
      RestoreOptions options,
      boolean overwriteUnidentified) {
    this.cluster = cluster;
    this.target = target;
    this.options = options;
    this.overwriteUnidentified = overwriteUnidentified;
    this.restore = new Restore(cluster, target, options);
    this.what = restore.what;
    this.data = options.directory();
  }

  /**
   * Looks, and writes nothing.
   *
   * @param overwriteUnidentified whether a data directory may be overwritten whose cluster cannot
   *     be told; never one that is another's
   * @throws OperatorException REFUSED when it must not, or cannot, be restored into
   */
  public static DeltaPlan plan(
      ClusterStore cluster,
      RecoveryTarget target,
      RestoreOptions options,
      boolean overwriteUnidentified) {
    DeltaRestore delta = new DeltaRestore(cluster, target, options, overwriteUnidentified);
    return delta.failing(() -> delta.look().plan);
  }

  /**
   * Looks again, and restores.
   *
   * @param agreed throws when the plan is not the one that the operator has seen; nothing is
   *     changed then
   * @throws OperatorException as {@link #plan}; DAMAGED_DATA; FAILED when something cannot be
   *     written: then the directory cannot be started until this was run again and succeeded
   */
  public static DeltaRestored run(
      ClusterStore cluster,
      RecoveryTarget target,
      RestoreOptions options,
      boolean overwriteUnidentified,
      Consumer<DeltaPlan> agreed) {
    DeltaRestore delta = new DeltaRestore(cluster, target, options, overwriteUnidentified);
    return delta.failing(() -> delta.restore(agreed));
  }

  /** Work that reads or writes the directory. */
  private interface Work<T> {
    T run() throws IOException;
  }

  private <T> T failing(Work<T> work) {
    try {
      return work.run();
    } catch (IOException | UncheckedIOException e) {
      throw new OperatorException(
          Kind.FAILED,
          what,
          String.valueOf(e.getMessage()),
          "see that there is room and that "
              + System.getProperty("user.name")
              + " can read and write there; then run the same command again: it goes on from what is"
              + " there",
          e);
    }
  }

  private OperatorException refused(String why, String next) {
    return new OperatorException(Kind.REFUSED, what, why, next);
  }

  /** Whose a directory is. */
  private record Identity(
      String found, boolean interrupted, RestoreFolder.@Nullable Marker marker) {
    /** Whether all that is in it was put there by a restore of ours. */
    boolean isOurs() {
      return interrupted && marker != null && marker.begun() == Begun.IN_NOTHING;
    }
  }

  /** What looking found. */
  private record Looked(
      DeltaPlan plan,
      RecoveryRoute route,
      BaseReader reader,
      ExistingFiles files,
      BaseDelta.Comparison comparison,
      Set<Long> takenOver,
      @Nullable String control,
      boolean named,
      Aside aside,
      long needed,
      Duration comparing) {}

  private Looked look() throws IOException {
    RecoveryRoute route = RecoveryRoute.choose(what, cluster, target);
    BaseManifest base = route.base();
    Identity identity = identify(base);
    checkNotRunning();
    BaseReader reader = cluster.bases().open(base.label());
    Map<String, Long> backup = reader.files();
    Map<Long, Path> tablespaces = tablespaces(base);
    Set<Long> takenOver = checkTablespaces(base, identity, tablespaces);
    String control = control();
    boolean named = Files.exists(data.resolve(BackupFiles.CONTROL), LinkOption.NOFOLLOW_LINKS);
    ExistingFiles files = ExistingFiles.of(data, tablespaces, takenOver, backup);
    long walBytes = RestoredWal.bytes(route, target);
    long needed = checkRoom(files, walBytes);
    restore.binaries(base);
    long began = System.nanoTime();
    BaseDelta.Comparison comparison =
        reader
            .delta()
            .compare(
                data,
                files.place(),
                files.present(),
                files.wanted()::containsKey,
                options.threads(),
                summed(bytes -> options.progress().compared(bytes, base.bytes())));
    Duration comparing = Duration.ofNanos(System.nanoTime() - began);
    Set<String> changed = new HashSet<>(comparison.changed());
    int added = 0;
    for (String path : files.wanted().keySet()) {
      if (!files.present().containsKey(path)) {
        changed.remove(path);
        added++;
      }
    }
    Aside aside = aside(identity);
    List<String> notes = new ArrayList<>(files.notes());
    Path wal = data.resolve(PG_WAL);
    if (Files.isSymbolicLink(wal)) {
      notes.add(
          "pg_wal is a link to %s: the link goes, those files stay where they are"
              .formatted(Files.readSymbolicLink(wal)));
    }
    DeltaPlan plan =
        new DeltaPlan(
            data,
            identity.found,
            base.systemIdentifier(),
            base.label(),
            files.wanted().size() - added - changed.size(),
            changed,
            added,
            files.removed(),
            comparison.bytesSame(),
            comparison.bytesDiffering(),
            comparison.bytesToFetch(),
            files.bytesRemoved().values().stream().mapToLong(Long::longValue).sum(),
            walBytes,
            aside.folder(),
            aside.names(),
            aside.names().contains(PG_WAL) ? segments(kept(aside)) : 0,
            comparison.withoutSums(),
            tablespaces,
            notes);
    return new Looked(
        plan,
        route,
        reader,
        files,
        comparison,
        takenOver,
        control,
        named,
        aside,
        needed,
        comparing);
  }

  /** Several threads tell; a listener hears one at a time, and how much it is together. */
  private static LongConsumer summed(LongConsumer listener) {
    AtomicLong sum = new AtomicLong();
    return bytes -> {
      synchronized (sum) {
        listener.accept(sum.addAndGet(bytes));
      }
    };
  }

  private Identity identify(BaseManifest base) throws IOException {
    if (!Files.isDirectory(data)) {
      throw refused(
          data + (Files.exists(data) ? " is not a folder" : " does not exist"),
          "leave --delta out: it is for a data directory that is there");
    }
    try (Stream<Path> inside = Files.list(data)) {
      if (inside.findAny().isEmpty()) {
        throw refused(data + " is empty", "leave --delta out: there is nothing to compare with");
      }
    }
    if (Files.isSymbolicLink(data.resolve("global"))) {
      throw refused(
          data.resolve("global") + " is a symbolic link, and nothing outside is written to",
          "put the folder itself there; or restore into a new folder, without --delta");
    }
    RestoreFolder.Marker marker = RestoreFolder.marker(data);
    if (marker != null && marker.begun() == Begun.UNKNOWN) {
      throw refused(
          RestoreFolder.unknown(data),
          "if the data directory is this server's and no restore is running, remove that file; then run the same command again");
    }
    boolean named = Files.exists(data.resolve(BackupFiles.CONTROL), LinkOption.NOFOLLOW_LINKS);
    boolean interrupted = marker != null && !named;
    if (interrupted && marker != null && marker.begun() == Begun.IN_NOTHING) {
      return new Identity("what an interrupted restore left", true, marker);
    }
    String system = base.systemIdentifier();
    String name = cluster.document().name();
    if (interrupted && marker != null && marker.system() != null) {
      if (!system.equals(marker.system())) {
        throw another(marker.system(), name, system);
      }
      return new Identity("what an interrupted restore --delta left", true, marker);
    }
    byte[] control = readControl();
    if (control != null && ControlFile.holds(control)) {
      String its = ControlFile.systemIdentifier(control);
      if (!its.equals(system)) {
        throw another(its, name, system);
      }
      return new Identity("a data directory of " + name, false, marker);
    }
    boolean looksLikeOne =
        Stream.of("PG_VERSION", "global", "base").anyMatch(one -> Files.exists(data.resolve(one)));
    if (!looksLikeOne) {
      throw refused(
          data
              + " is no data directory of PostgreSQL: it has neither PG_VERSION nor global nor base",
          "name the data directory to bring back; or leave --delta out and name a folder that is"
              + " absent or empty");
    }
    String why =
        control == null
            ? "global/pg_control, which says whose data directory it is, is not there"
            : "global/pg_control, which says whose data directory it is, is damaged";
    if (!overwriteUnidentified) {
      throw refused(
          data + ": " + why,
          "if you are sure that it is %s's, or that nothing in it is needed, give --overwrite-unidentified too; else restore into a new folder, without --delta"
              .formatted(name));
    }
    return new Identity("a data directory that cannot be identified: " + why, false, marker);
  }

  private OperatorException another(String its, String name, String system) {
    return refused(
        "%s is the data directory of another cluster: its system identifier is %s, that of %s is %s"
            .formatted(data, its, name, system),
        "name the data directory of "
            + name
            + ", or the cluster that this one is of; or restore into a new folder, without --delta");
  }

  /** The file that says whose it is, wherever it is; null for none that can be read. */
  private byte @Nullable [] readControl() throws IOException {
    for (String name : List.of(BackupFiles.CONTROL, Restore.CONTROL_PARTIAL)) {
      Path file = data.resolve(name);
      if (Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS)) {
        return Files.readAllBytes(file);
      }
    }
    return null;
  }

  /** Its content, to be compared: every server that starts changes it. */
  private @Nullable String control() throws IOException {
    byte[] content = readControl();
    return content == null ? null : HexFormat.of().formatHex(content);
  }

  private void checkNotRunning() throws IOException {
    String running = ServerUse.ofData(data);
    if (running != null) {
      throw refused(
          running,
          "stop it (pg_ctl -D %s stop), see that nothing starts it again, and run the same command again"
              .formatted(data));
    }
  }

  /** As mapped; else where the directory's own links lead; else where they were in production. */
  private Map<Long, Path> tablespaces(BaseManifest base) throws IOException {
    Map<Long, String> production = TablespaceMap.parse(base.tablespaceMap());
    Map<Long, Path> placed =
        new LinkedHashMap<>(
            TablespaceMap.placed(
                what, production, options.tablespaces(), options.tablespacesBelow()));
    for (Map.Entry<Long, String> one : production.entrySet()) {
      Path link = link(one.getKey());
      if (!options.tablespaces().containsKey(one.getValue()) && Files.isSymbolicLink(link)) {
        placed.put(one.getKey(), link.resolveSibling(Files.readSymbolicLink(link)).normalize());
      }
    }
    return placed;
  }

  private Path link(long oid) {
    return data.resolve("pg_tblspc").resolve(Long.toString(oid));
  }

  /**
   * Which tablespaces' folders hold what belongs to this directory; the others are absent or empty.
   */
  private Set<Long> checkTablespaces(
      BaseManifest base, Identity identity, Map<Long, Path> tablespaces) throws IOException {
    Map<Long, String> production = TablespaceMap.parse(base.tablespaceMap());
    Set<Long> takenOver = new HashSet<>();
    List<Path> seen = new ArrayList<>(List.of(real(data)));
    for (Map.Entry<Long, Path> one : tablespaces.entrySet()) {
      Path folder = one.getValue();
      String hint = Restore.mappingHint(production, one.getKey());
      Path real = real(folder);
      restore.checkApart(folder, real, seen, hint);
      seen.add(real);
      String user = Files.exists(folder) ? ServerUse.ofTablespace(folder, data) : null;
      if (user != null) {
        throw refused(user, hint);
      }
      RestoreFolder.Marker marker = RestoreFolder.marker(folder);
      boolean linked = ExistingFiles.leadsTo(link(one.getKey()), folder) && !identity.isOurs();
      if (marker != null && base.systemIdentifier().equals(marker.system())) {
        takenOver.add(one.getKey());
      } else if (linked && marker == null) {
        if (Files.exists(folder.resolve("PG_VERSION"))
            || Files.exists(folder.resolve(BackupFiles.CONTROL))) {
          throw refused(folder + " is a data directory, not a tablespace's folder", hint);
        }
        takenOver.add(one.getKey());
      } else {
        RestoreFolder.check(
            folder,
            what,
            hint + "; or put the link back: ln -s " + folder + " " + link(one.getKey()));
      }
    }
    return takenOver;
  }

  private static Path real(Path path) throws IOException {
    return Files.exists(path) ? path.toRealPath() : path;
  }

  /**
   * By file system, what files get longer or are new by; what goes makes room there, but not for
   * the WAL, which comes before anything goes.
   */
  private long checkRoom(ExistingFiles files, long walBytes) throws IOException {
    long free =
        Files.getFileStore(data).getUsableSpace() + bytes(data.resolve(ExistingFiles.WAL_STAGE));
    if (free < walBytes) {
      throw new NoRoomException(
          what,
          "the file system of %s has %,d MB free, and %,d MB of WAL have to be there before anything is removed"
              .formatted(data, free >> 20, walBytes >> 20),
          "make room there");
    }
    Map<FileStore, Long> needs = new HashMap<>();
    Map<FileStore, Path> named = new HashMap<>();
    ObjLongConsumer<Path> need =
        (path, bytes) -> {
          try {
            FileStore store = Files.getFileStore(Restore.existing(path));
            needs.merge(store, bytes, Long::sum);
            named.putIfAbsent(store, path);
          } catch (IOException e) {
            throw new UncheckedIOException(e);
          }
        };
    need.accept(data, walBytes + Restore.SERVER_BYTES);
    files.bytesRemoved().forEach((folder, bytes) -> need.accept(folder, -bytes));
    Map<Path, Long> byFolder = new HashMap<>();
    files
        .wanted()
        .forEach((path, size) -> {
          long more = size - files.present().getOrDefault(path, 0L);
          Path folder = Objects.requireNonNull(files.place().apply(path).getParent());
          byFolder.merge(folder, Math.max(0, more), Long::sum);
        });
    byFolder.forEach(need::accept);
    for (Map.Entry<FileStore, Long> one : needs.entrySet()) {
      long has = one.getKey().getUsableSpace();
      if (has < one.getValue()) {
        throw new NoRoomException(
            what,
            "the file system of %s has %,d MB free, and the restore needs %,d MB more there than is in use"
                .formatted(named.get(one.getKey()), has >> 20, one.getValue() >> 20),
            "make room there");
      }
    }
    return Math.max(0, needs.values().stream().mapToLong(Long::longValue).sum());
  }

  /** Of the files in a folder, which may not be there. */
  private static long bytes(Path folder) throws IOException {
    if (!Files.isDirectory(folder, LinkOption.NOFOLLOW_LINKS)) {
      return 0;
    }
    try (Stream<Path> inside = Files.walk(folder)) {
      return inside
          .filter(path -> Files.isRegularFile(path, LinkOption.NOFOLLOW_LINKS))
          .mapToLong(path -> path.toFile().length())
          .sum();
    }
  }

  /** What must not be lost, and where it goes; nothing where all that is there is ours. */
  private Aside aside(Identity identity) throws IOException {
    if (identity.isOurs()) {
      return Aside.NOTHING;
    }
    if (identity.interrupted && identity.marker != null) {
      return identity.marker.aside(); // what is there else is ours
    }
    List<String> names = new ArrayList<>();
    Path wal = data.resolve(PG_WAL);
    if (Files.exists(wal, LinkOption.NOFOLLOW_LINKS)) {
      names.add(PG_WAL);
    }
    for (String name : KEPT) {
      if (Files.isRegularFile(settings(name), LinkOption.NOFOLLOW_LINKS)) {
        names.add(name);
      }
    }
    if (names.isEmpty()) {
      return Aside.NOTHING;
    }
    Path beside = Objects.requireNonNull(data.toAbsolutePath().getParent(), "the root is refused");
    Path chosen = beside.resolve(data.getFileName() + ASIDE);
    for (int number = 2; isTaken(chosen); number++) {
      chosen = beside.resolve(data.getFileName() + ASIDE + "-" + number);
    }
    Path in = Files.exists(chosen) ? chosen : beside;
    String cannotWrite = "%s cannot write there".formatted(System.getProperty("user.name"));
    if (names.contains(PG_WAL)) {
      boolean mounted =
          Files.isDirectory(wal, LinkOption.NOFOLLOW_LINKS)
              && !Files.getFileStore(wal).equals(Files.getFileStore(data));
      String why =
          mounted
              ? "it is a file system of its own"
              : !Files.isWritable(in)
                  ? cannotWrite
                  : Files.getFileStore(in).equals(Files.getFileStore(data))
                      ? null
                      : "that is another file system";
      if (why != null) {
        throw refused(
            "its pg_wal may hold the only copy of the last commits and is kept, and cannot be moved to "
                + chosen
                + ": "
                + why,
            "move %s to a safe place yourself, then run the same command again"
                    .formatted(mounted ? "what is in " + wal : wal)
                + (mounted ? " without that mount" : ""));
      }
    } else if (!Files.isWritable(in)) {
      throw refused(
          "its settings cannot be copied to " + chosen + ": " + cannotWrite,
          "make that folder, empty, so that %s can write there; then run the same command again"
              .formatted(System.getProperty("user.name")));
    }
    return new Aside(chosen, names);
  }

  /** An empty folder may have been made for us. */
  private static boolean isTaken(Path chosen) throws IOException {
    if (!Files.isDirectory(chosen, LinkOption.NOFOLLOW_LINKS) || !Files.isWritable(chosen)) {
      return Files.exists(chosen, LinkOption.NOFOLLOW_LINKS);
    }
    try (Stream<Path> inside = Files.list(chosen)) {
      return inside.findAny().isPresent();
    }
  }

  /** Where a file is that is put aside: pg_control may have lost its name. */
  private Path settings(String name) {
    Path named = data.resolve(name);
    return name.equals(BackupFiles.CONTROL) && Files.notExists(named, LinkOption.NOFOLLOW_LINKS)
        ? data.resolve(Restore.CONTROL_PARTIAL)
        : named;
  }

  /** The pg_wal that is kept, where it is now. */
  private Path kept(Aside aside) {
    Path moved = aside.folder() == null ? null : aside.folder().resolve(PG_WAL);
    return moved != null && Files.exists(moved, LinkOption.NOFOLLOW_LINKS)
        ? moved
        : data.resolve(PG_WAL);
  }

  private static int segments(Path wal) throws IOException {
    if (!Files.isDirectory(wal)) {
      return 0;
    }
    try (Stream<Path> inside = Files.list(wal)) {
      return (int)
          inside.filter(file -> file.getFileName().toString().matches("[0-9A-F]{24}")).count();
    }
  }

  private DeltaRestored restore(Consumer<DeltaPlan> agreed) throws IOException {
    Looked looked = look();
    agreed.accept(looked.plan);
    RecoveryRoute route = looked.route;
    DeltaPlan plan = looked.plan;
    PostgresBinaries binaries = restore.binaries(route.base());
    options.progress().needs(looked.needed, plan.bytesToFetch(), plan.walBytes());
    List<RestoreFolder> folders = new ArrayList<>();
    try {
      claim(looked, folders);
      long began = System.nanoTime();
      Path stage = data.resolve(ExistingFiles.WAL_STAGE);
      delete(stage);
      boolean staged = false;
      RestoredWal wal;
      try {
        wal = stage(route, stage);
        // The operator has seen a directory that no server was at since; so it has to be now.
        checkNotRunning();
        if (!Objects.equals(looked.control, control())) {
          throw refused(
              "a server has run on %s meanwhile".formatted(data),
              "see that nothing starts one, and run the same command again");
        }
        keepSettings(looked);
        staged = true;
      } finally {
        if (!staged) {
          delete(stage);
        }
      }
      long walFetched = System.nanoTime();
      folders.forEach(RestoreFolder::change);
      hideControl();
      moveWal(looked, stage, folders);
      Path old = data.resolve(PG_WAL);
      delete(old); // fetched by an attempt that was interrupted, else it is no longer here
      Files.move(stage, old, StandardCopyOption.ATOMIC_MOVE);
      RestoreFolder.sync(data);
      ExistingFiles files = prepare(looked);
      BaseDelta.Update update =
          looked
              .reader
              .delta()
              .update(
                  looked.comparison,
                  data,
                  files.place(),
                  files.wanted()::containsKey,
                  options.threads(),
                  summed(bytes -> options.progress().fetched(bytes, plan.bytesToFetch())));
      RestoredCluster restored =
          restore.complete(
              route,
              wal,
              plan.tablespaces(),
              folders,
              files::all,
              binaries,
              Duration.ofNanos(walFetched - began),
              Duration.ofNanos(System.nanoTime() - walFetched));
      return new DeltaRestored(
          restored, plan, update.bytesFetched(), update.bytesWritten(), looked.comparing);
    } finally {
      folders.reversed().forEach(RestoreFolder::close);
    }
  }

  private void claim(Looked looked, List<RestoreFolder> folders) throws IOException {
    Map<Long, Path> tablespaces = looked.plan.tablespaces();
    String system = looked.plan.systemIdentifier();
    folders.add(
        RestoreFolder.takeOver(
            data, system, looked.aside, List.copyOf(tablespaces.values()), what));
    for (Map.Entry<Long, Path> one : tablespaces.entrySet()) {
      folders.add(
          looked.takenOver.contains(one.getKey())
              ? RestoreFolder.takeOver(one.getValue(), system, Aside.NOTHING, List.of(), what)
              : RestoreFolder.claim(
                  one.getValue(), List.of(), what, "name a folder that is absent or empty"));
    }
    restore.checkReachable(folders);
  }

  private RestoredWal stage(RecoveryRoute route, Path stage) throws IOException {
    Files.createDirectory(stage, PRIVATE_FOLDER);
    Files.createDirectory(stage.resolve("archive_status"), PRIVATE_FOLDER);
    try (Writeback writeback = new Writeback()) {
      return RestoredWal.fetch(
          what, cluster, route, target, stage, options.threads(), writeback, options.progress());
    }
  }

  /** Gives it back the name that it had when it was looked at. */
  private void nameControl(Looked looked) throws IOException {
    if (looked.named) {
      Files.move(data.resolve(Restore.CONTROL_PARTIAL), data.resolve(BackupFiles.CONTROL));
      RestoreFolder.sync(data.resolve("global"));
    }
  }

  /** Without its name no server starts. */
  private void hideControl() throws IOException {
    Path control = data.resolve(BackupFiles.CONTROL);
    if (Files.exists(control, LinkOption.NOFOLLOW_LINKS)) {
      Files.move(
          control, data.resolve(Restore.CONTROL_PARTIAL), StandardCopyOption.REPLACE_EXISTING);
      RestoreFolder.sync(data.resolve("global"));
    }
  }

  /**
   * Copies the settings aside, which may be another file system, and makes that durable. What an
   * attempt before this one has put there stays: it is what was there first.
   */
  private void keepSettings(Looked looked) throws IOException {
    Path aside = looked.aside.folder();
    if (aside == null) {
      return;
    }
    List<Path> made = new ArrayList<>();
    boolean kept = false;
    try {
      if (Files.notExists(aside, LinkOption.NOFOLLOW_LINKS)) {
        Files.createDirectory(aside, PRIVATE_FOLDER);
        made.add(aside);
      }
      for (String name : looked.aside.names()) {
        Path to = aside.resolve(Path.of(name).getFileName());
        if (name.equals(PG_WAL) || Files.exists(to, LinkOption.NOFOLLOW_LINKS)) {
          continue;
        }
        Path partial = to.resolveSibling(to.getFileName() + PARTIAL);
        made.add(partial);
        Files.copy(settings(name), partial, StandardCopyOption.REPLACE_EXISTING);
        try (FileChannel copy = FileChannel.open(partial, StandardOpenOption.WRITE)) {
          copy.force(true);
        }
        made.add(to);
        Files.move(partial, to, StandardCopyOption.ATOMIC_MOVE);
      }
      options.owner().own(aside);
      RestoreFolder.sync(aside);
      if (made.contains(aside)) {
        RestoreFolder.sync(Objects.requireNonNull(aside.getParent()));
      }
      kept = true;
    } finally {
      if (!kept) {
        for (Path path : made.reversed()) {
          Files.deleteIfExists(path);
        }
      }
    }
  }

  /** Puts pg_wal aside, once: what an attempt before this one has put there stays. */
  private void moveWal(Looked looked, Path stage, List<RestoreFolder> folders) throws IOException {
    Path aside = looked.aside.folder();
    if (aside == null || !looked.aside.names().contains(PG_WAL)) {
      return;
    }
    Path moved = aside.resolve(PG_WAL);
    Path wal = data.resolve(PG_WAL);
    if (Files.exists(moved, LinkOption.NOFOLLOW_LINKS)
        || Files.notExists(wal, LinkOption.NOFOLLOW_LINKS)) {
      return;
    }
    try {
      Files.move(wal, moved, StandardCopyOption.ATOMIC_MOVE);
    } catch (IOException e) {
      // Nothing else has changed: what was there can be started again.
      nameControl(looked);
      folders.forEach(RestoreFolder::spare);
      delete(stage);
      throw e;
    }
    RestoreFolder.sync(aside);
    RestoreFolder.sync(data);
    options.owner().own(moved);
  }

  /** What is not in the base backup goes; folders, links, and files of their lengths come. */
  private ExistingFiles prepare(Looked looked) throws IOException {
    Path control = data.resolve(BackupFiles.CONTROL);
    Path hidden = data.resolve(Restore.CONTROL_PARTIAL);
    ExistingFiles files = looked.files;
    for (Path surplus : files.surplus()) {
      if (!surplus.equals(control) && !surplus.equals(hidden)) {
        Files.deleteIfExists(surplus);
      }
    }
    if (!files.present().containsKey(BackupFiles.CONTROL)) {
      Files.deleteIfExists(hidden); // it is no plain file
    }
    files.controlIsAt(hidden);
    Set<PosixFilePermission> folderMode = PosixFilePermissions.fromString("rwx------");
    Set<PosixFilePermission> fileMode = PosixFilePermissions.fromString("rw-------");
    for (String folder : files.folders()) {
      Path path = files.place().apply(folder);
      Files.createDirectories(path, PRIVATE_FOLDER);
      setMode(path, folderMode);
    }
    for (Map.Entry<Long, Path> one : looked.plan.tablespaces().entrySet()) {
      if (!Files.isSymbolicLink(link(one.getKey()))) {
        Files.createSymbolicLink(link(one.getKey()), one.getValue());
      }
    }
    for (Map.Entry<String, Long> file : files.wanted().entrySet()) {
      Path path = files.place().apply(file.getKey());
      Long there = files.present().get(file.getKey());
      if (there == null) {
        Files.createFile(path, PRIVATE_FILE);
      } else {
        setMode(path, fileMode);
      }
      long size = file.getValue();
      if (there == null ? size > 0 : there != size) {
        try (RandomAccessFile sized = new RandomAccessFile(path.toFile(), "rw")) {
          sized.setLength(size);
        }
      }
    }
    return files;
  }

  private static void setMode(Path path, Set<PosixFilePermission> mode) throws IOException {
    if (!Files.getPosixFilePermissions(path, LinkOption.NOFOLLOW_LINKS).equals(mode)) {
      Files.setPosixFilePermissions(path, mode);
    }
  }

  /** Everything at a path, if there is anything; links are removed, not followed. */
  private static void delete(Path path) throws IOException {
    if (!Files.exists(path, LinkOption.NOFOLLOW_LINKS)) {
      return;
    }
    try (Stream<Path> inside = Files.walk(path)) {
      for (Path file : inside.sorted(Comparator.reverseOrder()).toList()) {
        Files.delete(file);
      }
    }
  }
}
