package dev.holdfast.cli;

import dev.holdfast.operations.GuardPermit;
import dev.holdfast.operations.GuardRules;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

@Command(
    name = "permit",
    header = "Allow one transaction to do something destructive.",
    description = {
      "%nPrints a code, once. The transaction says SET LOCAL holdfast.permit = 'CODE' before the statement; a migration tool"
          + " that opens the connection itself has options=-c holdfast.permit=CODE in its URL, where no pooler shares the"
          + " session. Before it is used the database makes a restore point.%n",
      "Examples:",
      "  holdfast guard permit acme --allow drop-table --table public.legacy_%% --for 10m --reason \"old import\"",
      "  holdfast guard permit acme --allow drop-column --allow mass-update --run --for 30m --reason \"release 42\" --needs-approval",
    })
final class GuardPermitCommand extends GuardSubcommand {
  @Option(
      names = "--allow",
      paramLabel = "RULE",
      required = true,
      split = ",",
      description = "What it allows: rules, as `holdfast guard status` lists them.")
  List<String> rules = new ArrayList<>();

  @Option(
      names = "--table",
      paramLabel = "T",
      description = "Only these tables: SCHEMA.TABLE; %% stands for anything.")
  @Nullable String table;

  @Option(names = "--max-rows", paramLabel = "N", description = "Rows that may be lost in all.")
  @Nullable Long rows;

  @Option(
      names = "--role",
      paramLabel = "R",
      description = "Only sessions that logged in as this role.")
  @Nullable String role;

  @Option(
      names = "--for",
      paramLabel = "TIME",
      defaultValue = "10m",
      converter = Period.class,
      description = "How long it is valid: 90s, 10m, 2h (default: ${DEFAULT-VALUE}).")
  Duration validFor = Duration.ofMinutes(10);

  @Option(names = "--reason", paramLabel = "TEXT", required = true, description = "Why.")
  String reason = "";

  @Option(
      names = "--run",
      description =
          "For all transactions of the first session that shows it, not for one transaction.")
  boolean run;

  @Option(
      names = "--needs-approval",
      description = "Not before another role has said `holdfast guard approve`.")
  boolean needsApproval;

  GuardPermitCommand(Terminal terminal, Map<String, String> environment) {
    super(terminal, environment);
  }

  @Override
  public Integer call() {
    GuardPermit.Issued issued =
        new GuardRules(access())
            .issue(
                new GuardPermit.Request(
                    rules, table, rows, role, validFor, reason, run, needsApproval));
    print(issued, () -> text(issued));
    return 0;
  }

  private String text(GuardPermit.Issued issued) {
    return "permit %d, until %s; its code is shown once%n%n  %s;%n%n%s"
        .formatted(
            issued.id(),
            issued.expiresAt(),
            issued.statement(),
            issued.needsApproval()
                ? "next: somebody else says holdfast guard approve %s %d%n"
                    .formatted(shown(), issued.id())
                : "next: BEGIN, this statement, what you mean to do, COMMIT\n");
  }
}
