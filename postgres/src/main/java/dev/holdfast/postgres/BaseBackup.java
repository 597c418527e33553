package dev.holdfast.postgres;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.BaseManifest;
import dev.holdfast.store.BaseWriter;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.FileWriter;
import dev.holdfast.store.PieceWriter;
import dev.holdfast.wal.Lsn;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Duration;
import java.time.Instant;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Objects;
import java.util.Properties;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A base backup: backup mode on, files read by several threads, over SQL or, on the server's own
 * machine, from its data directory ({@link ServerFiles}), backup mode off, published once the WAL
 * through its end is stored. A full one reads every file, an incremental one what changed since its
 * parent was begun ({@link Increment}).
 *
 * <p>pgjdbc cannot run BASE_BACKUP, and this is faster. Files change while they are read: replay
 * from the start LSN makes them whole, since the server writes full page images during a backup.
 */
public final class BaseBackup {
  private static final Logger LOG = LoggerFactory.getLogger(BaseBackup.class);

  private static final DateTimeFormatter LABEL =
      DateTimeFormatter.ofPattern("yyyyMMdd'T'HHmmss'Z'").withZone(ZoneOffset.UTC);
  private static final Pattern START_TIMELINE = Pattern.compile("(?m)^START TIMELINE: (\\d+)$");
  private static final Pattern START_LSN =
      Pattern.compile("(?m)^START WAL LOCATION: ([0-9A-F]+/[0-9A-F]+) ");

  static final int READ_BYTES = 1 << 20;

  /** Reads asked for at once, so that the network's round trip is paid once for all of them. */
  private static final int READS_AT_ONCE = 4;

  private static final int SMALL_FILES_AT_ONCE = 100;
  private static final int CONTROL_READS_MAX = 50;
  private static final int PAGE_READS_MAX = 5;
  private static final Duration PAGE_READ_PAUSE = Duration.ofMillis(20);

  /**
   * From here on pages are not read again: the disk is broken, and the copy must come to an end.
   */
  private static final int DAMAGED_PAGES_RETRIED = 100;

  private static final String LIST =
      """
      WITH RECURSIVE tree (path, directory, size) AS (
        SELECT n, s.isdir, s.size
        FROM pg_ls_dir('.', true, false) AS n, LATERAL pg_stat_file(n, true) AS s
        WHERE s.size IS NOT NULL
        UNION ALL
        SELECT t.path || '/' || n, s.isdir, s.size
        FROM tree t, LATERAL pg_ls_dir(t.path, true, false) AS n,
             LATERAL pg_stat_file(t.path || '/' || n, true) AS s
        WHERE t.directory AND s.size IS NOT NULL
          AND t.path NOT IN ('pg_wal', 'pg_replslot', 'pg_stat_tmp', 'pg_subtrans', 'pg_notify')
      )
      SELECT path, directory, size FROM tree
      """;

  /** Decides what a backup holds. */
  @FunctionalInterface
  public interface LayerChoice {
    /** Every file whole. */
    LayerChoice FULL = (_, _) -> null;

    /**
     * Called once, in backup mode.
     *
     * @param facts of the server
     * @param start where replay of the new layer will begin
     * @return what it stands on; null for a full one
     * @throws OperatorException when neither can be
     */
    @Nullable Increment choose(ServerFacts facts, Lsn start);
  }

  /** Waits until WAL is stored. */
  @FunctionalInterface
  public interface WalStored {
    /**
     * Returns when the repository holds all WAL of the backup.
     *
     * @param timeline of the server: of the one before the same positions may be stored
     * @param start where replay from it begins
     * @param stop where it is consistent
     * @throws OperatorException when that cannot be
     */
    void await(int timeline, Lsn start, Lsn stop);
  }

  /** Hears how a backup goes on; called by several threads. */
  @FunctionalInterface
  public interface Progress {
    /** How much there is, known after the files are listed. */
    default void total(long bytes) {}

    /** The server is one of this machine, and its files are read without asking it. */
    default void readsItself(Path dataDirectory) {}

    /** More bytes were copied. */
    void copied(long bytes);

    /** A page's checksum does not hold, though it was read several times. It is kept as it is. */
    default void damagedPage(String path, long block) {}
  }

  private final PostgresUrl url;
  private final int connections;
  private final boolean throughServer;
  private final LayerChoice choice;
  private final Progress progress;
  private final AtomicInteger damagedPages = new AtomicInteger();
  private final AtomicReference<@Nullable Throwable> failure = new AtomicReference<>();

  private BaseBackup(
      PostgresUrl url,
      int connections,
      boolean throughServer,
      LayerChoice choice,
      Progress progress) {
    this.url = url;
    this.connections = connections;
    this.throughServer = throughServer;
    this.choice = choice;
    this.progress = progress;
  }

  /** Takes a full one. */
  public static BaseManifest take(
      PostgresUrl url,
      ClusterStore cluster,
      int connections,
      WalStored walStored,
      Progress progress) {
    return take(url, cluster, connections, false, LayerChoice.FULL, walStored, progress);
  }

  /**
   * Takes one.
   *
   * @param url of the recorder role, in the database where it has its rights
   * @param connections how many read files at the same time, besides one that holds backup mode
   * @param throughServer whether the server is asked for its files also where they can be read here
   * @param choice whether it is full or incremental
   * @return the manifest as published
   * @throws OperatorException when nothing was published: what was written is removed, and backup
   *     mode has ended
   */
  public static BaseManifest take(
      PostgresUrl url,
      ClusterStore cluster,
      int connections,
      boolean throughServer,
      LayerChoice choice,
      WalStored walStored,
      Progress progress) {
    return new BaseBackup(url, connections, throughServer, choice, progress)
        .take(cluster, walStored);
  }

  private static String label(Instant startedAt, String kind) {
    return LABEL.format(startedAt) + "-" + kind;
  }

  /** Labels have seconds: a backup right after a quick one waits for the next. */
  private static Instant inSecondOfItsOwn(Connection control, ClusterStore cluster)
      throws SQLException {
    Instant now = now(control);
    while (cluster.bases().isTaken(label(now, BaseManifest.FULL))
        || cluster.bases().isTaken(label(now, BaseManifest.INCREMENTAL))) {
      LockSupport.parkNanos(100_000_000L);
      now = now(control);
    }
    return now;
  }

  private BaseManifest take(ClusterStore cluster, WalStored walStored) {
    String what = "cannot take a base backup of " + cluster.document().name();
    try (Connection control = open()) {
      ServerFacts facts = ServerFacts.read(control);
      refuseOther(cluster, facts, what);
      Instant startedAt = inSecondOfItsOwn(control, cluster);
      Lsn start = start(control, facts.major(), LABEL.format(startedAt));
      Increment increment = choice.choose(facts, start);
      String kind = increment == null ? BaseManifest.FULL : BaseManifest.INCREMENTAL;
      String label = label(startedAt, kind);
      try (BaseWriter writer = cluster.bases().begin(label)) {
        if (increment != null) {
          writer.madeFrom(increment.parent().label());
        }
        copy(control, facts, writer, increment, start);
        Stopped stopped = stop(control, facts.major());
        Instant finishedAt = now(control);
        walStored.await(facts.timeline(), start, stopped.lsn);
        return writer.publish(
            new BaseManifest(
                label,
                kind,
                increment == null ? null : increment.parent().label(),
                Integer.parseInt(group(START_TIMELINE, stopped.backupLabel)),
                Lsn.parse(group(START_LSN, stopped.backupLabel)).position(),
                stopped.lsn.position(),
                startedAt,
                finishedAt,
                facts.major(),
                facts.systemIdentifier(),
                facts.walSegmentSize(),
                stopped.backupLabel,
                stopped.tablespaceMap,
                facts.minimums(),
                0,
                0,
                0,
                facts.pageChecksums()));
      }
      // Closing the connection ends backup mode when pg_backup_stop was not reached.
    } catch (SQLException e) {
      throw failed(what, e);
    }
  }

  private static void refuseOther(ClusterStore cluster, ServerFacts facts, String what) {
    String recorded = cluster.document().systemIdentifier();
    if (!recorded.equals(facts.systemIdentifier())) {
      throw OtherCluster.found(what, recorded, facts.systemIdentifier());
    }
    if (facts.inRecovery()) {
      throw new OperatorException(
          Kind.REFUSED,
          what,
          "the server is a standby",
          "give the primary's URL (target_session_attrs=read-write chooses it among several"
              + " hosts)");
    }
  }

  private OperatorException failed(String what, SQLException e) {
    if ("42501".equals(e.getSQLState())) {
      return new OperatorException(
          Kind.REFUSED,
          what,
          "role " + url.user() + " lacks a right: " + ConnectFailures.firstLine(e),
          "as a superuser, in database "
              + url.database()
              + ", run the GRANT statements that `protect --print-sql` prints; a file the server"
              + " itself cannot read has to be moved out of the data directory",
          e);
    }
    return new OperatorException(
        Kind.FAILED,
        what,
        ConnectFailures.firstLine(e),
        "check that the server is up and its log for this moment, then run the same command again;"
            + " nothing was published",
        e);
  }

  private Connection open() {
    Properties properties = new Properties();
    properties.setProperty("prepareThreshold", "-1"); // bytea in binary from the first read on
    return url.withApplicationName("holdfast backup").open(properties);
  }

  private static Instant now(Connection control) throws SQLException {
    try (Statement statement = control.createStatement();
        ResultSet row = statement.executeQuery("SELECT clock_timestamp()")) {
      row.next();
      return row.getObject(1, OffsetDateTime.class).toInstant();
    }
  }

  private static Lsn start(Connection control, int major, String label) throws SQLException {
    String name = Sql.literal("holdfast " + label);
    return Lsn.parse(
        ServerFacts.value(
            control,
            major >= 15
                ? "SELECT pg_backup_start(" + name + ", true)"
                : "SELECT pg_start_backup(" + name + ", true, false)"));
  }

  private record Stopped(Lsn lsn, String backupLabel, @Nullable String tablespaceMap) {}

  private static Stopped stop(Connection control, int major) throws SQLException {
    try (Statement statement = control.createStatement();
        ResultSet row =
            statement.executeQuery(
                major >= 15
                    ? "SELECT lsn::text, labelfile, spcmapfile FROM pg_backup_stop(false)"
                    : "SELECT lsn::text, labelfile, spcmapfile FROM pg_stop_backup(false, false)")) {
      row.next();
      String map = row.getString(3);
      return new Stopped(
          Lsn.parse(row.getString(1)), row.getString(2), map == null || map.isBlank() ? null : map);
    }
  }

  private static String group(Pattern pattern, String text) {
    Matcher matcher = pattern.matcher(text);
    if (!matcher.find()) {
      throw new IllegalStateException("no " + pattern + " in backup_label:\n" + text);
    }
    return matcher.group(1);
  }

  private void copy(
      Connection control,
      ServerFacts facts,
      BaseWriter writer,
      @Nullable Increment increment,
      Lsn start)
      throws SQLException {
    List<BackupFiles.Entry> listed = new ArrayList<>();
    try (Statement statement = control.createStatement()) {
      // It would compile the query: the server expects millions of rows from these functions.
      statement.execute("SET jit = off");
    }
    ServerFacts.each(
        control,
        LIST,
        row ->
            listed.add(new BackupFiles.Entry(row.getString(1), row.getBoolean(2), row.getLong(3))));
    String versionFolder =
        "PG_"
            + facts.major()
            + "_"
            + ServerFacts.value(control, "SELECT catalog_version_no FROM pg_control_system()");
    BackupFiles chosen = BackupFiles.of(listed, versionFolder);
    chosen.directories().forEach(writer::directory);
    List<BackupFiles.Entry> whole = new ArrayList<>();
    List<ChangedFile> changed = new ArrayList<>();
    long total = 0;
    for (BackupFiles.Entry file : chosen.files()) {
      List<Increment.Run> runs =
          increment == null ? null : increment.runs(file.path(), file.size());
      if (runs == null) {
        whole.add(file);
        total += file.size();
      } else if (runs.isEmpty()) {
        writer.sized(file.path(), wholePages(file.size()));
      } else {
        long bytes = runs.stream().mapToLong(Increment.Run::length).sum();
        changed.add(new ChangedFile(file, bytes));
        total += bytes;
      }
    }
    progress.total(total);

    Queue<List<BackupFiles.Entry>> work = new ConcurrentLinkedQueue<>(pieces(whole));
    Queue<List<BackupFiles.Entry>> changes = new ConcurrentLinkedQueue<>(changes(changed));
    long judgedBefore = facts.dataChecksums() ? start.position() : 0;
    Path local = throughServer ? null : LocalFiles.dataDirectory(control);
    if (local != null) {
      progress.readsItself(local);
    }
    List<Thread> readers = new ArrayList<>();
    for (int i = 0; i < connections; i++) {
      readers.add( // they compress and check more than they wait
          Thread.ofPlatform()
              .name("base-backup-" + i)
              .start(() -> readAll(local, work, changes, increment, writer, judgedBefore)));
    }
    boolean interrupted = false;
    for (Thread reader : readers) {
      while (true) {
        try {
          reader.join();
          break;
        } catch (InterruptedException e) {
          interrupted = true;
          failure.compareAndSet(null, e); // the readers see it and end
        }
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
      throw new OperatorException(
          Kind.INTERRUPTED,
          "stopped while taking a base backup",
          "interrupted",
          "run the same command again; nothing was published");
    }
    rethrow(failure.get());
    copyControlFile(control, writer);
  }

  private static void rethrow(@Nullable Throwable thrown) throws SQLException {
    switch (thrown) {
      case null -> {}
      case SQLException e -> throw e;
      case RuntimeException e -> throw e;
      case Error e -> throw e;
      default -> throw new IllegalStateException(thrown);
    }
  }

  /** Large files alone and first, so that none is left over for one connection at the end. */
  private static List<List<BackupFiles.Entry>> pieces(List<BackupFiles.Entry> files) {
    List<List<BackupFiles.Entry>> pieces = new ArrayList<>();
    List<BackupFiles.Entry> piece = new ArrayList<>();
    long bytes = 0;
    for (BackupFiles.Entry file :
        files.stream()
            .sorted(Comparator.comparingLong(BackupFiles.Entry::size).reversed())
            .toList()) {
      if (file.size() > READ_BYTES) {
        pieces.add(List.of(file));
        continue;
      }
      if (!piece.isEmpty()
          && (piece.size() >= SMALL_FILES_AT_ONCE || bytes + file.size() > READ_BYTES)) {
        pieces.add(piece);
        piece = new ArrayList<>();
        bytes = 0;
      }
      piece.add(file);
      bytes += file.size();
    }
    if (!piece.isEmpty()) {
      pieces.add(piece);
    }
    return pieces;
  }

  private static long wholePages(long size) {
    return size - size % PageChecksum.PAGE;
  }

  /**
   * A file of which some blocks are read; what they are is worked out again when it is its turn.
   */
  private record ChangedFile(BackupFiles.Entry file, long bytes) {}

  /** As {@link #pieces}: what has much to read alone and first, the rest together. */
  private static List<List<BackupFiles.Entry>> changes(List<ChangedFile> files) {
    List<List<BackupFiles.Entry>> pieces = new ArrayList<>();
    List<BackupFiles.Entry> piece = new ArrayList<>();
    long bytes = 0;
    for (ChangedFile file :
        files.stream().sorted(Comparator.comparingLong(ChangedFile::bytes).reversed()).toList()) {
      if (!piece.isEmpty()
          && (piece.size() >= SMALL_FILES_AT_ONCE || bytes + file.bytes > READ_BYTES)) {
        pieces.add(piece);
        piece = new ArrayList<>();
        bytes = 0;
      }
      piece.add(file.file);
      bytes += file.bytes;
    }
    if (!piece.isEmpty()) {
      pieces.add(piece);
    }
    return pieces;
  }

  private void readAll(
      @Nullable Path local,
      Queue<List<BackupFiles.Entry>> work,
      Queue<List<BackupFiles.Entry>> changes,
      @Nullable Increment increment,
      BaseWriter writer,
      long judgedBefore) {
    try (ServerFiles files = files(local)) {
      for (List<BackupFiles.Entry> piece = changes.poll();
          piece != null && increment != null && failure.get() == null;
          piece = changes.poll()) {
        try (PieceWriter pieces = writer.pieces()) {
          var reading = new ChangeReading(files, pieces, writer, judgedBefore);
          for (BackupFiles.Entry file : piece) {
            reading.add(file, Objects.requireNonNull(increment.runs(file.path(), file.size())));
          }
          reading.end();
        }
      }
      for (List<BackupFiles.Entry> piece = work.poll();
          piece != null && failure.get() == null;
          piece = work.poll()) {
        if (piece.size() == 1 && piece.getFirst().size() > READ_BYTES) {
          readLarge(files, piece.getFirst(), writer, judgedBefore);
        } else {
          readSmall(files, piece, writer, judgedBefore);
        }
      }
    } catch (Throwable e) {
      failure.compareAndSet(null, e);
    }
  }

  private ServerFiles files(@Nullable Path local) {
    ServerFiles asked = new SqlFiles(open());
    return local == null ? asked : new LocalFiles(local, asked);
  }

  /** A changed file while it is read. */
  private static final class Reading {
    private final String path;
    private long size;

    Reading(BackupFiles.Entry file) {
      path = file.path();
      size = wholePages(file.size());
    }
  }

  /** Reads runs of several files at once, some MiB. One thread. */
  private final class ChangeReading {
    private final ServerFiles server;
    private final PieceWriter pieces;
    private final BaseWriter writer;
    private final long judgedBefore;
    private final List<Reading> open = new ArrayList<>();
    private final List<Reading> files = new ArrayList<>();
    private final List<ServerFiles.Piece> runs = new ArrayList<>();
    private long bytes;

    ChangeReading(ServerFiles server, PieceWriter pieces, BaseWriter writer, long judgedBefore) {
      this.server = server;
      this.pieces = pieces;
      this.writer = writer;
      this.judgedBefore = judgedBefore;
    }

    void add(BackupFiles.Entry file, List<Increment.Run> ofFile) throws SQLException {
      var reading = new Reading(file);
      open.add(reading);
      for (Increment.Run run : ofFile) {
        if (bytes + run.length() > (long) READS_AT_ONCE * READ_BYTES) {
          read();
        }
        if (failure.get() != null) {
          return;
        }
        files.add(reading);
        runs.add(new ServerFiles.Piece(file.path(), run.offset(), run.length()));
        bytes += run.length();
      }
    }

    private void read() throws SQLException {
      if (!runs.isEmpty()) {
        server.read(runs, this::take);
        files.clear();
        runs.clear();
        bytes = 0;
      }
    }

    private void take(int index, byte @Nullable [] content, int had) throws SQLException {
      Reading file = files.get(index);
      ServerFiles.Piece run = runs.get(index);
      if (run.offset() >= file.size) {
        return; // it ended before, at an earlier run
      }
      int length = (int) wholePages(had);
      if (length < run.length()) {
        file.size = run.offset() + length; // dropped or truncated since: replay does it, too
      }
      if (content == null || length == 0) {
        return;
      }
      if (judgedBefore != 0) {
        verify(server, file.path, run.offset(), content, length, judgedBefore);
      }
      pieces.write(file.path, run.offset(), content, 0, length);
      progress.copied(length);
    }

    void end() throws SQLException {
      read();
      for (Reading file : open) {
        writer.sized(file.path, file.size);
      }
    }
  }

  private void readSmall(
      ServerFiles files, List<BackupFiles.Entry> piece, BaseWriter writer, long judgedBefore)
      throws SQLException {
    files.read(
        piece.stream()
            .map(file -> new ServerFiles.Piece(file.path(), 0, Math.toIntExact(file.size())))
            .toList(),
        (index, bytes, length) -> {
          if (bytes == null) {
            return; // dropped since it was listed: replay drops it too
          }
          String path = piece.get(index).path();
          try (FileWriter file = writer.open(path)) {
            write(files, path, 0, bytes, length, file, judgedBefore);
          }
        });
  }

  private void readLarge(
      ServerFiles files, BackupFiles.Entry entry, BaseWriter writer, long judgedBefore)
      throws SQLException {
    try (var reading = new LargeReading(files, entry.path(), writer, judgedBefore)) {
      List<ServerFiles.Piece> pieces = new ArrayList<>();
      for (long offset = 0;
          offset < entry.size() && !reading.ended && failure.get() == null;
          offset += READ_BYTES) {
        pieces.add(
            new ServerFiles.Piece(
                entry.path(), offset, (int) Math.min(READ_BYTES, entry.size() - offset)));
        if (pieces.size() == READS_AT_ONCE || offset + READ_BYTES >= entry.size()) {
          reading.read(pieces);
          pieces.clear();
        }
      }
    }
  }

  /** A file of several MiB while it is read from its beginning. One thread. */
  private final class LargeReading implements AutoCloseable {
    private final ServerFiles files;
    private final String path;
    private final BaseWriter writer;
    private final long judgedBefore;

    // Opened with the first bytes, so that a file that has vanished is not recorded as empty.
    private @Nullable FileWriter file;
    private boolean ended;

    LargeReading(ServerFiles files, String path, BaseWriter writer, long judgedBefore) {
      this.files = files;
      this.path = path;
      this.writer = writer;
      this.judgedBefore = judgedBefore;
    }

    void read(List<ServerFiles.Piece> pieces) throws SQLException {
      files.read(
          pieces,
          (index, bytes, length) -> {
            if (ended) {
              return;
            }
            ended = length < pieces.get(index).length(); // dropped or truncated since
            if (bytes == null || length == 0) {
              return;
            }
            FileWriter into = file;
            if (into == null) {
              into = writer.open(path);
              file = into;
            }
            write(files, path, pieces.get(index).offset(), bytes, length, into, judgedBefore);
          });
    }

    @Override
    public void close() {
      if (file != null) {
        file.close();
      }
    }
  }

  private void write(
      ServerFiles files,
      String path,
      long offset,
      byte[] bytes,
      int had,
      FileWriter file,
      long judgedBefore)
      throws SQLException {
    int length = had;
    if (BackupFiles.isRelation(path)) {
      length -= length % PageChecksum.PAGE; // a page just being appended comes from the WAL
      if (judgedBefore != 0) {
        verify(files, path, offset, bytes, length, judgedBefore);
      }
    }
    file.write(bytes, 0, length);
    progress.copied(length);
  }

  /** A page read while the server was writing it is read again; it is whole a moment later. */
  private void verify(
      ServerFiles files, String path, long offset, byte[] bytes, int length, long judgedBefore)
      throws SQLException {
    long first = BackupFiles.firstBlock(path) + offset / PageChecksum.PAGE;
    for (int at = 0; at < length; at += PageChecksum.PAGE) {
      long block = first + at / PageChecksum.PAGE;
      boolean holds = PageChecksum.holds(bytes, at, block, judgedBefore);
      int readsMax = damagedPages.get() < DAMAGED_PAGES_RETRIED ? PAGE_READS_MAX : 1;
      for (int read = 1; !holds && read < readsMax; read++) {
        pause();
        byte[] again = files.readAgain(new ServerFiles.Piece(path, offset + at, PageChecksum.PAGE));
        if (again == null || again.length < PageChecksum.PAGE) {
          holds = true; // truncated meanwhile: replay truncates it too
        } else {
          System.arraycopy(again, 0, bytes, at, PageChecksum.PAGE);
          holds = PageChecksum.holds(bytes, at, block, judgedBefore);
        }
      }
      if (!holds) {
        damagedPages.incrementAndGet();
        LOG.error(
            "page {} of {} is damaged on the server: its checksum does not hold; the backup has it"
                + " as it is",
            block,
            path);
        progress.damagedPage(path, block);
      }
    }
  }

  private void copyControlFile(Connection control, BaseWriter writer) throws SQLException {
    for (int read = 0; read < CONTROL_READS_MAX; read++) {
      byte[] content = readControlFile(control);
      if (content != null && ControlFile.holds(content)) {
        try (FileWriter file = writer.open(BackupFiles.CONTROL)) {
          file.write(content, 0, content.length);
        }
        progress.copied(content.length);
        return;
      }
      pause();
    }
    throw new OperatorException(
        Kind.DAMAGED_DATA,
        "cannot take a base backup",
        "the checksum of " + BackupFiles.CONTROL + " does not hold on the server",
        "check the server's disk: it would not start again with this file");
  }

  private static byte @Nullable [] readControlFile(Connection control) throws SQLException {
    try (PreparedStatement statement =
        control.prepareStatement("SELECT pg_read_binary_file(?, 0, ?, true)")) {
      statement.setString(1, BackupFiles.CONTROL);
      statement.setLong(2, PageChecksum.PAGE);
      try (ResultSet row = statement.executeQuery()) {
        row.next();
        return row.getBytes(1);
      }
    }
  }

  private static void pause() {
    try {
      Thread.sleep(PAGE_READ_PAUSE); // the server's write of one page: nothing tells us its end
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
