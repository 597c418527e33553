package dev.holdfast.cli;

import dev.holdfast.operations.GuardRule;
import dev.holdfast.operations.GuardRules;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;

@Command(
    name = "mode",
    header = "Have rules be off, observe or enforce.",
    description = {
      "%nExamples:",
      "  holdfast guard mode acme enforce json-keys-lost",
      "  holdfast guard mode acme observe mass-delete mass-update",
    })
final class GuardModeCommand extends GuardSubcommand {
  @Parameters(index = "1", paramLabel = "MODE", description = "off, observe or enforce.")
  String mode = "";

  @Parameters(
      index = "2..*",
      arity = "1..*",
      paramLabel = "RULE",
      description = "Rules, as `holdfast guard status` lists them.")
  List<String> rules = new ArrayList<>();

  GuardModeCommand(Terminal terminal, Map<String, String> environment) {
    super(terminal, environment);
  }

  @Override
  public Integer call() {
    GuardRules.Modes modes = new GuardRules(access()).setMode(rules, mode);
    print(
        modes,
        () -> {
          TextTable table = new TextTable("rule", "mode", "since", "by");
          for (GuardRule rule : modes.rules()) {
            table.row(rule.name(), rule.mode(), rule.since().toString(), rule.changedBy());
          }
          return table.format("");
        });
    return 0;
  }
}
