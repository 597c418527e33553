package dev.holdfast.cli;

import dev.holdfast.operations.Revert;
import dev.holdfast.operations.RevertPlan;
import dev.holdfast.operations.RevertResult;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
    name = "revert",
    header = "Undo committed transactions in place, keeping what others wrote.",
    description = {
      "%nTakes transaction numbers, ranges of them (812..830), or whatever fits --since, --until and"
          + " --table. Each row goes back to what it was before the first of them hit it, but only for what"
          + " they did to it: what other transactions wrote, before, between or after, is kept.%n",
      "First shows the plan: what comes back, what is kept because it was written again since, what is in"
          + " conflict. Nothing is changed until the plan's digest is given with --apply (or typed, on a"
          + " terminal). Applying is one transaction: all or nothing, and refused when a planned row has"
          + " changed meanwhile.%n",
      "Examples:",
      "  holdfast revert acme 812",
      "  holdfast revert acme 812 --apply 3f9c21d07a5be814",
      "  holdfast revert acme 790 --restore-lost-keys",
      "  holdfast revert acme 812..830 845",
      "  holdfast revert acme --table users --since 2026-11-21T13:00:00Z --until 2026-11-21T15:30:00Z"
          + " --restore-lost-keys",
    })
final class RevertCommand extends CliCommand {
  private static final int SHOWN = 12;

  @Parameters(index = "0", paramLabel = "NAME", description = "The protected database server.")
  String name = "";

  @Parameters(
      index = "1..*",
      arity = "0..*",
      paramLabel = "XID",
      description = "Transactions, as `holdfast log` numbers them: 812, or 812..830.")
  List<String> xids = new ArrayList<>();

  @Option(
      names = "--table",
      paramLabel = "T,…",
      description =
          "Only what was done to these tables: TABLE, SCHEMA.TABLE or DATABASE.SCHEMA.TABLE, commas"
              + " between. A partition stands for all of its partitioned table.")
  List<String> tables = new ArrayList<>();

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

  @Option(
      names = "--user",
      paramLabel = "ROLE",
      description = "Only this role's transactions, where the log says whose they are.")
  @Nullable String user;

  @Option(
      names = "--app",
      paramLabel = "NAME",
      description = "Only this application's, where the log says whose they are.")
  @Nullable String application;

  @Option(
      names = "--url",
      paramLabel = "URL",
      description =
          "Connect to production as an owner of the tables. Else HOLDFAST_URL. Never stored.")
  @Nullable String url;

  @Option(names = "--apply", paramLabel = "DIGEST", description = "Apply the plan of this digest.")
  @Nullable String digest;

  @Option(
      names = "--restore-lost-keys",
      description =
          "Only bring back JSON keys that the transactions removed, unless set again since; keep all"
              + " else that they wrote.")
  boolean restoreLostKeys;

  @Option(
      names = "--overwrite-touched",
      description = "Set rows back even where they were written again since.")
  boolean overwriteTouched;

  @Option(names = "--partial", description = "Go on although some of it cannot be brought back.")
  boolean partial;

  @Option(names = "--show-sql", description = "Show the statements, too.")
  boolean showSql;

  @Mixin RepositoryOptions repository = new RepositoryOptions();

  RevertCommand(Terminal terminal, Map<String, String> environment) {
    super(terminal, environment);
  }

  private Revert.Selection selection() {
    return new Revert.Selection(xids, since, until, tables, user, application);
  }

  @Override
  public Integer call() {
    String owner = url != null ? url : environment.get("HOLDFAST_URL");
    Revert revert =
        new Revert(
            repository.location(holdfast.repository, environment),
            name,
            owner,
            new Revert.Options(restoreLostKeys, overwriteTouched, partial));
    try (Revert.Planned planned =
        digest == null
            ? revert.plan(selection(), progress())
            : revert.planAgain(selection(), progress())) {
      RevertPlan plan = planned.plan();
      String agreed = digest;
      if (agreed == null) {
        print(plan, () -> text(plan));
        boolean nothing = plan.rowsToRestore() == 0 && plan.objects().isEmpty();
        if (nothing || output.json || !terminal.outIsTerminal()) {
          return 0;
        }
        String typed = terminal.ask("type the digest to apply this plan, anything else to leave: ");
        if (!typed.equals(plan.digest())) {
          terminal.err().println("nothing was changed");
          return 0;
        }
        agreed = plan.digest();
      }
      RevertResult result = planned.apply(agreed, progress());
      print(result, () -> text(result));
    }
    return 0;
  }

  private String text(RevertPlan plan) {
    StringBuilder text = new StringBuilder();
    text.append(terminal.paint(Terminal.Colour.BOLD, "plan " + plan.digest()))
        .append("  undoes ")
        .append(plan.undoes())
        .append(when(plan))
        .append(" in ")
        .append(plan.database())
        .append("\n\n");
    if (plan.transactions().size() > 1) {
      list(
          text,
          "transactions",
          plan.transactions().stream().map(RevertCommand::line).toList(),
          null);
    }
    if (!plan.tables().isEmpty()) {
      TextTable table =
          new TextTable("table", "was", "restored", "already so", "touched since", "in conflict");
      for (RevertPlan.TablePlan rows : plan.tables()) {
        table.row(
            rows.schema() + "." + rows.table(),
            rows.action(),
            count(rows.restored()),
            count(rows.alreadySo()),
            count(rows.touchedSince()),
            count(rows.inConflict()));
      }
      text.append(table.format("  ")).append('\n');
    }
    list(text, "created again", plan.objects(), null);
    list(text, "left as they are, for example", plan.conflicts(), Terminal.Colour.YELLOW);
    list(text, "cannot be brought back", plan.unrecoverable(), Terminal.Colour.RED);
    list(text, "to know", plan.warnings(), null);
    if (showSql) {
      plan.statements().forEach(sql -> text.append(sql).append(";\n"));
    }
    if (plan.rowsToRestore() == 0 && plan.objects().isEmpty()) {
      long touched = plan.tables().stream().mapToLong(RevertPlan.TablePlan::touchedSince).sum();
      long conflicts = plan.tables().stream().mapToLong(RevertPlan.TablePlan::inConflict).sum();
      boolean allWell = touched == 0 && conflicts == 0 && plan.unrecoverable().isEmpty();
      return text.append(
              allWell
                  ? "this plan writes nothing: there is nothing left to undo\n"
                  : "this plan writes nothing: "
                      + Texts.plural(touched, "row")
                      + " written again since, "
                      + Texts.count(conflicts)
                      + " in conflict\nnext: look at them; --overwrite-touched sets back what was"
                      + " written again since\n")
          .toString();
    }
    return text.append("nothing has been changed yet\nnext: holdfast revert ")
        .append(name)
        .append(selected())
        .append(url == null && !environment.containsKey("HOLDFAST_URL") ? " --url OWNER_URL" : "")
        .append(restoreLostKeys ? " --restore-lost-keys" : "")
        .append(overwriteTouched ? " --overwrite-touched" : "")
        .append(partial || !plan.unrecoverable().isEmpty() ? " --partial" : "")
        .append(" --apply ")
        .append(plan.digest())
        .append('\n')
        .toString();
  }

  private static String when(RevertPlan plan) {
    Instant first = plan.transactions().getFirst().committedAt();
    Instant last = plan.transactions().getLast().committedAt();
    return plan.transactions().size() == 1
        ? " of " + Texts.time(first)
        : " of " + Texts.time(first) + " to " + Texts.time(last);
  }

  private static String line(RevertPlan.Transaction transaction) {
    return transaction.xid()
        + "  "
        + Texts.time(transaction.committedAt())
        + "  "
        + String.join("; ", transaction.tables());
  }

  /** The words that chose the transactions, to be typed again. */
  private String selected() {
    StringBuilder words = new StringBuilder();
    xids.forEach(xid -> words.append(' ').append(xid));
    tables.forEach(table -> words.append(" --table ").append(Texts.word(table)));
    if (since != null) {
      words.append(" --since ").append(since);
    }
    if (until != null) {
      words.append(" --until ").append(until);
    }
    if (user != null) {
      words.append(" --user ").append(Texts.word(user));
    }
    if (application != null) {
      words.append(" --app ").append(Texts.word(application));
    }
    return words.toString();
  }

  private void list(
      StringBuilder text, String heading, List<String> lines, Terminal.@Nullable Colour colour) {
    if (lines.isEmpty()) {
      return;
    }
    text.append(colour == null ? heading : terminal.paint(colour, heading))
        .append(" (")
        .append(Texts.count(lines.size()))
        .append("):\n");
    lines.stream().limit(SHOWN).forEach(line -> text.append("  ").append(line).append('\n'));
    if (lines.size() > SHOWN) {
      text.append("  … and ").append(Texts.count(lines.size() - SHOWN)).append(" more\n");
    }
    text.append('\n');
  }

  private static String count(long count) {
    return count == 0 ? "-" : Texts.count(count);
  }

  private String text(RevertResult result) {
    return terminal.paint(Terminal.Colour.GREEN, "undone")
        + "  %s: %s restored, %s kept, %s in conflict, %s created again, %s%n"
            .formatted(
                result.undone(),
                Texts.plural(result.rowsRestored(), "row"),
                Texts.count(result.rowsKept()),
                Texts.count(result.rowsInConflict()),
                Texts.plural(result.objectsRecreated(), "object"),
                Texts.seconds(result.durationSeconds()));
  }
}
