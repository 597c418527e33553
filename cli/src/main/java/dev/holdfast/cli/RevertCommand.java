package dev.holdfast.cli;

import dev.holdfast.operations.Revert;
import dev.holdfast.operations.RevertPlan;
import dev.holdfast.operations.RevertResult;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
    name = "revert",
    header = "Undo one committed transaction in place, keeping what was written since.",
    description = {
      "%nFirst shows the plan: what comes back, what is kept because it was written again since, what is in"
          + " conflict. Nothing is changed until the plan's digest is given with --apply (or typed, on a"
          + " terminal). Applying is one transaction: all or nothing, and refused when a planned row has"
          + " changed meanwhile.%n",
      "Examples:",
      "  holdfast revert acme 812",
      "  holdfast revert acme 812 --apply 3f9c21d07a5be814",
      "  holdfast revert acme 790 --restore-lost-keys",
    })
final class RevertCommand extends CliCommand {
  private static final int SHOWN = 12;

  @Parameters(index = "0", paramLabel = "NAME", description = "The protected database server.")
  String name = "";

  @Parameters(
      index = "1",
      paramLabel = "XID",
      description = "The transaction, as `holdfast log` numbers it.")
  String xid = "";

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
          "Only bring back JSON keys that the transaction removed; keep all else that it wrote.")
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

  @Override
  public Integer call() {
    String owner = url != null ? url : environment.get("HOLDFAST_URL");
    Revert revert =
        new Revert(
            repository.location(holdfast.repository, environment),
            name,
            owner,
            new Revert.Options(restoreLostKeys, overwriteTouched, partial));
    try (Revert.Planned planned = revert.plan(xid, progress())) {
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
        .append("  undoes transaction ")
        .append(plan.xid())
        .append(" of ")
        .append(Texts.time(plan.committedAt()))
        .append(" in ")
        .append(plan.database())
        .append("\n\n");
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
        .append(' ')
        .append(plan.xid())
        .append(url == null && !environment.containsKey("HOLDFAST_URL") ? " --url OWNER_URL" : "")
        .append(restoreLostKeys ? " --restore-lost-keys" : "")
        .append(overwriteTouched ? " --overwrite-touched" : "")
        .append(partial || !plan.unrecoverable().isEmpty() ? " --partial" : "")
        .append(" --apply ")
        .append(plan.digest())
        .append('\n')
        .toString();
  }

  private void list(
      StringBuilder text,
      String heading,
      java.util.List<String> lines,
      Terminal.@Nullable Colour colour) {
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
        + "  transaction %s: %s restored, %s kept, %s in conflict, %s created again, %s%n"
            .formatted(
                result.xid(),
                Texts.plural(result.rowsRestored(), "row"),
                Texts.count(result.rowsKept()),
                Texts.count(result.rowsInConflict()),
                Texts.plural(result.objectsRecreated(), "object"),
                Texts.seconds(result.durationSeconds()));
  }
}
