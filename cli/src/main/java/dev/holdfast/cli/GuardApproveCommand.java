package dev.holdfast.cli;

import dev.holdfast.operations.GuardRules;
import java.util.Map;
import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;

@Command(name = "approve", header = "Approve a permit that somebody else asked for.")
final class GuardApproveCommand extends GuardSubcommand {
  @Parameters(index = "1", paramLabel = "ID", description = "The permit's number.")
  long id;

  GuardApproveCommand(Terminal terminal, Map<String, String> environment) {
    super(terminal, environment);
  }

  @Override
  public Integer call() {
    GuardRules.Said said = new GuardRules(access()).approve(id);
    print(said, () -> said.said() + "\n");
    return 0;
  }
}
