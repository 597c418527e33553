package dev.holdfast.postgres;

import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Asks the server for its files: several pieces at once, so that a round trip is paid once. */
final class SqlFiles implements ServerFiles {
  private static final String READ =
      """
      SELECT pg_read_binary_file(f.path, f.at, f.length, true)
      FROM unnest(?::text[], ?::bigint[], ?::bigint[]) WITH ORDINALITY AS f (path, at, length, n)
      ORDER BY n
      """;

  private final Connection connection;

  /** Closes the connection in the end. */
  SqlFiles(Connection connection) {
    this.connection = connection;
  }

  @Override
  public void read(List<Piece> pieces, Sink sink) throws SQLException {
    // The driver keeps it prepared; one of its own, since a sink may read again.
    try (PreparedStatement statement = connection.prepareStatement(READ)) {
      read(statement, pieces, sink);
    }
  }

  private void read(PreparedStatement statement, List<Piece> pieces, Sink sink)
      throws SQLException {
    statement.setArray(
        1,
        connection.createArrayOf("text", pieces.stream().map(Piece::path).toArray(String[]::new)));
    statement.setArray(
        2,
        connection.createArrayOf(
            "bigint", pieces.stream().map(Piece::offset).toArray(Long[]::new)));
    statement.setArray(
        3,
        connection.createArrayOf(
            "bigint", pieces.stream().map(piece -> (long) piece.length()).toArray(Long[]::new)));
    try (ResultSet rows = statement.executeQuery()) {
      for (int index = 0; rows.next(); index++) {
        byte[] bytes = rows.getBytes(1);
        sink.take(index, bytes, bytes == null ? 0 : bytes.length);
      }
    }
  }

  @Override
  public byte @Nullable [] readAgain(Piece piece) throws SQLException {
    List<byte[]> found = new ArrayList<>();
    read(
        List.of(piece),
        (_, bytes, _) -> {
          if (bytes != null) {
            found.add(bytes);
          }
        });
    return found.isEmpty() ? null : found.getFirst();
  }

  @Override
  public void close() throws SQLException {
    connection.close();
  }
}
