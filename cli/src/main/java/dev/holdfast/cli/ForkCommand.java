package dev.holdfast.cli;

import dev.holdfast.operations.Fork;
import dev.holdfast.operations.ForkReady;
import java.nio.file.Path;
import java.time.Instant;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
    name = "fork",
    header =
        "A throw-away server holding the data as it was at a moment, from the repository alone.",
    description = {
      "%nRuns until stopped with Ctrl-C, then is gone with its files. Production is not touched.%n",
      "Examples:",
      "  holdfast fork acme --before 812",
      "  holdfast fork acme --at 2026-11-21T04:56:27Z",
      "  holdfast fork acme",
    })
final class ForkCommand extends CliCommand {
  @Parameters(paramLabel = "NAME", description = "The protected database server.")
  String name = "";

  static final class Moment {
    @Option(
        names = "--before",
        paramLabel = "XID",
        description = "Just before this transaction committed.")
    @Nullable String before;

    @Option(
        names = "--after",
        paramLabel = "XID",
        description = "Just after this transaction committed.")
    @Nullable String after;

    @Option(
        names = "--at",
        paramLabel = "TIME",
        converter = TimeWithOffset.class,
        description = "Before the first transaction that committed after this time.")
    @Nullable Instant at;

    @Option(
        names = "--lsn",
        paramLabel = "LSN",
        description = "Before the record at this position.")
    @Nullable String lsn;
  }

  @ArgGroup(exclusive = true, heading = "Moment (default: the newest recorded one):%n")
  @Nullable Moment moment;

  @Option(
      names = "--scratch",
      paramLabel = "DIR",
      description = "Make it in this folder instead of the system's temporary one.")
  @Nullable Path scratch;

  @Mixin RepositoryOptions repository = new RepositoryOptions();

  ForkCommand(Terminal terminal, Map<String, String> environment) {
    super(terminal, environment);
  }

  @Override
  public Integer call() throws InterruptedException {
    Moment chosen = moment == null ? new Moment() : moment;
    Fork.Target target = new Fork.Target(chosen.before, chosen.after, chosen.at, chosen.lsn);
    CountDownLatch ended = new CountDownLatch(1);
    try (Fork.Running fork =
        new Fork(repository.location(holdfast.repository, environment), name, scratch)
            .start(target, progress())) {
      CountDownLatch stopped = new CountDownLatch(1);
      Shutdown.onSignal(stopped::countDown, ended);
      ForkReady ready = fork.ready();
      print(ready, () -> text(ready));
      stopped.await();
    } finally {
      ended.countDown();
    }
    return 0;
  }

  private String text(ForkReady ready) {
    return terminal.paint(Terminal.Colour.GREEN, "ready")
        + "  %s %s %s, from base backup %s and %s of WAL, in %s%n%n  psql '%s'%n%n"
            .formatted(
                ready.name(),
                ready.state(),
                ready.lsn(),
                ready.base(),
                Texts.bytes(ready.walBytes()),
                Texts.seconds(ready.durationSeconds()),
                ready.url())
        + "it is gone, with its files, when you press Ctrl-C\n";
  }
}
