package dev.holdfast.operations;

import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RawRecord;
import java.util.function.Consumer;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/** WAL from somewhere, as records in order. */
interface WalSource {
  /**
   * What reading will cost at most.
   *
   * @param to null: to the end
   */
  long bytes(Lsn from, @Nullable Lsn to);

  /**
   * Reads the records that start at or after {@code from} and before {@code to}.
   *
   * @param to null: to the end
   * @param sink told of each record; answers whether it wants more
   * @param notes told of holes, and where reading ended
   * @throws dev.holdfast.failure.OperatorException DAMAGED_DATA, when everything before the damage
   *     was told
   */
  void read(
      Lsn from,
      @Nullable Lsn to,
      Progress.Phase progress,
      Predicate<RawRecord> sink,
      Consumer<WalNote> notes);
}
