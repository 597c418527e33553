package dev.holdfast.cli;

import dev.holdfast.operations.WalStats;
import java.util.Map;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParentCommand;

@Command(
    name = "stats",
    header = "What the log is made of: records and bytes by kind, as pg_waldump --stats counts.",
    description = {
      "%nBytes of page images are counted apart from the rest of the records. A damaged file is an"
          + " error (exit code 6) after the figures of what could be read.%n",
      "Examples:",
      "  holdfast wal stats /archive --per-record",
      "  holdfast wal stats --cluster acme --relation public.users",
    })
final class WalStatsCommand extends AnsweringCommand {
  @ParentCommand WalCommand wal = new WalCommand();

  @Mixin WalOptions options = new WalOptions();

  @Option(
      names = "--per-record",
      description = "A line for each kind of record, not for each resource manager.")
  boolean perRecord;

  WalStatsCommand(Terminal terminal, Map<String, String> environment) {
    super(terminal, environment);
  }

  @Override
  public Integer call() {
    new WalStats(options.input(wal.holdfast.repository, environment))
        .run(
            options.filter(),
            perRecord,
            progress(),
            statistics -> print(statistics, () -> WalText.statistics(terminal, statistics)),
            note -> WalOptions.tell(terminal, output, note));
    return 0;
  }
}
