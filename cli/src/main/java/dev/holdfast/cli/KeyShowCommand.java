package dev.holdfast.cli;

import dev.holdfast.operations.RepositoryKeys;
import java.util.Map;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.ParentCommand;

@Command(
    name = "show",
    header = "How the repository is encrypted and where its key was found; no secret.")
final class KeyShowCommand extends AnsweringCommand {
  @ParentCommand KeyCommand key = new KeyCommand();

  @Mixin RepositoryOptions repository = new RepositoryOptions();

  KeyShowCommand(Terminal terminal, Map<String, String> environment) {
    super(terminal, environment);
  }

  @Override
  public Integer call() {
    String location = repository.location(key.holdfast.repository, environment);
    RepositoryKeys.Report report = new RepositoryKeys(location).show();
    print(report, () -> text(report));
    return 0;
  }

  /** The report for people. */
  static String text(RepositoryKeys.Report report) {
    TextTable table = new TextTable("", "");
    table.row("repository", report.repository());
    table.row("id", report.repositoryId());
    table.row("encrypted", report.encrypted() ? "yes" : "no");
    if (report.wrappedBy() != null && report.keyFrom() != null) {
      table.row(
          "opened by",
          switch (report.wrappedBy()) {
            case "passphrase" -> "a passphrase";
            case "generatedKey" -> "a key that Holdfast made";
            case "keyCommand" -> "a key service";
            default -> report.wrappedBy();
          });
      table.row("key from", report.keyFrom());
    }
    table.row("zstd level", Integer.toString(report.compressionLevel()));
    return table.format("").lines().skip(1).map(line -> line + "\n").reduce("", String::concat);
  }
}
