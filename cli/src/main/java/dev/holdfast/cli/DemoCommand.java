package dev.holdfast.cli;

import dev.holdfast.demo.Demo;
import dev.holdfast.demo.DemoResult;
import dev.holdfast.failure.Kind;
import java.util.Map;
import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;

@Command(
    name = "demo",
    header = "Watch real accidents happen to a real PostgreSQL, and be undone.",
    description = {
      "%nStarts an embedded PostgreSQL in a temporary folder, with traffic of its own; nothing of yours is"
          + " touched. Every figure is checked against the clients' own books: exit 0 only if all are right.%n",
    })
final class DemoCommand extends CliCommand {
  @Parameters(
      paramLabel = "SCENARIO",
      arity = "0..1",
      defaultValue = "all",
      description =
          "address (an application on the wrong database), json (an UPDATE ate a JSON column), drop (a migration"
              + " dropped every table), machine (the machine is gone, with its disks), or all (default).")
  Demo.Scenario scenario = Demo.Scenario.ALL;

  DemoCommand(Terminal terminal, Map<String, String> environment) {
    super(terminal, environment);
  }

  @Override
  public Integer call() {
    DemoResult result =
        new Demo()
            .run(
                scenario,
                line -> {
                  if (!output.quiet && !output.json) {
                    terminal.out().println(line);
                    terminal.out().flush();
                  }
                });
    print(result, () -> text(result));
    return result.passed() ? 0 : Kind.DIFFERENT.exitCode();
  }

  private String text(DemoResult result) {
    StringBuilder text = new StringBuilder("\n");
    TextTable table = new TextTable("", "told in the incident", "here", "");
    for (DemoResult.Figure figure : result.figures()) {
      table.row(figure.name(), figure.told(), figure.measured(), figure.right() ? "ok" : "WRONG");
    }
    text.append(table.format("  ")).append('\n');
    if (result.passed()) {
      text.append(terminal.paint(Terminal.Colour.GREEN, "every figure is right"))
          .append("; the whole took ")
          .append(Texts.seconds(result.durationSeconds()))
          .append(
              "\n\nnext, protect your own database:\n  ./holdfast --repository /backups protect"
                  + " acme postgresql://postgres@localhost/shop --environment production\n");
    } else {
      text.append(terminal.paint(Terminal.Colour.RED, "some figures are wrong"))
          .append(": Holdfast did not do what it promises; please report the lines above\n");
    }
    return text.toString();
  }
}
