package dev.holdfast.operations;

import org.jspecify.annotations.Nullable;

/**
 * Something about the WAL being read that is no record and no failure.
 *
 * @param kind {@code gap}: WAL between two files is missing; {@code end}: where reading ended;
 *     {@code names}: whose table names are used, or why there are none
 * @param lsn the position it is about; null when it is about none
 * @param text for people
 */
public record WalNote(String kind, @Nullable String lsn, String text) {
  static WalNote gap(Object lsn, String text) {
    return new WalNote("gap", lsn.toString(), text);
  }

  static WalNote end(Object lsn, String text) {
    return new WalNote("end", lsn.toString(), text);
  }

  static WalNote names(String text) {
    return new WalNote("names", null, text);
  }
}
