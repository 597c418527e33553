package dev.holdfast.postgres;

import java.sql.SQLException;
import java.util.Set;

/**
 * Whether a server's error says that its files are damaged, or only that it cannot do something.
 */
final class DamageSign {
  /** undefined_file and io_error: a file that is not there, or that cannot be read. */
  private static final Set<String> FILES = Set.of("58P01", "58030");

  private DamageSign() {}

  /**
   * Class XX ("errcodes.txt") is data_corrupted, index_corrupted, and internal_error: what the
   * server says where it meets what cannot be.
   */
  static boolean isIn(SQLException e) {
    String state = e.getSQLState();
    return state != null
        && ((FILES.contains(state) && !isOfExtension(e)) || state.startsWith("XX"));
  }

  /** Whether the connection is gone, and perhaps the server. */
  static boolean isLostConnection(SQLException e) {
    String state = e.getSQLState();
    return state == null || state.startsWith("08") || state.startsWith("57P0");
  }

  /** "could not access file "$libdir/postgis-3"": a library that this machine lacks. */
  private static boolean isOfExtension(SQLException e) {
    String message = String.valueOf(e.getMessage());
    return message.contains("$libdir") || message.contains("could not load library");
  }
}
