package dev.holdfast.cli;

import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParentCommand;

@Command(
    name = "guard",
    header = "Refuse destructive statements inside the database, for every client.",
    synopsisSubcommandLabel = "COMMAND",
    description = {
      "%nThe guard is plain SQL in a schema of its own: an ORM, psql, a laptop, a leaked URL all meet it. In production it"
          + " refuses DROP, TRUNCATE and ALTER that lose rows at once; mass DELETE and UPDATE and lost JSON keys it"
          + " observes for 14 days, until `suggest` has limits for them. What is meant gets a permit.%n",
      "NAME is a protected server, its owner's connection given by --url or HOLDFAST_URL; or URL, without any repository."
          + " One database at a time: the one that the URL names.%n",
      "Examples:",
      "  holdfast guard install acme --url postgresql://postgres@db/shop",
      "  holdfast guard status acme",
      "  holdfast guard permit acme --allow drop-table --table public.legacy_%% --for 10m --reason \"old import\"",
      "  holdfast guard suggest acme",
    },
    commandListHeading = "%nCommands:%n",
    subcommands = {
      GuardInstallCommand.class,
      GuardStatusCommand.class,
      GuardModeCommand.class,
      GuardExceptCommand.class,
      GuardSuggestCommand.class,
      GuardPermitCommand.class,
      GuardPermitsCommand.class,
      GuardApproveCommand.class,
      GuardRevokeCommand.class,
      GuardUninstallCommand.class
    })
final class GuardCommand {
  @ParentCommand HoldfastCommand holdfast = new HoldfastCommand();

  @Option(
      names = {"-h", "--help"},
      usageHelp = true,
      description = "Show this help.")
  boolean help;
}
