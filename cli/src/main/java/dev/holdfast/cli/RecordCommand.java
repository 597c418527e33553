package dev.holdfast.cli;

import dev.holdfast.operations.LogEntry;
import dev.holdfast.operations.Record;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
    name = "record",
    header = "Receive every change of a protected server into the repository, until stopped.",
    description = {
      "%nGoes on where it stopped, survives restarts of the server, and tells of destructive transactions"
          + " as they happen. Stop it with Ctrl-C or SIGTERM: what has arrived is kept.%n",
    })
final class RecordCommand extends CliCommand {
  @Parameters(paramLabel = "NAME", description = "The protected database server.")
  String name = "";

  @Option(
      names = "--url",
      paramLabel = "URL",
      description = "Connect with this instead of what `protect` kept.")
  @Nullable String url;

  @Option(
      names = "--flush-interval",
      paramLabel = "SECONDS",
      defaultValue = "1",
      description =
          "How old received WAL may get before it is durable in the repository (default:"
              + " ${DEFAULT-VALUE}).")
  double flushSeconds;

  @Mixin RepositoryOptions repository = new RepositoryOptions();

  RecordCommand(Terminal terminal, Map<String, String> environment) {
    super(terminal, environment);
  }

  @Override
  public Integer call() {
    Record recorder =
        new Record(repository.location(holdfast.repository, environment), name, url, flushSeconds);
    CountDownLatch ended = new CountDownLatch(1);
    Shutdown.onSignal(recorder::stop, ended);
    try {
      recorder.run(
          new Record.Listener() {
            @Override
            public void destructive(LogEntry entry) {
              print(entry, () -> LogText.entry(terminal, entry));
            }

            @Override
            public void say(String line) {
              if (!output.quiet) {
                terminal.err().println(line);
              }
            }
          });
    } finally {
      ended.countDown();
    }
    return 0;
  }
}
