package dev.holdfast.postgres;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.server.LastingServer;
import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.store.BaseManifest;
import dev.holdfast.store.BaseReader;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.Restoration;
import dev.holdfast.store.Writeback;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.file.FileStore;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * Restores a whole cluster into a data directory that needs neither Holdfast nor the repository any
 * more: a base backup, the WAL up to the target in pg_wal, and the settings that make a server
 * recover exactly that far and promote itself.
 *
 * <p>Invariants:
 *
 * <ul>
 *   <li>Whatever can be refused is, before the first byte is written.
 *   <li>A folder that is being filled holds {@link RestoreFolder#MARKER} from before the first byte
 *       until after the last is on the disk.
 *   <li>{@code global/pg_control} gets its name last but for the marker's end: no server starts on
 *       a directory that is not whole.
 *   <li>A folder that was not absent or empty, or left by an interrupted restore, is never written
 *       to.
 * </ul>
 */
public final class Restore {
  static final String CONTROL_PARTIAL = BackupFiles.CONTROL + ".restoring";

  /** Room for what a server writes while it recovers. */
  static final long SERVER_BYTES = 64L << 20;

  private static final String SOCKETS = "/tmp";

  static final Pattern TABLESPACE = Pattern.compile("pg_tblspc/(\\d+)(?:/.*)?");

  private final ClusterStore cluster;
  private final RecoveryTarget target;
  private final RestoreOptions options;
  final String what;

  Restore(ClusterStore cluster, RecoveryTarget target, RestoreOptions options) {
    this.cluster = cluster;
    this.target = target;
    this.options = options;
    this.what =
        "cannot restore %s at %s into %s"
            .formatted(cluster.document().name(), target.lsn(), options.directory());
  }

  /**
   * Restores.
   *
   * @throws OperatorException REFUSED, before a byte is written, when the target cannot be reached
   *     (it names targets that can), a folder is not free, or room is lacking; DAMAGED_DATA; FAILED
   *     when something cannot be written. Then what was written is removed
   */
  public static RestoredCluster run(
      ClusterStore cluster, RecoveryTarget target, RestoreOptions options) {
    return new Restore(cluster, target, options).run();
  }

  private RestoredCluster run() {
    RecoveryRoute route = RecoveryRoute.choose(what, cluster, target);
    BaseManifest base = route.base();
    BaseReader reader = cluster.bases().open(base.label());
    Map<String, Long> files = reader.files();
    Map<Long, String> production = TablespaceMap.parse(base.tablespaceMap());
    Map<Long, Path> tablespaces =
        TablespaceMap.placed(what, production, options.tablespaces(), options.tablespacesBelow());
    checkFolders(production, tablespaces);
    long walBytes = RestoredWal.bytes(route, target);
    long needed = checkRoom(files, walBytes, tablespaces);
    PostgresBinaries binaries = binaries(base);
    options.progress().needs(needed, base.bytes(), walBytes);

    String next = "name a folder that is absent or empty, or move this one out of the way";
    List<RestoreFolder> folders = new ArrayList<>();
    try {
      folders.add(
          RestoreFolder.claim(options.directory(), List.copyOf(tablespaces.values()), what, next));
      for (Map.Entry<Long, Path> one : tablespaces.entrySet()) {
        folders.add(
            RestoreFolder.claim(
                one.getValue(), List.of(), what, mappingHint(production, one.getKey())));
      }
      checkReachable(folders);
      return restore(route, reader, tablespaces, folders, binaries);
    } catch (IOException | UncheckedIOException e) {
      throw new OperatorException(
          Kind.FAILED,
          what,
          String.valueOf(e.getMessage()),
          "make room, or name another folder; what was restored so far is removed",
          e);
    } finally {
      folders.reversed().forEach(RestoreFolder::close);
    }
  }

  /** The programs to start it with; null when that is not asked for. */
  @Nullable PostgresBinaries binaries(BaseManifest base) {
    PostgresBinaries binaries = options.start() ? PostgresBinaries.of(base.major()) : null;
    if (options.start() && options.port() != null && !LastingServer.isFree(options.port())) {
      throw new OperatorException(
          Kind.REFUSED,
          what,
          "port " + options.port() + " is taken on this machine",
          "choose another --port, or leave it out");
    }
    return binaries;
  }

  static String mappingHint(Map<Long, String> production, long oid) {
    return "give it another place: --tablespace-mapping "
        + production.get(oid)
        + "=NEW, with a folder that is absent or empty";
  }

  private void checkFolders(Map<Long, String> production, Map<Long, Path> tablespaces) {
    RestoreFolder.check(
        options.directory(),
        what,
        "name a folder that is absent or empty, or move this one out of the way");
    List<Path> seen = new ArrayList<>(List.of(options.directory()));
    for (Map.Entry<Long, Path> one : tablespaces.entrySet()) {
      String hint = mappingHint(production, one.getKey());
      checkApart(one.getValue(), one.getValue(), seen, hint);
      seen.add(one.getValue());
      RestoreFolder.check(one.getValue(), what, hint);
    }
  }

  /**
   * Refuses a tablespace's folder that holds another one of the restore, or lies in one.
   *
   * @param folder as the operator knows it
   * @param real where it is
   * @param others where they are
   */
  void checkApart(Path folder, Path real, List<Path> others, String hint) {
    for (Path other : others) {
      if (real.startsWith(other) || other.startsWith(real)) {
        throw new OperatorException(
            Kind.REFUSED,
            what,
            "the tablespace's folder " + folder + " and " + other + " lie in each other",
            hint);
      }
    }
  }

  /**
   * Whether who is to own the files gets to them: a folder above may be closed to others. What was
   * there before is not given to it yet: nothing is decided.
   */
  void checkReachable(List<RestoreFolder> folders) throws IOException {
    if (!options.owner().isAnother()) {
      return;
    }
    for (RestoreFolder folder : folders) {
      Stream<Path> entered = Stream.of(folder.path());
      if (folder.isTakenOver()) {
        entered = Stream.of(folder.path(), folder.path().toRealPath()).map(Path::getParent);
      } else {
        options.owner().own(folder.path());
      }
      if (!entered.allMatch(options.owner()::canEnter)) {
        throw new OperatorException(
            Kind.REFUSED,
            what,
            "%s, who is to own the files, cannot enter a folder above %s"
                .formatted(options.owner().name(), folder.path()),
            "name a folder elsewhere, open those above it (chmod o+x), or name another --owner");
      }
    }
  }

  /** By file system: several folders may lie on one. */
  private long checkRoom(Map<String, Long> files, long walBytes, Map<Long, Path> tablespaces) {
    Map<Path, Long> needs = new LinkedHashMap<>();
    needs.put(options.directory(), walBytes + SERVER_BYTES);
    files.forEach((path, size) -> {
      if (size > 0) {
        Matcher matcher = TABLESPACE.matcher(path);
        Path folder = matcher.matches() ? tablespaces.get(Long.parseLong(matcher.group(1))) : null;
        needs.merge(folder == null ? options.directory() : folder, size, Long::sum);
      }
    });
    Map<FileStore, Long> byStore = new LinkedHashMap<>();
    Map<FileStore, Path> named = new LinkedHashMap<>();
    long all = 0;
    try {
      for (Map.Entry<Path, Long> need : needs.entrySet()) {
        FileStore store = Files.getFileStore(existing(need.getKey()));
        byStore.merge(store, need.getValue(), Long::sum);
        named.putIfAbsent(store, need.getKey());
        all += need.getValue();
      }
      for (Map.Entry<FileStore, Long> need : byStore.entrySet()) {
        long free = need.getKey().getUsableSpace() + left(named.get(need.getKey()));
        if (free < need.getValue()) {
          throw new NoRoomException(
              what,
              "the file system of %s has %,d MB free, and the restore needs %,d MB there (%,d MB of"
                      .formatted(
                          named.get(need.getKey()),
                          free >> 20,
                          need.getValue() >> 20,
                          walBytes >> 20)
                  + " it WAL)",
              "make room there, or name a folder on another file system");
        }
      }
    } catch (IOException e) {
      throw new OperatorException(
          Kind.FAILED,
          what,
          "cannot tell how much room there is: " + e.getMessage(),
          "name a folder that can be reached",
          e);
    }
    return all;
  }

  /** What an interrupted restore left will be removed, and makes room. */
  private static long left(@Nullable Path folder) throws IOException {
    if (folder == null || !Files.isRegularFile(folder.resolve(RestoreFolder.MARKER))) {
      return 0;
    }
    try (Stream<Path> inside = Files.walk(folder)) {
      return inside
          .filter(path -> Files.isRegularFile(path, LinkOption.NOFOLLOW_LINKS))
          .mapToLong(path -> path.toFile().length())
          .sum();
    }
  }

  static Path existing(Path path) {
    Path at = path;
    while (!Files.exists(at)) {
      at = Objects.requireNonNull(at.getParent());
    }
    return at;
  }

  private RestoredCluster restore(
      RecoveryRoute route,
      BaseReader reader,
      Map<Long, Path> tablespaces,
      List<RestoreFolder> folders,
      @Nullable PostgresBinaries binaries)
      throws IOException {
    Path data = options.directory();
    BaseManifest base = route.base();
    long began = System.nanoTime();
    // WAL first: it is read to its target, and what speaks against replaying it is said before the
    // hours that a base backup may take.
    DataDirectory directory = new DataDirectory(data);
    directory.makeFolders();
    RestoredWal wal;
    long walFetched;
    AtomicLong fetched = new AtomicLong();
    try (Writeback writeback = new Writeback()) {
      wal =
          RestoredWal.fetch(
              what,
              cluster,
              route,
              target,
              data.resolve("pg_wal"),
              options.threads(),
              writeback,
              options.progress());
      walFetched = System.nanoTime();
      for (Map.Entry<Long, Path> one : tablespaces.entrySet()) {
        Files.createSymbolicLink(
            data.resolve("pg_tblspc").resolve(Long.toString(one.getKey())), one.getValue());
      }
      reader.restore(
          data,
          path -> data.resolve(path.equals(BackupFiles.CONTROL) ? CONTROL_PARTIAL : path),
          path -> DataDirectory.isLeftOut(path) ? Restoration.LEFT_OUT : Restoration.WHOLE,
          options.threads(),
          writeback,
          bytes -> {
            synchronized (fetched) { // several threads restore; a listener hears one at a time
              options.progress().fetched(fetched.addAndGet(bytes), base.bytes());
            }
          });
    }
    long baseFetched = System.nanoTime();
    return complete(
        route,
        wal,
        tablespaces,
        folders,
        () -> all(folders),
        binaries,
        Duration.ofNanos(walFetched - began),
        Duration.ofNanos(baseFetched - walFetched));
  }

  private static List<Path> all(List<RestoreFolder> folders) throws IOException {
    List<Path> all = new ArrayList<>();
    for (RestoreFolder folder : folders) {
      try (Stream<Path> inside = Files.walk(folder.path())) {
        inside.forEach(all::add);
      }
    }
    return all;
  }

  /** Files, folders and links, as they are when it is asked. */
  interface Contents {
    List<Path> paths() throws IOException;
  }

  /**
   * What comes when all files of the base backup and the WAL are there: the settings, that all of
   * it is on the disk, and the names that let a server start.
   *
   * @param folders the data directory's, then those of tablespaces
   * @param contents of them what is the cluster's
   */
  RestoredCluster complete(
      RecoveryRoute route,
      RestoredWal wal,
      Map<Long, Path> tablespaces,
      List<RestoreFolder> folders,
      Contents contents,
      @Nullable PostgresBinaries binaries,
      Duration walFetch,
      Duration baseFetch)
      throws IOException {
    long began = System.nanoTime();
    Path data = options.directory();
    BaseManifest base = route.base();
    DataDirectory directory = new DataDirectory(data);
    directory.empty("pg_replslot"); // slots would keep WAL for standbys that are not there
    RestoredConfiguration configuration = new RestoredConfiguration(data);
    configuration.settle(
        route, wal, RestoredConfiguration.minimums(base.settings(), wal.settings()), this::port);
    directory.write("backup_label", base.backupLabel());
    directory.write("recovery.signal", "");
    options.owner().own(contents.paths());
    if (binaries != null && !hasSockets(binaries)) {
      configuration.set(
          "unix_socket_directories",
          binaries.setting("unix_socket_directories", data, options.owner()).orElse(null),
          SOCKETS,
          options.owner().name() + " cannot write there");
      options.owner().own(List.of(data.resolve("postgresql.auto.conf")));
    }
    sync(contents.paths().stream().filter(path -> !Files.isSymbolicLink(path)).toList());
    // While it can be told from a whole one that a server may run on: nobody throws that away.
    for (RestoreFolder tablespace : folders.subList(1, folders.size())) {
      tablespace.finish();
    }
    Files.move(
        data.resolve(CONTROL_PARTIAL),
        data.resolve(BackupFiles.CONTROL),
        StandardCopyOption.ATOMIC_MOVE);
    RestoreFolder.sync(data.resolve("global"));
    folders.getFirst().finish();
    return new RestoredCluster(
        data,
        options.owner(),
        base,
        target,
        route.timeline(),
        wal.last(),
        wal.end(),
        wal.bytes(),
        tablespaces,
        configuration.overridden(),
        configuration.notes(),
        configuration.port(),
        binaries,
        folders.getFirst().startedOver(),
        walFetch,
        baseFetch,
        Duration.ofNanos(System.nanoTime() - began));
  }

  /** A server that can make none of its sockets does not start. */
  private boolean hasSockets(PostgresBinaries binaries) {
    String folders =
        binaries
            .setting("unix_socket_directories", options.directory(), options.owner())
            .orElse("");
    return folders.isBlank()
        || Stream.of(folders.split(",", -1))
            .map(String::strip)
            .anyMatch(
                folder -> folder.startsWith("@") || options.owner().canWrite(Path.of(folder)));
  }

  /** The port to set; null to leave production's. */
  private @Nullable Integer port(int production) {
    if (options.port() != null || !options.start()) {
      return options.port();
    }
    int port = production;
    while (port < 65_536 && !LastingServer.isFree(port)) {
      port++;
    }
    return port == production ? null : port;
  }

  /** Files first, then the folders that name them. */
  private void sync(List<Path> paths) throws IOException {
    List<Path> folders = new ArrayList<>();
    Queue<Path> files = new ConcurrentLinkedQueue<>();
    long total = 0;
    for (Path path : paths) {
      if (Files.isDirectory(path)) {
        folders.add(path);
      } else {
        files.add(path);
        total += path.toFile().length();
      }
    }
    AtomicReference<@Nullable Throwable> failure = new AtomicReference<>();
    AtomicLong synced = new AtomicLong();
    long all = total;
    try (ExecutorService executor = Executors.newFixedThreadPool(options.threads())) {
      for (int thread = 0; thread < options.threads(); thread++) {
        executor.execute(() -> {
          for (Path file = files.poll();
              file != null && failure.get() == null;
              file = files.poll()) {
            try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
              channel.force(true);
              long size = channel.size();
              synchronized (synced) {
                options.progress().synced(synced.addAndGet(size), all);
              }
            } catch (Throwable e) {
              failure.compareAndSet(null, e);
            }
          }
        });
      }
    }
    switch (failure.get()) {
      case null -> {}
      case IOException e -> throw e;
      case RuntimeException e -> throw e;
      case Error e -> throw e;
      case Throwable e -> throw new IllegalStateException(e);
    }
    for (Path folder : folders) {
      RestoreFolder.sync(folder);
    }
  }
}
