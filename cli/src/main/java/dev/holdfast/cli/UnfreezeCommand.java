package dev.holdfast.cli;

import dev.holdfast.operations.Freeze;
import dev.holdfast.operations.UnfreezeReport;
import java.util.Map;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
    name = "unfreeze",
    header = "Let everybody write again, and take away what `freeze` put there.",
    description = {
      "%nWrites go on at once; the triggers follow, table by table. By hand, as the owner: DROP SCHEMA holdfast_freeze"
          + " CASCADE%n",
    })
final class UnfreezeCommand extends CliCommand {
  @Parameters(
      index = "0",
      paramLabel = "NAME|URL",
      description = "A protected server, or postgresql://… in any form libpq takes.")
  String nameOrUrl = "";

  @Option(
      names = "--wait",
      paramLabel = "SECONDS",
      defaultValue = "30",
      description = "How long to try where others hold locks (default: ${DEFAULT-VALUE}).")
  double waitSeconds;

  @Mixin OwnerOptions owner = new OwnerOptions();

  UnfreezeCommand(Terminal terminal, Map<String, String> environment) {
    super(terminal, environment);
  }

  @Override
  public Integer call() {
    UnfreezeReport report =
        Freeze.of(
                nameOrUrl,
                owner.url(environment),
                () -> owner.repository.location(holdfast.repository, environment))
            .unfreeze(waitSeconds);
    print(report, () -> text(report));
    return 0;
  }

  private String text(UnfreezeReport report) {
    if (!report.wasFrozen()) {
      return "nothing was frozen in " + report.database() + "\n";
    }
    return terminal.paint(Terminal.Colour.GREEN, "unfrozen")
        + "  everybody may write to "
        + report.database()
        + " again\n"
        + (report.leftovers().isEmpty()
            ? ""
            : "note: others hold locks on %s: triggers that refuse nothing are left there%nnext: run the same command again later%n"
                .formatted(String.join(", ", report.leftovers())));
  }
}
