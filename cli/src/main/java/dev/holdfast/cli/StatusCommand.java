package dev.holdfast.cli;

import dev.holdfast.operations.Advice;
import dev.holdfast.operations.Asked;
import dev.holdfast.operations.ClusterClients;
import dev.holdfast.operations.ClusterGuard;
import dev.holdfast.operations.ClusterStatus;
import dev.holdfast.operations.GuardRule;
import dev.holdfast.operations.Outlook;
import dev.holdfast.operations.ProofDocument;
import dev.holdfast.operations.RepositoryKeys;
import dev.holdfast.operations.ScheduleState;
import dev.holdfast.operations.Status;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

@Command(
    name = "status",
    header = "What would be lost if the machine vanished now, and what should be looked at.",
    description = {
      "%nEverything here was measured just now; what is unknown is said to be.%n",
      "A guard is looked at, not provoked: `holdfast guard status` proves that it is armed. What was done to a guard by hand is"
          + " told with its time, as the recorded WAL has it.%n",
      "Clients are what the recorder saw, one look a minute: a usual one was there in 10 looks, over a day and three times its"
          + " own longest absence; it is told as gone when it is away for more than 10 minutes and twice that absence.%n",
    })
final class StatusCommand extends CliCommand {
  /** The newest; --json has more. */
  private static final int TAMPERING_SHOWN = 5;

  private static final int CLIENTS_SHOWN = 8;

  /** Samples are kept every five minutes at the latest. */
  private static final Duration JUST_NOW = Duration.ofMinutes(10);

  @Parameters(
      paramLabel = "NAME",
      arity = "0..1",
      description = "One protected server; all of them without it.")
  @Nullable String name;

  @Mixin RepositoryOptions repository = new RepositoryOptions();

  StatusCommand(Terminal terminal, Map<String, String> environment) {
    super(terminal, environment);
  }

  @Override
  public Integer call() {
    List<ClusterStatus> clusters =
        new Status(repository.location(holdfast.repository, environment), environment).of(name);
    if (clusters.isEmpty() && !output.json) {
      terminal
          .out()
          .println(
              "nothing is protected in this repository yet\nnext: holdfast protect NAME URL"
                  + " --environment production");
    }
    for (ClusterStatus cluster : clusters) {
      print(cluster, () -> text(cluster));
    }
    return 0;
  }

  private String text(ClusterStatus cluster) {
    StringBuilder text = new StringBuilder();
    text.append(terminal.paint(Terminal.Colour.BOLD, cluster.name()))
        .append("  ")
        .append(cluster.environment())
        .append(", PostgreSQL ")
        .append(cluster.major())
        .append(
            cluster.reachable()
                ? ""
                : cluster.continuedBy() != null
                    ? ": the past of " + cluster.continuedBy()
                    : terminal.paint(Terminal.Colour.RED, "  unreachable"))
        .append('\n');
    if (cluster.continuedBy() == null) {
      text.append("  if this machine vanished now, you would lose ")
          .append(loss(cluster))
          .append(" and ")
          .append(recovery(cluster.outlook()))
          .append('\n');
    }
    TextTable table = new TextTable("", "");
    if (cluster.continues() != null) {
      table.row(
          "in the place of",
          "%s; its databases are %s/%s"
              .formatted(cluster.continues(), cluster.identity(), cluster.environment()));
    }
    boolean past = cluster.continuedBy() != null; // then what it is like today is another's
    if (!past) {
      table.row(
          "recording",
          cluster.recording() == null ? "unknown" : cluster.recording() ? "yes" : "no");
    }
    table.row(
        "recorded through",
        cluster.recordedThrough() == null ? "nothing" : cluster.recordedThrough());
    table.row("last commit seen", at(cluster.lastCommitAt()));
    table.row(
        "recoverable",
        cluster.recoverableFrom() == null
            ? "nothing: no base backup"
            : cluster.recoverableFrom() + " to " + cluster.recoverableTo());
    table.row("every moment since", at(cluster.recoverableSince()));
    for (ClusterStatus.Base base : cluster.bases()) {
      table.row(
          "base backup",
          base.label()
              + "  "
              + Texts.bytes(base.bytes())
              + " in "
              + Texts.bytes(base.storedBytes())
              + (base.parent() == null ? "" : ", on " + base.parent()));
    }
    for (ClusterStatus.Gap gap : cluster.gaps()) {
      table.row("WAL lost", gap.from() + " to " + gap.to());
    }
    table.row("WAL kept", Texts.bytes(cluster.walBytes()));
    if (!past) {
      table.row("kept by the server", kept(cluster.slot()));
    }
    table.row("encryption", encryption(cluster.encryption()));
    table.row("last proof", proof(cluster));
    ClusterStatus.Recorder recorder = cluster.recorder();
    if (recorder != null) {
      table.row(
          "recorder",
          "%s, process %d, since %s; last heard of %s%s"
              .formatted(
                  recorder.host(),
                  recorder.pid(),
                  Texts.time(recorder.since()),
                  at(recorder.lastHeardOfAt()),
                  switch (recorder.state()) {
                    case "gone" -> ": that process is gone, and nothing has taken its place";
                    case "silent" -> ": silent for too long, and nothing has taken its place";
                    default -> "";
                  }));
    }
    if (!past) {
      guard(table, cluster.guard());
    }
    if (!cluster.asked().isEmpty()) {
      Asked newest = cluster.asked().getFirst();
      table.row(
          "asked for",
          "by %s; newest: %s on %s, %s"
              .formatted(
                  Texts.plural(cluster.asked().size(), "client"),
                  Texts.oneLine(newest.application()),
                  Texts.oneLine(newest.host()),
                  at(newest.lastAt())));
    }
    if (!past) {
      clients(table, cluster.clients());
    }
    for (ScheduleState job : cluster.schedules()) {
      table.row("scheduled", scheduled(job));
    }
    text.append(
        table.format("  ").lines().skip(1).map(line -> line + "\n").reduce("", String::concat));
    for (Advice advice : cluster.advice()) {
      text.append(AdviceText.of(terminal, advice));
    }
    return text.toString();
  }

  private void guard(TextTable table, ClusterGuard guard) {
    List<ClusterGuard.Database> guarded =
        guard.databases().stream().filter(one -> !one.state().equals("none")).toList();
    if (guarded.isEmpty()) {
      table.row(
          "guard",
          guard.state().equals("none")
              ? "none: nothing refuses destructive statements"
              : guard.state());
    }
    for (ClusterGuard.Database database : guarded) {
      table.row("guard of " + database.database(), guard(database));
    }
    guard.tampering().stream()
        .limit(TAMPERING_SHOWN)
        .forEach(tampering ->
            table.row(
                "guard tampered",
                "%s  transaction %s%s: %s"
                    .formatted(
                        at(tampering.at()),
                        tampering.xid(),
                        tampering.user() == null ? "" : " of " + Texts.oneLine(tampering.user()),
                        Texts.oneLine(String.join("; ", tampering.what())))));
  }

  private void clients(TextTable table, ClusterClients clients) {
    List<ClusterClients.Client> usual =
        clients.clients().stream().filter(ClusterClients.Client::usual).toList();
    if (usual.isEmpty()) {
      table.row(
          "usual clients",
          clients.since() == null
              ? "unknown: nobody looked yet; `holdfast record` does"
              : clients.state().equals("blind")
                  ? "unknown: the recorder's role may not see them"
                  : "none yet: looked at since " + at(clients.since()));
    }
    usual.stream()
        .limit(CLIENTS_SHOWN)
        .forEach(client -> table.row("usual client", client(client, clients.sampledAt())));
    if (usual.size() > CLIENTS_SHOWN) {
      table.row("", "and %d more; --json has them".formatted(usual.size() - CLIENTS_SHOWN));
    }
  }

  private String client(ClusterClients.Client client, @Nullable Instant sampledAt) {
    boolean now =
        sampledAt != null && Duration.between(sampledAt, Instant.now()).compareTo(JUST_NOW) < 0;
    return "%s, role %s, database %s: %s"
        .formatted(
            client.application().isEmpty() ? "(no name)" : Texts.oneLine(client.application()),
            Texts.oneLine(client.role()),
            Texts.oneLine(client.database()),
            switch (client.state()) {
              case "connected" ->
                  now ? "connected" : "connected when somebody looked last, " + at(sampledAt);
              case "vanished" ->
                  terminal.paint(Terminal.Colour.YELLOW, "gone")
                      + ", last seen "
                      + at(client.lastSeen());
              default -> "last seen " + at(client.lastSeen());
            });
  }

  private String guard(ClusterGuard.Database database) {
    Terminal.Colour colour =
        switch (database.state()) {
          case "armed" -> Terminal.Colour.GREEN;
          case "weakened" -> Terminal.Colour.RED;
          default -> Terminal.Colour.YELLOW;
        };
    String state = terminal.paint(colour, database.state());
    if (database.rules().isEmpty()) {
      return database.why() == null ? state : state + ": " + Texts.oneLine(database.why());
    }
    Instant since =
        database.rules().stream().map(GuardRule::since).max(Instant::compareTo).orElseThrow();
    return "%s: %s; %s enforce, %s observe, last set %s"
        .formatted(
            state,
            Texts.plural(database.tables(), "table"),
            rules(database, "enforce"),
            rules(database, "observe"),
            Texts.time(since));
  }

  private static String rules(ClusterGuard.Database database, String mode) {
    long count = database.rules().stream().filter(rule -> rule.mode().equals(mode)).count();
    return count == 0 ? "no rules" : Texts.plural(count, "rule");
  }

  private String encryption(RepositoryKeys.Report report) {
    return report.encrypted()
        ? "yes, key from " + report.keyFrom()
        : terminal.paint(Terminal.Colour.YELLOW, "none")
            + ": whoever reads the repository reads the databases";
  }

  private static String loss(ClusterStatus cluster) {
    Outlook outlook = cluster.outlook();
    if (!outlook.recoverable()) {
      return "everything (no base backup)";
    }
    if (outlook.lossSeconds() == null) {
      return cluster.reachable()
          ? "nobody knows how much (another server answers in its place, or no commit is recorded)"
          : "nobody knows how much (it does not answer)";
    }
    if (outlook.lossSeconds() == 0 && !outlook.lossIsAtMost()) {
      return "nothing that was committed";
    }
    return (outlook.lossIsAtMost() ? "up to " : "")
        + Texts.seconds(outlook.lossSeconds())
        + " of writes";
  }

  private static String recovery(Outlook outlook) {
    if (outlook.recoverySeconds() == null || outlook.provenAt() == null) {
      return "nobody knows when you would be back (never proven)";
    }
    return "be back in %s (proven %s)"
        .formatted(
            Texts.seconds(outlook.recoverySeconds()), Texts.day(outlook.provenAt(), Instant.now()));
  }

  private static String proof(ClusterStatus cluster) {
    ProofDocument newest = cluster.proof();
    Outlook outlook = cluster.outlook();
    if (newest == null) {
      return "never proven";
    }
    String measured =
        outlook.recoveryBytes() == null || outlook.recoveryCores() == null
            ? ""
            : ", measured for %s on %s"
                .formatted(
                    Texts.bytes(outlook.recoveryBytes()),
                    Texts.plural(outlook.recoveryCores(), "processor"));
    return newest.result()
        + "  "
        + at(newest.finishedAt())
        + (newest.result().equals("proven")
            ? measured
            : cluster.lastProof() == null
                ? "; never proven"
                : "; proven " + at(cluster.lastProof()) + measured);
  }

  private static String scheduled(ScheduleState job) {
    String last =
        job.lastResult() == null
            ? job.lastStartedAt() == null ? "never run" : "begun " + at(job.lastStartedAt())
            : "last "
                + job.lastResult()
                + " "
                + (job.lastFinishedAt() == null ? "" : Texts.time(job.lastFinishedAt()));
    if (job.unscheduledAt() != null) {
      return "%s: not any more, since %s; %s"
          .formatted(job.job(), Texts.time(job.unscheduledAt()), last);
    }
    return "%s at %s (%s); next %s; %s"
        .formatted(
            job.job(),
            job.when(),
            job.timeZone(),
            job.runningBy() != null
                ? "when this run has ended, on " + job.runningBy()
                : job.nextAt() == null ? "never" : Texts.time(job.nextAt()),
            last);
  }

  private static String kept(ClusterStatus.@Nullable Slot slot) {
    if (slot == null) {
      return "unknown";
    }
    String all = Texts.bytes(slot.walBytes()) + " in pg_wal";
    if (slot.name() == null) {
      return all + ", no slot";
    }
    if (slot.walStatus() == null) {
      return all + ", slot " + slot.name() + " does not exist";
    }
    return all
        + ", slot "
        + slot.name()
        + " "
        + slot.walStatus()
        + (slot.keptBytes() == null
            ? ""
            : ": " + Texts.bytes(Math.max(0, slot.keptBytes())) + " for the recorder")
        + (slot.safeBytes() == null || slot.safeBytes() < 0
            ? ""
            : ", " + Texts.bytes(slot.safeBytes()) + " more until it is lost");
  }

  private static String at(@Nullable Instant time) {
    if (time == null) {
      return "none";
    }
    double ago = Duration.between(time, Instant.now()).toMillis() / 1000.0;
    return Texts.time(time) + (ago >= 0 ? "  (" + Texts.seconds(ago) + " ago)" : "");
  }
}
