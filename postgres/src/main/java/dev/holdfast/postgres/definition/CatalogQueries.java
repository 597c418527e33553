package dev.holdfast.postgres.definition;

import dev.holdfast.postgres.UserTriggers;
import java.sql.Array;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Collection;
import java.util.HashSet;
import java.util.Set;

/** One server's catalogs, asked with an empty search path so that every name comes qualified. */
final class CatalogQueries {
  /** OIDs from here on belong to users' objects (access/transam.h, FirstNormalObjectId). */
  private static final int FIRST_NORMAL_OID = 16384;

  /** Reads one row of a result. */
  @FunctionalInterface
  interface RowReader {
    void read(ResultSet row) throws SQLException;
  }

  private final Connection connection;
  private final int major;

  CatalogQueries(Connection connection) throws SQLException {
    this.connection = connection;
    this.major = connection.getMetaData().getDatabaseMajorVersion();
  }

  int major() {
    return major;
  }

  /** Runs a query whose only parameter, if it has one, is an array of OIDs. */
  void each(String sql, Collection<Long> oids, RowReader reader) throws SQLException {
    if (oids.isEmpty()) {
      return;
    }
    Array array = connection.createArrayOf("oid", oids.toArray());
    try (PreparedStatement statement = connection.prepareStatement(sql)) {
      for (int i = 1; i <= statement.getParameterMetaData().getParameterCount(); i++) {
        statement.setArray(i, array);
      }
      try (ResultSet rows = statement.executeQuery()) {
        while (rows.next()) {
          reader.read(rows);
        }
      }
    } finally {
      array.free();
    }
  }

  void each(String sql, RowReader reader) throws SQLException {
    try (Statement statement = connection.createStatement();
        ResultSet rows = statement.executeQuery(sql)) {
      while (rows.next()) {
        reader.read(rows);
      }
    }
  }

  /** Which of these texts the query, whose one parameter is an array of texts, gives back. */
  Set<String> matching(String sql, Collection<String> texts) throws SQLException {
    Set<String> found = new HashSet<>();
    if (texts.isEmpty()) {
      return found;
    }
    Array array = connection.createArrayOf("text", texts.toArray());
    try (PreparedStatement statement = connection.prepareStatement(sql)) {
      statement.setArray(1, array);
      try (ResultSet rows = statement.executeQuery()) {
        while (rows.next()) {
          found.add(rows.getString(1));
        }
      }
    } finally {
      array.free();
    }
    return found;
  }

  /** Every object that users made, temporary ones left out. */
  Set<ObjectKey> objects() throws SQLException {
    Set<ObjectKey> objects = new HashSet<>();
    for (SystemCatalog catalog : SystemCatalog.values()) {
      if (catalog.comparableIn(major)) {
        each(
            "SELECT oid FROM pg_catalog." + catalog.table() + " WHERE " + condition(catalog),
            row -> objects.add(new ObjectKey(catalog, row.getLong(1))));
      }
    }
    return objects;
  }

  private static String condition(SystemCatalog catalog) {
    return switch (catalog) {
      // The schema public is made by initdb, with an OID below the users' own.
      case NAMESPACE -> "nspname !~ '^pg_' AND nspname <> 'information_schema'";
      // Objects on temporary tables go with their session; nobody else can make them again.
      case CLASS -> "oid >= " + FIRST_NORMAL_OID + " AND relpersistence <> 't'";
      case TYPE -> "oid >= " + FIRST_NORMAL_OID + " AND " + notTemporary("typnamespace");
      case PROC -> "oid >= " + FIRST_NORMAL_OID + " AND " + notTemporary("pronamespace");
      case CONSTRAINT -> "oid >= " + FIRST_NORMAL_OID + " AND " + notTemporary("connamespace");
      case ATTRDEF -> ofPermanent("adrelid");
      // The guard covers a table by itself when it is made again.
      case TRIGGER -> ofPermanent("tgrelid") + " AND NOT " + UserTriggers.GUARDS;
      case REWRITE -> ofPermanent("ev_class");
      case POLICY -> ofPermanent("polrelid");
      case STATISTIC_EXT -> ofPermanent("stxrelid");
      default -> "oid >= " + FIRST_NORMAL_OID;
    };
  }

  private static String notTemporary(String namespace) {
    return namespace
        + " NOT IN (SELECT n.oid FROM pg_catalog.pg_namespace n WHERE n.nspname ~ '^pg_(toast_)?temp_')";
  }

  private static String ofPermanent(String relation) {
    return "oid >= "
        + FIRST_NORMAL_OID
        + " AND "
        + relation
        + " IN (SELECT c.oid FROM pg_catalog.pg_class c WHERE c.relpersistence <> 't')";
  }
}
