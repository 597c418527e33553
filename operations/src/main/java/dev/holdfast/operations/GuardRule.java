package dev.holdfast.operations;

import dev.holdfast.guard.Rules;
import dev.holdfast.guard.SelfCheck;
import java.math.BigDecimal;
import java.time.Instant;
import org.jspecify.annotations.Nullable;

/**
 * A rule of a database's guard.
 *
 * @param mode {@code off}, {@code observe} or {@code enforce}
 * @param rowsMax more rows than these in one transaction are too many; null where it counts none
 * @param percentMax so many percent of the table, from 1,000 rows on
 * @param since when the mode was set
 * @param works {@code yes} when a probe was refused, {@code no} when it was not, {@code unknown}
 *     when it was not tried
 * @param note why, or what else there is to know
 */
public record GuardRule(
    String name,
    String mode,
    @Nullable Long rowsMax,
    @Nullable BigDecimal percentMax,
    Instant since,
    String changedBy,
    String works,
    @Nullable String note) {
  static GuardRule of(Rules.Rule rule) {
    return new GuardRule(
        rule.name(),
        rule.mode(),
        rule.rowsMax(),
        rule.percentMax(),
        rule.since(),
        rule.changedBy(),
        "unknown",
        null);
  }

  static GuardRule of(SelfCheck.CheckedRule checked) {
    Rules.Rule rule = checked.rule();
    return new GuardRule(
        rule.name(),
        rule.mode(),
        rule.rowsMax(),
        rule.percentMax(),
        rule.since(),
        rule.changedBy(),
        checked.works(),
        checked.note());
  }
}
