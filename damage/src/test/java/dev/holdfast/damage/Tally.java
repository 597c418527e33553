package dev.holdfast.damage;

import dev.holdfast.damage.TableDamage.Action;

/** What a client knows it did to one table. */
final class Tally {
  long inserted;
  long updated;
  long deleted;

  /** Rows that an UPDATE took to another partition: updates here, deletes to the server. */
  long movedOut;

  /** Rows that an UPDATE brought from another partition: nothing here, inserts to the server. */
  long movedIn;

  Action action = Action.CHANGED;

  /** What came in before is gone with the rest, and is no longer an insert of the transaction. */
  void truncate() {
    inserted = 0;
    movedIn = 0;
    action = Action.TRUNCATED;
  }

  void add(Tally later) {
    if (later.action != Action.CHANGED) {
      truncate();
      action = later.action;
    }
    inserted += later.inserted;
    updated += later.updated;
    deleted += later.deleted;
    movedOut += later.movedOut;
    movedIn += later.movedIn;
  }

  /** As {@link #text(Action, long, long, long)}; empty if there is nothing to report. */
  String text() {
    return text(action, inserted, updated + movedOut, deleted);
  }

  static String text(Action action, long inserted, long updated, long deleted) {
    if (action == Action.CHANGED && inserted == 0 && updated == 0 && deleted == 0) {
      return "";
    }
    return action + " +" + inserted + " ~" + updated + " -" + deleted;
  }

  /** In the terms of pg_stat_all_tables, which counts what was rolled back too. */
  String statistics() {
    return "+" + (inserted + movedIn) + " ~" + updated + " -" + (deleted + movedOut);
  }
}
