package dev.holdfast.postgres;

import java.time.Duration;
import java.util.List;

/**
 * One thing that was checked of a restored cluster.
 *
 * @param name of the check, as in JSON
 * @param outcome what it came to
 * @param looked how many relations, rows or transactions were looked at
 * @param found what is damaged, or could not be checked and why; the first of each kind
 * @param more how many findings there were besides
 * @param notes what the check does not cover
 */
public record Check(
    String name,
    Outcome outcome,
    long looked,
    List<Finding> found,
    long more,
    List<String> notes,
    Duration took) {
  /** Worst last. */
  public enum Outcome {
    /** It was not to be done, for the reason in the notes. */
    SKIPPED,
    /** All that was looked at is as it should be. */
    PASSED,
    /** Some of it could not be told. */
    INCONCLUSIVE,
    /** Something is damaged. */
    FAILED
  }

  /**
   * Something that was found.
   *
   * @param damaged whether it is damage; else it could not be told
   * @param what of which database and relation
   * @param why what is wrong, or in the way
   */
  public record Finding(boolean damaged, String what, String why) {}

  /** Copies the lists. */
  public Check {
    found = List.copyOf(found);
    notes = List.copyOf(notes);
  }
}
