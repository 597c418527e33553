package dev.holdfast.scenarios;

import java.util.List;

/**
 * Something a client does that destroys data.
 *
 * @param name as the client's users call it
 * @param sqlState of the error that stands in its way on a guarded database
 * @param losses what is gone afterwards where nothing stands in its way, as {@link
 *     Contents#lossesTo} spells it
 * @param dropsForeignKeysFirst in transactions of their own, which lose no data and pass
 */
record Act(String name, String sqlState, List<String> losses, boolean dropsForeignKeysFirst) {
  /** The guard's refusals. */
  private static final String REFUSED = "HF001";

  /** What PostgreSQL itself says of a database that is marked as a template. */
  private static final String WRONG_OBJECT_TYPE = "42809";

  static Act of(String name, String... losses) {
    return new Act(name, REFUSED, List.of(losses), false);
  }

  static Act dropDatabase(String name) {
    return new Act(name, WRONG_OBJECT_TYPE, List.of(Contents.WHOLE_DATABASE), false);
  }

  Act droppingForeignKeysFirst() {
    return new Act(name, sqlState, losses, true);
  }

  boolean isRefusedByTheGuard() {
    return sqlState.equals(REFUSED);
  }

  @Override
  public String toString() {
    return name;
  }
}
