package dev.holdfast.row;

/**
 * One column of a table.
 *
 * @param number the column's lasting number (PostgreSQL: attnum), the same after a rename
 * @param name spelled as the catalog has it
 * @param type as SQL spells it, with modifiers and schema; a domain is given as its base type
 * @param content what the value's text holds
 */
public record Column(int number, String name, String type, Content content) {
  /** What a value's text holds; decides how two changes to one value are merged. */
  public enum Content {
    /** Nothing that can be merged: a value is one whole. */
    PLAIN,
    /** JSON as it was written: spaces, the order of keys and doubled keys count. */
    JSON,
    /** JSON in PostgreSQL's binary form: keys are ordered and single. */
    JSONB
  }
}
