package dev.holdfast.cli;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.operations.Restore;
import dev.holdfast.operations.RestoreResult;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
    name = "restore",
    header = "The whole cluster as it was at a moment, into a folder, from the repository alone.",
    description = {
      "%nThe folder is a PostgreSQL data directory then, with all WAL it needs: it starts without",
      "Holdfast and without the repository, recovers exactly to the moment and takes writes. What",
      "production must not find itself doing twice is switched off, and told. Production is not touched.%n",
      "Examples:",
      "  holdfast restore acme --to /var/lib/postgresql/restored",
      "  holdfast restore acme --before 812 --to /srv/acme --start",
      "  holdfast restore acme --at 2026-11-21T04:56:27Z --to /srv/acme",
      "  holdfast restore acme --to /srv/acme --tablespace-mapping /ssd/fast=/srv/acme-fast",
    })
final class RestoreCommand extends CliCommand {
  @Parameters(paramLabel = "NAME", description = "The protected database server.")
  String name = "";

  @Option(
      names = "--to",
      paramLabel = "DIR",
      required = true,
      description =
          "The data directory to make: absent or empty, or left by a restore that was interrupted.")
  Path to = Path.of("");

  @Option(
      names = "--tablespace-mapping",
      paramLabel = "OLD=NEW",
      description =
          "Put the tablespace that lies at OLD in production into NEW (default: OLD, if that is absent"
              + " or empty). Repeat it for each.")
  Map<String, String> tablespaces = new LinkedHashMap<>();

  @Option(
      names = "--owner",
      paramLabel = "USER",
      description =
          "As root: who owns the files and runs the server (default: postgres). Others: themselves.")
  @Nullable String owner;

  @Option(
      names = "--start",
      description = "Start the server, which then stays, and wait until it takes writes.")
  boolean start;

  @Option(
      names = "--port",
      paramLabel = "PORT",
      description =
          "Listen here (default: production's port; with --start the first free one from there on).")
  @Nullable Integer port;

  @Option(
      names = "--threads",
      paramLabel = "N",
      description = "Files and segments fetched at once (default: one for each processor).")
  @Nullable Integer threads;

  @Mixin TargetOptions target = new TargetOptions();

  @Mixin RepositoryOptions repository = new RepositoryOptions();

  RestoreCommand(Terminal terminal, Map<String, String> environment) {
    super(terminal, environment);
  }

  @Override
  public Integer call() {
    checkNumber("--port", port, 65_535);
    checkNumber("--threads", threads, 256);
    RestoreResult result =
        new Restore(repository.location(holdfast.repository, environment), name)
            .run(
                new Restore.Request(target.target(), to, tablespaces, owner, start, port, threads),
                progress());
    print(result, () -> text(result));
    return 0;
  }

  private void checkNumber(String option, @Nullable Integer number, int most) {
    if (number != null && (number < 1 || number > most)) {
      throw new OperatorException(
          Kind.USAGE,
          "cannot restore " + name,
          option + " " + number + " is not between 1 and " + most,
          "choose another number, or leave " + option + " out");
    }
  }

  private String text(RestoreResult result) {
    RestoreResult.Server server = result.server();
    StringBuilder text = new StringBuilder();
    text.append(
        terminal.paint(Terminal.Colour.GREEN, server == null ? "restored" : "running")
            + "  %s, just %s %s on timeline %s, in %s%n"
                .formatted(
                    result.name(),
                    result.state(),
                    result.lsn(),
                    Integer.toUnsignedString(result.timeline()),
                    result.directory()));
    text.append(
        "  base backup %s (%s) and %s of WAL, in %s%n"
            .formatted(
                result.base(),
                Texts.bytes(result.bytes()),
                Texts.bytes(result.walBytes()),
                Texts.seconds(result.durationSeconds())));
    text.append("  files belong to ").append(result.owner()).append('\n');
    for (String tablespace : result.tablespaces()) {
      text.append("  tablespace in ").append(tablespace).append('\n');
    }
    if (server != null) {
      text.append(
          "  PostgreSQL %s takes writes on port %d, after %s of recovery; its log: %s%n"
              .formatted(
                  server.version(),
                  server.port(),
                  Texts.seconds(result.replaySeconds()),
                  server.log()));
    }
    if (!result.overridden().isEmpty()) {
      text.append("\notherwise than in production:\n");
      for (RestoreResult.Setting setting : result.overridden()) {
        text.append(
            "  %s = %s%s: %s%n"
                .formatted(
                    setting.name(),
                    value(setting.restored()),
                    setting.production() == null ? "" : ", was " + value(setting.production()),
                    setting.why()));
      }
    }
    for (String note : result.notes()) {
      text.append(terminal.paint(Terminal.Colour.YELLOW, "note:")).append(' ').append(note);
      text.append('\n');
    }
    text.append("\nnext:\n");
    for (String next : result.next()) {
      text.append("  ").append(next).append('\n');
    }
    return text.toString();
  }

  private static String value(@Nullable String value) {
    return value == null ? "(not set)" : value.isEmpty() ? "''" : value;
  }
}
