package dev.holdfast.guard;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import java.security.SecureRandom;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Timestamp;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Permits: what lets a transaction do something destructive in a guarded database, once. The
 * database keeps a digest of the code, never the code.
 */
public final class Permits {
  /** Without letters and digits that look alike. */
  private static final String LETTERS = "abcdefghjkmnpqrstuvwxyz23456789";

  /** Of 31 letters each: 99 bits. */
  private static final int CODE_LENGTH = 20;

  private static final SecureRandom RANDOM = new SecureRandom();
  private static final Duration VALID_MAX = Duration.ofDays(7);

  private Permits() {}

  /**
   * What a permit is for.
   *
   * @param rules the rules it lifts
   * @param table which tables, as {@code schema.table} with {@code %} for anything; null for all
   * @param rowsMax how many rows may be lost in all; null for any number
   * @param role only sessions that logged in as this role; null for any
   * @param validFor from now on
   * @param forRun for all transactions of the first session that shows it, not for one transaction
   * @param needsApproval whether another role has to approve it first
   */
  public record Request(
      List<String> rules,
      @Nullable String table,
      @Nullable Long rowsMax,
      @Nullable String role,
      Duration validFor,
      String reason,
      boolean forRun,
      boolean needsApproval) {
    /** Refuses what would allow too much for too long. */
    public Request {
      rules = List.copyOf(rules);
      for (String rule : rules) {
        if (!Rules.NAMES.contains(rule)) {
          throw Rules.unknown(rule);
        }
      }
      if (rules.isEmpty()) {
        throw new OperatorException(
            Kind.USAGE,
            "cannot make a permit for nothing",
            "it names the rules that it lifts",
            "say --allow drop-table, for example");
      }
      if (table != null && !table.contains(".")) {
        throw new OperatorException(
            Kind.USAGE,
            "\"" + table + "\" names no table",
            "a permit's tables are written with their schema, % standing for anything",
            "say --table public." + table);
      }
      if (validFor.isNegative() || validFor.isZero() || validFor.compareTo(VALID_MAX) > 0) {
        throw new OperatorException(
            Kind.USAGE,
            "a permit cannot be valid for " + validFor,
            "it lasts from a moment to seven days, the shorter the better",
            "say --for 10m");
      }
      if (reason.isBlank()) {
        throw new OperatorException(
            Kind.USAGE,
            "cannot make a permit without a reason",
            "whoever looks at what happened reads it",
            "say --reason \"…\"");
      }
    }
  }

  /**
   * A permit just made.
   *
   * @param code shown once, kept nowhere
   */
  public record Issued(long id, String code, Instant expiresAt) {}

  /**
   * A permit as the database has it.
   *
   * @param state {@code open}, {@code waits for approval}, {@code used}, {@code expired} or {@code
   *     revoked}
   * @param rowsLost with it, so far
   */
  public record Permit(
      long id,
      List<String> rules,
      @Nullable String table,
      @Nullable Long rowsMax,
      @Nullable String role,
      boolean forRun,
      String reason,
      Instant createdAt,
      String createdBy,
      Instant expiresAt,
      @Nullable String approvedBy,
      @Nullable Instant usedAt,
      String state,
      long rowsLost) {}

  /**
   * Makes a permit.
   *
   * @param connection of the guard's owner
   */
  public static Issued issue(Connection connection, Request request) {
    String code = code();
    try (PreparedStatement insert =
        connection.prepareStatement(
            """
            INSERT INTO holdfast.permit (code_sha256, rules, table_like, rows_max, role_name, for_run, reason, expires_at, needs_approval)
            VALUES (pg_catalog.sha256(pg_catalog.convert_to(?, 'UTF8')), ?, ?, ?, ?, ?, ?,
                    pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => ?), ?)
            RETURNING id, expires_at
            """)) {
      insert.setString(1, code);
      insert.setArray(2, connection.createArrayOf("text", request.rules().toArray()));
      insert.setString(3, request.table());
      insert.setObject(4, request.rowsMax(), java.sql.Types.BIGINT);
      insert.setString(5, request.role());
      insert.setBoolean(6, request.forRun());
      insert.setString(7, request.reason());
      insert.setDouble(8, request.validFor().toMillis() / 1000.0);
      insert.setBoolean(9, request.needsApproval());
      try (ResultSet row = insert.executeQuery()) {
        row.next();
        return new Issued(row.getLong(1), code, row.getTimestamp(2).toInstant());
      }
    } catch (SQLException e) {
      throw Guard.failure("cannot make a permit", e);
    }
  }

  /**
   * Approves a permit that waits for a second person.
   *
   * @return what the database says of it
   * @throws OperatorException REFUSED when this role asked for it itself
   */
  public static String approve(Connection connection, long id) {
    try (PreparedStatement call = connection.prepareStatement("SELECT holdfast.approve(?)")) {
      call.setLong(1, id);
      try (ResultSet row = call.executeQuery()) {
        row.next();
        return row.getString(1);
      }
    } catch (SQLException e) {
      throw Guard.failure("cannot approve permit " + id, e);
    }
  }

  /** Takes a permit back. */
  public static void revoke(Connection connection, long id) {
    try (PreparedStatement update =
        connection.prepareStatement(
            "UPDATE holdfast.permit SET revoked_at = pg_catalog.now() WHERE id = ? AND revoked_at IS NULL")) {
      update.setLong(1, id);
      if (update.executeUpdate() == 0) {
        throw new OperatorException(
            Kind.FAILED,
            "cannot revoke permit " + id,
            "there is none with this number that is not revoked already",
            "see them all: holdfast guard permits NAME");
      }
    } catch (SQLException e) {
      throw Guard.failure("cannot revoke permit " + id, e);
    }
  }

  /** All permits, the newest first. */
  public static List<Permit> list(Connection connection) {
    List<Permit> permits = new ArrayList<>();
    try (Statement statement = connection.createStatement();
        ResultSet rows =
            statement.executeQuery(
                """
                SELECT p.*, CASE WHEN p.revoked_at IS NOT NULL THEN 'revoked'
                                 WHEN p.used_at IS NOT NULL AND NOT p.for_run THEN 'used'
                                 WHEN p.expires_at < pg_catalog.clock_timestamp() THEN CASE WHEN p.used_at IS NULL THEN 'expired' ELSE 'used' END
                                 WHEN p.needs_approval AND p.approved_at IS NULL THEN 'waits for approval'
                                 ELSE 'open' END AS state,
                       COALESCE((SELECT sum(most) FROM (SELECT max(u.rows_lost) AS most FROM holdfast.permit_use u
                                  WHERE u.permit_id = p.id GROUP BY u.xid, u.rule, u.items->0->>'schema', u.items->0->>'table') s), 0) AS rows_lost
                  FROM holdfast.permit p ORDER BY p.id DESC
                """)) {
      while (rows.next()) {
        long most = rows.getLong("rows_max");
        boolean any = rows.wasNull();
        permits.add(
            new Permit(
                rows.getLong("id"),
                List.of((String[]) rows.getArray("rules").getArray()),
                rows.getString("table_like"),
                any ? null : most,
                rows.getString("role_name"),
                rows.getBoolean("for_run"),
                rows.getString("reason"),
                rows.getTimestamp("created_at").toInstant(),
                rows.getString("created_by"),
                rows.getTimestamp("expires_at").toInstant(),
                rows.getString("approved_by"),
                instant(rows.getTimestamp("used_at")),
                rows.getString("state"),
                rows.getLong("rows_lost")));
      }
    } catch (SQLException e) {
      throw Guard.failure("cannot list permits", e);
    }
    return permits;
  }

  static @Nullable Instant instant(@Nullable Timestamp timestamp) {
    return timestamp == null ? null : timestamp.toInstant();
  }

  private static String code() {
    StringBuilder code = new StringBuilder();
    for (int i = 0; i < CODE_LENGTH; i++) {
      code.append(LETTERS.charAt(RANDOM.nextInt(LETTERS.length())));
    }
    return code.toString();
  }
}
