package dev.holdfast.damage;

import dev.holdfast.row.TableName;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.util.ArrayList;
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
 * @param jsonKeysLost keys that vanished from JSON documents; null when unknown
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
    @Nullable Long jsonKeysLost,
    List<String> columnsDropped) {
  /** Copies the list. */
  public TableDamage {
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
    out.writeBoolean(jsonKeysLost != null);
    if (jsonKeysLost != null) {
      out.writeLong(jsonKeysLost);
    }
    out.writeInt(columnsDropped.size());
    for (String column : columnsDropped) {
      out.writeUTF(column);
    }
  }

  static TableDamage read(DataInputStream in) throws IOException {
    return new TableDamage(
        in.readUTF(),
        new TableName(in.readUTF(), in.readUTF()),
        Integer.toUnsignedLong(in.readInt()),
        Action.valueOf(in.readUTF()),
        in.readLong(),
        in.readLong(),
        in.readLong(),
        in.readLong(),
        in.readBoolean() ? in.readLong() : null,
        columns(in));
  }

  private static List<String> columns(DataInputStream in) throws IOException {
    int count = in.readInt();
    if (count < 0) {
      throw new IllegalArgumentException("a summary with a list of " + count + " items");
    }
    List<String> columns = new ArrayList<>();
    for (int index = 0; index < count; index++) {
      columns.add(in.readUTF());
    }
    return columns;
  }
}
