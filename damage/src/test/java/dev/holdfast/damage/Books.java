package dev.holdfast.damage;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** What clients know they did, to be held against what the log and the statistics say. */
final class Books {
  /**
   * A transaction that committed.
   *
   * @param tables per table what has to be reported, never empty
   * @param ledger everything about it
   */
  record Committed(long xid, boolean prepared, Map<String, String> tables, Ledger ledger) {}

  /** In the order of their commits. */
  final List<Committed> committed = new ArrayList<>();

  /** By file: tables that the recorded catalog may not know, since they came and went. */
  final Map<String, String> tableOfFile = new TreeMap<>();

  /** By table: the transaction that made it, in which it is not compared. */
  final Map<String, Long> creators = new TreeMap<>();

  private final Map<String, Tally> attempted = new TreeMap<>();

  void commit(Ledger ledger, boolean prepared) {
    Map<String, String> tables = ledger.expected();
    tables.keySet().removeIf(table -> creators.getOrDefault(table, 0L) == ledger.xid);
    if (!tables.isEmpty()) {
      committed.add(new Committed(ledger.xid, prepared, tables, ledger));
    }
    attempted(ledger.total());
    ledger.committed();
  }

  void rollback(Ledger ledger) {
    attempted(ledger.total());
  }

  /** Done, be it committed or not: what the server's statistics count. */
  void attempted(Map<String, Tally> tallies) {
    tallies.forEach(
        (table, tally) -> attempted.computeIfAbsent(table, _ -> new Tally()).add(tally));
  }

  /** A crash loses the statistics: from here on they start from nothing. */
  void statisticsLost() {
    attempted.clear();
  }

  /** What pg_stat_all_tables has to say about this table. */
  String statistics(String table) {
    return attempted.getOrDefault(table, new Tally()).statistics();
  }
}
