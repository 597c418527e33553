package dev.holdfast.operations;

import dev.holdfast.damage.RowHistories;
import dev.holdfast.damage.RowHistories.RowHistory;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RelFile;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** The histories of one table's rows, numbered from 0 through all the files it had. */
final class TableRows {
  private final TransactionSet.Table table;
  private final RowHistories histories;
  private final int[] begins;

  TableRows(TransactionSet.Table table, RowHistories histories) {
    this(table, histories, Integer.MAX_VALUE);
  }

  private TableRows(TransactionSet.Table table, RowHistories histories, int limit) {
    this.table = table;
    this.histories = histories;
    this.begins = new int[table.files().size() + 1];
    for (int index = 0; index < table.files().size(); index++) {
      int end = begins[index] + histories.count(table.files().get(index));
      begins[index + 1] = Math.min(end, limit);
    }
  }

  /** The first so many of them. */
  TableRows first(int limit) {
    return new TableRows(table, histories, limit);
  }

  TransactionSet.Table table() {
    return table;
  }

  /** How many histories there are, those included of which nothing is left. */
  int count() {
    return begins[begins.length - 1];
  }

  /** Null when nothing is left of it. */
  @Nullable RowHistory history(int number) {
    int index = fileIndex(number);
    return histories.history(table.files().get(index), number - begins[index]);
  }

  /** See {@link RowHistories#movedTo}. */
  RowHistories.@Nullable MovedTo movedTo(int number) {
    int index = fileIndex(number);
    return histories.movedTo(table.files().get(index), number - begins[index]);
  }

  /**
   * Whether a row may have come while the set went on: it was seen to, or lies in a file that the
   * table got meanwhile.
   */
  boolean mayHaveCome(int number) {
    RowHistory history = history(number);
    return history != null
        && (history.first() == null || !history.since().equals(Lsn.NONE) || isOfLaterFile(number));
  }

  /** Whether it lies in a file that the table got after the first one known. */
  boolean isOfLaterFile(int number) {
    return number >= begins[1];
  }

  /** Whether the set moved it to another partition: it is gone here, and was not deleted. */
  boolean hasMoved(int number) {
    return movedTo(number) != null;
  }

  /** See {@link RowHistories#hasArrived}. */
  boolean hasArrived(int number) {
    int index = fileIndex(number);
    return histories.hasArrived(table.files().get(index), number - begins[index]);
  }

  /** The number here of a history of one of the table's files; -1 for other files. */
  int number(RelFile file, int inFile) {
    int index = table.files().indexOf(file);
    return index < 0 ? -1 : begins[index] + inFile;
  }

  /** Where the set first wrote to the file a history's rows lie in. */
  Lsn firstWritten(int number) {
    return histories.firstWritten(file(number));
  }

  /** The file a history's rows lie in. */
  RelFile file(int number) {
    return table.files().get(fileIndex(number));
  }

  private int fileIndex(int number) {
    int index = 0;
    while (number >= begins[index + 1]) {
      index++;
    }
    return index;
  }

  /** Files of the table that the set itself made. */
  List<RelFile> madeBySet() {
    return table.files().stream().filter(histories::madeBySet).toList();
  }

  /** Whether the set itself wrote rows into a file of the table while making it. */
  boolean isRewritten() {
    return table.files().stream().anyMatch(histories::filledByMaker);
  }
}
