package dev.holdfast.postgres;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.StoredSegment;
import dev.holdfast.store.WalStore;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.SegmentName;
import dev.holdfast.wal.TimelineHistory;
import java.sql.Connection;
import java.sql.SQLException;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Records a server's WAL as it is written: complete segments, and the one that fills at least once
 * per flush interval. Acknowledges only what is durable in the repository.
 *
 * <p>A complete segment is written by a thread of its own while the next one arrives, one at a
 * time. Nothing that follows it in the log is written, told or acknowledged before it is durable,
 * and whatever keeps it from being stored ends the receiver. What arrives of a segment while its
 * beginning is written gathers, and is written together by the next write. A synchronous receiver
 * begins that one at once, never on a timer.
 *
 * <p>Always begins at the start of a segment: that of the one after the newest complete segment in
 * the repository, else of the one the server is writing. So it goes on without a gap after it, or
 * the server, was stopped in any way, and the repository compares what it gets twice.
 */
public final class WalReceiver {
  /**
   * What to do otherwise than by default.
   *
   * @param slot a physical slot; null without one
   * @param flushInterval how old WAL may get before it is durable in the repository
   * @param heal whether to go on by itself where WAL or the slot was lost
   * @param synchronous whether commits may be waiting: WAL is written as soon as it has arrived,
   *     and nothing is reported as received that is not durable
   * @param reserve whether, without a slot, the server keeps WAL for as long as each connection
   *     lasts, if it can
   */
  public record Options(
      @Nullable String slot,
      Duration flushInterval,
      boolean heal,
      boolean synchronous,
      boolean reserve) {
    /** No slot, every second, no gap. */
    public static final Options DEFAULT =
        new Options(null, Duration.ofSeconds(1), false, false, false);

    /** Uses a physical slot, which must exist. */
    public Options withSlot(@Nullable String name) {
      return new Options(name, flushInterval, heal, synchronous, reserve);
    }

    /** How old WAL may get until it is durable, if the repository is not slower than half of it. */
    public Options withFlushInterval(Duration interval) {
      return new Options(slot, interval, heal, synchronous, reserve);
    }

    /**
     * Begins at the server's present segment when the WAL after the newest recorded one is gone (a
     * new base backup has to follow), and makes the slot (anew) where it was lost or is missing and
     * the server has a limit for what it keeps.
     */
    public Options healing() {
      return new Options(slot, flushInterval, true, synchronous, reserve);
    }

    /** Writes on demand, for a receiver that commits wait for. */
    public Options synchronously() {
      return new Options(slot, flushInterval, heal, true, reserve);
    }

    /** Uses a temporary slot where there is no other. */
    public Options reserving() {
      return new Options(slot, flushInterval, heal, synchronous, true);
    }
  }

  /**
   * Hears of WAL that has become durable, and of the connection. Called by the running thread, and
   * by the one that writes complete segments: {@link #durable} never by both at once.
   */
  public interface Listener {
    /**
     * More WAL is durable. Within a timeline every byte comes once, in order, beginning with the
     * first byte of a segment: the one this run began in, parts of which may have been stored
     * before. A new timeline begins again at a segment's first byte.
     *
     * @param bytes valid until the call returns
     */
    void durable(int timeline, Lsn from, byte[] bytes, int offset, int length);

    /** Streaming from this position. */
    default void connected(int timeline, Lsn from) {}

    /**
     * WAL between these positions was written by the server, is not recorded, and is gone. Told
     * before anything after it is recorded.
     */
    default void lost(int timeline, Lsn from, Lsn to, String why) {}

    /** Something about the slot changed that an operator may want to know. */
    default void slot(String what) {}

    /** The connection was lost or cannot be made; tried again after a pause. */
    default void disconnected(OperatorException why, Duration pause) {}
  }

  private static final Logger LOG = LoggerFactory.getLogger(WalReceiver.class);

  private static final class Putting {
    private final byte[] bytes;
    private final Future<?> end;

    private Putting(byte[] bytes, Future<?> end) {
      this.bytes = bytes;
      this.end = end;
    }
  }

  /** Two segments in memory may take this part of it. */
  private static final int HEAP_PART = 4;

  /**
   * How long to wait when all that has arrived is taken: it bounds what a connection costs, and
   * what a message waits. Where much comes meanwhile there is no wait.
   */
  private static final Duration POLL = Duration.ofMillis(50);

  /**
   * For so long we take what arrives before we wait: a server that commits a thousand times a
   * second sends as many messages, and taking each as it comes would cost a wake-up for each.
   */
  private static final Duration TAKING_MAX = Duration.ofMillis(2);

  private static final int STREAMING_BYTES = 1 << 20;
  private static final int POLLS_EACH_INTERVAL = 10;

  /** A server that never stops sending is not waited for any longer when commits wait for us. */
  private static final Duration GATHER_MAX = Duration.ofMillis(5);

  private static final Duration ASK_AFTER_SILENCE = Duration.ofSeconds(10);
  private static final Duration SILENCE_MAX = Duration.ofSeconds(30);
  private static final Duration BUSY_SLOT_MAX = Duration.ofSeconds(30);
  private static final Duration PAUSE_FIRST = Duration.ofMillis(100);
  private static final Duration PAUSE_MAX = Duration.ofSeconds(5);
  private static final int APPLICATION_NAME_MAX = 63;

  private final PostgresUrl url;
  private final ClusterStore cluster;
  private final WalStore wal;
  private final Options options;
  private final Listener listener;
  private final String name;
  private final int segmentSize;

  private final ReentrantLock lock = new ReentrantLock();
  private final Condition progressed = lock.newCondition();
  private Lsn stored = Lsn.NONE;
  private int storedTimeline;
  private boolean ended;

  // Since when the oldest WAL waits that is not durable, of the segment that fills, and of the one
  // before it that is being written; by System.nanoTime, 0 when none does.
  private long fillingSince;
  private long puttingSince;
  private @Nullable ReplicationStream streaming;
  private final CountDownLatch stopRequested = new CountDownLatch(1);
  private volatile long behind;

  private final ExecutorService writer =
      Executors.newSingleThreadExecutor(
          Thread.ofPlatform().daemon().name("record-writer").factory());

  // The segment that fills; touched by the running thread only, but for what was heard: by the
  // writing one while the running one waits for it, or has nothing to tell.
  private byte[] buffer = new byte[0];

  /** For the next segment; null while it is being written, and where there is no room for two. */
  private byte @Nullable [] spare;

  /** The complete segment that is being written; null when none is. */
  private @Nullable Putting putting;

  private @Nullable SegmentName segment;
  private int filled;
  private int flushed;
  private long writing;
  private boolean skipping;
  private String skippingBecause = "";
  private boolean slotInDoubt;
  private boolean withoutSlot;
  private Lsn heard = Lsn.NONE;
  private int heardTimeline;

  /** A receiver that records into this cluster's store once it {@link #run runs}. */
  public WalReceiver(PostgresUrl url, ClusterStore cluster, Options options, Listener listener) {
    this.name = cluster.document().name();
    this.url = url.withApplicationName(applicationName(name));
    this.cluster = cluster;
    this.wal = cluster.wal();
    this.options = options;
    this.listener = listener;
    this.segmentSize = cluster.document().walSegmentSize();
    StoredSegment newest = newest();
    if (newest != null) {
      SegmentName parsed = SegmentName.parse(newest.name(), segmentSize);
      stored = parsed.start().plus(newest.bytes());
      storedTimeline = parsed.timeline();
    }
  }

  /** What a cluster's recorder is called in pg_stat_replication and synchronous_standby_names. */
  public static String applicationName(String cluster) {
    String name = "holdfast:" + cluster;
    return name.substring(0, Math.min(name.length(), APPLICATION_NAME_MAX));
  }

  /**
   * Whether a receiver of this cluster, here or elsewhere, is connected to the server.
   *
   * @throws DatabaseUnreachableException when the server does not let us in
   */
  public static boolean isActive(PostgresUrl url, String cluster) {
    try (Connection connection = url.open()) {
      return !ServerFacts.value(
              connection,
              "SELECT count(*) FROM pg_stat_replication WHERE application_name = "
                  + Sql.literal(applicationName(cluster)))
          .equals("0");
    } catch (SQLException e) {
      throw new OperatorException(
          Kind.FAILED,
          "cannot see whether a recorder of " + cluster + " is running",
          ConnectFailures.firstLine(e),
          "check the server's log for this moment, then run the same command again",
          e);
    }
  }

  /** All WAL before this position is durable in the repository; any thread may ask. */
  public Lsn storedThrough() {
    lock.lock();
    try {
      return stored;
    } finally {
      lock.unlock();
    }
  }

  /** The timeline of {@link #storedThrough}; 0 before anything was stored. */
  public int timeline() {
    lock.lock();
    try {
      return storedTimeline;
    } finally {
      lock.unlock();
    }
  }

  /**
   * Waits until all WAL before a position is durable.
   *
   * @return false when the time was over first, or the receiver has ended
   */
  public boolean awaitStored(Lsn lsn, Duration timeout) throws InterruptedException {
    long left = timeout.toNanos();
    lock.lock();
    try {
      while (stored.isBefore(lsn)) {
        if (ended || left <= 0) {
          return false;
        }
        left = progressed.awaitNanos(left);
      }
      return true;
    } finally {
      lock.unlock();
    }
  }

  /**
   * For how long the oldest WAL that has arrived has been waiting to become durable; zero when none
   * is. Any thread may ask.
   */
  public Duration waiting() {
    lock.lock();
    try {
      long since = puttingSince == 0 ? fillingSince : puttingSince; // which was there before
      return since == 0 ? Duration.ZERO : Duration.ofNanos(Math.max(1, System.nanoTime() - since));
    } finally {
      lock.unlock();
    }
  }

  /** How many bytes of WAL the server had, at its last message, that have not arrived here. */
  public long behind() {
    return behind;
  }

  /**
   * Breaks the connection, though the repository is being written to: the server waits for this
   * receiver no longer. It connects again once that write has ended.
   */
  public void disconnect() {
    ReplicationStream stream;
    lock.lock();
    try {
      stream = streaming;
    } finally {
      lock.unlock();
    }
    if (stream != null) {
      stream.close();
    }
  }

  /** Makes {@link #run} store what it has and return. */
  public void stop() {
    stopRequested.countDown();
  }

  private boolean stopping() {
    return stopRequested.getCount() == 0;
  }

  /**
   * Records until {@link #stop}; connects again, after growing pauses, whenever the server goes
   * away.
   *
   * @throws OperatorException when waiting does not help: a wrong password, another cluster, WAL
   *     that the server no longer has, a repository that cannot be written
   */
  public void run() {
    Retry retry = new Retry(PAUSE_FIRST, PAUSE_MAX);
    try {
      while (!stopping()) {
        OperatorException lost;
        try {
          recordOnce(retry);
          continue;
        } catch (DatabaseUnreachableException e) {
          if (!e.temporary()) {
            throw e;
          }
          lost = e;
        } catch (SQLException e) {
          lost = judged(e);
        }
        Duration pause = retry.next();
        if (!stopping()) {
          LOG.info("recording of {} pauses for {}: {}", name, pause, lost.why());
          listener.disconnected(lost, pause);
          sleep(pause);
        }
      }
    } finally {
      writer.shutdown(); // what it had to write was awaited
      lock.lock();
      try {
        ended = true;
        progressed.signalAll();
      } finally {
        lock.unlock();
      }
    }
  }

  /** What broke the stream: thrown when trying again cannot help. */
  private OperatorException judged(SQLException e) {
    String said = ConnectFailures.firstLine(e);
    String what = "cannot go on recording " + name;
    if (said.contains("has already been removed")) {
      if (options.heal) {
        LOG.warn("WAL of {} after {} is not recorded: {}", name, storedThrough(), said);
        skipping = true;
        skippingBecause = said;
        slotInDoubt = true;
        return new DatabaseUnreachableException(
            true, what, said, "nothing: recording begins anew where the server is now", e);
      }
      throw new OperatorException(
          Kind.FAILED,
          what,
          "the server no longer has the WAL after " + storedThrough() + " (" + said + ")",
          "take a new base backup: holdfast backup "
              + name
              + "; what is recorded up to "
              + storedThrough()
              + " stays usable, and changes from there to the new backup are not recorded; a"
              + " replication slot or a larger wal_keep_size prevents this",
          e);
    }
    if (said.contains("ahead of the WAL flush position")
        || said.contains("is not in this server's history")) {
      throw new OperatorException(
          Kind.REFUSED,
          what,
          "the server is behind what is recorded of it ("
              + said
              + "): it was put back to an"
              + " earlier state",
          "check that this is the protected server; if it is, protect it under another name; what"
              + " is recorded stays readable",
          e);
    }
    String state = String.valueOf(e.getSQLState());
    boolean slotGone = state.equals("42704");
    if (options.heal
        && options.slot != null
        && !withoutSlot
        && (slotGone || said.contains("can no longer access replication slot"))) {
      slotInDoubt = true;
      return new DatabaseUnreachableException(
          true, what, said, "nothing: the slot is made anew", e);
    }
    if (slotGone) {
      throw new OperatorException(
          Kind.FAILED,
          what,
          said,
          "protect it again, which makes the slot, or record without one",
          e);
    }
    if (state.equals("42501") || state.equals("28000")) {
      throw new OperatorException(
          Kind.REFUSED,
          what,
          said,
          "as a superuser run: ALTER ROLE " + Sql.identifier(url.user()) + " REPLICATION",
          e);
    }
    return new DatabaseUnreachableException(
        true, what, "the connection was lost (" + said + ")", "nothing: it is tried again", e);
  }

  private void recordOnce(Retry retry) throws SQLException {
    if (slotInDoubt && options.slot != null) {
      mendSlot(options.slot);
      slotInDoubt = false;
    }
    try (ReplicationStream stream = new ReplicationStream(url)) {
      ReplicationStream.Identity identity = stream.identify();
      String recorded = cluster.document().systemIdentifier();
      if (!recorded.equals(identity.systemIdentifier())) {
        throw OtherCluster.found("cannot record " + name, recorded, identity.systemIdentifier());
      }
      TimelineHistory history = history(stream, identity.timeline());
      SegmentName from = next(identity, history);
      TimelineHistory.Part part = history.part(from.timeline());
      Lsn until = part == null || part.to() == null ? Lsn.NONE : part.to();
      begin(from);
      String slot = withoutSlot ? null : options.slot;
      stream.start(
          slot == null && options.reserve ? stream.reserve() : slot, from.start(), from.timeline());
      streams(stream);
      retry.succeeded();
      listener.connected(from.timeline(), from.start());
      receive(stream, until);
    } finally {
      streams(null);
      try {
        // Where the next connection begins, the repository says; that it cannot be written to
        // counts
        // for more than a lost connection. After a failure no further segment is begun.
        finishPut();
      } finally {
        waits(false);
        behind = 0;
      }
    }
  }

  private void streams(@Nullable ReplicationStream stream) {
    lock.lock();
    try {
      streaming = stream;
    } finally {
      lock.unlock();
    }
  }

  private void waits(boolean something) {
    lock.lock();
    try {
      fillingSince = !something ? 0 : fillingSince == 0 ? System.nanoTime() : fillingSince;
    } finally {
      lock.unlock();
    }
  }

  /** A server that was promoted has no slot of ours, and one that gave it up has a useless one. */
  private void mendSlot(String slot) {
    long deadline = System.nanoTime() + BUSY_SLOT_MAX.toNanos();
    while (true) {
      try {
        ReplicationSlot.Mended mended = ReplicationSlot.mend(url, slot);
        withoutSlot = mended == ReplicationSlot.Mended.UNLIMITED;
        switch (mended) {
          case FINE -> {}
          case MADE -> listener.slot("replication slot " + slot + " was not there; it was made");
          case MADE_ANEW ->
              listener.slot(
                  "replication slot " + slot + " was given up by the server; it was made anew");
          case UNLIMITED ->
              listener.slot(
                  "replication slot "
                      + slot
                      + " is not there, and is not made: max_slot_wal_keep_size is unlimited, so it"
                      + " could fill the server's disk; recording goes on without a slot");
        }
        return;
      } catch (OperatorException e) {
        // The walsender that was refused may hold it for a moment.
        if (stopping() || System.nanoTime() > deadline) {
          throw e;
        }
        LOG.debug("slot {} cannot be mended yet", slot, e);
        sleep(PAUSE_FIRST);
      }
    }
  }

  /**
   * The history of the server's timeline, stored with those of the timelines it descends from: by
   * itself recorded WAL does not say which timeline followed which, and where.
   */
  private TimelineHistory history(ReplicationStream stream, int timeline) throws SQLException {
    byte[] content = timeline == 1 ? null : stream.history(timeline);
    if (content == null) {
      return TimelineHistory.withoutParents(timeline);
    }
    TimelineHistory history = TimelineHistory.parse(timeline, content);
    wal.putHistory(timeline, content);
    for (TimelineHistory.Switch left : history.switches()) {
      if (left.from() != 1 && wal.readHistory(left.from()) == null) {
        // Its lines are in the newer file as well: a server that lost it is no obstacle.
        byte[] older = stream.history(left.from());
        if (older != null) {
          wal.putHistory(left.from(), older);
        }
      }
    }
    return history;
  }

  /**
   * The segment to begin with: after what is recorded of the newest timeline in the server's
   * history of which something is. WAL of a timeline the server left behind, as after a restore,
   * stays recorded beside.
   */
  private SegmentName next(ReplicationStream.Identity identity, TimelineHistory history) {
    List<StoredSegment> recorded = wal.list();
    if (recorded.isEmpty() || skipping) {
      SegmentName now =
          SegmentName.containing(identity.flushed(), identity.timeline(), segmentSize);
      if (skipping && !recorded.isEmpty()) {
        listener.lost(identity.timeline(), storedThrough(), now.start(), skippingBecause);
      }
      skipping = false;
      return now;
    }
    int newest = SegmentName.parse(recorded.getLast().name(), segmentSize).timeline();
    if (Integer.compareUnsigned(identity.timeline(), newest) < 0) {
      throw new DatabaseUnreachableException(
          true,
          "cannot go on recording " + name,
          "the server is on timeline %s, and timeline %s is recorded already: this is an old"
                  .formatted(
                      Integer.toUnsignedString(identity.timeline()),
                      Integer.toUnsignedString(newest))
              + " primary, or a standby that has not followed the promotion",
          "point the recorder at the server that was promoted; it is tried again",
          null);
    }
    Lsn begin = Lsn.NONE;
    int begun = identity.timeline();
    for (TimelineHistory.Part part : history.parts().reversed()) {
      StoredSegment last = newest(recorded, part);
      if (last != null) {
        SegmentName parsed = SegmentName.parse(last.name(), segmentSize);
        if (part.to() == null || parsed.start().plus(last.bytes()).isBefore(part.to())) {
          return last.complete() ? parsed.next() : parsed;
        }
        return SegmentName.containing(begin, begun, segmentSize);
      }
      begin = part.from();
      begun = part.timeline();
    }
    throw new OperatorException(
        Kind.REFUSED,
        "cannot go on recording " + name,
        "the server is on timeline %s (%s), which does not descend from the recorded timeline %s"
            .formatted(
                Integer.toUnsignedString(identity.timeline()),
                history.switches().isEmpty() ? "it has no history of it" : history,
                Integer.toUnsignedString(newest)),
        "check that this is the protected server; if it is, protect it under another name; what is"
            + " recorded stays readable");
  }

  /** The last segment that holds some of this part; null when none is recorded. */
  private @Nullable StoredSegment newest(List<StoredSegment> recorded, TimelineHistory.Part part) {
    for (StoredSegment stored : recorded.reversed()) {
      SegmentName parsed = SegmentName.parse(stored.name(), segmentSize);
      if (parsed.timeline() == part.timeline()
          && part.from().isBefore(parsed.end())
          && (part.to() == null || parsed.start().isBefore(part.to()))) {
        return stored;
      }
    }
    return null;
  }

  private @Nullable StoredSegment newest() {
    List<StoredSegment> segments = wal.list();
    return segments.isEmpty() ? null : segments.getLast();
  }

  private void begin(SegmentName first) {
    if (buffer.length != segmentSize) {
      buffer = new byte[segmentSize];
      boolean room = 2L * segmentSize <= Runtime.getRuntime().maxMemory() / HEAP_PART;
      spare = room ? new byte[segmentSize] : null;
    }
    segment = first;
    filled = 0;
    flushed = 0;
    if (heardTimeline != first.timeline() || first.start().isAfter(heard)) {
      heard = first.start();
      heardTimeline = first.timeline();
    }
  }

  private void receive(ReplicationStream stream, Lsn until) throws SQLException {
    Duration poll = poll();
    long burst = 0;
    long lastStatus = System.nanoTime();
    long lastMessage = lastStatus;
    long lastAsked = lastStatus;
    long takingSince = lastStatus;
    Lsn acknowledged = Lsn.NONE;
    while (true) {
      ReplicationStream.Message message = stream.poll();
      long now = System.nanoTime();
      boolean answer = false;
      switch (message) {
        case null -> {}
        case ReplicationStream.Message.Wal received -> {
          lastMessage = now;
          burst += received.bytes().remaining();
          take(received);
          behind = Math.max(0, received.end().minus(received()));
        }
        case ReplicationStream.Message.KeepAlive alive -> {
          lastMessage = now;
          answer = alive.replyRequested();
        }
      }
      settlePut();
      // Once all that has arrived was taken: what commits at the same time is written together.
      boolean gathered =
          options.synchronous
              && filled > flushed
              && (message == null || (putting == null && waiting().compareTo(GATHER_MAX) > 0));
      boolean atEnd = !until.equals(Lsn.NONE) && !received().isBefore(until);
      // A server that shuts down asks for an answer and waits until all it sent is durable.
      boolean flushes = gathered || flushIsDue(now) || answer || stopping() || atEnd;
      if (flushes) {
        if (options.synchronous) {
          finishPut();
          acknowledged = acknowledge(stream, acknowledged);
        }
        flush();
      }
      if (options.synchronous) {
        acknowledged = acknowledge(stream, acknowledged);
      }
      if (flushes || now - lastStatus >= options.flushInterval.toNanos()) {
        lastStatus = now;
        boolean silent = now - lastMessage > ASK_AFTER_SILENCE.toNanos();
        boolean ask = silent && now - lastAsked > ASK_AFTER_SILENCE.toNanos();
        if (ask) {
          lastAsked = now;
        }
        Lsn durable = durableHere();
        // With synchronous_commit = remote_write commits wait for what is received only.
        stream.acknowledge(options.synchronous ? durable : received(), durable, ask);
        acknowledged = durable;
      }
      if (stopping() || atEnd) {
        end(stream);
        return;
      }
      if (stream.ended()) {
        flush();
        throw new SQLException("the server ended the stream", "08006");
      }
      if (now - lastMessage > SILENCE_MAX.toNanos()) {
        throw new SQLException("the server is silent", "08006");
      }
      if (message == null || now - takingSince > TAKING_MAX.toNanos()) {
        if (!options.synchronous && burst < STREAMING_BYTES && behind < STREAMING_BYTES) {
          sleep(poll);
        }
        takingSince = System.nanoTime();
        burst = 0;
      }
    }
  }

  /** At once, if more is durable than the server knows: commits may wait for it. */
  private Lsn acknowledge(ReplicationStream stream, Lsn acknowledged) throws SQLException {
    Lsn durable = durableHere();
    if (durable.isAfter(acknowledged)) {
      stream.acknowledge(durable, durable, false);
    }
    return durable;
  }

  /**
   * What is durable of the timeline that is received; {@link Lsn#NONE}, which a server ignores, as
   * long as nothing of it is. Of the one before it more may be stored than the new one has: a
   * server that was told that position would let commits go, and WAL, that nobody has.
   */
  private Lsn durableHere() {
    int timeline = filling().timeline();
    lock.lock();
    try {
      return storedTimeline == timeline ? stored : Lsn.NONE;
    } finally {
      lock.unlock();
    }
  }

  /**
   * WAL is to be durable when it is as old as the interval: a write begins as long before as the
   * last one took, and what arrived while nobody looked.
   */
  private boolean flushIsDue(long now) {
    long interval = options.flushInterval.toNanos();
    long headStart = Math.min(writing + poll().toNanos(), interval / 2);
    lock.lock();
    try {
      return fillingSince != 0 && now - fillingSince >= interval - headStart;
    } finally {
      lock.unlock();
    }
  }

  private Duration poll() {
    Duration part = options.flushInterval.dividedBy(POLLS_EACH_INTERVAL).plus(Duration.ofMillis(1));
    return POLL.compareTo(part) < 0 ? POLL : part;
  }

  private void end(ReplicationStream stream) {
    try {
      stream.end();
    } catch (SQLException e) {
      // All that was received is stored: how the server takes our leave changes nothing.
      LOG.debug("the stream of {} did not end in peace", name, e);
    }
  }

  private Lsn received() {
    SegmentName filling = segment;
    return filling == null ? Lsn.NONE : filling.start().plus(filled);
  }

  private void take(ReplicationStream.Message.Wal message) {
    if (!message.start().equals(received())) {
      throw new IllegalStateException(
          "WAL from " + message.start() + " does not follow " + received());
    }
    while (message.bytes().hasRemaining()) {
      int now = Math.min(message.bytes().remaining(), segmentSize - filled);
      message.bytes().get(buffer, filled, now);
      filled += now;
      waits(filled > flushed);
      if (filled == segmentSize) {
        beginPut();
      }
    }
  }

  /** Has the complete segment written, and goes on with the next one. */
  private void beginPut() {
    finishPut(); // in order, and no more than one
    SegmentName full = filling();
    byte[] bytes = buffer;
    lock.lock();
    try {
      puttingSince = fillingSince == 0 ? System.nanoTime() : fillingSince;
      fillingSince = 0;
    } finally {
      lock.unlock();
    }
    putting =
        new Putting(
            bytes,
            writer.submit(() -> {
              wal.put(full.toString(), bytes);
              durable(full, bytes, segmentSize);
            }));
    if (spare == null) {
      finishPut();
    } else {
      buffer = spare;
      spare = null;
    }
    segment = full.next();
    filled = 0;
    flushed = 0;
  }

  /** Meets what became of the segment that was being written, if it has ended. */
  private void settlePut() {
    if (putting != null && putting.end.isDone()) {
      finishPut();
    }
  }

  /**
   * Waits until no segment is being written.
   *
   * @throws RuntimeException whatever kept it from being stored
   */
  private void finishPut() {
    Putting last = putting;
    if (last == null) {
      return;
    }
    putting = null;
    try {
      while (true) {
        try {
          last.end.get();
          break;
        } catch (InterruptedException e) {
          stop(); // interrupting the thread is another way to stop it; what has arrived is stored
        }
      }
    } catch (ExecutionException e) {
      switch (e.getCause()) {
        case RuntimeException failure -> throw failure;
        case Error failure -> throw failure;
        case null, default -> throw new IllegalStateException(e);
      }
    } finally {
      lock.lock();
      try {
        puttingSince = 0;
      } finally {
        lock.unlock();
      }
    }
    spare = last.bytes == buffer ? null : last.bytes;
  }

  private void flush() {
    if (filled > flushed) {
      SegmentName filling = filling();
      long begun = System.nanoTime();
      finishPut(); // what is durable has no gap
      wal.putPartial(filling.toString(), buffer, filled, flushed);
      writing = System.nanoTime() - begun;
      waits(false);
      durable(filling, buffer, filled);
      flushed = filled;
    } else {
      finishPut();
    }
  }

  private SegmentName filling() {
    if (segment == null) {
      throw new IllegalStateException("no segment yet");
    }
    return segment;
  }

  /**
   * The segment's first bytes are in the repository: tells whoever waits or listens. One thread at
   * a time: that which flushes waits for the writing one before.
   */
  private void durable(SegmentName filling, byte[] bytes, int length) {
    Lsn through = filling.start().plus(length);
    lock.lock();
    try {
      if (storedTimeline != filling.timeline() || through.isAfter(stored)) {
        stored = through;
        storedTimeline = filling.timeline();
        progressed.signalAll();
      }
    } finally {
      lock.unlock();
    }
    if (through.isAfter(heard)) {
      int offset = (int) heard.minus(filling.start());
      listener.durable(filling.timeline(), heard, bytes, offset, length - offset);
      heard = through;
    }
  }

  private void sleep(Duration pause) {
    try {
      stopRequested.await(pause.toNanos(), TimeUnit.NANOSECONDS);
    } catch (InterruptedException e) {
      stop(); // interrupting the thread is another way to stop it
    }
  }
}
