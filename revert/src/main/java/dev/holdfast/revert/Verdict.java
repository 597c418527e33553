package dev.holdfast.revert;

/** What undoing does to one row that the transaction changed. */
public enum Verdict {
  /** Everything the transaction did to the row is undone. */
  RESTORED("restored", Fate.RESTORED),
  /** A part is undone; what was set again since stays: JSON keys, as a rule. */
  PARTLY_RESTORED("partlyRestored", Fate.RESTORED),
  /** The row is as it was before, or the keys that were lost are back. */
  ALREADY_UNDONE("alreadyUndone", Fate.KEPT),
  /** The transaction did nothing to the row that this undoing would take back. */
  UNCHANGED("unchanged", Fate.KEPT),
  /** Written again since, so it is kept as it is. */
  TOUCHED_SINCE("touchedSince", Fate.KEPT),
  /** The row to restore was deleted since, or has another key now; it is not made again. */
  GONE_SINCE("goneSince", Fate.IN_CONFLICT),
  /** The row to put back would take the key of a row that is there now. */
  KEY_USED_AGAIN("keyUsedAgain", Fate.IN_CONFLICT);

  /** How a row is counted when the plan is applied. */
  public enum Fate {
    /** Written by the plan. */
    RESTORED,
    /** Left as it is, with good reason. */
    KEPT,
    /** Left as it is; a person must decide. */
    IN_CONFLICT
  }

  private final String word;
  private final Fate fate;

  Verdict(String word, Fate fate) {
    this.word = word;
    this.fate = fate;
  }

  /** Its name in a plan's JSON. */
  public String word() {
    return word;
  }

  /** How it is counted. */
  public Fate fate() {
    return fate;
  }
}
