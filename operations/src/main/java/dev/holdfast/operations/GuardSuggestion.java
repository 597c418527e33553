package dev.holdfast.operations;

import dev.holdfast.guard.Suggestions;
import java.time.Instant;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Limits proposed from what a guard has seen.
 *
 * @param observedSince when its rules began to observe; null when none does
 * @param ready whether that is long enough ago
 * @param enforced the rules that are enforced once applied
 * @param applied whether it was applied
 */
public record GuardSuggestion(
    String database,
    @Nullable Instant observedSince,
    boolean ready,
    List<Proposal> proposals,
    List<String> enforced,
    boolean applied) {
  /**
   * For one table.
   *
   * @param rowsMax the limit proposed; null where the rule observes this column on
   */
  public record Proposal(
      String rule,
      String table,
      @Nullable String column,
      long transactions,
      long rowsMost,
      Instant first,
      Instant last,
      List<String> applications,
      List<String> keys,
      @Nullable Long rowsMax) {}

  static GuardSuggestion of(String database, Suggestions.Suggested suggested, boolean applied) {
    return new GuardSuggestion(
        database,
        suggested.observedSince(),
        suggested.ready(),
        suggested.proposals().stream()
            .map(p ->
                new Proposal(
                    p.rule(),
                    p.table(),
                    p.column(),
                    p.transactions(),
                    p.rowsMost(),
                    p.first(),
                    p.last(),
                    p.applications(),
                    p.keys(),
                    p.rowsMax()))
            .toList(),
        suggested.enforced(),
        applied);
  }
}
