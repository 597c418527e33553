package dev.holdfast.cli;

import dev.holdfast.operations.GuardRules;
import dev.holdfast.operations.GuardSuggestion;
import java.util.Map;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

@Command(
    name = "suggest",
    header = "Propose limits from what the guard has seen, and enforce them.",
    description = {
      "%nWhat happened while rules observed goes on: a table whose nightly job deletes 40,000 rows gets a limit of 80,000."
          + " JSON columns that lost keys are observed on; look at them first, as that may be a fault.%n",
    })
final class GuardSuggestCommand extends GuardSubcommand {
  @Option(names = "--apply", description = "Make these exceptions and enforce the rules.")
  boolean apply;

  @Option(names = "--early", description = "Before they have observed for 14 days.")
  boolean early;

  GuardSuggestCommand(Terminal terminal, Map<String, String> environment) {
    super(terminal, environment);
  }

  @Override
  public Integer call() {
    GuardSuggestion suggestion = new GuardRules(access()).suggest(apply, early, progress());
    print(suggestion, () -> text(suggestion));
    return 0;
  }

  private String text(GuardSuggestion suggestion) {
    if (suggestion.enforced().isEmpty()) {
      return "nothing observes: there is nothing to suggest\n";
    }
    StringBuilder text =
        new StringBuilder("observed since ").append(suggestion.observedSince()).append("\n\n");
    TextTable table = new TextTable("rule", "table", "times", "most", "limit", "by", "keys");
    for (GuardSuggestion.Proposal proposal : suggestion.proposals()) {
      table.row(
          proposal.rule(),
          proposal.table() + (proposal.column() == null ? "" : "." + proposal.column()),
          Texts.count(proposal.transactions()),
          Texts.count(proposal.rowsMost()),
          proposal.rowsMax() == null ? "observe" : Texts.count(proposal.rowsMax()),
          String.join(", ", proposal.applications()),
          String.join(", ", proposal.keys()));
    }
    text.append(table.isEmpty() ? "  nothing was seen above the limits\n" : table.format("  "));
    return text.append('\n')
        .append(
            suggestion.applied()
                ? "applied: %s refuse from now on%n"
                    .formatted(String.join(", ", suggestion.enforced()))
                : suggestion.ready()
                    ? "next: holdfast guard suggest %s --apply%n".formatted(shown())
                    : "next: wait until 14 days are over, then holdfast guard suggest %s --apply%n"
                        .formatted(shown()))
        .toString();
  }
}
