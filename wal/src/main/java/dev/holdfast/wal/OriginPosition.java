package dev.holdfast.wal;

import java.time.Instant;

/**
 * Where a transaction that arrived by logical replication was committed first: xl_xact_origin
 * ("access/xact.h", PostgreSQL 18).
 *
 * @param lsn end of its commit record in the log it came from
 * @param time when it was committed there
 */
public record OriginPosition(Lsn lsn, Instant time) {}
