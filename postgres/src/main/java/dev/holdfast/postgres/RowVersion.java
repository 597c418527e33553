package dev.holdfast.postgres;

import dev.holdfast.row.Row;
import dev.holdfast.wal.Tid;

/**
 * A row as it lies in its table.
 *
 * @param tid its ctid
 * @param xmin the transaction, or subtransaction, that wrote this version of it; an unsigned 32-bit
 *     value
 */
public record RowVersion(Tid tid, long xmin, Row row) {}
