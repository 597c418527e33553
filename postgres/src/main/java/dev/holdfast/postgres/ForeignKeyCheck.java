package dev.holdfast.postgres;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;

/**
 * Holds the rows a plan writes to their foreign keys, as PostgreSQL's own triggers would, which are
 * off meanwhile: rows written must have their parents (locked until the commit), rows taken out or
 * renumbered must have left no children behind.
 */
final class ForeignKeyCheck {
  private final Connection connection;

  ForeignKeyCheck(Connection connection) {
    this.connection = connection;
  }

  /** After everything was written: both directions. */
  void check(
      StagedTable table,
      List<ForeignKey> outgoing,
      List<ForeignKey> incoming,
      TableStructure structure)
      throws SQLException {
    for (ForeignKey key : outgoing) {
      refusePeriods(table, key);
      checkParents(table, key);
    }
    for (ForeignKey key : incoming) {
      refusePeriods(table, key);
      checkChildren(table, key, structure);
    }
  }

  /**
   * Before anything is written, where PostgreSQL's own triggers are on: deleting a row would take
   * along, or empty, the children it has; those were never part of a plan.
   *
   * @param staged every table of the plan: children that it deletes itself are no loss
   */
  void refuseCascades(
      StagedTable table,
      List<ForeignKey> incoming,
      TableStructure structure,
      List<StagedTable> staged)
      throws SQLException {
    Map<Long, StagedTable> byOid = new TreeMap<>();
    staged.forEach(other -> byOid.put(other.oid(), other));
    for (ForeignKey key : incoming) {
      boolean cascades = "cnd".indexOf(key.onDelete()) >= 0 || "cnd".indexOf(key.onUpdate()) >= 0;
      if (!cascades) {
        continue;
      }
      StagedTable children = byOid.get(key.child());
      String planned =
          children == null
              ? ""
              : "AND NOT EXISTS (SELECT 1 FROM %s f WHERE f.place = c.ctid)"
                  .formatted(children.found());
      refuse(
          key,
          "rows of %s refer to rows that would go or change, and would be deleted or changed by the constraint"
              .formatted(key.childName()),
          "connect as a superuser (or a role granted SET ON PARAMETER session_replication_role), so"
              + " that constraints do not act on their own, and run the same command again",
          "FROM %s r JOIN %s p ON p.seq = r.seq JOIN %s c ON %s WHERE %s %s"
              .formatted(
                  table.found(),
                  table.change(),
                  key.childFrom(),
                  key.joinValues(oldValues(key, structure), "c"),
                  touches(table, key, structure),
                  planned));
    }
  }

  private void checkParents(StagedTable table, ForeignKey key) throws SQLException {
    String rows =
        "%s w JOIN ONLY %s c ON c.ctid = w.place".formatted(table.written(), table.name().quoted());
    long locked =
        count(
            "SELECT count(*) FROM (SELECT 1 FROM %s JOIN %s p ON %s FOR KEY SHARE OF p) x"
                .formatted(rows, key.parentFrom(), key.join("p", "c")));
    long referring = count("SELECT count(*) FROM %s WHERE %s".formatted(rows, key.refers("c")));
    if (locked != referring) {
      refuse(
          key,
          "rows to restore in %s refer to rows that %s no longer has"
              .formatted(table.name(), key.parentName()),
          "undo first what removed those rows, then run revert again",
          "FROM %s WHERE %s AND NOT EXISTS (SELECT 1 FROM %s p WHERE %s)"
              .formatted(rows, key.refers("c"), key.parentFrom(), key.join("p", "c")));
    }
  }

  private void checkChildren(StagedTable table, ForeignKey key, TableStructure structure)
      throws SQLException {
    refuse(
        key,
        "rows of %s refer to rows of %s that undoing takes out or renumbers"
            .formatted(key.childName(), table.name()),
        "undo first the later transactions that made those rows, or delete the rows, then run revert"
            + " again",
        "FROM %s r JOIN %s p ON p.seq = r.seq JOIN %s c ON %s WHERE %s AND NOT EXISTS (SELECT 1 FROM %s q WHERE %s)"
            .formatted(
                table.found(),
                table.change(),
                key.childFrom(),
                key.joinValues(oldValues(key, structure), "c"),
                touches(table, key, structure),
                key.parentFrom(),
                key.join("q", "c")));
  }

  /** That change {@code p} takes the referenced values away: a deletion, or an update of them. */
  private static String touches(StagedTable table, ForeignKey key, TableStructure structure) {
    return "(p.verb IN ('d', 'm') OR %s && '{%s}'::int2[])"
        .formatted(
            table.changed("p"),
            ForeignKey.numbers(structure, key.parentColumns()).stream()
                .map(String::valueOf)
                .collect(Collectors.joining(",")));
  }

  /**
   * A partition may number its columns otherwise than the table the key names: names are the same.
   */
  private static List<String> oldValues(ForeignKey key, TableStructure structure) {
    List<String> values = new ArrayList<>();
    for (String name : key.parentColumns()) {
      int number = ForeignKey.numbers(structure, List.of(name)).iterator().next();
      values.add("r.old_" + number);
    }
    return values;
  }

  private static void refusePeriods(StagedTable table, ForeignKey key) {
    if (key.overPeriods()) {
      throw new OperatorException(
          Kind.REFUSED,
          "cannot apply the plan",
          "foreign key %s of %s, which %s takes part in, is over periods and cannot be checked"
              .formatted(key.name(), key.childName(), table.name()),
          "nothing was written; copy the rows from a fork by hand");
    }
  }

  private void refuse(ForeignKey key, String why, String next, String rows) throws SQLException {
    String sample =
        key.childColumns().stream()
            .map(n ->
                "format('%%s=%%s', '%s', c.%s)"
                    .formatted(n.replace("'", "''"), dev.holdfast.row.TableName.quote(n)))
            .collect(Collectors.joining(" || ', ' || "));
    try (Statement statement = connection.createStatement();
        ResultSet row =
            statement.executeQuery("SELECT count(*), min(%s) %s".formatted(sample, rows))) {
      row.next();
      long count = row.getLong(1);
      if (count > 0) {
        throw new OperatorException(
            Kind.REFUSED,
            "cannot apply the plan",
            "foreign key %s of %s would not hold: %s (%d, such as %s)"
                .formatted(key.name(), key.childName(), why, count, row.getString(2)),
            "nothing was written; " + next);
      }
    }
  }

  private long count(String sql) throws SQLException {
    try (Statement statement = connection.createStatement();
        ResultSet row = statement.executeQuery(sql)) {
      row.next();
      return row.getLong(1);
    }
  }
}
