package dev.holdfast.cli;

import dev.holdfast.operations.RepositoryKeys;
import java.nio.file.Path;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParentCommand;

@Command(
    name = "change",
    header = "Have another passphrase, key or key service open the repository from now on.",
    description = {
      "%nNothing stored is written anew but the document that holds the wrapped key: with a copy of that from before,"
          + " the old passphrase still opens what it opened. Recorders that run go on.%n",
    })
final class KeyChangeCommand extends AnsweringCommand {
  @ParentCommand KeyCommand key = new KeyCommand();

  @Option(
      names = "--new-passphrase-file",
      paramLabel = "FILE",
      description = "Holds the new passphrase.")
  @Nullable Path passphraseFile;

  @Option(
      names = "--new-key-command",
      paramLabel = "COMMAND",
      description = "Asks a key service; see --key-command.")
  @Nullable String keyCommand;

  @Option(
      names = "--new-key-file",
      paramLabel = "FILE",
      description = "Make a new random key and write it to this file; there must be none yet.")
  @Nullable Path keyFile;

  @Mixin RepositoryOptions repository = new RepositoryOptions();

  KeyChangeCommand(Terminal terminal, Map<String, String> environment) {
    super(terminal, environment);
  }

  @Override
  public Integer call() {
    RepositoryKeys.Change change = new RepositoryKeys.Change(passphraseFile, keyCommand, keyFile);
    String location = repository.location(key.holdfast.repository, environment);
    RepositoryKeys.Report report = new RepositoryKeys(location).change(change);
    print(
        report,
        () ->
            "repository %s is opened by %s from now on\nnext: give that to every Holdfast that uses"
                    .formatted(report.repositoryId(), report.keyFrom())
                + " it, and keep a copy where neither this machine nor the repository is\n");
    return 0;
  }
}
