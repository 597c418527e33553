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
 * @param statement the first statement that the guard told of; null when the log does not say
 * @param moreStatements how many more it told of in this transaction
 * @param permit number of the guard's permit that was used; null when none was, or nobody said
 * @param notes what else there is to know: the guard was weakened, event triggers were changed
 * @param guardSettings what was changed in the guard through Holdfast itself, a sentence each; no
 *     damage
 * @param database the database it happened in; null when it touched none that is known
 * @param tables what it did to each table; empty only where there are notes or settings
 */
public record LogEntry(
    String xid,
    String commitLsn,
    Instant committedAt,
    String severity,
    @Nullable String user,
    @Nullable String application,
    @Nullable String address,
    @Nullable String statement,
    long moreStatements,
    @Nullable Long permit,
    List<String> notes,
    List<String> guardSettings,
    @Nullable String database,
    List<Table> tables) {

  /**
   * What one transaction did to one table.
   *
   * @param action {@code dropped}, {@code truncated} or {@code changed}
   * @param rowsBefore rows the table held before it was dropped or truncated, as the catalog
   *     estimated them; null when unknown or when the table was only changed
   * @param jsonKeysLost how many different JSON keys its updates removed; null when unknown
   * @param jsonLosses the same column by column; empty when unknown
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
      List<JsonLoss> jsonLosses,
      List<String> columnsDropped) {
    /** Copies the lists. */
    public Table {
      jsonLosses = List.copyOf(jsonLosses);
      columnsDropped = List.copyOf(columnsDropped);
    }
  }

  /**
   * JSON keys that one column's documents lost, as the guard told it.
   *
   * @param keys sorted; of very many the first ones
   * @param keysBefore the most keys that one of the documents had before
   * @param rows how often a row lost some; a row that two statements hit counts twice
   * @param rowsExact false: at least so many
   */
  public record JsonLoss(
      String column, List<String> keys, int keysBefore, long rows, boolean rowsExact) {
    /** Copies the list. */
    public JsonLoss {
      keys = List.copyOf(keys);
    }

    static JsonLoss of(dev.holdfast.damage.JsonLoss loss) {
      return new JsonLoss(loss.column(), loss.keys(), loss.keysBefore(), loss.rows(), loss.exact());
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
        damage.statement(),
        damage.moreStatements(),
        damage.permit(),
        damage.notes(),
        damage.guardSettings(),
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
        damage.jsonLosses().stream().map(JsonLoss::of).toList(),
        damage.columnsDropped());
  }
}
