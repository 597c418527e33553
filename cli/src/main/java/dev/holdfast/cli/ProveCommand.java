package dev.holdfast.cli;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.operations.ProofDocument;
import dev.holdfast.operations.Prove;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.ThreadLocalRandom;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
    name = "prove",
    header =
        "Tries a restore, looks at everything in it, and keeps the result: how long it really takes.",
    description = {
      "%nRestores the whole cluster into a scratch folder by what `restore` does, replays, starts a server"
          + " that nobody else reaches, and checks: catalogs and files, heaps and B-trees (amcheck), every"
          + " value of every table, and how far the recorder is behind (asked where HOLDFAST_RECORDER_URL says,"
          + " else where `protect` was told). Then all of it is removed. Needs the"
          + " room of the cluster and its WAL.%n",
      "The result is proven, failed or inconclusive (something could not be told on this machine; the"
          + " message says what to install). `holdfast status` shows the newest.%n",
      "Made for cron. Ends with 0 when proven; with 4 when not; with 6 when stored data is damaged so that"
          + " it cannot be restored; with 3, and nothing kept, when room is lacking or the moment asked for"
          + " cannot be reached.%n",
      "Examples:",
      "  holdfast prove acme",
      "  holdfast prove acme --random                       some moment, another one each time",
      "  holdfast prove acme --tables users,orders --url postgresql://OWNER@db.internal/shop",
      "  holdfast prove acme --at 2026-11-21T04:56:27Z --scratch /big/disk",
    })
final class ProveCommand extends CliCommand {
  private static final int NICENESS = 10;

  @Parameters(paramLabel = "NAME", description = "The protected database server.")
  String name = "";

  @Option(
      names = "--tables",
      paramLabel = "T,...",
      description = {
        "Compare these tables with production, row by row as sums: TABLE (in public) or SCHEMA.TABLE of"
            + " the database in --url. Each is read once in production, in one snapshot, and the copy is"
            + " restored to that snapshot's place in the log."
      })
  @Nullable String tables;

  @Option(
      names = "--url",
      paramLabel = "URL",
      description =
          "With --tables: connect to production as a role that may read them. Else HOLDFAST_URL. Never"
              + " stored.")
  @Nullable String url;

  @Option(names = "--random", description = "A moment drawn from all that can be reached.")
  boolean random;

  @Option(
      names = "--seed",
      paramLabel = "N",
      description = "With --random: the moment an earlier run drew, which printed its seed.")
  @Nullable Long seed;

  @Option(
      names = "--scratch",
      paramLabel = "DIR",
      description = "Restore in this folder instead of the system's temporary one.")
  @Nullable Path scratch;

  @Option(
      names = "--threads",
      paramLabel = "N",
      description =
          "Files fetched, and relations checked, at once (default: one for each processor).")
  @Nullable Integer threads;

  @Option(
      names = "--nice",
      paramLabel = "N",
      description = "Niceness of the scratch server: 0 to 19 (default: ${DEFAULT-VALUE}).",
      defaultValue = "" + NICENESS)
  int nice;

  @Mixin TargetOptions target = new TargetOptions();

  @Mixin RepositoryOptions repository = new RepositoryOptions();

  ProveCommand(Terminal terminal, Map<String, String> environment) {
    super(terminal, environment);
  }

  @Override
  public Integer call() {
    checkOptions();
    String owner = url != null ? url : environment.get("HOLDFAST_URL");
    Long drawn =
        !random ? null : seed != null ? seed : ThreadLocalRandom.current().nextInt(1_000_000);
    Prove.Outcome outcome =
        new Prove(
                repository.location(holdfast.repository, environment),
                name,
                RepositoryOptions.recorderUrl(null, environment))
            .run(
                new Prove.Request(
                    target.target(),
                    drawn,
                    tables,
                    tables == null ? null : owner,
                    scratch,
                    threads,
                    nice,
                    Version.number()),
                progress());
    print(outcome.proof(), () -> text(outcome));
    return outcome.exitCode();
  }

  private void checkOptions() {
    boolean chosen = (target.moment != null && !target.moment.latest) || target.timeline != null;
    if ((random && (chosen || tables != null)) || (tables != null && chosen)) {
      throw wrong(
          "--random, --tables and a moment of choice exclude each other",
          "leave all but one out; --tables goes with the moment at which production is asked");
    }
    if (seed != null && !random) {
      throw wrong("--seed goes with --random", "add --random, or leave it out");
    }
    if (url != null && tables == null) {
      throw wrong("--url goes with --tables", "name the tables to compare, or leave it out");
    }
    if (threads != null && (threads < 1 || threads > 256)) {
      throw wrong("--threads " + threads + " is not between 1 and 256", "choose another number");
    }
    if (nice < 0 || nice > 19) {
      throw wrong("--nice " + nice + " is not between 0 and 19", "choose another number");
    }
  }

  private OperatorException wrong(String why, String next) {
    return new OperatorException(Kind.USAGE, "cannot prove " + name, why, next);
  }

  private String text(Prove.Outcome outcome) {
    ProofDocument proof = outcome.proof();
    StringBuilder text = new StringBuilder();
    text.append(terminal.paint(colour(proof.result()), proof.result()))
        .append("  ")
        .append(proof.cluster())
        .append(proof.target().lsn() == null ? "" : " just " + proof.target().state() + " ")
        .append(proof.target().lsn() == null ? "" : proof.target().lsn())
        .append(
            switch (proof.target().wanted()) {
              case "latest" -> ", the newest recorded moment";
              case "random" -> ", drawn with --seed " + proof.target().seed();
              case "tables" -> ", as production was when it was asked";
              default -> "";
            })
        .append('\n');
    ProofDocument.Recovery recovery = proof.recovery();
    if (recovery != null) {
      text.append(
          "  takes writes after %s: WAL %s, base backup %s, on the disk for good %s, replay %s, start %s%n"
              .formatted(
                  Texts.seconds(recovery.totalSeconds()),
                  Texts.seconds(recovery.walSeconds()),
                  Texts.seconds(recovery.baseSeconds()),
                  Texts.seconds(recovery.durableSeconds()),
                  Texts.seconds(recovery.replaySeconds()),
                  Texts.seconds(recovery.startSeconds())));
      text.append(
          "  base backup %s (%s) and %s of WAL, by PostgreSQL %s on %s, %s at once%n"
              .formatted(
                  proof.base(),
                  Texts.bytes(proof.baseBytes()),
                  Texts.bytes(proof.walBytes()),
                  proof.machine().postgres(),
                  Texts.plural(proof.machine().cores(), "processor"),
                  proof.machine().threads()));
    }
    for (ProofDocument.Check check : proof.checks()) {
      text.append(text(check));
    }
    OperatorException stopped = outcome.stopped();
    if (stopped != null) {
      text.append(terminal.paint(colour(proof.result()), "stopped:"))
          .append(" %s: %s%n  next: %s%n".formatted(stopped.what(), stopped.why(), stopped.next()));
    }
    return text.append("  kept as proof ").append(proof.label()).append('\n').toString();
  }

  private String text(ProofDocument.Check check) {
    StringBuilder text = new StringBuilder();
    text.append("  ")
        .append(
            terminal.paint(
                switch (check.outcome()) {
                  case "passed" -> Terminal.Colour.GREEN;
                  case "failed" -> Terminal.Colour.RED;
                  case "inconclusive" -> Terminal.Colour.YELLOW;
                  default -> Terminal.Colour.DIM;
                },
                check.outcome()))
        .append("  ")
        .append(check.name());
    if (!check.outcome().equals("skipped")) {
      text.append(": ").append(looked(check)).append(" in ").append(Texts.seconds(check.seconds()));
    }
    text.append('\n');
    for (ProofDocument.Finding finding : check.found()) {
      text.append("    ")
          .append(
              finding.damaged()
                  ? terminal.paint(Terminal.Colour.RED, "damaged:")
                  : terminal.paint(Terminal.Colour.YELLOW, "not told:"))
          .append(" %s: %s%n".formatted(finding.what(), finding.why()));
    }
    if (check.more() > 0) {
      text.append("    and ").append(Texts.count(check.more())).append(" more\n");
    }
    for (String note : check.notes()) {
      text.append("    ").append(terminal.paint(Terminal.Colour.DIM, "note:"));
      text.append(' ').append(note).append('\n');
    }
    return text.toString();
  }

  private static String looked(ProofDocument.Check check) {
    return switch (check.name()) {
      case "recording" ->
          check.looked() == 0
              ? "all that production had written was recorded"
              : Texts.bytes(check.looked()) + " were not recorded yet";
      case "tables" -> Texts.plural(check.looked(), "row") + " compared with production";
      case "databases" -> Texts.plural(check.looked(), "database");
      case "heaps" -> Texts.plural(check.looked(), "heap");
      case "indexes" -> Texts.plural(check.looked(), "B-tree");
      case "rows" -> Texts.plural(check.looked(), "row") + " read";
      default -> Texts.plural(check.looked(), "relation");
    };
  }

  private static Terminal.Colour colour(String result) {
    return switch (result) {
      case "proven" -> Terminal.Colour.GREEN;
      case "failed" -> Terminal.Colour.RED;
      default -> Terminal.Colour.YELLOW;
    };
  }
}
