package dev.holdfast.postgres;

import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.SortedMap;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/** Objects of one kind, sorted by the UTF-8 bytes of their names, read a few hundred at a time. */
public final class CatalogObjects implements Iterator<CatalogObject>, AutoCloseable {
  private static final int FETCH = 500;
  private static final String SEQUENCE = "sequence_to_read";
  private static final String COLUMN = "column_to_read";

  private final ComparedDatabase side;
  private final Connection connection;
  private final boolean normaliseViews;
  private final Statement statement;
  private final ResultSet rows;
  private boolean hasNext;

  CatalogObjects(ComparedDatabase side, Connection connection, String query, boolean views)
      throws SQLException {
    this.side = side;
    this.connection = connection;
    this.normaliseViews = views;
    statement = connection.createStatement();
    statement.setFetchSize(FETCH);
    rows = statement.executeQuery(query);
    hasNext = rows.next();
  }

  @Override
  public boolean hasNext() {
    return hasNext;
  }

  @Override
  public CatalogObject next() {
    if (!hasNext) {
      throw new NoSuchElementException();
    }
    try {
      CatalogObject object = object();
      hasNext = rows.next();
      return object;
    } catch (SQLException e) {
      throw side.told("reading the schema", e);
    }
  }

  private CatalogObject object() throws SQLException {
    SortedMap<String, String> properties = new TreeMap<>();
    String sequence = null;
    String column = null;
    for (int at = 3; at <= rows.getMetaData().getColumnCount(); at++) {
      String label = rows.getMetaData().getColumnLabel(at);
      String value = rows.getString(at);
      switch (label) {
        case SEQUENCE -> sequence = value;
        case COLUMN -> column = value;
        default -> {
          if (value != null) {
            properties.put(
                label,
                normaliseViews && label.equals("definition") ? ViewText.normalised(value) : value);
          }
        }
      }
    }
    if (sequence != null) {
      position(sequence, column, properties);
    }
    return new CatalogObject(rows.getString(1), rows.getString(2), properties);
  }

  /** Where a sequence stands, and whether it will give numbers that its column already has. */
  private void position(
      String sequence, @Nullable String column, SortedMap<String, String> properties)
      throws SQLException {
    long next;
    try (Statement reading = connection.createStatement();
        ResultSet row =
            reading.executeQuery("SELECT last_value, is_called FROM ONLY " + sequence)) {
      row.next();
      next = row.getLong(1);
      properties.put("position", next + (row.getBoolean(2) ? "" : " (not used yet)"));
      if (!row.getBoolean(2)) {
        next -= Long.parseLong(properties.getOrDefault("increment", "1"));
      }
    }
    if (column == null) {
      return;
    }
    try (Statement reading = connection.createStatement();
        ResultSet row = reading.executeQuery(column)) {
      row.next();
      long most = row.getLong(1);
      boolean up = !properties.getOrDefault("increment", "1").startsWith("-");
      boolean behind = !row.wasNull() && (up ? most > next : most < next);
      properties.put("behindItsColumn", behind ? "yes, the column is at " + most : "no");
    }
  }

  @Override
  public void close() {
    try {
      statement.close();
    } catch (SQLException e) {
      return; // it was only read, and what follows on this connection will tell
    }
    side.endReading();
  }
}
