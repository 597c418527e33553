package dev.holdfast.cli;

import dev.holdfast.operations.RepositoryKeys;
import java.nio.file.Path;
import java.util.Map;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.ParentCommand;

@Command(
    name = "export",
    header = "Write the key to a new file that only you can read, to keep it elsewhere.",
    description = {
      "%nWhoever has this file and the repository can read every database in it. Keep it where neither this machine nor"
          + " the repository is. --passphrase-file FILE uses it.%n",
    })
final class KeyExportCommand extends AnsweringCommand {
  @ParentCommand KeyCommand key = new KeyCommand();

  @Parameters(index = "0", paramLabel = "FILE", description = "Made; there must be none yet.")
  Path file = Path.of("");

  @Mixin RepositoryOptions repository = new RepositoryOptions();

  KeyExportCommand(Terminal terminal, Map<String, String> environment) {
    super(terminal, environment);
  }

  @Override
  public Integer call() {
    String location = repository.location(key.holdfast.repository, environment);
    RepositoryKeys.Report report = new RepositoryKeys(location).export(file);
    print(
        report,
        () ->
            "the key of repository %s is in %s now\nnext: move it to where neither this machine nor"
                    .formatted(report.repositoryId(), file)
                + " the repository is; there, --passphrase-file FILE opens the repository\n");
    return 0;
  }
}
