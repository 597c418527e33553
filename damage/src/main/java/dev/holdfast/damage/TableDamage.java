package dev.holdfast.damage;

import dev.holdfast.row.TableName;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What one transaction did to one table.
 *
 * @param database name of the database; its OID in digits when the name is unknown
 * @param table the table; schema {@value #UNKNOWN_SCHEMA} with the file's name when nobody recorded
 *     whose file it is
 * @param oid the table's OID; 0 when unknown
 * @param action the worst that happened to it
 * @param rowsInserted rows inserted; after a truncation in the same transaction, those put in
 *     since. Of a table made in the same transaction, the rows it was left with: nothing else that
 *     was done to them was done to anybody's rows
 * @param rowsUpdated rows updated, those moved to another partition included (counted where they
 *     came from)
 * @param rowsDeleted rows deleted one by one; not those that went with the table
 * @param rowsBefore the recorded estimate of the rows it held; -1 when unknown
 * @param jsonLosses keys that vanished from JSON documents, column by column; empty when nobody
 *     told
 * @param columnsDropped names of the columns it lost while it stayed, {@code column N} (attnum)
 *     where the log does not tell the name
 */
public record TableDamage(
    String database,
    TableName table,
    long oid,
    Action action,
    long rowsInserted,
    long rowsUpdated,
    long rowsDeleted,
    long rowsBefore,
    List<JsonLoss> jsonLosses,
    List<String> columnsDropped) {
  /** Copies the lists. */
  public TableDamage {
    jsonLosses = List.copyOf(jsonLosses);
    columnsDropped = List.copyOf(columnsDropped);
  }

  /** The schema of tables whose name nobody recorded. */
  public static final String UNKNOWN_SCHEMA = "?";

  /** What happened to a table. */
  public enum Action {
    /** The table is gone. */
    DROPPED,
    /** All rows it had before are gone. */
    TRUNCATED,
    /** Rows were inserted, updated or deleted. */
    CHANGED
  }

  /** How many different keys vanished from JSON documents; null when unknown. */
  public @Nullable Long jsonKeysLost() {
    return jsonLosses.isEmpty()
        ? null
        : jsonLosses.stream().mapToLong(loss -> loss.keys().size()).sum();
  }

  void write(DataOutputStream out) throws IOException {
    out.writeUTF(database);
    out.writeUTF(table.schema());
    out.writeUTF(table.table());
    out.writeInt((int) oid);
    out.writeUTF(action.name());
    out.writeLong(rowsInserted);
    out.writeLong(rowsUpdated);
    out.writeLong(rowsDeleted);
    out.writeLong(rowsBefore);
    out.writeInt(jsonLosses.size());
    for (JsonLoss loss : jsonLosses) {
      loss.write(out);
    }
    out.writeInt(columnsDropped.size());
    for (String column : columnsDropped) {
      out.writeUTF(column);
    }
  }

  /**
   * @param format of the summary
   */
  static TableDamage read(DataInputStream in, int format) throws IOException {
    return new TableDamage(
        in.readUTF(),
        new TableName(in.readUTF(), in.readUTF()),
        Integer.toUnsignedLong(in.readInt()),
        Action.valueOf(in.readUTF()),
        in.readLong(),
        in.readLong(),
        in.readLong(),
        in.readLong(),
        format == 1 ? noLosses(in) : SegmentSummary.list(in, () -> JsonLoss.read(in)),
        SegmentSummary.list(in, in::readUTF));
  }

  /** The first format had a number here, which nobody told yet. */
  private static List<JsonLoss> noLosses(DataInputStream in) throws IOException {
    if (in.readBoolean()) {
      in.readLong();
    }
    return List.of();
  }
}
