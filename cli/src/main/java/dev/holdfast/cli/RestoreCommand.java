package dev.holdfast.cli;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.operations.Restore;
import dev.holdfast.operations.RestorePlan;
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
      "A guard in its databases says what it said in production, and refuses what it refused there, until",
      "somebody says what this server is: with --environment, before anybody can connect to it.%n",
      "With --delta the folder is a data directory of the same server, damaged or out of date: what is",
      "there already is neither fetched nor written. First shows the plan; nothing is changed until its",
      "digest is given with --apply (or typed, on a terminal). The pg_wal that is there is moved aside,",
      "into DIR.set-aside, and the settings copied; other files that the base backup has not are removed.%n",
      "Examples:",
      "  holdfast restore acme --to /var/lib/postgresql/restored",
      "  holdfast restore acme --before 812 --to /srv/acme --start",
      "  holdfast restore acme --to /srv/acme-copy --start --environment development",
      "  holdfast restore acme --at 2026-11-21T04:56:27Z --to /srv/acme",
      "  holdfast restore acme --to /srv/acme --tablespace-mapping /ssd/fast=/srv/acme-fast",
      "  holdfast restore acme --to /var/lib/postgresql/18/main --delta",
    })
final class RestoreCommand extends CliCommand {
  private static final int SHOWN = 12;

  @Parameters(paramLabel = "NAME", description = "The protected database server.")
  String name = "";

  @Option(
      names = "--to",
      paramLabel = "DIR",
      required = true,
      description =
          "The data directory to make: absent or empty, or left by a restore that was interrupted; with"
              + " --delta the one to bring back.")
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
          "As root: who owns the files and runs the server (default: postgres; with --delta whom the"
              + " directory belongs to). Others: themselves.")
  @Nullable String owner;

  @Option(
      names = "--start",
      description = "Start the server, which then stays, and wait until it takes writes.")
  boolean start;

  @Option(
      names = "--environment",
      paramLabel = "ENV",
      description =
          "With --start: what this server is from now on, stamped into every database with a guard before"
              + " anybody can connect. production: it takes production's place, armed as it was;"
              + " staging: the guard observes; development: it refuses nothing. Without it nothing is"
              + " written there: they say what they were, and stay armed.")
  @Nullable String kind;

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

  @Option(
      names = "--delta",
      description =
          "Restore into the data directory of this server that is there, and fetch and write only what"
              + " differs.")
  boolean delta;

  @Option(
      names = "--overwrite-unidentified",
      description =
          "With --delta: also where global/pg_control is gone or damaged, so that nothing says whose"
              + " data directory it is. One that is another server's is refused all the same.")
  boolean overwriteUnidentified;

  @Option(names = "--dry-run", description = "With --delta: show the plan and do not ask.")
  boolean dryRun;

  @Option(
      names = "--apply",
      paramLabel = "DIGEST",
      description = "With --delta: apply the plan of this digest.")
  @Nullable String digest;

  @Mixin TargetOptions target = new TargetOptions();

  @Mixin RepositoryOptions repository = new RepositoryOptions();

  RestoreCommand(Terminal terminal, Map<String, String> environment) {
    super(terminal, environment);
  }

  @Override
  public Integer call() {
    checkNumber("--port", port, 65_535);
    checkNumber("--threads", threads, 256);
    checkDelta();
    Restore restore = new Restore(repository.location(holdfast.repository, environment), name);
    Restore.Request request =
        new Restore.Request(target.target(), to, tablespaces, owner, start, port, threads, kind);
    if (delta) {
      bringBack(restore, request);
    } else {
      RestoreResult result = restore.run(request, progress());
      print(result, () -> text(result));
    }
    return 0;
  }

  private void checkDelta() {
    if (!delta && (overwriteUnidentified || dryRun || digest != null)) {
      throw new OperatorException(
          Kind.USAGE,
          "cannot restore " + name,
          (overwriteUnidentified ? "--overwrite-unidentified" : dryRun ? "--dry-run" : "--apply")
              + " is for restoring into a data directory that is there",
          "give --delta too, or leave it out");
    }
    if (dryRun && digest != null) {
      throw new OperatorException(
          Kind.USAGE,
          "cannot apply the plan " + digest,
          "--dry-run only shows one",
          "leave out one of them");
    }
  }

  private void bringBack(Restore restore, Restore.Request request) {
    Restore.Delta into = restore.delta(request, overwriteUnidentified, progress());
    String agreed = digest;
    if (agreed == null) {
      RestorePlan plan = into.plan(progress());
      print(plan, () -> text(plan));
      if (dryRun || output.json || !terminal.outIsTerminal()) {
        return;
      }
      String typed = terminal.ask("type the digest to apply this plan, anything else to leave: ");
      if (!typed.equals(plan.digest())) {
        terminal.err().println("nothing was changed");
        return;
      }
      agreed = plan.digest();
    }
    RestoreResult result = into.apply(agreed, progress());
    print(result, () -> text(result));
  }

  private String text(RestorePlan plan) {
    StringBuilder text = new StringBuilder();
    text.append(terminal.paint(Terminal.Colour.BOLD, "plan " + plan.digest()))
        .append(
            "  restores %s, just %s %s, into %s: %s%n%n"
                .formatted(plan.name(), plan.state(), plan.lsn(), plan.directory(), plan.found()));
    TextTable table = new TextTable("", "files", "bytes");
    table.row("kept as they are", Texts.count(plan.filesKept()), Texts.bytes(plan.bytesKept()));
    table.row(
        "changed where they differ",
        Texts.count(plan.filesChanged()),
        plan.filesAdded() == 0 ? Texts.bytes(plan.bytesDiffering()) : "");
    table.row(
        "added, since they are not there",
        Texts.count(plan.filesAdded()),
        plan.filesAdded() == 0 ? "" : Texts.bytes(plan.bytesDiffering()) + " with the changed");
    table.row("removed", Texts.count(plan.filesRemoved()), Texts.bytes(plan.bytesRemoved()));
    text.append(table.format("  ")).append('\n');
    if (!plan.removed().isEmpty()) {
      text.append("  removed, since base backup ").append(plan.base()).append(" has not:\n");
      for (String path : plan.removed().subList(0, Math.min(SHOWN, plan.removed().size()))) {
        text.append("    ").append(path).append('\n');
      }
      if (plan.removed().size() > SHOWN) {
        text.append("    … and %s more%n".formatted(Texts.count(plan.removed().size() - SHOWN)));
      }
      text.append('\n');
    }
    text.append(
        "  to fetch: %s of the base backup %s, %s of WAL%n"
            .formatted(
                Texts.bytes(plan.bytesToFetch()), plan.base(), Texts.bytes(plan.walBytes())));
    for (String tablespace : plan.tablespaces()) {
      text.append("  tablespace in ").append(tablespace).append('\n');
    }
    if (plan.setAside() != null) {
      text.append(
          plan.setAsideNames().contains("pg_wal")
              ? "  kept in %s: the pg_wal that is there, with %s, and the settings%n"
                  .formatted(
                      plan.setAside(), Texts.plural(plan.walSegmentsSetAside(), "WAL segment"))
              : "  kept in %s: the settings that are there%n".formatted(plan.setAside()));
    }
    text.append("  all files will belong to ").append(plan.owner()).append('\n');
    for (String note : plan.notes()) {
      text.append(terminal.paint(Terminal.Colour.YELLOW, "note:"))
          .append(' ')
          .append(note)
          .append('\n');
    }
    return text.append(
            "%nnothing has been changed yet; next: the same command with --apply %s%n"
                .formatted(plan.digest()))
        .toString();
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
    RestoreResult.Delta brought = result.delta();
    if (brought != null) {
      text.append(
          "  %s kept (%s), %s changed, %s added, %s removed%n"
              .formatted(
                  Texts.plural(brought.filesKept(), "file"),
                  Texts.bytes(brought.bytesKept()),
                  Texts.count(brought.filesChanged()),
                  Texts.count(brought.filesAdded()),
                  Texts.count(brought.filesRemoved())));
      text.append(
          "  compared in %s, %s fetched, %s written%n"
              .formatted(
                  Texts.seconds(brought.comparingSeconds()),
                  Texts.bytes(brought.bytesFetched()),
                  Texts.bytes(brought.bytesWritten())));
      if (brought.setAside() != null) {
        text.append(
                brought.setAsideNames().contains("pg_wal")
                    ? "  the pg_wal and the settings that were there: "
                    : "  the settings that were there: ")
            .append(brought.setAside())
            .append('\n');
      }
    }
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
    for (RestoreResult.Guarded guard : result.guards()) {
      text.append("  guard in database ")
          .append(guard.database())
          .append(
              guard.environment() == null
                  ? ": left as it was in production\n"
                  : ": it says %s/%s now%n".formatted(guard.name(), guard.environment()));
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
