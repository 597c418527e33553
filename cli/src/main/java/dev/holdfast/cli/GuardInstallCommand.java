package dev.holdfast.cli;

import dev.holdfast.failure.Kind;
import dev.holdfast.operations.Advice;
import dev.holdfast.operations.GuardInstall;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

@Command(
    name = "install",
    header = "Put the guard into a database, or bring it up to date.",
    description = {
      "%nTables are covered one by one, each lock waited for half a second and tried again: no writer waits longer, and no"
          + " lock is held over several tables. Modes, exceptions and permits that are there stay.%n",
      "As a superuser everything works; as a managed service's admin, or as the owner of the tables, what does not is told."
          + " Ends with 1 when some tables could not be covered: run it again.%n",
    })
final class GuardInstallCommand extends GuardSubcommand {
  @Option(
      names = "--name",
      paramLabel = "NAME",
      description = "With URL: what to call this server.")
  @Nullable String name;

  @Option(
      names = "--environment",
      paramLabel = "ENV",
      description =
          "production, staging or development (default: as the repository has it). production refuses, staging observes,"
              + " development leaves alone.")
  @Nullable String kind;

  GuardInstallCommand(Terminal terminal, Map<String, String> environment) {
    super(terminal, environment);
  }

  @Override
  public Integer call() {
    GuardInstall.Result result = new GuardInstall(access()).install(name, kind, progress());
    print(result, () -> text(result));
    return result.uncovered().isEmpty() ? 0 : Kind.FAILED.exitCode();
  }

  private String text(GuardInstall.Result result) {
    StringBuilder text =
        new StringBuilder(terminal.paint(Terminal.Colour.GREEN, "guarded"))
            .append(
                "  %s is %s/%s: %s covered%n%n"
                    .formatted(
                        result.database(),
                        result.name(),
                        result.environment(),
                        Texts.plural(result.tables() - result.uncovered().size(), "table")));
    text.append(ServerText.of(result.server())).append('\n');
    for (GuardInstall.Uncovered table : result.uncovered()) {
      text.append(terminal.paint(Terminal.Colour.RED, "not covered:"))
          .append(" %s.%s: %s%n".formatted(table.schema(), table.table(), table.why()));
    }
    for (String lost : result.lost()) {
      text.append(terminal.paint(Terminal.Colour.YELLOW, "without:"))
          .append(' ')
          .append(lost)
          .append('\n');
    }
    for (Advice advice : result.advice()) {
      text.append(AdviceText.of(terminal, advice));
    }
    return text.append(
            "next: holdfast guard status %s    proves that it is armed%n".formatted(shown()))
        .toString();
  }
}
