package dev.holdfast.postgres;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RawRecord;
import dev.holdfast.wal.ResourceManager;
import dev.holdfast.wal.WalDamagedException;
import dev.holdfast.wal.WalReader;
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
  private static final int OPCODE = 0xF0;

  /**
   * A record whose path is empty, for a tablespace inside pg_tblspc: header 24, data header 2, OID
   * 4, end of text 1.
   */
  private static final int IN_PLACE_LENGTH = 31;

  private final String what;
  private final Lsn from;
  private final WalReader reader;
  private Lsn target;

  /** The first ones seen; failures only when they lie before the target. */
  private @Nullable Lsn hazard;

  private @Nullable WalDamagedException damage;

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
  synchronized void moveTo(Lsn farther) {
    target = farther;
  }

  /**
   * Reads the next segment, and checks.
   *
   * @param bytes the valid bytes of it
   * @throws OperatorException as {@link #check}
   */
  void read(byte[] bytes) {
    if (!isDamaged()) { // else nobody reads that far
      try {
        reader.feed(bytes, 0, bytes.length);
        for (RawRecord record = reader.poll(); record != null; record = reader.poll()) {
          look(record);
        }
      } catch (WalDamagedException e) {
        look(e);
      }
    }
    check();
  }

  /** Looks at a record that somebody read. Any thread, in any order. */
  void look(RawRecord record) {
    if (isHazard(record)) {
      Lsn at = new Lsn(record.lsn());
      synchronized (this) {
        hazard = hazard != null && hazard.isBefore(at) ? hazard : at;
      }
    }
  }

  /** Notes what somebody could not read. Any thread. */
  synchronized void look(WalDamagedException found) {
    damage = damage != null && damage.at().isBefore(found.at()) ? damage : found;
  }

  private synchronized boolean isDamaged() {
    return damage != null;
  }

  /**
   * Checks what was looked at so far and lies before the target. Any thread.
   *
   * @throws OperatorException REFUSED for a record that must not be replayed, DAMAGED_DATA for
   *     bytes that cannot be
   */
  synchronized void check() {
    if (hazard != null && hazard.isBefore(target)) {
      throw new OperatorException(
          Kind.REFUSED,
          what,
          "at %s a tablespace is created, and replaying that would empty its folder if this"
                  .formatted(hazard)
              + " machine has one of the same path",
          "choose a target through %s, or one after a base backup that was made later"
              .formatted(hazard));
    }
    if (damage != null && damage.at().isBefore(target)) {
      throw damage;
    }
  }

  private boolean isHazard(RawRecord record) {
    return record.rmgr() == ResourceManager.TABLESPACE
        && (record.info() & OPCODE) == CREATE_TABLESPACE
        && record.length() > IN_PLACE_LENGTH
        && Long.compareUnsigned(record.lsn(), from.position()) >= 0;
  }
}
