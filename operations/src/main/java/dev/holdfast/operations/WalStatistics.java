package dev.holdfast.operations;

import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * How many WAL records there are of each kind, and what they weigh: the figures of {@code
 * pg_waldump --stats}. Sizes in bytes; percentages of the column's total.
 *
 * @param from start of the first record counted; null when there is none
 * @param to end of the last record counted; null when there is none
 * @param rows by resource manager, or by what the records do
 * @param total of all rows
 */
public record WalStatistics(
    @Nullable String from, @Nullable String to, List<Row> rows, Total total) {

  /**
   * Records of one kind.
   *
   * @param rmgr the resource manager, as pg_waldump spells it
   * @param info what they do, as pg_waldump spells it; null when counted by resource manager
   * @param records how many
   * @param recordBytes page images left out
   * @param imageBytes page images, as stored
   * @param combinedBytes both
   */
  public record Row(
      String rmgr,
      @Nullable String info,
      long records,
      double recordsPercent,
      long recordBytes,
      double recordBytesPercent,
      long imageBytes,
      double imageBytesPercent,
      long combinedBytes,
      double combinedBytesPercent) {}

  /**
   * All records.
   *
   * @param recordBytesPercent of {@code combinedBytes}
   * @param imageBytesPercent of {@code combinedBytes}
   */
  public record Total(
      long records,
      long recordBytes,
      double recordBytesPercent,
      long imageBytes,
      double imageBytesPercent,
      long combinedBytes) {}
}
