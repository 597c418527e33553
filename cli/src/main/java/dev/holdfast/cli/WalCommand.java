package dev.holdfast.cli;

import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParentCommand;

@Command(
    name = "wal",
    header = "The write-ahead log itself: its records, and what they weigh.",
    synopsisSubcommandLabel = "COMMAND",
    description = {
      "%nReads the segments of PostgreSQL 14 to 18, from files or as recorded, and shows what pg_waldump"
          + " shows, whatever version is installed here; with a repository also the names of tables."
          + " Every command has --json.%n",
      "Examples:",
      "  holdfast wal dump /var/lib/postgresql/17/main/pg_wal --relation public.users",
      "  holdfast wal stats 00000001000000000000002A",
    },
    commandListHeading = "%nCommands:%n",
    subcommands = {WalDumpCommand.class, WalStatsCommand.class})
final class WalCommand {
  @ParentCommand HoldfastCommand holdfast = new HoldfastCommand();

  @Option(
      names = {"-h", "--help"},
      usageHelp = true,
      description = "Show this help.")
  boolean help;
}
