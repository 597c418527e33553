package dev.holdfast.operations;

import java.util.function.Consumer;
import java.util.function.Predicate;

/** Every record of the write-ahead log, as pg_waldump shows them, with the names of tables. */
public final class WalDump {
  private final WalInput input;

  /** Of these files, or of what a repository recorded. */
  public WalDump(WalInput input) {
    this.input = input;
  }

  /**
   * Tells of every wanted record, in order.
   *
   * @param sink answers whether it wants more
   * @param notes told of holes, of where reading ended, and of whose names are used
   * @throws dev.holdfast.failure.OperatorException DAMAGED_DATA, when everything before the damage
   *     was told; USAGE
   */
  public void run(WalFilter filter, Predicate<WalEntry> sink, Consumer<WalNote> notes) {
    OpenedWal wal = OpenedWal.open(input, filter, notes);
    // Whoever reads the records sees how it is getting on.
    wal.read(Progress.SILENT, record -> sink.test(WalEntry.of(record, wal.names())), notes);
  }
}
