package dev.holdfast.postgres;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RawRecord;
import dev.holdfast.wal.ResourceManager;
import dev.holdfast.wal.WalDamagedException;
import dev.holdfast.wal.WalReader;
import dev.holdfast.wal.WalRecord;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * Reads recorded WAL ahead of the server that replays it, and stops what must not be replayed.
 *
 * <p>Replaying CREATE TABLESPACE removes whatever is at production's path and makes it anew
 * ("commands/tablespace.c", create_tablespace_directories, PostgreSQL 14 to 18). On production's
 * own machine that would be production's data. Tablespaces that a base backup holds are safe: a
 * fork keeps them inside its scratch folder, and replay reaches them through pg_tblspc.
 *
 * <p>Damage is told here by its position, before the server only finds its log ended.
 */
final class ReplayHazards {
  private static final int CREATE_TABLESPACE = 0x00;
  private static final int PARAMETER_CHANGE = 0x60;
  private static final int OPCODE = 0xF0;

  /**
   * A record whose path is empty, for a tablespace inside pg_tblspc: header 24, data header 2, OID
   * 4, end of text 1.
   */
  private static final int IN_PLACE_LENGTH = 31;

  private final String what;
  private final Lsn from;
  private final WalReader reader;
  private volatile Lsn target;

  /** Whether {@code nextLsn} is that of a record that was read and not yet found harmless. */
  private boolean hasNext;

  private long nextLsn;
  private long nextEnd;
  private Map<String, Integer> nextSettings = Map.of();
  private boolean nextIsHazard;

  /** Of the records that were read, lie before the target and were found harmless. */
  private Lsn lastStart = Lsn.NONE;

  private Lsn lastEnd = Lsn.NONE;
  private final Map<String, Integer> settings = new TreeMap<>();
  private @Nullable WalDamagedException damage;

  /** The first of each that others read, whatever the target was. */
  private @Nullable Lsn hazardSeen;

  private @Nullable WalDamagedException damageSeen;

  /**
   * @param what the operation that would fail
   * @param first start of the first segment that will be read
   * @param from where replay starts, inside that segment
   * @param target where replay stops
   */
  ReplayHazards(String what, Lsn first, int segmentSize, Lsn from, Lsn target) {
    this.what = what;
    this.from = from;
    this.target = target;
    this.reader = new WalReader(first, segmentSize);
  }

  /** Replay goes on to here; told before more is read. */
  void moveTo(Lsn farther) {
    target = farther;
  }

  /**
   * Reads the next segment.
   *
   * @param bytes the valid bytes of it
   * @throws OperatorException REFUSED for a record that must not be replayed, DAMAGED_DATA for
   *     bytes that cannot be
   */
  void read(byte[] bytes) {
    check();
    if (!hasNext && damage == null) { // else nobody reads that far
      reader.feed(bytes, 0, bytes.length);
      check();
    }
  }

  /**
   * Looks at what was read and lies before the target.
   *
   * @throws OperatorException as {@link #read}
   */
  void check() {
    while (hasNext || poll()) {
      if (Long.compareUnsigned(nextLsn, target.position()) >= 0) {
        return;
      }
      if (nextIsHazard) {
        throw hazard(new Lsn(nextLsn));
      }
      lastStart = new Lsn(nextLsn);
      lastEnd = new Lsn(nextEnd);
      nextSettings.forEach((name, value) -> settings.merge(name, value, Math::max));
      hasNext = false;
    }
    if (damage != null && damage.at().isBefore(target)) {
      throw damage;
    }
  }

  private boolean poll() {
    if (damage == null) {
      try {
        RawRecord record = reader.poll();
        hasNext = record != null;
        if (record != null) {
          nextLsn = record.lsn();
          nextEnd = record.end();
          nextSettings = settings(record);
          nextIsHazard = isHazard(record);
        }
      } catch (WalDamagedException e) {
        damage = e; // a failure only when it lies before the target
      }
    }
    return hasNext;
  }

  /** Whether every record before the target was read. */
  boolean isRead() {
    return hasNext || !reader.position().isBefore(target);
  }

  /**
   * Says that the log is recorded to here.
   *
   * @throws WalDamagedException when it ended before
   */
  void finish(Lsn recordedTo) {
    reader.finish(recordedTo);
  }

  /** Where the last record before the target starts, as far as was read. */
  Lsn lastStart() {
    return lastStart;
  }

  /** Where that record ends. */
  Lsn lastEnd() {
    return lastEnd;
  }

  /** What the log says a server that replays it has to have at least, by setting. */
  Map<String, Integer> settings() {
    return Map.copyOf(settings);
  }

  private static Map<String, Integer> settings(RawRecord record) {
    if (record.rmgr() == ResourceManager.XLOG
        && (record.info() & OPCODE) == PARAMETER_CHANGE
        && record.decode() instanceof WalRecord.ParameterChange change) {
      return Map.of(
          "max_connections", change.maxConnections(),
          "max_worker_processes", change.maxWorkerProcesses(),
          "max_wal_senders", change.maxWalSenders(),
          "max_prepared_transactions", change.maxPreparedTransactions(),
          "max_locks_per_transaction", change.maxLocksPerTransaction());
    }
    return Map.of();
  }

  private OperatorException hazard(Lsn at) {
    return new OperatorException(
        Kind.REFUSED,
        what,
        "at %s a tablespace is created, and replaying that would empty its folder if this"
                .formatted(at)
            + " machine has one of the same path",
        "choose a target through %s, or one after a base backup that was made later".formatted(at));
  }

  /**
   * Checks a record that somebody else read, perhaps far ahead: {@link #checkSeen} remembers it.
   * Any thread, in any order.
   *
   * @throws OperatorException REFUSED when it must not be replayed
   */
  void check(RawRecord record) {
    if (isHazard(record)) {
      Lsn at = new Lsn(record.lsn());
      synchronized (this) {
        hazardSeen = hazardSeen == null || at.isBefore(hazardSeen) ? at : hazardSeen;
      }
      checkSeen();
    }
  }

  /**
   * Checks what somebody else could not read. Any thread.
   *
   * @throws WalDamagedException the same, when it is before the target
   */
  void check(WalDamagedException found) {
    synchronized (this) {
      damageSeen = damageSeen == null || found.at().isBefore(damageSeen.at()) ? found : damageSeen;
    }
    checkSeen();
  }

  /**
   * Checks again what others saw: the target may lie further on than it did then.
   *
   * @throws OperatorException as {@link #read}
   */
  synchronized void checkSeen() {
    if (hazardSeen != null && hazardSeen.isBefore(target)) {
      throw hazard(hazardSeen);
    }
    if (damageSeen != null && damageSeen.at().isBefore(target)) {
      throw damageSeen;
    }
  }

  private boolean isHazard(RawRecord record) {
    return record.rmgr() == ResourceManager.TABLESPACE
        && (record.info() & OPCODE) == CREATE_TABLESPACE
        && record.length() > IN_PLACE_LENGTH
        && Long.compareUnsigned(record.lsn(), from.position()) >= 0;
  }
}
