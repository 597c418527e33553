package dev.holdfast.postgres;

/** Takes rows that were looked for by their place, as the server writes them. */
@FunctionalInterface
public interface PlacedRowSink {
  /**
   * Takes the next row, in no order.
   *
   * @param request which of the places asked for it lies at, from 0
   * @param xmin the transaction, or subtransaction, that wrote this version of it; an unsigned
   *     32-bit value
   * @param row its values in COPY's text format; only good until this returns
   */
  void accept(int request, long xmin, CopiedRow row);
}
