package dev.holdfast.cli;

import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParentCommand;

@Command(
    name = "key",
    header = "The key of an encrypted repository: where it is, a copy of it, another one.",
    synopsisSubcommandLabel = "COMMAND",
    description = {
      "%nEverything in a repository is encrypted by a data key that is kept there, encrypted itself: what opens it is a"
          + " passphrase, a key that Holdfast made, or a key service. Without that nobody can read the repository.%n",
      "Examples:",
      "  holdfast key show",
      "  holdfast key export /media/usb/acme.key",
      "  holdfast key change --new-passphrase-file FILE",
    },
    commandListHeading = "%nCommands:%n",
    subcommands = {KeyShowCommand.class, KeyExportCommand.class, KeyChangeCommand.class})
final class KeyCommand {
  @ParentCommand HoldfastCommand holdfast = new HoldfastCommand();

  @Option(
      names = {"-h", "--help"},
      usageHelp = true,
      description = "Show this help.")
  boolean help;
}
