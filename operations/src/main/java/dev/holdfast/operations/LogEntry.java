package dev.holdfast.operations;

import dev.holdfast.damage.TableDamage;
import dev.holdfast.damage.TransactionDamage;
import java.time.Instant;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/**
 * One committed transaction as {@code holdfast log} tells it.
 *
 * @param xid the transaction, as PostgreSQL numbers it
 * @param commitLsn start of its commit record: the target of "just before it"
 * @param committedAt when the server decided to commit; not in LSN order
 * @param severity {@code critical}, {@code high}, {@code medium} or {@code low}
 * @param user role that ran it; null when the log does not say
 * @param application application_name; null when the log does not say
 * @param address client address; null when the log does not say
 * @param database the database it happened in; null when it touched none that is known
 * @param tables what it did to each table
 */
public record LogEntry(
    String xid,
    String commitLsn,
    Instant committedAt,
    String severity,
    @Nullable String user,
    @Nullable String application,
    @Nullable String address,
    @Nullable String database,
    List<Table> tables) {

  /**
   * What one transaction did to one table.
   *
   * @param action {@code dropped}, {@code truncated} or {@code changed}
   * @param rowsBefore rows the table held before it was dropped or truncated, as the catalog
   *     estimated them; null when unknown or when the table was only changed
   * @param jsonKeysLost JSON keys its updates removed; null when unknown
   * @param columnsDropped columns it lost while it stayed; {@code column N}, by attnum, where the
   *     log does not tell the name
   */
  public record Table(
      String schema,
      String table,
      String action,
      long rowsInserted,
      long rowsUpdated,
      long rowsDeleted,
      @Nullable Long rowsBefore,
      @Nullable Long jsonKeysLost,
      List<String> columnsDropped) {
    /** Copies the list. */
    public Table {
      columnsDropped = List.copyOf(columnsDropped);
    }
  }

  static LogEntry of(TransactionDamage damage) {
    return new LogEntry(
        Long.toString(damage.xid()),
        damage.commitLsn().toString(),
        damage.committedAt(),
        damage.severity().name().toLowerCase(Locale.ROOT),
        damage.user(),
        damage.application(),
        damage.address(),
        damage.tables().isEmpty() ? null : damage.tables().getFirst().database(),
        damage.tables().stream().map(LogEntry::table).toList());
  }

  private static Table table(TableDamage damage) {
    return new Table(
        damage.table().schema(),
        damage.table().table(),
        damage.action().name().toLowerCase(Locale.ROOT),
        damage.rowsInserted(),
        damage.rowsUpdated(),
        damage.rowsDeleted(),
        damage.rowsBefore() < 0 ? null : damage.rowsBefore(),
        damage.jsonKeysLost(),
        damage.columnsDropped());
  }
}
