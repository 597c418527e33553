package dev.holdfast.cli;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.operations.Freeze;
import dev.holdfast.operations.FreezeReport;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
    name = "freeze",
    header = "Have a database refuse writes, for every client, until `unfreeze`.",
    description = {
      "%nINSERT, UPDATE, DELETE, TRUNCATE, COPY and MERGE fail with SQLSTATE HF002 and a message that says who froze it,"
          + " when, why, and how it ends. Reading goes on. Triggers are put on table by table, each lock waited for"
          + " shortly; what others hold is tried again, told, and done by running the same command once more.%n",
      "It lasts until `holdfast unfreeze`, whatever restarts. The owner of the tables suffices; a superuser's freeze refuses"
          + " DDL, too. Nobody is exempt unless --except-role says so: make a role for the repair before.%n",
      "Ends with 0 when every table is frozen, with 1 when some are not yet; --status with 4 then.%n",
      "Examples:",
      "  holdfast freeze acme --reason \"users lost their addresses, looking\"",
      "  holdfast freeze acme --table users,orders --except-role repair",
      "  holdfast freeze postgresql://owner@db.internal/shop --app api",
      "  holdfast freeze acme --status",
    })
final class FreezeCommand extends CliCommand {
  private static final int SHOWN = 12;

  @Parameters(
      index = "0",
      paramLabel = "NAME|URL",
      description = "A protected server, or postgresql://… in any form libpq takes.")
  String nameOrUrl = "";

  @Option(
      names = "--app",
      paramLabel = "NAME",
      description =
          "Refuse only sessions of this application_name, which clients choose themselves.")
  @Nullable String application;

  @Option(names = "--role", paramLabel = "R", description = "Refuse only sessions of this role.")
  @Nullable String role;

  @Option(
      names = "--except-role",
      paramLabel = "R",
      description = "Sessions that logged in as this role may write, to repair.")
  @Nullable String exceptRole;

  @Option(
      names = "--table",
      paramLabel = "T,…",
      split = ",",
      description =
          "Only these: TABLE or SCHEMA.TABLE, as SQL spells them; with their partitions and children.")
  List<String> tables = new ArrayList<>();

  @Option(names = "--reason", paramLabel = "TEXT", description = "Why; clients are told.")
  @Nullable String reason;

  @Option(
      names = "--wait",
      paramLabel = "SECONDS",
      defaultValue = "30",
      description = "How long to try where others hold locks (default: ${DEFAULT-VALUE}).")
  double waitSeconds;

  @Option(names = "--status", description = "Tell what is frozen, and change nothing.")
  boolean status;

  @Mixin OwnerOptions owner = new OwnerOptions();

  FreezeCommand(Terminal terminal, Map<String, String> environment) {
    super(terminal, environment);
  }

  @Override
  public Integer call() {
    if (status
        && (application != null
            || role != null
            || exceptRole != null
            || reason != null
            || !tables.isEmpty())) {
      throw new OperatorException(
          Kind.USAGE, "cannot tell", "--status stands alone", "leave the other options out");
    }
    if (role != null && role.equals(exceptRole)) {
      throw new OperatorException(
          Kind.USAGE,
          "cannot freeze",
          "--role and --except-role are the same",
          "nobody would be refused: leave one out");
    }
    Freeze freeze =
        Freeze.of(
            nameOrUrl,
            owner.url(environment),
            () -> owner.repository.location(holdfast.repository, environment));
    FreezeReport report =
        status
            ? freeze.status()
            : freeze.freeze(
                new Freeze.Request(application, role, exceptRole, tables, reason, waitSeconds),
                progress());
    print(report, () -> text(report));
    return report.complete() ? 0 : status ? Kind.DIFFERENT.exitCode() : Kind.FAILED.exitCode();
  }

  private String text(FreezeReport report) {
    FreezeReport.Refusal refusal = report.refusal();
    if (refusal == null) {
      return "nothing is frozen in " + report.database() + "\n";
    }
    StringBuilder text = new StringBuilder();
    text.append(
            report.complete()
                ? terminal.paint(Terminal.Colour.GREEN, "frozen")
                : terminal.paint(Terminal.Colour.RED, "not all frozen"))
        .append(
            "  %s of %s since %s by %s%n"
                .formatted(
                    Texts.plural(report.tables().size(), "table"),
                    report.database(),
                    report.frozenAt(),
                    report.frozenBy()));
    report.missing().entrySet().stream()
        .limit(SHOWN)
        .forEach(missing ->
            text.append("  ")
                .append(terminal.paint(Terminal.Colour.RED, "takes writes:"))
                .append(" %s: %s%n".formatted(missing.getKey(), missing.getValue())));
    text.append(
            "\n  clients are told, of %s:%n"
                .formatted(report.tables().isEmpty() ? "a table" : report.tables().getFirst()))
        .append("    ERROR: ")
        .append(refusal.message())
        .append("\n    DETAIL: ")
        .append(refusal.detail())
        .append("\n    HINT: ")
        .append(refusal.hint())
        .append("\n    SQLSTATE: ")
        .append(refusal.sqlState())
        .append("\n\n");
    for (String note : report.notes()) {
      text.append(terminal.paint(Terminal.Colour.DIM, "note:")).append(' ').append(note);
      text.append('\n');
    }
    return text.append(
            report.complete()
                ? "next: holdfast unfreeze %s, when everybody may write again%n".formatted(shown())
                : "next: end what holds the locks, and run the same command again; or holdfast unfreeze %s%n"
                    .formatted(shown()))
        .toString();
  }

  /** A URL may hold a password. */
  private String shown() {
    return nameOrUrl.contains("://") || nameOrUrl.contains("=") ? "URL" : nameOrUrl;
  }
}
