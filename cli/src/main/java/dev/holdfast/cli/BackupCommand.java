package dev.holdfast.cli;

import dev.holdfast.operations.Backup;
import dev.holdfast.operations.BackupResult;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
    name = "backup",
    header = "Take a base backup of a protected server.",
    description =
        "%nForks and restores start from the newest base backup before their target: a newer one"
            + " makes them faster. It becomes visible when its WAL is stored too.%n")
final class BackupCommand extends CliCommand {
  @Parameters(paramLabel = "NAME", description = "The protected database server.")
  String name = "";

  @Option(
      names = "--url",
      paramLabel = "URL",
      description = "Connect with this instead of what `protect` kept.")
  @Nullable String url;

  @Option(
      names = "--connections",
      paramLabel = "N",
      defaultValue = "2",
      description = "Connections that read at once (default: ${DEFAULT-VALUE}).")
  int connections;

  @Mixin RepositoryOptions repository = new RepositoryOptions();

  BackupCommand(Terminal terminal, Map<String, String> environment) {
    super(terminal, environment);
  }

  @Override
  public Integer call() {
    BackupResult result =
        new Backup(repository.location(holdfast.repository, environment), name, url, connections)
            .run(progress());
    print(
        result,
        () ->
            "base backup %s  %s in %s, %s  (from %s, restorable from %s on)%n"
                .formatted(
                    result.label(),
                    Texts.bytes(result.bytes()),
                    Texts.bytes(result.storedBytes()),
                    Texts.seconds(result.durationSeconds()),
                    result.startLsn(),
                    result.stopLsn()));
    return 0;
  }
}
