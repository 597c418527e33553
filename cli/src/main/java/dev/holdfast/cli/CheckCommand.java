package dev.holdfast.cli;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.operations.Asker;
import dev.holdfast.operations.Check;
import dev.holdfast.operations.CheckResult;
import dev.holdfast.operations.CheckResult.Verdict;
import dev.holdfast.operations.EnvironmentFile;
import dev.holdfast.operations.Expectation;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
    name = "check",
    header = "Tell which database an address leads to, and whether it is the one that is meant.",
    description = {
      "%nThe database itself, a standby, a copy of its files (a snapshot of its disks, an old primary), a copy by dump and"
          + " restore, a clone made by hand with what it lacks, an empty one, another one. For deploy steps, container"
          + " entrypoints, test suites and people. Any role that may connect will do.%n",
      "With a repository its WAL is compared with what is recorded. Without one a database is what its stamp says, and a copy of"
          + " its files cannot be told from it: that is said.%n",
      "Ends with 0 when it is what is expected, with 4 when it is not, with 7 when it does not answer.%n",
      "Examples:",
      "  holdfast check \"$DATABASE_URL\" --expect acme/production",
      "  holdfast check \"$TEST_DATABASE_URL\" --not production",
      "  holdfast check --env-file .env --not production",
      "  holdfast check \"$DATABASE_URL\" --expect acme/production --format github",
    })
final class CheckCommand extends CliCommand {
  private static final int SHOWN = 10;

  @Parameters(
      index = "0",
      arity = "0..1",
      paramLabel = "URL",
      description = "The database: postgresql://… in any form libpq takes.")
  @Nullable String url;

  @Option(
      names = "--expect",
      paramLabel = "NAME[/ENV]",
      description = "What it has to be: acme, or acme/production.")
  @Nullable String expect;

  @Option(
      names = "--not",
      paramLabel = "ENV|NAME[/ENV]",
      description = "What it must not be: production, acme, or acme/production.")
  @Nullable String not;

  @Option(
      names = "--env-file",
      paramLabel = "FILE",
      description =
          "Check every PostgreSQL URL in a file of NAME=VALUE lines, as .env. May be said several times.")
  List<Path> environmentFiles = new ArrayList<>();

  @Option(
      names = "--application",
      paramLabel = "NAME",
      description =
          "On whose behalf (default: PGAPPNAME, the npm package's or the CI project's name).")
  @Nullable String application;

  @Option(
      names = "--commit",
      paramLabel = "COMMIT",
      description = "Of the code that is to run (default: what the CI says).")
  @Nullable String commit;

  @Option(
      names = "--no-note",
      description =
          "Keep nowhere that this was asked. Else the database itself and the repository, where they"
              + " can be written, keep who asked from where, for `holdfast status`.")
  boolean noNote;

  @Option(
      names = "--format",
      paramLabel = "FORMAT",
      description = "text (the default), json (as --json), github (annotations) or junit (XML).")
  @Nullable ReportFormat format;

  @Mixin RepositoryOptions repository = new RepositoryOptions();

  CheckCommand(Terminal terminal, Map<String, String> environment) {
    super(terminal, environment);
  }

  @Override
  public Integer call() {
    Expectation expectation = expectation();
    ReportFormat form = form(format);
    if (form == ReportFormat.SARIF) {
      throw new OperatorException(
          Kind.USAGE,
          "check has nothing to tell as SARIF",
          "that format is for findings in code",
          "choose text, json, github or junit");
    }
    long began = System.nanoTime();
    Check check =
        new Check(
            repository.locationIfNamed(holdfast.repository, environment),
            noNote ? null : Asker.of(application, commit, environment));
    List<CheckResult> results = new ArrayList<>();
    if (url != null) {
      results.add(check.of(url, null, expectation));
    }
    for (Path file : environmentFiles) {
      for (EnvironmentFile.Address found : EnvironmentFile.addresses(file)) {
        results.add(checked(check, found, file + ": " + found.name(), expectation));
      }
    }
    switch (form) {
      case GITHUB -> utf8(CheckReports.github(results));
      case JUNIT -> utf8(CheckReports.junit(results, (System.nanoTime() - began) / 1e9));
      default -> results.forEach(result -> print(result, () -> text(result)));
    }
    if (results.stream().allMatch(CheckResult::expected)) {
      return 0;
    }
    return results.stream().anyMatch(r -> !r.expected() && r.verdict() != Verdict.UNREACHABLE)
        ? Kind.DIFFERENT.exitCode()
        : Kind.DATABASE_UNREACHABLE.exitCode();
  }

  /** Of several addresses it has to be said which one is not understood. */
  private static CheckResult checked(
      Check check, EnvironmentFile.Address found, String source, Expectation expectation) {
    try {
      return check.of(found.url(), source, expectation);
    } catch (OperatorException e) {
      throw new OperatorException(
          e.kind(), "cannot check " + source, e.what() + ": " + e.why(), e.next(), e);
    }
  }

  private Expectation expectation() {
    if ((expect == null) == (not == null)) {
      throw new OperatorException(
          Kind.USAGE,
          "check needs to know what is expected",
          expect == null ? "neither --expect nor --not was given" : "--expect and --not were given",
          "say one of them: --expect acme/production, or --not production");
    }
    if (url == null && environmentFiles.isEmpty()) {
      throw new OperatorException(
          Kind.USAGE,
          "check needs a database",
          "neither a URL nor --env-file was given",
          "for example: holdfast check \"$DATABASE_URL\" --expect acme/production");
    }
    return expect != null ? Expectation.to(expect) : Expectation.not(String.valueOf(not));
  }

  private String text(CheckResult result) {
    StringBuilder text =
        new StringBuilder(
                result.expected()
                    ? terminal.paint(Terminal.Colour.GREEN, "as expected")
                    : result.verdict() == Verdict.UNREACHABLE
                        ? terminal.paint(Terminal.Colour.YELLOW, "no answer")
                        : terminal.paint(Terminal.Colour.RED, "not as expected"))
            .append("  ")
            .append(result.source() == null ? "" : result.source() + ": ")
            .append(result.headline())
            .append('\n');
    CheckResult.Missing missing = result.missing();
    lacking(text, "tables that are missing", missing.missingTables());
    lacking(text, "columns that are missing", missing.missingColumns());
    lacking(text, "indexes that are missing", missing.missingIndexes());
    lacking(text, "sequences that are missing", missing.missingSequences());
    lacking(
        text,
        "far fewer rows",
        result.fallen().stream()
            .map(f ->
                "%s (about %s, recorded about %s)"
                    .formatted(f.table(), Texts.count(f.here()), Texts.count(f.recorded())))
            .toList());
    text.append("  expected: ").append(result.expectation()).append('\n');
    text.append("  at: ").append(result.url()).append('\n');
    for (String reason : result.reasons()) {
      text.append("  told by: ").append(reason).append('\n');
    }
    if (result.next() != null) {
      text.append("next: ").append(result.next()).append('\n');
    }
    return text.toString();
  }

  private static void lacking(StringBuilder text, String what, List<String> names) {
    if (!names.isEmpty()) {
      text.append(
          "  %s: %s%s%n"
              .formatted(
                  what,
                  names.stream().limit(SHOWN).collect(Collectors.joining(", ")),
                  names.size() > SHOWN ? " and " + (names.size() - SHOWN) + " more" : ""));
    }
  }
}
