package dev.holdfast.postgres.definition;

import java.sql.SQLException;

/** An empty search path while open, so that the server qualifies every name it prints. */
final class SearchPath implements AutoCloseable {
  private final CatalogQueries server;
  private final String previous;

  private SearchPath(CatalogQueries server, String previous) {
    this.server = server;
    this.previous = previous;
  }

  static SearchPath empty(CatalogQueries server) throws SQLException {
    String[] previous = new String[1];
    server.each("SELECT current_setting('search_path')", row -> previous[0] = row.getString(1));
    SearchPath path = new SearchPath(server, previous[0]);
    path.set("");
    return path;
  }

  @Override
  public void close() throws SQLException {
    set(previous);
  }

  private void set(String value) throws SQLException {
    server.each(
        "SELECT pg_catalog.set_config('search_path', " + SqlText.literal(value) + ", false)",
        _ -> {});
  }
}
