package dev.holdfast.operations;

import dev.holdfast.guard.Rules;
import java.math.BigDecimal;
import org.jspecify.annotations.Nullable;

/**
 * A rule made stricter or looser for some tables, columns or roles.
 *
 * @param id null before it is made
 * @param table {@code schema.table}, {@code %} standing for anything; null for all
 * @param role likewise; null for all
 * @param column of JSON; null for all
 * @param mode null: as the rule's
 * @param rowsMax likewise, with {@code percentMax}
 */
public record GuardException(
    @Nullable Long id,
    String rule,
    @Nullable String table,
    @Nullable String role,
    @Nullable String column,
    @Nullable String mode,
    @Nullable Long rowsMax,
    @Nullable BigDecimal percentMax,
    String reason) {
  static GuardException of(Rules.RuleOverride made) {
    return new GuardException(
        made.id(),
        made.rule(),
        made.table(),
        made.role(),
        made.column(),
        made.mode(),
        made.rowsMax(),
        made.percentMax(),
        made.reason());
  }

  Rules.RuleOverride toMake() {
    return new Rules.RuleOverride(
        null, rule, table, role, column, mode, rowsMax, percentMax, reason);
  }
}
