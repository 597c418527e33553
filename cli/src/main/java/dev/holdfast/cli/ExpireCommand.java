package dev.holdfast.cli;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.operations.Expire;
import dev.holdfast.operations.ExpirePlan;
import dev.holdfast.operations.ExpireResult;
import dev.holdfast.operations.RetentionRules;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
    name = "expire",
    header = "Remove base backups and WAL that need not be kept any longer.",
    description = {
      "%nKeeps what it takes to reach every moment of the window, and in any case the newest full base"
          + " backups; what proofs and incidents refer to; and everything younger than a day that may belong"
          + " to a base backup still being taken. The last one that can be used is never removed.%n",
      "First shows the plan. Nothing is removed until its digest is given with --apply (or typed, on a"
          + " terminal). Summaries of WAL stay for 400 days, so that `holdfast log` can still tell what"
          + " happened.%n",
      "In holdfast.yaml:",
      "  expire:",
      "    keepWindow: 28d",
      "    keepFull: 2",
      "    keepSummaries: 400d",
      "%nExamples:",
      "  holdfast expire acme",
      "  holdfast expire acme --keep-window 7d --keep-full 1",
      "  holdfast expire acme --apply 3f9c21d07a5be814",
    })
final class ExpireCommand extends CliCommand {
  private static final int SHOWN = 12;

  @Parameters(
      paramLabel = "NAME",
      arity = "0..1",
      description = "One protected server; the plans for all of them without it.")
  @Nullable String name;

  @Option(
      names = "--keep-window",
      paramLabel = "DURATION",
      description =
          "Keep every moment since so long ago reachable: 28d, 4w, 36h (default: holdfast.yaml, else"
              + " 28d).")
  @Nullable String keepWindow;

  @Option(
      names = "--keep-full",
      paramLabel = "N",
      description =
          "Keep the newest N full base backups in any case (default: holdfast.yaml, else 2).")
  @Nullable Integer keepFull;

  @Option(names = "--dry-run", description = "Show the plan and do not ask.")
  boolean dryRun;

  @Option(names = "--apply", paramLabel = "DIGEST", description = "Apply the plan of this digest.")
  @Nullable String digest;

  @Option(
      names = "--unattended",
      description =
          "Apply the plan as it is, without showing it first: for schedules. Look once at what --dry-run says under"
              + " the same rules.")
  boolean unattended;

  @Mixin RepositoryOptions repository = new RepositoryOptions();

  ExpireCommand(Terminal terminal, Map<String, String> environment) {
    super(terminal, environment);
  }

  @Override
  public Integer call() {
    String location = repository.location(holdfast.repository, environment);
    RetentionRules rules =
        repository.configuration(holdfast.repository, environment).retention(keepWindow, keepFull);
    if (unattended && (dryRun || digest != null || name == null)) {
      throw new OperatorException(
          Kind.USAGE,
          "cannot expire unattended",
          name == null
              ? "no NAME says whose backups"
              : (dryRun ? "--dry-run" : "--apply") + " wants the plan looked at",
          "holdfast expire NAME --unattended");
    }
    if (digest != null && (dryRun || name == null)) {
      throw new OperatorException(
          Kind.USAGE,
          "cannot apply the plan " + digest,
          dryRun ? "--dry-run only shows one" : "no NAME says whose it is",
          dryRun ? "leave out one of them" : "holdfast expire NAME --apply " + digest);
    }
    List<String> names = name == null ? Expire.clusters(location) : List.of(name);
    for (String cluster : names) {
      expire(new Expire(location, cluster, rules), names.size() == 1);
    }
    return 0;
  }

  private void expire(Expire expire, boolean alone) {
    Expire.Planned planned = expire.plan();
    ExpirePlan plan = planned.plan();
    String agreed = unattended && !plan.removesNothing() ? plan.digest() : digest;
    if (agreed == null) {
      print(plan, () -> text(plan));
      if (plan.removesNothing() || dryRun || !alone || output.json || !terminal.outIsTerminal()) {
        return;
      }
      String typed = terminal.ask("type the digest to apply this plan, anything else to leave: ");
      if (!typed.equals(plan.digest())) {
        terminal.err().println("nothing was removed");
        return;
      }
      agreed = plan.digest();
    }
    ExpireResult result = planned.apply(agreed, progress());
    print(result, () -> text(result));
  }

  private String text(ExpirePlan plan) {
    StringBuilder text = new StringBuilder();
    text.append(terminal.paint(Terminal.Colour.BOLD, "plan " + plan.digest()))
        .append("  expires ")
        .append(plan.cluster())
        .append(
            ": keeps %s, %s in any case%n%n"
                .formatted(plan.keepWindow(), Texts.plural(plan.keepFull(), "full backup")));
    if (!plan.removed().isEmpty()) {
      TextTable table = new TextTable("removed", "finished", "stored");
      for (ExpirePlan.Removed removed : shown(plan.removed())) {
        table.row(
            removed.label(),
            removed.finishedAt() == null ? "never, or removed" : Texts.time(removed.finishedAt()),
            Texts.bytes(removed.bytes()));
      }
      text.append(table.format("  ")).append(more(plan.removed())).append('\n');
    }
    if (!plan.wal().isEmpty()) {
      TextTable table = new TextTable("WAL from", "to", "segments", "stored");
      for (ExpirePlan.Wal wal : shown(plan.wal())) {
        table.row(wal.first(), wal.last(), Texts.count(wal.segments()), Texts.bytes(wal.bytes()));
      }
      text.append(table.format("  ")).append(more(plan.wal())).append('\n');
    }
    if (plan.summaries() + plan.catalogs() > 0) {
      text.append(
          "  %s older than %s, %s%n%n"
              .formatted(
                  Texts.count(plan.summaries())
                      + (plan.summaries() == 1 ? " summary" : " summaries"),
                  plan.keepSummaries(),
                  Texts.plural(plan.catalogs(), "catalog snapshot")));
    }
    TextTable kept = new TextTable("kept", "finished", "because");
    for (ExpirePlan.Kept base : plan.kept()) {
      kept.row(base.label(), Texts.time(base.finishedAt()), String.join("; ", base.why()));
    }
    if (!kept.isEmpty()) {
      text.append(kept.format("  ")).append('\n');
    }
    for (String note : plan.notes()) {
      text.append(terminal.paint(Terminal.Colour.YELLOW, "note:"))
          .append(' ')
          .append(note)
          .append('\n');
    }
    if (plan.removesNothing()) {
      return text.append("this plan removes nothing: all there is, is to be kept\n").toString();
    }
    if (plan.reachableSince() != null) {
      text.append("afterwards the moments from ")
          .append(Texts.time(plan.reachableSince()))
          .append(" on can be reached, as far as they can be now\n");
    }
    return text.append(
            "nothing has been removed yet; %s would be freed%nnext: holdfast expire %s"
                .formatted(Texts.bytes(plan.bytes()), plan.cluster()))
        .append(keepWindow == null ? "" : " --keep-window " + Texts.word(keepWindow))
        .append(keepFull == null ? "" : " --keep-full " + keepFull)
        .append(" --apply ")
        .append(plan.digest())
        .append('\n')
        .toString();
  }

  private static <T> List<T> shown(List<T> all) {
    return all.subList(0, Math.min(SHOWN, all.size()));
  }

  private static String more(List<?> all) {
    return all.size() > SHOWN ? "  … and " + Texts.count(all.size() - SHOWN) + " more\n" : "";
  }

  private String text(ExpireResult result) {
    return terminal.paint(Terminal.Colour.GREEN, "expired")
        + "  %s: %s, %s of WAL, %s removed, %s freed in %s%n"
            .formatted(
                result.cluster(),
                Texts.plural(result.basesRemoved(), "base backup"),
                Texts.plural(result.segmentsRemoved(), "segment"),
                Texts.count(result.summariesRemoved())
                    + (result.summariesRemoved() == 1 ? " summary" : " summaries"),
                Texts.bytes(result.bytesRemoved()),
                Texts.seconds(result.durationSeconds()));
  }
}
