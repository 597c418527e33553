package dev.holdfast.cli;

import dev.holdfast.operations.GuardPermit;
import dev.holdfast.operations.GuardRules;
import java.util.Map;
import java.util.Objects;
import picocli.CommandLine.Command;

@Command(name = "permits", header = "All permits, who made them and what they were used for.")
final class GuardPermitsCommand extends GuardSubcommand {
  GuardPermitsCommand(Terminal terminal, Map<String, String> environment) {
    super(terminal, environment);
  }

  @Override
  public Integer call() {
    GuardRules.PermitList list = new GuardRules(access()).permits();
    print(list, () -> text(list));
    return 0;
  }

  private static String text(GuardRules.PermitList list) {
    if (list.permits().isEmpty()) {
      return "no permits in " + list.database() + "\n";
    }
    TextTable table =
        new TextTable("permit", "state", "allows", "for", "rows lost", "by", "until", "reason");
    for (GuardPermit permit : list.permits()) {
      table.row(
          Long.toString(permit.id()),
          permit.state(),
          String.join(", ", permit.rules()),
          Objects.requireNonNullElse(permit.table(), "all tables"),
          Texts.count(permit.rowsLost()),
          permit.createdBy(),
          permit.expiresAt().toString(),
          permit.reason());
    }
    return table.format("");
  }
}
