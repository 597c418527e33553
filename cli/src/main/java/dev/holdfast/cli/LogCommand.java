package dev.holdfast.cli;

import dev.holdfast.operations.ClusterStatus;
import dev.holdfast.operations.Log;
import java.time.Instant;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
    name = "log",
    header = "What was done to a database, transaction by transaction, from its recorded WAL.",
    description = {
      "%nOldest first. With --destructive only what may have destroyed something: dropped and truncated"
          + " tables, deleted and overwritten rows.%n",
      "Examples:",
      "  holdfast log acme --destructive",
      "  holdfast log acme --table users --since 2026-11-21T04:50:00Z",
    })
final class LogCommand extends CliCommand {
  @Parameters(paramLabel = "NAME", description = "The protected database server.")
  String name = "";

  @Option(names = "--destructive", description = "Hide what cannot have destroyed anything.")
  boolean destructive;

  @Option(
      names = "--table",
      paramLabel = "T,…",
      description =
          "Only transactions that touched one of these tables: TABLE, SCHEMA.TABLE or"
              + " DATABASE.SCHEMA.TABLE, commas between.")
  @Nullable String table;

  @Option(
      names = "--since",
      paramLabel = "TIME",
      converter = TimeWithOffset.class,
      description = "Only transactions committed then or later, such as 2026-11-21T04:56:27Z.")
  @Nullable Instant since;

  @Option(
      names = "--until",
      paramLabel = "TIME",
      converter = TimeWithOffset.class,
      description = "Only transactions committed before then.")
  @Nullable Instant until;

  @Option(names = "--user", paramLabel = "ROLE", description = "Only this role's transactions.")
  @Nullable String user;

  @Option(names = "--app", paramLabel = "NAME", description = "Only this application's.")
  @Nullable String application;

  @Mixin RepositoryOptions repository = new RepositoryOptions();

  LogCommand(Terminal terminal, Map<String, String> environment) {
    super(terminal, environment);
  }

  @Override
  public Integer call() {
    AtomicLong shown = new AtomicLong();
    Log log = new Log(repository.location(holdfast.repository, environment), name);
    for (ClusterStatus.Gap gap : log.gaps()) {
      terminal
          .err()
          .println(
              "warning: WAL from %s to %s was lost: what was committed there is not in this log"
                  .formatted(gap.from(), gap.to()));
    }
    log.run(
        new Log.Filter(destructive, table, since, until, user, application),
        progress(),
        entry -> {
          shown.incrementAndGet();
          print(entry, () -> LogText.entry(terminal, entry));
        });
    if (shown.get() == 0 && !output.json) {
      terminal
          .err()
          .println(
              "nothing "
                  + (destructive ? "destructive " : "")
                  + "in the recorded WAL fits; `holdfast status "
                  + name
                  + "` says what is recorded");
    } else if (!output.json) {
      terminal.err().println("next: holdfast show " + name + " XID, then holdfast revert");
    }
    return 0;
  }
}
