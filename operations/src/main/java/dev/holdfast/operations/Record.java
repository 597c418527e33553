package dev.holdfast.operations;

import dev.holdfast.damage.DamageScan;
import dev.holdfast.damage.TransactionDamage;
import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.postgres.Catalog;
import dev.holdfast.postgres.CatalogReader;
import dev.holdfast.postgres.PostgresUrl;
import dev.holdfast.postgres.WalReceiver;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.Lease;
import dev.holdfast.store.LeaseLostException;
import dev.holdfast.store.Repository;
import dev.holdfast.store.Succession;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RawRecord;
import dev.holdfast.wal.ResourceManager;
import dev.holdfast.wal.TimelineHistory;
import dev.holdfast.wal.WalReader;
import dev.holdfast.wal.WalRecord;
import java.nio.file.Path;
import java.time.Duration;
import java.time.temporal.ChronoUnit;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Receives a cluster's WAL into the repository until it is stopped, and reads it as it comes: tells
 * of destructive transactions, and reads the catalog again after every change of the schema.
 */
@SuppressWarnings("JavaLangClash") // named like its command; nobody here speaks of java.lang.Record
public final class Record {
  private static final Logger LOG = LoggerFactory.getLogger(Record.class);

  private final ClusterStore opened;
  private final @Nullable Succession successor;
  private final PostgresUrl recorder;

  /** Refuses to be changed once another recorder has taken over. */
  private ClusterStore cluster;

  private Watcher watcher;
  private Summariser summariser = new Summariser();
  private static final Duration ARCHIVE_LOOK = Duration.ofSeconds(1);
  private static final Duration ARCHIVE_GAP = Duration.ofSeconds(30);

  private final RecordOptions options;
  private final CountDownLatch stopped = new CountDownLatch(1);
  private @Nullable Listener hearing;
  private @Nullable GapHealing healing;
  private @Nullable SynchronousRecording synchronous;
  private @Nullable WalReceiver receiver;
  private @Nullable ClusterSchedule schedule;
  private @Nullable JobRunner jobs;
  private List<String> scheduledElsewhere = List.of();

  /** Told what happens while recording; from several threads, one at a time. */
  public interface Listener {
    /** A transaction that may have destroyed something was committed. */
    void destructive(LogEntry entry);

    /** Something an operator may want to know, such as a lost connection. */
    void say(String line);

    /** Recording itself is not as it should be, or is again. */
    default void alarm(RecordingAlarm alarm) {
      say(alarm.level() + ": " + alarm.what() + "; next: " + alarm.next());
    }
  }

  /**
   * @param url the recorder's connection; null: what {@code protect} kept
   * @param flushSeconds how old received WAL may get before it is durable
   */
  public Record(String repository, String name, @Nullable String url, double flushSeconds) {
    this(repository, name, RecordOptions.DEFAULT.withUrl(url).withFlushSeconds(flushSeconds));
  }

  /** Of one protected cluster. */
  public Record(String repository, String name, RecordOptions options) {
    this(Repository.open(repository), name, options);
  }

  private Record(Repository repository, String name, RecordOptions options) {
    this(repository.cluster(name), repository.cluster(name).succession(), options);
  }

  Record(ClusterStore cluster, RecordOptions options) {
    this(cluster, null, options);
  }

  private Record(ClusterStore cluster, @Nullable Succession successor, RecordOptions options) {
    this.successor = successor;
    this.opened = cluster;
    this.cluster = cluster;
    this.options = options;
    this.recorder = Connections.recorder(cluster.document(), options.url());
    this.watcher = new Watcher();
  }

  /**
   * Does what is scheduled for the cluster while it records.
   *
   * @param jobs runs it
   * @throws OperatorException USAGE when a time cannot be read
   */
  public Record scheduling(Configuration configuration, JobRunner jobs) {
    this.schedule = configuration.schedule(opened.document().name());
    this.jobs = jobs;
    this.scheduledElsewhere =
        configuration.schedule() == null
            ? List.of()
            : List.copyOf(configuration.schedule().keySet());
    return this;
  }

  private @Nullable Schedules schedules(Listener heard) {
    ClusterSchedule times = schedule;
    JobRunner runner = jobs;
    if (runner == null) {
      return null;
    }
    if (times == null) {
      heard.say(
          "nothing is scheduled for %s%s"
              .formatted(
                  opened.document().name(),
                  scheduledElsewhere.isEmpty()
                      ? ""
                      : " (holdfast.yaml has a schedule of "
                          + String.join(", ", scheduledElsewhere)
                          + ")"));
      times = ClusterSchedule.NONE; // what was scheduled before must not look as if it still were
    }
    return new Schedules(opened, times, runner, heard::alarm, heard::say, Schedules.Time.REAL);
  }

  private WalReceiver receiver() {
    WalReceiver.Options receiving =
        WalReceiver.Options.DEFAULT
            .withSlot(cluster.document().slot())
            .withFlushInterval(options.flushInterval())
            .healing();
    return new WalReceiver(
        recorder, cluster, options.synchronous() ? receiving.synchronously() : receiving, watcher);
  }

  /**
   * Records until {@link #stop}. While another recorder of the cluster is at work it stands by, and
   * takes over when that one ends or dies.
   *
   * @throws OperatorException when it cannot go on: wrong server, repository unreachable; REFUSED
   *     when another one is at work and standing by is not wanted
   */
  public void run(Listener listener) {
    Listener heard = new OneAtATime(listener);
    hearing = heard;
    if (successor != null) {
      heard.say(
          "%s has the place of %s since %s: its server of today is recorded by holdfast record %s, and not by this"
              .formatted(
                  successor.name(),
                  opened.document().name(),
                  successor.at().truncatedTo(ChronoUnit.SECONDS),
                  successor.name()));
    }
    RecorderPlace place = new RecorderPlace(opened, options, heard::alarm, stopped);
    while (true) {
      try (Lease lease = place.take()) {
        if (lease == null) {
          return; // told to stop while standing by
        }
        try {
          record(lease, heard);
          return;
        } catch (LeaseLostException e) {
          LOG.warn("stopped recording: {}", e.why());
          heard.alarm(
              RecordingAlarm.of(
                  "recorder",
                  "critical",
                  "this recorder of %s has stopped: %s"
                      .formatted(opened.document().name(), e.why()),
                  "nothing for now: the other one records; see why this process, its machine or its"
                      + " way to the repository stood still"));
          if (!options.standBy()) {
            throw e;
          }
        }
      }
    }
  }

  /**
   * @throws LeaseLostException when another recorder has taken over
   */
  private void record(Lease lease, Listener heard) {
    cluster = opened.fencedBy(lease);
    watcher = new Watcher();
    summariser = new Summariser();
    WalReceiver receiver = receiver();
    synchronized (this) {
      this.receiver = receiver;
      if (stopped.getCount() == 0) {
        receiver.stop();
      }
    }
    lease.keep(receiver::stop);
    // A base backup harms nobody, and must be able to remove what it leaves unfinished.
    GapHealing gaps = new GapHealing(opened, recorder, options.backupAfterGap(), heard::alarm);
    healing = gaps;
    RecordingWatch watch =
        new RecordingWatch(
            recorder, cluster.document().slot(), receiver, options.flushInterval(), heard::alarm);
    SynchronousRecording waitedFor =
        options.synchronous()
            ? new SynchronousRecording(
                recorder,
                lease,
                receiver::waiting,
                receiver::disconnect,
                cluster.document().name(),
                cluster.document().major(),
                options.degradeAfter(),
                heard::alarm)
            : null;
    synchronized (this) {
      synchronous = waitedFor;
    }
    watcher.begin(heard);
    summariser.begin(heard);
    gaps.begin();
    watch.begin();
    RecorderMark mark =
        new RecorderMark(recorder, ClientSampling.of(cluster, heard::alarm)::sample);
    mark.begin();
    if (waitedFor != null) {
      waitedFor.begin();
    }
    Schedules schedules = schedules(heard);
    if (schedules != null) {
      schedules.begin();
    }
    try {
      heard.say("recording " + cluster.document().name() + " from " + recorder.redacted());
      receiver.run();
      lease.check(); // it may be over because another one has taken over
      heard.say("recorded through " + receiver.storedThrough());
    } finally {
      if (waitedFor != null) {
        waitedFor.end();
      }
      if (schedules != null) {
        schedules.end();
      }
      mark.end();
      gaps.end();
      watch.end();
      watcher.end();
      summariser.end();
    }
  }

  /**
   * Takes what archive_command puts into a folder, instead of connecting for it.
   *
   * @param once ends after one look; else looks again until {@link #stop}
   * @param remove whether files are removed from the folder once they are recorded
   * @throws OperatorException when the folder or the repository cannot be used
   */
  public ArchiveResult runFrom(Path folder, boolean once, boolean remove, Listener listener) {
    Listener heard = new OneAtATime(listener);
    hearing = heard;
    ArchiveFolder archive =
        new ArchiveFolder(
            cluster,
            folder,
            remove,
            (segment, bytes) ->
                watcher.durable(segment.timeline(), segment.start(), bytes, 0, bytes.length),
            heard::alarm);
    watcher.begin(heard);
    summariser.begin(heard);
    Schedules schedules = once ? null : schedules(heard);
    if (schedules != null) {
      schedules.begin();
    }
    long taken = 0;
    long removed = 0;
    ArchiveFolder.Pass pass;
    try {
      heard.say("recording " + cluster.document().name() + " from the folder " + folder);
      List<RecordedWal.Span> gapsTold = List.of();
      long gapsSince = System.nanoTime();
      do {
        pass = archive.pass();
        taken += pass.taken();
        removed += pass.removed();
        List<RecordedWal.Span> gaps = new RecordedWal(cluster).gaps();
        gapsSince = pass.taken() > 0 || gaps.isEmpty() ? System.nanoTime() : gapsSince;
        // What comes out of order may still come.
        if (once || System.nanoTime() - gapsSince > ARCHIVE_GAP.toNanos()) {
          List<RecordedWal.Span> known = gapsTold;
          gaps.stream().filter(gap -> !known.contains(gap)).forEach(gap -> tellGap(heard, gap));
          gapsTold = gaps;
        }
      } while (!once && !stopped.await(ARCHIVE_LOOK.toMillis(), TimeUnit.MILLISECONDS));
      Lsn end = new RecordedWal(cluster).end();
      heard.say("recorded through " + end);
      return new ArchiveResult(
          taken, pass.refused(), removed, end.equals(Lsn.NONE) ? null : end.toString());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new OperatorException(
          Kind.INTERRUPTED, "recording ended", "interrupted", "run the same command again", e);
    } finally {
      if (schedules != null) {
        schedules.end();
      }
      watcher.end();
      summariser.end();
    }
  }

  private void tellGap(Listener heard, RecordedWal.Span gap) {
    heard.alarm(
        RecordingAlarm.gap(
            gap.from(),
            gap.to(),
            "WAL FROM %s TO %s IS MISSING: neither recorded nor in the folder"
                .formatted(gap.from(), gap.to()),
            "copy its segments there from the server's pg_wal or another archive; if they are gone:"
                + " holdfast backup "
                + cluster.document().name()
                + ", which makes moments after it reachable"));
  }

  /** Ends {@link #run} after what has arrived is durable. May be called from any thread. */
  public void stop() {
    SynchronousRecording waitedFor;
    synchronized (this) {
      waitedFor = synchronous;
    }
    if (waitedFor != null) {
      waitedFor.end(); // until nobody waits for it, it goes on acknowledging
    }
    synchronized (this) {
      stopped.countDown();
      if (receiver != null) {
        receiver.stop();
      }
    }
  }

  private record OneAtATime(Listener listener) implements Listener {
    @Override
    public synchronized void destructive(LogEntry entry) {
      listener.destructive(entry);
    }

    @Override
    public synchronized void say(String line) {
      listener.say(line);
    }

    @Override
    public synchronized void alarm(RecordingAlarm alarm) {
      listener.alarm(alarm);
    }
  }

  /**
   * Makes the summary of each segment once it is complete, out of the repository: what an earlier
   * run left undone is made up for, and nothing here can slow receiving down.
   */
  private final class Summariser {
    /** Segments complete one by one; should a sign of it be missed, the next look finds it. */
    private static final Duration LOOKING_AGAIN = Duration.ofMinutes(5);

    /** Fewer bytes without a summary than this are nothing to speak of. */
    private static final long BACKLOG_MIN = 1L << 30;

    private final Semaphore wanted = new Semaphore(1); // to begin with, what an earlier run left
    private volatile boolean ending;
    private @Nullable Thread thread;

    void begin(Listener listener) {
      thread = Thread.ofVirtual().name("record-summariser").start(() -> summarise(listener));
    }

    void segmentCompleted() {
      wanted.release();
    }

    void end() {
      ending = true;
      wanted.release();
      Thread summarising = thread;
      if (summarising != null) {
        try {
          summarising.join();
        } catch (InterruptedException e) {
          Thread.currentThread().interrupt();
        }
      }
    }

    private void summarise(Listener listener) {
      @Nullable SummaryMaker maker = null;
      try {
        while (!ending) {
          if (wanted.tryAcquire(LOOKING_AGAIN.toMillis(), TimeUnit.MILLISECONDS)) {
            wanted.drainPermits();
          }
          pause();
          if (!ending) {
            maker = make(maker, listener);
          }
        }
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      }
    }

    private @Nullable SummaryMaker make(@Nullable SummaryMaker before, Listener listener) {
      @Nullable SummaryMaker maker = before;
      int passedOver = before == null ? 0 : before.passedOver();
      try {
        if (maker == null) {
          maker = new SummaryMaker(cluster);
          sayBacklog(maker, listener);
        }
        maker.make(() -> !ending, Progress.SILENT.begin("", 0, Progress.Unit.BYTES));
      } catch (OperatorException e) {
        LOG.warn("a segment could not be summarised; recording goes on", e);
        listener.say(
            "warning: %s: %s; recording goes on, holdfast log reads the WAL itself"
                .formatted(e.what(), e.why()));
        if (maker != null && maker.passedOver() > passedOver) {
          wanted.release(); // there may be more to make behind what cannot be read
        }
      } catch (RuntimeException | OutOfMemoryError e) {
        LOG.error("summaries could not be made; trying again later, recording goes on", e);
        listener.say("warning: summaries could not be made (" + e + "); recording goes on");
        return null;
      }
      return maker;
    }

    private static void sayBacklog(SummaryMaker maker, Listener listener) {
      long missing = maker.missingBytes();
      if (missing >= BACKLOG_MIN) {
        listener.say(
            "summarising %,d MB of WAL recorded before; holdfast log is slower until then"
                .formatted(missing >> 20));
      }
    }

    private void pause() throws InterruptedException {
      long begun = System.nanoTime();
      int segmentBytes = cluster.document().walSegmentSize();
      while (!ending
          && !SummaryPause.isOver(
              Duration.ofNanos(System.nanoTime() - begun), behind(), segmentBytes)) {
        Thread.sleep(100); // in steps, so that stopping does not wait
      }
    }

    /** Bytes; 0 for who takes WAL from a folder. */
    private long behind() {
      synchronized (Record.this) {
        return receiver == null ? 0 : receiver.behind();
      }
    }
  }

  /**
   * Reads WAL behind the receiver, on a thread of its own: slow catalogs must not delay receiving.
   * A full queue is dropped and reading resumes further on: alarms are best effort, the repository
   * is not.
   */
  private final class Watcher implements WalReceiver.Listener {
    private static final int QUEUE_MAX = 1024;

    /** Memory is bounded, and a flush may bring a segment at once. */
    private static final long QUEUE_BYTES_MAX = 32L << 20;

    private static final int CHUNK_BYTES = 256 << 10;

    private static final long CATALOG_NANOS_MIN = 500_000_000L;
    private static final long CATALOG_NANOS_MAX = 60_000_000_000L;

    private static final class Chunk {
      private final int timeline;
      private final Lsn start;
      private final byte[] bytes;

      private Chunk(int timeline, Lsn start, byte[] bytes) {
        this.timeline = timeline;
        this.start = start;
        this.bytes = bytes;
      }
    }

    private final BlockingQueue<Chunk> queue = new ArrayBlockingQueue<>(QUEUE_MAX);
    private volatile boolean running;
    private final AtomicLong queuedBytes = new AtomicLong();
    private volatile boolean skipped;
    private @Nullable Thread thread;
    private @Nullable Listener listener;
    private @Nullable WalReader reader;
    private Lsn expected = Lsn.NONE;
    private Lsn told = Lsn.NONE;
    private int timeline;
    private RecordedNames names = RecordedNames.none();
    private @Nullable DamageScan scan;

    /** Whether the catalog is to be read once more. */
    private boolean settling;

    private boolean schemaChanged = true; // whatever changed while nobody was recording
    private long catalogReadAt;
    private long catalogPauseNanos = CATALOG_NANOS_MIN;
    private boolean catalogUnread;
    private int namesHash;

    void begin(Listener hearing) {
      listener = hearing;
      // The receiver begins with the whole segment: what an earlier run recorded, it has told.
      RecordedWal recorded = new RecordedWal(cluster);
      told = recorded.end();
      timeline = recorded.timeline();
      running = true;
      thread = Thread.ofVirtual().name("record-watcher").start(this::watch);
    }

    void end() {
      running = false;
      Thread watching = thread;
      if (watching != null) {
        try {
          watching.join();
        } catch (InterruptedException e) {
          Thread.currentThread().interrupt();
        }
      }
    }

    @Override
    public void durable(int ofTimeline, Lsn from, byte[] bytes, int offset, int length) {
      if (from.plus(length).position() % cluster.document().walSegmentSize() == 0) {
        summariser.segmentCompleted();
      }
      // In small pieces: arrays of a whole segment are what costs a collector most.
      for (int done = 0; done < length; ) {
        int piece = Math.min(CHUNK_BYTES, length - done);
        int begin = offset + done;
        if (queuedBytes.get() + piece > QUEUE_BYTES_MAX
            || !queue.offer(
                new Chunk(
                    ofTimeline,
                    from.plus(done),
                    Arrays.copyOfRange(bytes, begin, begin + piece)))) {
          skipped = true;
          return;
        }
        queuedBytes.addAndGet(piece);
        done += piece;
      }
    }

    @Override
    public void connected(int ofTimeline, Lsn from) {
      say("receiving WAL from " + from + ", timeline " + ofTimeline);
      GapHealing gaps = healing;
      if (gaps != null) {
        gaps.connected();
      }
    }

    @Override
    public void lost(int ofTimeline, Lsn from, Lsn to, String why) {
      GapHealing gaps = healing;
      if (gaps != null) {
        gaps.lost();
      }
      alarm(
          RecordingAlarm.gap(
              from,
              to,
              "WAL FROM %s TO %s IS LOST (%,d MB): the server no longer has it (%s). What was"
                      .formatted(from, to, to.minus(from) >> 20, why)
                  + " committed there cannot be seen, undone or restored to",
              (options.backupAfterGap()
                      ? "nothing: recording goes on, and a base backup is taken, which makes moments"
                          + " after it reachable"
                      : "holdfast backup "
                          + cluster.document().name()
                          + ", which makes moments after it reachable")
                  + "; those up to "
                  + from
                  + " stay so"));
    }

    @Override
    public void slot(String what) {
      alarm(
          RecordingAlarm.of(
              "slot", "warning", what, "nothing, unless you know why it should not be"));
    }

    private void alarm(RecordingAlarm alarm) {
      Listener told = hearing;
      if (told != null) {
        told.alarm(alarm);
      }
    }

    @Override
    public void disconnected(OperatorException why, Duration pause) {
      say("not receiving: " + why.why() + "; trying again in " + pause.toMillis() / 1000.0 + " s");
    }

    private void say(String line) {
      Listener hearing = listener;
      if (hearing != null) {
        hearing.say(line);
      }
    }

    private void watch() {
      try {
        names = RecordedNames.of(cluster);
        while (true) {
          Chunk chunk = queue.poll(100, TimeUnit.MILLISECONDS);
          if (chunk != null) {
            queuedBytes.addAndGet(-chunk.bytes.length);
            read(chunk);
          } else if (!running) {
            return;
          }
          if ((schemaChanged || settling)
              && System.nanoTime() - catalogReadAt > catalogPauseNanos) {
            readCatalog();
          }
        }
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      } catch (RuntimeException e) {
        LOG.error("destructive transactions are not told any more; recording goes on", e);
        say("warning: " + e.getMessage() + "; recording goes on without alarms");
      }
    }

    /**
     * A new timeline begins with the segment in which the old one was left: what lies before the
     * switch was told already, and what the old one held after it never happened.
     */
    private void follow(int newTimeline) {
      TimelineHistory.Part part = new RecordedWal(cluster, newTimeline).history().part(newTimeline);
      Lsn reached = reader == null ? told : reader.position();
      told = part == null || reached.isBefore(part.from()) ? reached : part.from();
      timeline = newTimeline;
      reader = null;
      // Transactions open at a promotion ended with the server that ran them. Prepared ones live
      // on:
      // their COMMIT PREPARED is in the log, and no alarm is raised for it.
      scan = null;
    }

    private void read(Chunk chunk) {
      if (chunk.timeline != timeline) {
        follow(chunk.timeline);
      }
      WalReader current = reader;
      if (current == null || !expected.equals(chunk.start)) {
        // Readers start at a page: bytes before the next one are of a record we have no start of.
        int skip = (int) (-chunk.start.position() & (WAL_PAGE - 1));
        if (skip >= chunk.bytes.length) {
          return;
        }
        if (skipped) {
          skipped = false;
          schemaChanged = true; // perhaps
          say("warning: WAL came faster than it could be looked at; use `holdfast log`");
        }
        current = new WalReader(chunk.start.plus(skip));
        current.feed(chunk.bytes, skip, chunk.bytes.length - skip);
        reader = current;
      } else {
        current.feed(chunk.bytes, 0, chunk.bytes.length);
      }
      expected = chunk.start.plus(chunk.bytes.length);
      if (scan == null) {
        scan = new DamageScan(names, this::committed);
      }
      for (RawRecord record = current.poll(); record != null; record = current.poll()) {
        schemaChanged |= changesNames(record);
        scan.accept(record);
      }
    }

    private void committed(TransactionDamage damage) {
      Listener hearing = listener;
      if (damage.isDestructive() && hearing != null && !damage.commitLsn().isBefore(told)) {
        hearing.destructive(LogEntry.of(damage));
      }
    }

    /** Whether files or tables may have other names after this record. */
    private static boolean changesNames(RawRecord raw) {
      boolean asksForALook =
          raw.rmgr() == ResourceManager.DATABASE
              || (raw.rmgr() == ResourceManager.TRANSACTION && !raw.isPlainCommit());
      if (!asksForALook) {
        return false;
      }
      WalRecord record = raw.decode();
      return record instanceof WalRecord.DatabaseCreate
          || record instanceof WalRecord.DatabaseDrop
          || (record instanceof WalRecord.Commit commit
              && !(commit.droppedFiles().isEmpty() && commit.invalidatedRelations().isEmpty()));
    }

    /**
     * Keeps the catalog when a name or a file changed. Servers whose commits touch the catalog
     * without changing either, with temporary tables as a rule, are asked less and less often, and
     * so are those that do not answer.
     */
    private void readCatalog() {
      try {
        boolean changed = schemaChanged;
        Catalog catalog = CatalogReader.read(recorder);
        schemaChanged = false;
        // A commit is in the log before anybody else sees it: what was read may lack the last one.
        settling = changed;
        if (catalogUnread) {
          catalogUnread = false;
          catalogPauseNanos = CATALOG_NANOS_MIN;
        }
        int hash = Catalogs.namesHash(catalog);
        if (hash == namesHash) {
          catalogPauseNanos =
              changed ? Math.min(2 * catalogPauseNanos, CATALOG_NANOS_MAX) : catalogPauseNanos;
        } else if (Catalogs.put(cluster, catalog)) {
          catalogPauseNanos = CATALOG_NANOS_MIN;
          namesHash = hash;
          names.add(catalog);
        } else {
          settling = true; // until it can be kept under a position of its own
          catalogPauseNanos = Math.min(2 * catalogPauseNanos, CATALOG_NANOS_MAX);
          names.add(catalog);
        }
      } catch (OperatorException e) {
        // As long as the server is away: what follows the first failure says the same.
        if (catalogUnread) {
          LOG.debug("the catalog still cannot be read", e);
        } else {
          LOG.warn(
              "the catalog could not be read after a change of the schema; trying again: {}",
              e.getMessage());
          LOG.debug("it failed so", e);
        }
        catalogUnread = true;
        catalogPauseNanos = Math.min(2 * catalogPauseNanos, CATALOG_NANOS_MAX);
      } finally {
        catalogReadAt = System.nanoTime();
      }
    }
  }

  private static final int WAL_PAGE = 8192;
}
