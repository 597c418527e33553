package dev.holdfast.cli;

import dev.holdfast.operations.Rollup;
import dev.holdfast.operations.RollupResult;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
    name = "rollup",
    header = "Fold incremental base backups into a full one, inside the repository.",
    description = {
      "%nMakes a full base backup of the same moment as the newest one, or LABEL, out of that and those"
          + " it stands on. The server is not asked; the repository is read and written once. The next"
          + " incremental one stands on it. What was folded stays until `holdfast expire` removes it.%n",
      "Interrupted, it leaves nothing that is used; run it again.%n",
    })
final class RollupCommand extends CliCommand {
  @Parameters(paramLabel = "NAME", description = "The protected database server.")
  String name = "";

  @Parameters(
      index = "1",
      arity = "0..1",
      paramLabel = "LABEL",
      description = "The base backup whose chain is folded (default: the newest).")
  @Nullable String label;

  @Option(
      names = "--threads",
      paramLabel = "N",
      defaultValue = "2",
      description = "Parts worked on at once (default: ${DEFAULT-VALUE}).")
  int threads;

  @Mixin RepositoryOptions repository = new RepositoryOptions();

  RollupCommand(Terminal terminal, Map<String, String> environment) {
    super(terminal, environment);
  }

  @Override
  public Integer call() {
    RollupResult result =
        new Rollup(repository.location(holdfast.repository, environment), name, threads)
            .run(label, progress());
    print(result, () -> text(result));
    return 0;
  }

  private static String text(RollupResult result) {
    if (!result.made()) {
      return result.label().equals(result.from())
          ? "%s is a full base backup: there is nothing to roll up%n".formatted(result.label())
          : "%s was rolled up before: %s%n".formatted(result.from(), result.label());
    }
    return "base backup %s  %s in %s, %s  (of %s and the %s it stands on)%n"
        .formatted(
            result.label(),
            Texts.bytes(result.bytes()),
            Texts.bytes(result.storedBytes()),
            Texts.seconds(result.durationSeconds()),
            result.from(),
            result.layers() == 2 ? "one" : Texts.count(result.layers() - 1));
  }
}
