package dev.holdfast.operations;

import dev.holdfast.guard.Permits;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A permit as the database has it.
 *
 * @param rules that it lifts
 * @param table {@code schema.table}, {@code %} standing for anything; null for all
 * @param rowsMax how many rows may be lost in all; null for any number
 * @param role only sessions that logged in as this role; null for any
 * @param forRun for all transactions of the first session that shows it
 * @param state {@code open}, {@code waits for approval}, {@code used}, {@code expired}, {@code
 *     revoked}
 * @param rowsLost with it, so far
 */
public record GuardPermit(
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
    long rowsLost) {

  /** What a permit is asked for; as {@link Permits.Request}. */
  public record Request(
      List<String> rules,
      @Nullable String table,
      @Nullable Long rowsMax,
      @Nullable String role,
      Duration validFor,
      String reason,
      boolean forRun,
      boolean needsApproval) {
    Permits.Request toIssue() {
      return new Permits.Request(
          rules, table, rowsMax, role, validFor, reason, forRun, needsApproval);
    }
  }

  /**
   * A permit just made.
   *
   * @param code shown once, kept nowhere
   * @param statement what a transaction says to use it
   */
  public record Issued(
      long id, String code, Instant expiresAt, boolean needsApproval, String statement) {}

  static GuardPermit of(Permits.Permit permit) {
    return new GuardPermit(
        permit.id(),
        permit.rules(),
        permit.table(),
        permit.rowsMax(),
        permit.role(),
        permit.forRun(),
        permit.reason(),
        permit.createdAt(),
        permit.createdBy(),
        permit.expiresAt(),
        permit.approvedBy(),
        permit.usedAt(),
        permit.state(),
        permit.rowsLost());
  }
}
