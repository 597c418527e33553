package dev.holdfast.cli;

import dev.holdfast.failure.Kind;
import dev.holdfast.operations.Advice;
import dev.holdfast.operations.GuardCheck;
import dev.holdfast.operations.GuardException;
import dev.holdfast.operations.GuardRule;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;

@Command(
    name = "status",
    header = "Prove that the guard is armed: provoke each rule, and roll it back.",
    description = {
      "%nMakes a table of its own in a transaction, tries on it what each rule refuses, and rolls back. Also told: tables that"
          + " are not covered, triggers that are disabled, roles that can switch the guard off, what a superuser did to"
          + " it, and whether this is a copy.%n",
      "Ends with 4 when it is not armed as its modes say.%n",
    })
final class GuardStatusCommand extends GuardSubcommand {
  GuardStatusCommand(Terminal terminal, Map<String, String> environment) {
    super(terminal, environment);
  }

  @Override
  public Integer call() {
    GuardCheck.Result result = new GuardCheck(access()).run();
    print(result, () -> text(result));
    return result.armed() && result.identityFits() ? 0 : Kind.DIFFERENT.exitCode();
  }

  private String text(GuardCheck.Result result) {
    boolean quiet = result.rules().stream().allMatch(rule -> rule.mode().equals("off"));
    StringBuilder text =
        new StringBuilder(
                !result.armed()
                    ? terminal.paint(Terminal.Colour.RED, "not armed")
                    : quiet
                        ? terminal.paint(Terminal.Colour.DIM, "off")
                        : terminal.paint(Terminal.Colour.GREEN, "armed"))
            .append(
                "  %s is %s/%s: %s covered, as %s%s%n%n"
                    .formatted(
                        result.database(),
                        result.name(),
                        result.environment(),
                        Texts.plural(result.tables() - result.uncovered().size(), "table"),
                        result.server().role(),
                        result.aliveAt() == null ? "" : ", recorder seen " + result.aliveAt()));
    TextTable rules = new TextTable("rule", "mode", "limit", "works", "");
    for (GuardRule rule : result.rules()) {
      rules.row(
          rule.name(),
          rule.mode(),
          limit(rule.rowsMax(), rule.percentMax()),
          rule.works(),
          Objects.requireNonNullElse(rule.note(), ""));
    }
    text.append(rules.format("  "))
        .append('\n')
        .append(ServerText.of(result.server()))
        .append('\n');
    if (!result.exceptions().isEmpty()) {
      TextTable exceptions = new TextTable("exception", "rule", "for", "mode", "limit", "reason");
      for (GuardException exception : result.exceptions()) {
        exceptions.row(
            String.valueOf(exception.id()),
            exception.rule(),
            target(exception),
            Objects.requireNonNullElse(exception.mode(), ""),
            limit(exception.rowsMax(), exception.percentMax()),
            exception.reason());
      }
      text.append(exceptions.format("  ")).append('\n');
    }
    text.append(
        "  can switch it off: %s%n"
            .formatted(
                result.disarmers().stream()
                    .map(disarmer -> disarmer.role())
                    .collect(Collectors.joining(", "))));
    if (result.observations() > 0) {
      text.append(
          "  observed: %s; holdfast guard suggest %s proposes limits%n"
              .formatted(Texts.plural(result.observations(), "act"), shown()));
    }
    for (Advice advice : result.advice()) {
      text.append(AdviceText.of(terminal, advice));
    }
    return text.toString();
  }

  private static String target(GuardException exception) {
    List<String> parts = new ArrayList<>();
    if (exception.table() != null) {
      parts.add(exception.table() + (exception.column() == null ? "" : "." + exception.column()));
    }
    if (exception.role() != null) {
      parts.add("role " + exception.role());
    }
    return String.join(", ", parts);
  }

  static String limit(@Nullable Long rows, @Nullable BigDecimal percent) {
    List<String> parts = new ArrayList<>();
    if (rows != null) {
      parts.add(Texts.count(rows) + " rows");
    }
    if (percent != null) {
      parts.add(percent.stripTrailingZeros().toPlainString() + " %");
    }
    return String.join(" or ", parts);
  }
}
