package dev.holdfast.postgres;

import java.sql.Connection;
import java.sql.SQLException;

/**
 * A relation to look at.
 *
 * @param oid its OID
 * @param what its name, with its database's
 * @param bytes of its main fork
 * @param runsForeignCode whether looking at it runs expressions that users wrote
 */
record RelationWork(long oid, String what, long bytes, boolean runsForeignCode, Look look)
    implements DrillChecks.Task {
  /** Looks at one relation. */
  interface Look {
    void at(Connection connection, RelationWork relation, CheckFindings findings)
        throws SQLException;
  }

  @Override
  public void run(Connection connection, CheckFindings findings) throws SQLException {
    look.at(connection, this, findings);
  }

  /** How a relation is named where several databases are looked at. */
  static String name(String database, String schema, String relation) {
    return database + "." + Sql.identifier(String.valueOf(schema)) + "." + Sql.identifier(relation);
  }
}
