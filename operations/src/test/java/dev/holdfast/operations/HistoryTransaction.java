package dev.holdfast.operations;

import java.sql.Connection;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/** One transaction of a random history, open on a connection of its own. */
final class HistoryTransaction {
  final boolean bad;
  final Connection connection;
  final List<HistoryLine.Write> writes = new ArrayList<>();

  /** Tables it has locked. */
  final Set<HistoryTable> tables = new HashSet<>();

  String xid = "";

  /** Its place in the order of commits; 0 while it is open. */
  int committed;

  /** Its name when it is prepared; empty while it is not. */
  String prepared = "";

  HistoryTransaction(boolean bad, Connection connection) {
    this.bad = bad;
    this.connection = connection;
  }

  /** Notes what a statement did to a row. */
  void write(HistoryLine line, @org.jspecify.annotations.Nullable HistoryRow after) {
    HistoryLine.Write write = new HistoryLine.Write(this, line, line.now, after);
    line.writes.add(write);
    line.now = after;
    line.heldBy = this;
    writes.add(write);
  }

  /** Takes back everything after the first {@code kept} writes. */
  void takeBack(int kept) {
    while (writes.size() > kept) {
      HistoryLine.Write write = writes.removeLast();
      if (!write.line().writes.removeLast().equals(write)) {
        throw new IllegalStateException("somebody wrote a row that was locked");
      }
      write.line().now = write.before();
    }
  }
}
