package dev.holdfast.cli;

import dev.holdfast.operations.Backup;
import dev.holdfast.operations.BackupResult;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
    name = "backup",
    header = "Take a base backup of a protected server.",
    description = {
      "%nForks and restores start from the newest base backup before their target: a newer one makes"
          + " them faster. It becomes visible when its WAL is stored too.%n",
      "An incremental one reads and stores only the blocks that changed since the one before it was"
          + " begun, as the recorded WAL tells; it is restored together with those it stands on. It is the"
          + " default, until 14 stand on a full one, or they take more than that. Where what changed"
          + " cannot be known, a full one is taken, and the reason told. `holdfast rollup` makes a full one of"
          + " a chain without reading the server.%n",
      "Examples:",
      "  holdfast backup acme",
      "  holdfast backup acme --full",
    })
final class BackupCommand extends CliCommand {
  @Parameters(paramLabel = "NAME", description = "The protected database server.")
  String name = "";

  @ArgGroup(exclusive = true)
  @Nullable Kind kind;

  static final class Kind {
    @Option(names = "--full", description = "Read every file whole.")
    boolean full;

    @Option(
        names = "--incremental",
        description = "Read what changed, however many incremental ones there are already.")
    boolean incremental;
  }

  @Option(
      names = "--url",
      paramLabel = "URL",
      description = "Connect with this instead of what `protect` kept. Else HOLDFAST_RECORDER_URL.")
  @Nullable String url;

  @Option(
      names = "--connections",
      paramLabel = "N",
      defaultValue = "2",
      description =
          "Readers that work at once, each with a connection (default: ${DEFAULT-VALUE}).")
  int connections;

  @Option(
      names = "--through-server",
      description =
          "Ask the server for its files also where it runs on this machine and they can be read directly,"
              + " which is faster.")
  boolean throughServer;

  @Mixin RepositoryOptions repository = new RepositoryOptions();

  BackupCommand(Terminal terminal, Map<String, String> environment) {
    super(terminal, environment);
  }

  @Override
  public Integer call() {
    Backup backup =
        new Backup(
            repository.location(holdfast.repository, environment),
            name,
            RepositoryOptions.recorderUrl(url, environment),
            connections,
            wanted());
    BackupResult result = (throughServer ? backup.throughServer() : backup).run(progress());
    print(result, () -> text(result));
    return 0;
  }

  private Backup.Wanted wanted() {
    if (kind == null) {
      return Backup.Wanted.AUTOMATIC;
    }
    return kind.full ? Backup.Wanted.FULL : Backup.Wanted.INCREMENTAL;
  }

  private String text(BackupResult result) {
    StringBuilder text = new StringBuilder();
    if (result.fullBecause() != null) {
      text.append("a full base backup: ").append(result.fullBecause()).append('\n');
    }
    text.append(
        "base backup %s  %s in %s, %s  (from %s, restorable from %s on)%n"
            .formatted(
                result.label(),
                result.parent() == null
                    ? Texts.bytes(result.bytes())
                    : Texts.bytes(result.heldBytes()) + " of " + Texts.bytes(result.bytes()),
                Texts.bytes(result.storedBytes()),
                Texts.seconds(result.durationSeconds()),
                result.startLsn(),
                result.stopLsn()));
    if (result.parent() != null) {
      text.append("  stands on ").append(result.parent()).append('\n');
    }
    if (result.filesReadFrom() != null) {
      text.append("  files were read from ")
          .append(result.filesReadFrom())
          .append(", which is on this machine\n");
    }
    if (result.damagedPageCount() > 0) {
      text.append(terminal.paint(Terminal.Colour.YELLOW, "warning:"))
          .append(
              " %s fail their checksum on the server, too, and are in the backup as they are:%n"
                  .formatted(Texts.plural(result.damagedPageCount(), "page")));
      for (BackupResult.DamagedPage page : result.damagedPages()) {
        text.append("  block %,d of %s%n".formatted(page.block(), page.file()));
      }
      if (result.damagedPages().size() < result.damagedPageCount()) {
        text.append("  … and more\n");
      }
      text.append("  next: check the server's disk; an older base backup may have them whole\n");
    }
    return text.toString();
  }
}
