package dev.holdfast.cli;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.operations.GuardInstall;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

@Command(
    name = "uninstall",
    header = "Take the guard out of a database.",
    description = {
      "%nEvent triggers go first, then triggers table by table, then what the guard has seen.%n",
      "The database goes on saying who it is, since applications may ask it when they start (holdfast.assert_identity); with"
          + " --with-identity schema holdfast goes as a whole.%n"
    })
final class GuardUninstallCommand extends GuardSubcommand {
  @Option(
      names = "--yes",
      paramLabel = "DATABASE",
      description = "The database's name: it is not guarded any more afterwards.")
  @Nullable String agreed;

  @Option(names = "--with-identity", description = "Take out, too, what says who the database is.")
  boolean withIdentity;

  GuardUninstallCommand(Terminal terminal, Map<String, String> environment) {
    super(terminal, environment);
  }

  @Override
  public Integer call() {
    var access = access();
    if (!access.database().equals(agreed)) {
      throw new OperatorException(
          Kind.USAGE,
          "cannot take the guard out of " + access.database(),
          "afterwards nothing refuses to drop it; that has to be said",
          "add --yes " + access.database());
    }
    GuardInstall.Removed removed = new GuardInstall(access).uninstall(!withIdentity, progress());
    print(
        removed,
        () ->
            "%s is not guarded any more: %s%s%n"
                .formatted(
                    removed.database(),
                    Texts.plural(removed.tables(), "table"),
                    removed.identityStays()
                        ? "; it still says who it is (--with-identity takes that out, too)"
                        : ""));
    return 0;
  }
}
