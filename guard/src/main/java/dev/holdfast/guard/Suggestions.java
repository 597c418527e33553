package dev.holdfast.guard;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Limits proposed from what was seen while rules observed: what happened regularly must go on when
 * they are enforced.
 */
public final class Suggestions {
  /** How long to look before rules are enforced. */
  public static final int OBSERVE_DAYS = 14;

  /** What is counted while it is observed. */
  private static final List<String> OBSERVED =
      List.of("mass-delete", "mass-update", "json-keys-lost");

  private Suggestions() {}

  /**
   * What was seen, and what to make of it.
   *
   * @param observedSince when the rules began to observe; null when none observes
   * @param ready whether that is long enough ago
   * @param proposals an exception for each table that did more than the limits
   * @param enforced the rules that are enforced once applied
   */
  public record Suggested(
      @Nullable Instant observedSince,
      boolean ready,
      List<Proposal> proposals,
      List<String> enforced) {}

  /**
   * One table's.
   *
   * @param transactions how many did so
   * @param rowsMost in one of them, at most
   * @param applications who did it, as far as they say
   * @param keys JSON keys that were lost; empty for rules about rows
   * @param rowsMax the limit proposed; null where the rule observes this column on
   */
  public record Proposal(
      String rule,
      String table,
      @Nullable String column,
      long transactions,
      long rowsMost,
      Instant first,
      Instant last,
      List<String> applications,
      List<String> keys,
      @Nullable Long rowsMax) {}

  /** What to propose today. */
  public static Suggested of(Connection connection) {
    try {
      Instant since = null;
      boolean ready = false;
      List<String> enforced = new ArrayList<>();
      try (Statement statement = connection.createStatement();
          ResultSet rows =
              statement.executeQuery(
                  """
                  SELECT name, since, since < pg_catalog.now() - pg_catalog.make_interval(days => %d) FROM holdfast.rule
                   WHERE mode = 'observe' AND name = ANY ('{%s}') ORDER BY since DESC
                  """
                      .formatted(OBSERVE_DAYS, String.join(",", OBSERVED)))) {
        while (rows.next()) {
          if (since == null) {
            since = rows.getTimestamp(2).toInstant();
            ready = rows.getBoolean(3);
          }
          enforced.add(rows.getString(1));
        }
      }
      return new Suggested(since, ready, proposals(connection), List.copyOf(enforced));
    } catch (SQLException e) {
      throw Guard.failure("cannot tell what the guard has seen", e);
    }
  }

  private static List<Proposal> proposals(Connection connection) throws SQLException {
    List<Proposal> proposals = new ArrayList<>();
    try (Statement statement = connection.createStatement();
        ResultSet rows =
            statement.executeQuery(
                """
                SELECT o.rule, o.schema_name || '.' || o.table_name, o.column_name, count(DISTINCT o.xid), max(o.rows_lost), min(o.at), max(o.at),
                       array_agg(DISTINCT o.application) FILTER (WHERE o.application IS NOT NULL),
                       (SELECT array_agg(DISTINCT k ORDER BY k) FROM holdfast.observation p, unnest(p.keys) k
                         WHERE p.rule = o.rule AND p.schema_name = o.schema_name AND p.table_name = o.table_name
                           AND p.column_name = o.column_name)
                  FROM holdfast.observation o JOIN holdfast.rule r ON r.name = o.rule AND r.mode = 'observe' AND o.at >= r.since
                 WHERE o.rule = ANY ('{%s}')
                 GROUP BY o.rule, o.schema_name, o.table_name, o.column_name ORDER BY 1, 2, 3
                """
                    .formatted(String.join(",", OBSERVED)))) {
      while (rows.next()) {
        String column = rows.getString(3);
        proposals.add(
            new Proposal(
                rows.getString(1),
                rows.getString(2),
                column,
                rows.getLong(4),
                rows.getLong(5),
                rows.getTimestamp(6).toInstant(),
                rows.getTimestamp(7).toInstant(),
                texts(rows.getArray(8)),
                texts(rows.getArray(9)),
                column == null ? limit(rows.getLong(5)) : null));
      }
    }
    return List.copyOf(proposals);
  }

  private static List<String> texts(java.sql.@Nullable Array array) throws SQLException {
    return array == null ? List.of() : List.of((String[]) array.getArray());
  }

  /** Twice what was seen, with two digits that count. */
  static long limit(long most) {
    long twice = 2 * most;
    long unit = 1;
    while (twice / unit >= 100) {
      unit *= 10;
    }
    return (twice + unit - 1) / unit * unit;
  }

  /**
   * Makes the exceptions proposed and enforces the rules.
   *
   * @param early although they have not been observed for long enough
   * @throws OperatorException REFUSED when it is too early, or nothing is observed
   */
  public static Suggested apply(
      Connection connection, boolean early, Guard.Installation how, Guard.Listener listener) {
    Suggested suggested = of(connection);
    if (suggested.enforced().isEmpty()) {
      throw new OperatorException(
          Kind.REFUSED,
          "there is nothing to apply",
          "none of " + String.join(", ", OBSERVED) + " observes",
          "holdfast guard status NAME shows what the rules do");
    }
    if (!suggested.ready() && !early) {
      throw new OperatorException(
          Kind.REFUSED,
          "it is too early to enforce " + String.join(", ", suggested.enforced()),
          "observed since %s; what runs once a fortnight has not been seen before %d days"
              .formatted(suggested.observedSince(), OBSERVE_DAYS),
          "wait, or say --early");
    }
    try {
      Guard.inTransaction(
          connection,
          statement -> {
            for (Proposal proposal : suggested.proposals()) {
              Rules.insert(
                  connection,
                  new Rules.RuleOverride(
                      null,
                      proposal.rule(),
                      proposal.table(),
                      null,
                      proposal.column(),
                      proposal.column() == null ? null : "observe",
                      proposal.rowsMax(),
                      null,
                      "seen in %d transactions up to %s"
                          .formatted(proposal.transactions(), proposal.last())));
            }
            for (String rule : suggested.enforced()) {
              statement.execute("SELECT holdfast.set_mode('" + rule + "', 'enforce')");
            }
          });
      Guard.cover(connection, how, listener);
      return suggested;
    } catch (SQLException e) {
      throw Guard.failure("cannot apply what was suggested", e);
    }
  }
}
