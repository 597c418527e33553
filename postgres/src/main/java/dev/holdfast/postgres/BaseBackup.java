package dev.holdfast.postgres;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.BaseManifest;
import dev.holdfast.store.BaseWriter;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.FileWriter;
import dev.holdfast.store.PieceWriter;
import dev.holdfast.wal.Lsn;
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
import java.util.ArrayDeque;
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
 * A base backup over SQL: backup mode on, files read over several connections, backup mode off,
 * published once the WAL through its end is stored. A full one reads every file, an incremental one
 * what changed since its parent was begun ({@link Increment}).
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

  private static final int READ_BYTES = 1 << 20;

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

  private static final String READ_SMALL =
      """
      SELECT f.path, pg_read_binary_file(f.path, 0, f.size, true)
      FROM unnest(?::text[], ?::bigint[]) AS f (path, size)
      """;

  private static final String READ_LARGE =
      """
      SELECT pg_read_binary_file(?, ? + i * 1048576::bigint, least(1048576, ? - i * 1048576), true)
      FROM generate_series(0, ?) AS i ORDER BY i
      """;

  private static final String READ_RUNS =
      """
      SELECT pg_read_binary_file(f.path, f.at, f.length, true)
      FROM unnest(?::text[], ?::bigint[], ?::bigint[]) WITH ORDINALITY AS f (path, at, length, n)
      ORDER BY n
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
     * @param start where replay from it begins
     * @param stop where it is consistent
     * @throws OperatorException when that cannot be
     */
    void await(Lsn start, Lsn stop);
  }

  /** Hears how a backup goes on; called by several threads. */
  @FunctionalInterface
  public interface Progress {
    /** How much there is, known after the files are listed. */
    default void total(long bytes) {}

    /** More bytes were copied. */
    void copied(long bytes);

    /** A page's checksum does not hold, though it was read several times. It is kept as it is. */
    default void damagedPage(String path, long block) {}
  }

  private final PostgresUrl url;
  private final int connections;
  private final LayerChoice choice;
  private final Progress progress;
  private final AtomicInteger damagedPages = new AtomicInteger();
  private final AtomicReference<@Nullable Throwable> failure = new AtomicReference<>();

  private BaseBackup(PostgresUrl url, int connections, LayerChoice choice, Progress progress) {
    this.url = url;
    this.connections = connections;
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
    return take(url, cluster, connections, LayerChoice.FULL, walStored, progress);
  }

  /**
   * Takes one.
   *
   * @param url of the recorder role, in the database where it has its rights
   * @param connections how many read files at the same time, besides one that holds backup mode
   * @param choice whether it is full or incremental
   * @return the manifest as published
   * @throws OperatorException when nothing was published: what was written is removed, and backup
   *     mode has ended
   */
  public static BaseManifest take(
      PostgresUrl url,
      ClusterStore cluster,
      int connections,
      LayerChoice choice,
      WalStored walStored,
      Progress progress) {
    return new BaseBackup(url, connections, choice, progress).take(cluster, walStored);
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
        walStored.await(start, stopped.lsn);
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
    List<Thread> readers = new ArrayList<>();
    for (int i = 0; i < connections; i++) {
      readers.add(
          Thread.ofVirtual()
              .name("base-backup-" + i)
              .start(() -> readAll(work, changes, increment, writer, judgedBefore)));
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
      Queue<List<BackupFiles.Entry>> work,
      Queue<List<BackupFiles.Entry>> changes,
      @Nullable Increment increment,
      BaseWriter writer,
      long judgedBefore) {
    try (Connection connection = open();
        PreparedStatement small = connection.prepareStatement(READ_SMALL);
        PreparedStatement large = connection.prepareStatement(READ_LARGE);
        PreparedStatement runs = connection.prepareStatement(READ_RUNS)) {
      for (List<BackupFiles.Entry> piece = changes.poll();
          piece != null && increment != null && failure.get() == null;
          piece = changes.poll()) {
        try (PieceWriter pieces = writer.pieces()) {
          var reading = new ChangeReading(connection, runs, pieces, writer, judgedBefore);
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
          readLarge(connection, large, piece.getFirst(), writer, judgedBefore);
        } else {
          readSmall(connection, small, piece, writer, judgedBefore);
        }
      }
    } catch (Throwable e) {
      failure.compareAndSet(null, e);
    }
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

  /** Reads runs of several files by one statement, some MiB at once. One thread. */
  private final class ChangeReading {
    private final Connection connection;
    private final PreparedStatement statement;
    private final PieceWriter pieces;
    private final BaseWriter writer;
    private final long judgedBefore;
    private final List<Reading> open = new ArrayList<>();
    private final List<Reading> files = new ArrayList<>();
    private final List<Increment.Run> runs = new ArrayList<>();
    private long bytes;

    ChangeReading(
        Connection connection,
        PreparedStatement statement,
        PieceWriter pieces,
        BaseWriter writer,
        long judgedBefore) {
      this.connection = connection;
      this.statement = statement;
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
        runs.add(run);
        bytes += run.length();
      }
    }

    private void read() throws SQLException {
      if (runs.isEmpty()) {
        return;
      }
      statement.setArray(
          1,
          connection.createArrayOf(
              "text", files.stream().map(file -> file.path).toArray(String[]::new)));
      statement.setArray(
          2,
          connection.createArrayOf(
              "bigint", runs.stream().map(Increment.Run::offset).toArray(Long[]::new)));
      statement.setArray(
          3,
          connection.createArrayOf(
              "bigint", runs.stream().map(run -> (long) run.length()).toArray(Long[]::new)));
      try (ResultSet rows = statement.executeQuery()) {
        for (int index = 0; rows.next(); index++) {
          take(files.get(index), runs.get(index), rows.getBytes(1));
        }
      }
      files.clear();
      runs.clear();
      bytes = 0;
    }

    private void take(Reading file, Increment.Run run, byte @Nullable [] content)
        throws SQLException {
      if (run.offset() >= file.size) {
        return; // it ended before, at an earlier run
      }
      int length = content == null ? 0 : (int) wholePages(content.length);
      if (length < run.length()) {
        file.size = run.offset() + length; // dropped or truncated since: replay does it, too
      }
      if (content == null || length == 0) {
        return;
      }
      if (judgedBefore != 0) {
        verify(connection, file.path, run.offset(), content, length, judgedBefore);
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
      Connection connection,
      PreparedStatement statement,
      List<BackupFiles.Entry> piece,
      BaseWriter writer,
      long judgedBefore)
      throws SQLException {
    statement.setArray(
        1,
        connection.createArrayOf(
            "text", piece.stream().map(BackupFiles.Entry::path).toArray(String[]::new)));
    statement.setArray(
        2,
        connection.createArrayOf(
            "bigint", piece.stream().map(BackupFiles.Entry::size).toArray(Long[]::new)));
    try (ResultSet rows = statement.executeQuery()) {
      while (rows.next()) {
        String path = rows.getString(1);
        byte[] bytes = rows.getBytes(2);
        if (bytes == null) {
          continue; // dropped since it was listed: replay drops it too
        }
        try (FileWriter file = writer.open(path)) {
          write(connection, path, 0, bytes, file, judgedBefore);
        }
      }
    }
  }

  private void readLarge(
      Connection connection,
      PreparedStatement statement,
      BackupFiles.Entry entry,
      BaseWriter writer,
      long judgedBefore)
      throws SQLException {
    // Opened with the first bytes, so that a file that has vanished is not recorded as empty.
    FileWriter file = null;
    try {
      long offset = 0;
      boolean ended = false;
      while (offset < entry.size() && !ended && failure.get() == null) {
        long left = entry.size() - offset;
        statement.setString(1, entry.path());
        statement.setLong(2, offset);
        statement.setLong(3, left);
        statement.setInt(
            4, (int) Math.min(READS_AT_ONCE, (left + READ_BYTES - 1) / READ_BYTES) - 1);
        ArrayDeque<byte[]> chunks = new ArrayDeque<>();
        try (ResultSet rows = statement.executeQuery()) {
          while (rows.next()) {
            byte[] bytes = rows.getBytes(1);
            if (bytes == null || bytes.length == 0) {
              ended = true; // dropped or truncated since it was listed
              break;
            }
            chunks.add(bytes);
            ended = bytes.length < Math.min(READ_BYTES, left);
            left -= bytes.length;
            if (ended) {
              break;
            }
          }
        }
        for (byte[] bytes : chunks) {
          if (file == null) {
            file = writer.open(entry.path());
          }
          write(connection, entry.path(), offset, bytes, file, judgedBefore);
          offset += bytes.length;
        }
      }
    } finally {
      if (file != null) {
        file.close();
      }
    }
  }

  private void write(
      Connection connection,
      String path,
      long offset,
      byte[] bytes,
      FileWriter file,
      long judgedBefore)
      throws SQLException {
    int length = bytes.length;
    if (BackupFiles.isRelation(path)) {
      length -= length % PageChecksum.PAGE; // a page just being appended comes from the WAL
      if (judgedBefore != 0) {
        verify(connection, path, offset, bytes, length, judgedBefore);
      }
    }
    file.write(bytes, 0, length);
    progress.copied(length);
  }

  /** A page read while the server was writing it is read again; it is whole a moment later. */
  private void verify(
      Connection connection, String path, long offset, byte[] bytes, int length, long judgedBefore)
      throws SQLException {
    for (int at = 0; at < length; at += PageChecksum.PAGE) {
      long place = offset + at;
      long block = BackupFiles.firstBlock(path) + place / PageChecksum.PAGE;
      boolean holds = PageChecksum.holds(bytes, at, block, judgedBefore);
      int readsMax = damagedPages.get() < DAMAGED_PAGES_RETRIED ? PAGE_READS_MAX : 1;
      for (int read = 1; !holds && read < readsMax; read++) {
        pause();
        byte[] again = read(connection, path, place, PageChecksum.PAGE);
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
      byte[] content = read(control, BackupFiles.CONTROL, 0, PageChecksum.PAGE);
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

  private static byte @Nullable [] read(Connection connection, String path, long offset, int length)
      throws SQLException {
    try (PreparedStatement statement =
        connection.prepareStatement("SELECT pg_read_binary_file(?, ?, ?, true)")) {
      statement.setString(1, path);
      statement.setLong(2, offset);
      statement.setLong(3, length);
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
