package dev.holdfast.wal;

/** The logs kept beside the tables about transactions, in pages of their own. */
public enum StatusLog {
  /** Which transactions committed: pg_xact. */
  TRANSACTIONS,
  /** When they committed: pg_commit_ts. */
  COMMIT_TIMESTAMPS,
  /** Where the members of each multixact begin: pg_multixact/offsets. */
  MULTIXACT_OFFSETS,
  /** The members of multixacts: pg_multixact/members. */
  MULTIXACT_MEMBERS
}
