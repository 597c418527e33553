package dev.holdfast.postgres;

import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.HashMap;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/** Whether texts are sorted on this machine as they were in production, by collation. */
final class Collations {
  /** OID of "default": the database's own. */
  private static final long DEFAULT = 100;

  /** How one collation here compares with production's. */
  private enum State {
    SAME,
    DIFFERENT,
    UNKNOWN
  }

  private record Known(String name, State state) {}

  /**
   * Of all collations of an index.
   *
   * @param differs the first one that is another one here, with both versions; null for none
   * @param unknown the first one of which production recorded no version; null for none
   */
  record Comparison(@Nullable String differs, @Nullable String unknown) {}

  private final Map<Long, Known> known;

  private Collations(Map<Long, Known> known) {
    this.known = known;
  }

  static Collations of(Connection connection) throws SQLException {
    Map<Long, Known> known = new HashMap<>();
    int major = connection.getMetaData().getDatabaseMajorVersion();
    try (Statement statement = connection.createStatement()) {
      try (ResultSet row =
          statement.executeQuery(
              major >= 15
                  ? "SELECT datcollate, datcollversion,"
                      + " pg_catalog.pg_database_collation_actual_version(oid), datlocprovider::text"
                      + " FROM pg_catalog.pg_database WHERE datname = current_database()"
                  : "SELECT datcollate, NULL, 'not told', 'c'"
                      + " FROM pg_catalog.pg_database WHERE datname = current_database()")) {
        row.next();
        known.put(
            DEFAULT,
            known(
                "the database's " + row.getString(1),
                row.getString(1),
                row.getString(4),
                row.getString(2),
                row.getString(3)));
      }
      try (ResultSet rows =
          statement.executeQuery(
              "SELECT oid, collname, coalesce(collcollate, ''), collprovider::text, collversion,"
                  + " pg_catalog.pg_collation_actual_version(oid)"
                  + " FROM pg_catalog.pg_collation WHERE oid <> 100 AND collencoding IN (-1,"
                  + " (SELECT encoding FROM pg_catalog.pg_database"
                  + " WHERE datname = current_database()))")) {
        while (rows.next()) {
          known.put(
              rows.getLong(1),
              known(
                  rows.getString(2),
                  rows.getString(3),
                  rows.getString(4),
                  rows.getString(5),
                  rows.getString(6)));
        }
      }
    }
    return new Collations(known);
  }

  private static Known known(
      String name,
      String locale,
      String provider,
      @Nullable String production,
      @Nullable String here) {
    if (provider.equals("b") || (provider.equals("c") && isByBytes(locale))) {
      return new Known(name, State.SAME);
    }
    if (production == null) {
      return new Known(name, State.UNKNOWN);
    }
    return production.equals(here)
        ? new Known(name, State.SAME)
        : new Known(
            "%s: %s in production, %s here"
                .formatted(name, production, Objects.requireNonNullElse(here, "unknown")),
            State.DIFFERENT);
  }

  /** C, POSIX and C.UTF-8 compare bytes, or code points, which is the same. */
  private static boolean isByBytes(String locale) {
    return locale.equals("C") || locale.equals("POSIX") || locale.startsWith("C.");
  }

  /**
   * Of an index.
   *
   * @param oids of its columns' collations, 0 for those that have none, as an oidvector is written
   */
  Comparison compare(String oids) {
    String differs = null;
    String unknown = null;
    for (String oid : oids.strip().split("\\s+", -1)) {
      Known one = oid.isEmpty() ? null : known.get(Long.parseLong(oid));
      if (one == null) {
        continue; // no collation, or one of another encoding, which no index here can have
      }
      if (one.state == State.DIFFERENT && differs == null) {
        differs = one.name;
      } else if (one.state == State.UNKNOWN && unknown == null) {
        unknown = one.name;
      }
    }
    return new Comparison(differs, unknown);
  }
}
