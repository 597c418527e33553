package dev.holdfast.postgres;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import java.sql.Connection;
import java.sql.SQLException;
import java.util.Locale;

/**
 * A physical replication slot: the server keeps WAL for the recorder while it is away, within
 * max_slot_wal_keep_size.
 */
public final class ReplicationSlot {
  private static final int NAME_BYTES_MAX = 63;

  private ReplicationSlot() {}

  /** The slot of a cluster's recorder: slots allow lower-case letters, digits and underscores. */
  public static String nameFor(String cluster) {
    String name = "holdfast_" + cluster.toLowerCase(Locale.ROOT).replaceAll("[^a-z0-9_]", "_");
    return name.substring(0, Math.min(name.length(), NAME_BYTES_MAX));
  }

  /** Makes it if it is not there; it keeps WAL from now on. */
  public static void create(PostgresUrl url, String name) {
    try (Connection connection = url.open()) {
      if (!exists(connection, name)) {
        ServerFacts.value(
            connection,
            "SELECT slot_name FROM pg_create_physical_replication_slot("
                + Sql.literal(name)
                + ", true)");
      }
    } catch (SQLException e) {
      throw failed("create", name, e);
    }
  }

  /** Removes it if it is there; the server needs to keep no more WAL for it. */
  public static void drop(PostgresUrl url, String name) {
    try (Connection connection = url.open()) {
      if (exists(connection, name)) {
        ServerFacts.value(connection, "SELECT pg_drop_replication_slot(" + Sql.literal(name) + ")");
      }
    } catch (SQLException e) {
      throw failed("drop", name, e);
    }
  }

  /** What {@link #mend} found and did. */
  public enum Mended {
    /** It is there and usable. */
    FINE,
    /** It was not there. */
    MADE,
    /** It was there, and the server had given up keeping WAL for it. */
    MADE_ANEW,
    /** It is not there, and the server has no limit for what slots keep: it was not made. */
    UNLIMITED
  }

  /**
   * Makes the slot where it is missing, and anew when the server has given up keeping WAL for it
   * (past max_slot_wal_keep_size): nothing can be streamed through such a slot any more. Never
   * where it could fill the server's disk.
   */
  public static Mended mend(PostgresUrl url, String name) {
    boolean unlimited;
    boolean found;
    boolean lost;
    try (Connection connection = url.open()) {
      unlimited = ServerFacts.value(connection, "SHOW max_slot_wal_keep_size").equals("-1");
      found = exists(connection, name);
      lost =
          !ServerFacts.value(
                  connection,
                  "SELECT count(*) FROM pg_replication_slots WHERE wal_status = 'lost' AND slot_name"
                      + " = "
                      + Sql.literal(name))
              .equals("0");
    } catch (SQLException e) {
      throw failed("look at", name, e);
    }
    if (found && !lost) {
      return Mended.FINE;
    }
    if (found) {
      drop(url, name);
    }
    if (unlimited) {
      return Mended.UNLIMITED;
    }
    create(url, name);
    return found ? Mended.MADE_ANEW : Mended.MADE;
  }

  private static boolean exists(Connection connection, String name) throws SQLException {
    return !ServerFacts.value(
            connection,
            "SELECT count(*) FROM pg_replication_slots WHERE slot_name = " + Sql.literal(name))
        .equals("0");
  }

  private static OperatorException failed(String verb, String name, SQLException e) {
    String next =
        switch (String.valueOf(e.getSQLState())) {
          case "42501" -> "as a superuser run: ALTER ROLE the recorder's role REPLICATION";
          case "53400" ->
              "raise max_replication_slots and restart the server, or drop an unused slot";
          case "55006" -> "stop the recorder that is using it, then run the same command again";
          default -> "check the server's log for this moment, then run the same command again";
        };
    return new OperatorException(
        Kind.REFUSED,
        "cannot " + verb + " replication slot " + name,
        ConnectFailures.firstLine(e),
        next,
        e);
  }
}
