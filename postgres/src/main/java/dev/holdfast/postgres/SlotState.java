package dev.holdfast.postgres;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import org.jspecify.annotations.Nullable;

/**
 * What recording costs the server's disk now.
 *
 * @param slot the recorder's; null without one
 * @param active whether a recorder is connected through it
 * @param walStatus {@code reserved}: within max_wal_size; {@code extended}: more is kept for slots
 *     than without them; {@code unreserved}: it may be lost at the next checkpoint; {@code lost};
 *     null when there is no such slot
 * @param keptBytes WAL the server has to keep for the slot: from its restart_lsn on; null when
 *     there is no such slot, or it keeps nothing
 * @param safeBytes WAL that can still be written before the slot may be lost; null when there is no
 *     limit, or it is lost
 * @param limitBytes max_slot_wal_keep_size; null when it is unlimited
 * @param walBytes what lies in pg_wal, spare segments included
 */
public record SlotState(
    @Nullable String slot,
    boolean active,
    @Nullable String walStatus,
    @Nullable Long keptBytes,
    @Nullable Long safeBytes,
    @Nullable Long limitBytes,
    long walBytes) {
  /**
   * Asks the server.
   *
   * @param slot null without one
   * @throws DatabaseUnreachableException when the server does not let us in
   */
  public static SlotState read(PostgresUrl url, @Nullable String slot) {
    try (Connection connection = url.open();
        Statement statement = connection.createStatement();
        ResultSet row =
            statement.executeQuery(
                """
                SELECT s.slot_name, coalesce(s.active, false), s.wal_status,
                  CASE WHEN s.wal_status <> 'lost' THEN
                    (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn()
                          ELSE pg_current_wal_lsn() END - s.restart_lsn)::bigint END,
                  CASE WHEN l.bytes >= 0 AND s.wal_status <> 'lost' THEN s.safe_wal_size END,
                  CASE WHEN l.bytes >= 0 THEN l.bytes END,
                  (SELECT coalesce(sum(size), 0)::bigint FROM pg_ls_waldir())
                FROM (SELECT setting::bigint * (CASE WHEN setting = '-1' THEN 1 ELSE 1048576 END)
                        AS bytes
                      FROM pg_settings WHERE name = 'max_slot_wal_keep_size') l
                LEFT JOIN pg_replication_slots s ON s.slot_name = %s\
                """
                    .formatted(slot == null ? "NULL" : Sql.literal(slot)))) {
      row.next();
      return new SlotState(
          slot,
          row.getBoolean(2),
          row.getString(3),
          number(row, 4),
          number(row, 5),
          number(row, 6),
          row.getLong(7));
    } catch (SQLException e) {
      throw new OperatorException(
          Kind.FAILED,
          "cannot see what replication slots keep",
          ConnectFailures.firstLine(e),
          "check the server's log for this moment, then run the same command again",
          e);
    }
  }

  private static @Nullable Long number(ResultSet row, int column) throws SQLException {
    long value = row.getLong(column);
    return row.wasNull() ? null : value;
  }
}
