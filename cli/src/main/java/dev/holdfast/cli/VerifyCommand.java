package dev.holdfast.cli;

import dev.holdfast.failure.Kind;
import dev.holdfast.operations.Verify;
import dev.holdfast.operations.VerifyProblem;
import dev.holdfast.operations.VerifyResult;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.ThreadLocalRandom;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
    name = "verify",
    header = "Whether the repository holds, and which moments can be reached with it.",
    description = {
      "%nLooks at every object, at the chains they make, and for gaps in the WAL; changes nothing, and may"
          + " run while others record and back up. Says of each problem what it costs and what to do.%n",
      "Without --read-data the contents of base backups and WAL segments, which are most of the bytes, are"
          + " not read: their headers, sizes and tables of contents are, and everything else whole.%n",
      "Ends with 0 when all is well; with 4 when all that is stored holds and WAL is missing between, so that"
          + " some moments cannot be reached; with 6 when something stored is damaged, or lacks what it needs.%n",
      "Examples:",
      "  holdfast verify",
      "  holdfast verify acme --read-data 5%%      every night: another share of it each time",
      "  holdfast verify acme --read-data 100%%    every byte",
    })
final class VerifyCommand extends CliCommand {
  @Parameters(
      paramLabel = "NAME",
      arity = "0..1",
      description = "One protected server; all of them without it.")
  @Nullable String name;

  @Option(
      names = "--read-data",
      paramLabel = "N%",
      converter = Percent.class,
      defaultValue = "0%",
      description =
          "Read this share of the contents of base backups and WAL, too, and compare it with its"
              + " checksums; chosen by chance (default: ${DEFAULT-VALUE}).")
  double readData;

  @Option(
      names = "--seed",
      paramLabel = "N",
      description = "Choose that share as an earlier run did, which printed its seed.")
  @Nullable Long seed;

  @Mixin RepositoryOptions repository = new RepositoryOptions();

  VerifyCommand(Terminal terminal, Map<String, String> environment) {
    super(terminal, environment);
  }

  @Override
  public Integer call() {
    VerifyResult result =
        new Verify(repository.location(holdfast.repository, environment))
            .run(
                new Verify.Request(
                    name,
                    readData,
                    seed != null ? seed : ThreadLocalRandom.current().nextInt(1_000_000)),
                progress());
    for (VerifyProblem problem : result.problems()) {
      print(problem, () -> text(problem));
    }
    print(result.summary(), () -> text(result.summary()));
    return switch (result.summary().result()) {
      case "damaged" -> Kind.DAMAGED_DATA.exitCode();
      case "gaps" -> Kind.DIFFERENT.exitCode();
      default -> 0;
    };
  }

  private String text(VerifyProblem problem) {
    if (problem.level().equals("note")) {
      return terminal.paint(Terminal.Colour.DIM, "note:")
          + " "
          + problem.object()
          + ": "
          + problem.found()
          + "; next: "
          + problem.next()
          + "\n";
    }
    Terminal.Colour colour =
        problem.level().equals("gap") ? Terminal.Colour.YELLOW : Terminal.Colour.RED;
    return terminal.paint(colour, problem.level() + ":")
        + " "
        + problem.object()
        + "\n  found: "
        + problem.found()
        + "\n  costs: "
        + problem.cost()
        + "\n  next:  "
        + problem.next()
        + "\n";
  }

  private String text(VerifyResult.Summary summary) {
    StringBuilder text = new StringBuilder();
    long contents = 0;
    long read = 0;
    for (VerifyResult.Cluster cluster : summary.clusters()) {
      contents += cluster.contentBytes();
      read += cluster.contentBytesRead();
      text.append(terminal.paint(Terminal.Colour.BOLD, cluster.name()))
          .append(
              "  %s that can be used, %s of WAL, %s looked at%n"
                  .formatted(
                      Texts.plural(cluster.bases(), "base backup"),
                      Texts.plural(cluster.segments(), "segment"),
                      Texts.plural(cluster.objects(), "object")))
          .append("  ")
          .append(reachable(cluster.reachable()))
          .append('\n');
    }
    text.append(contents(summary, contents, read)).append('\n');
    return text.append(outcome(summary)).toString();
  }

  private static String reachable(List<VerifyProblem.Stretch> stretches) {
    if (stretches.isEmpty()) {
      return "no moment can be reached";
    }
    StringBuilder text = new StringBuilder("every moment can be reached");
    String separator = " from ";
    for (VerifyProblem.Stretch stretch : stretches) {
      text.append(separator)
          .append(stretch.from())
          .append(" to ")
          .append(stretch.to())
          .append(
              stretch.timeline() == 1
                  ? ""
                  : " (timeline " + Integer.toUnsignedString(stretch.timeline()) + ")");
      separator = ", from ";
    }
    return text.toString();
  }

  private static String contents(VerifyResult.Summary summary, long contents, long read) {
    if (summary.readDataPercent() == 0) {
      return "contents of base backups and WAL were not read: --read-data 100%% reads all %s"
          .formatted(Texts.bytes(contents));
    }
    String text =
        "contents of base backups and WAL: %s of %s read in %s"
            .formatted(
                Texts.bytes(read), Texts.bytes(contents), Texts.seconds(summary.durationSeconds()));
    return summary.seed() == null ? text : text + ", chosen with --seed " + summary.seed();
  }

  private String outcome(VerifyResult.Summary summary) {
    int notes = summary.problems().getOrDefault("note", 0);
    int problems = summary.problems().values().stream().mapToInt(Integer::intValue).sum() - notes;
    String outcome =
        switch (summary.result()) {
          case "damaged" ->
              terminal.paint(Terminal.Colour.RED, "damaged")
                  + String.format(
                      Locale.ROOT, "  %s; what is stored is not whole", plural(problems));
          case "gaps" ->
              terminal.paint(Terminal.Colour.YELLOW, "gaps")
                  + String.format(
                      Locale.ROOT,
                      "  %s; what is stored holds, and not every moment can be reached",
                      plural(problems));
          default -> terminal.paint(Terminal.Colour.GREEN, "clean") + "  no problem found";
        };
    return outcome + (notes == 0 ? "" : ", " + Texts.plural(notes, "note")) + "\n";
  }

  private static String plural(int problems) {
    return Texts.plural(problems, "problem");
  }
}
