package dev.holdfast.cli;

import dev.holdfast.operations.GuardRules;
import java.util.Map;
import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;

@Command(name = "revoke", header = "Take a permit back.")
final class GuardRevokeCommand extends GuardSubcommand {
  @Parameters(index = "1", paramLabel = "ID", description = "The permit's number.")
  long id;

  GuardRevokeCommand(Terminal terminal, Map<String, String> environment) {
    super(terminal, environment);
  }

  @Override
  public Integer call() {
    GuardRules.Said said = new GuardRules(access()).revoke(id);
    print(said, () -> said.said() + "\n");
    return 0;
  }
}
