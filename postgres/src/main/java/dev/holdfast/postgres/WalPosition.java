package dev.holdfast.postgres;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.wal.Lsn;
import java.sql.Connection;
import java.sql.SQLException;

/** Where a server's WAL stands. */
public final class WalPosition {
  private WalPosition() {}

  /**
   * The position up to which WAL is on the server's disk: commits before it have been acknowledged,
   * save asynchronous ones after it. Of a standby, what it has replayed.
   *
   * @throws DatabaseUnreachableException when the server does not let us in
   */
  public static Lsn flushed(PostgresUrl url) {
    try (Connection connection = url.open()) {
      return Lsn.parse(
          ServerFacts.value(
              connection,
              "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE"
                  + " pg_current_wal_flush_lsn() END"));
    } catch (SQLException e) {
      throw new OperatorException(
          Kind.FAILED,
          "cannot ask " + url.redacted() + " where its WAL stands",
          ConnectFailures.firstLine(e),
          "check the server's log for this moment, then run the same command again",
          e);
    }
  }
}
