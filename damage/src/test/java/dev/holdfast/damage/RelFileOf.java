package dev.holdfast.damage;

import dev.holdfast.testkit.TestServer;
import dev.holdfast.wal.RelFile;

/** A relation's files, asked from a server. */
final class RelFileOf {
  private RelFileOf() {}

  /** Runs a query for tablespace, database and file number. */
  static RelFile query(TestServer server, String sql) {
    String[] parts = server.query(sql).getFirst().split("\\|", -1);
    return new RelFile(
        Long.parseLong(parts[0]), Long.parseLong(parts[1]), Long.parseLong(parts[2]));
  }
}
