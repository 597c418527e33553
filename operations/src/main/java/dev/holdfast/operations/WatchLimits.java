package dev.holdfast.operations;

/**
 * From where on something in a watched command is a finding.
 *
 * @param keysMin keys that a document has at least, for the loss of some to count
 * @param keysLostShare the part of them that is lost, from 0 to 1
 * @param sameRowCalls calls of a statement that all hit one row
 * @param massRows rows that one call hits
 * @param massShare the part of the table that they are, from 0 to 1
 * @param strict whether warnings are errors
 */
public record WatchLimits(
    int keysMin,
    double keysLostShare,
    int sameRowCalls,
    int massRows,
    double massShare,
    boolean strict) {
  /** What is used where nothing else is asked for. */
  public static final WatchLimits USUAL = new WatchLimits(3, 0.5, 5, 10, 0.5, false);
}
