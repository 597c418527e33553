package dev.holdfast.wal;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;

/** The log cannot be read past a position, and that position is not its end. */
public final class WalDamagedException extends OperatorException {
  private static final long serialVersionUID = 1L;

  private final long at;
  private final String segment;

  WalDamagedException(Lsn at, String segment, String found) {
    super(
        Kind.DAMAGED_DATA,
        "cannot read WAL past %s in segment %s".formatted(at, segment),
        found,
        "fetch another copy of this segment (the archive, or a standby's pg_wal) and run again;"
            + " a restore can reach any point before "
            + at);
    this.at = at.position();
    this.segment = segment;
  }

  /** Start of the record that cannot be read: everything before it can. */
  public Lsn at() {
    return new Lsn(at);
  }

  /** Name of the segment file to fetch again. */
  public String segment() {
    return segment;
  }
}
