package dev.holdfast.damage;

import dev.holdfast.damage.TableDamage.Action;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** What a client did in one transaction, level by level of its savepoints. */
final class Ledger {
  /** What was done since one savepoint, or since BEGIN. */
  private static final class Level {
    final Map<String, Tally> tallies = new TreeMap<>();
    final List<Runnable> atCommit = new ArrayList<>();
  }

  private final Books books;
  private final List<Level> levels = new ArrayList<>(List.of(new Level()));

  /** Every statement, for the one who has to find out why the counts differ. */
  final List<String> statements = new ArrayList<>();

  /** Whether a statement gave a table a new file, or took one away. */
  boolean restructured;

  /** The transaction's id; 0 while it has none. */
  long xid;

  Ledger(Books books) {
    this.books = books;
  }

  Tally of(String table) {
    return levels.getLast().tallies.computeIfAbsent(table, _ -> new Tally());
  }

  void drop(String table) {
    of(table).action = Action.DROPPED;
  }

  /** What to remember if, and only if, all this commits. */
  void atCommit(Runnable action) {
    levels.getLast().atCommit.add(action);
  }

  /** The number of savepoints open: the innermost has this number. */
  int savepoints() {
    return levels.size() - 1;
  }

  void savepoint() {
    levels.add(new Level());
  }

  /** As ROLLBACK TO: the savepoint itself stays. */
  void rollbackTo(int savepoint) {
    while (levels.size() > savepoint) {
      books.attempted(levels.removeLast().tallies);
    }
    savepoint();
  }

  void release(int savepoint) {
    while (levels.size() > savepoint) {
      Level inner = levels.removeLast();
      inner.tallies.forEach((table, tally) -> of(table).add(tally));
      levels.getLast().atCommit.addAll(inner.atCommit);
    }
  }

  /** Everything, with all savepoints released. */
  Map<String, Tally> total() {
    release(1);
    return levels.getFirst().tallies;
  }

  void committed() {
    release(1);
    levels.getFirst().atCommit.forEach(Runnable::run);
  }

  /** What DamageScan has to say about each table, in a fixed order. */
  Map<String, String> expected() {
    Map<String, String> texts = new TreeMap<>();
    total()
        .forEach((table, tally) -> {
          String text = tally.text();
          if (!text.isEmpty()) {
            texts.put(table, text);
          }
        });
    return texts;
  }

  /** Whether any statement has one of these texts in it, be it rolled back since. */
  boolean says(String... texts) {
    return statements.stream()
        .anyMatch(statement -> Arrays.stream(texts).anyMatch(statement::contains));
  }
}
