package dev.holdfast.operations;

import dev.holdfast.guard.FreezeTriggers;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What is frozen in a database.
 *
 * @param frozen whether anything is
 * @param complete whether every table that is meant is frozen; true when nothing is
 * @param frozenAt null when nothing is frozen, as the rest
 * @param application only sessions of this application_name are refused; null for all
 * @param role only sessions of this role; null for all
 * @param exceptRole sessions of this role may write; null for none
 * @param onlyTables the tables that were named; empty for all
 * @param tables those that refuse writes
 * @param missing those that should and do not, with the reason
 * @param ddlRefused whether DDL is refused, too
 * @param refusal what a client is told; null when nothing is frozen
 * @param notes what is not stopped
 */
public record FreezeReport(
    String database,
    boolean frozen,
    boolean complete,
    @Nullable Instant frozenAt,
    @Nullable String frozenBy,
    @Nullable String reason,
    @Nullable String application,
    @Nullable String role,
    @Nullable String exceptRole,
    List<String> onlyTables,
    List<String> tables,
    Map<String, String> missing,
    boolean ddlRefused,
    @Nullable Refusal refusal,
    List<String> notes) {
  /** What a client meets, of one table for example. */
  public record Refusal(String sqlState, String message, String detail, String hint) {
    static Refusal of(FreezeTriggers.Refusal refusal) {
      return new Refusal(refusal.sqlState(), refusal.message(), refusal.detail(), refusal.hint());
    }
  }

  /** Copies. */
  public FreezeReport {
    onlyTables = List.copyOf(onlyTables);
    tables = List.copyOf(tables);
    notes = List.copyOf(notes);
  }

  static FreezeReport nothing(String database) {
    return new FreezeReport(
        database, false, true, null, null, null, null, null, null, List.of(), List.of(), Map.of(),
        false, null, List.of());
  }
}
