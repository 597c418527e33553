package dev.holdfast.postgres;

import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Iterator;
import java.util.NoSuchElementException;

/** Digests of rows as the server hands them out, some thousand at a time; to be closed. */
public final class DigestedRows implements Iterator<TableDigests.Digested>, AutoCloseable {
  private static final int FETCH = 5_000;

  private final ComparedDatabase side;
  private final ComparedTable table;
  private final Statement statement;
  private final ResultSet rows;
  private boolean hasNext;

  DigestedRows(ComparedDatabase side, ComparedTable table, String sql) {
    this.side = side;
    this.table = table;
    try {
      side.beginReading();
      statement = side.connection().createStatement();
      statement.setFetchSize(FETCH);
      rows = statement.executeQuery(sql);
      side.sameFiles(table, table.leaves());
      hasNext = rows.next();
    } catch (SQLException e) {
      throw side.toldAfterReading(side.told("reading rows of " + table.name(), e));
    } catch (TableUnreadableException e) {
      throw side.toldAfterReading(e);
    }
  }

  @Override
  public boolean hasNext() {
    return hasNext;
  }

  @Override
  public TableDigests.Digested next() {
    if (!hasNext) {
      throw new NoSuchElementException();
    }
    try {
      TableDigests.Digested row =
          new TableDigests.Digested(
              rows.getLong(1),
              rows.getString(2),
              rows.getLong(3),
              rows.getLong(4),
              rows.getLong(5),
              rows.getString(6));
      hasNext = rows.next();
      return row;
    } catch (SQLException e) {
      throw told(e);
    }
  }

  private RuntimeException told(SQLException e) {
    return side.told("reading rows of " + table.name(), e);
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
