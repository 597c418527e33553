package dev.holdfast.cli;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.operations.ArchiveResult;
import dev.holdfast.operations.ChildJobs;
import dev.holdfast.operations.LogEntry;
import dev.holdfast.operations.Record;
import dev.holdfast.operations.RecordingAlarm;
import java.nio.file.Path;
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
      "When the server dies with its disk, what was committed in the last flush interval, and while the repository"
          + " was being written to, is lost. Each flush writes what came since the last one, compressed: at"
          + " most 60 × 60 × 24 × 30 / SECONDS requests of each kind in a month (2.6 million PUT and HEAD at 1 s,"
          + " some 14 USD at the usual prices), none while nothing is written; each byte goes over the network two to"
          + " six times, the more often the more flushes a segment takes to fill.%n",
      "With --synchronous commits wait until the repository has them, and nothing is lost. See whether you want"
          + " that: a commit then takes a write to the repository longer, and when the recorder is killed commits hang"
          + " until it is back, unless a second standby can stand in: ANY 1 (\"holdfast:NAME\", STANDBY).%n",
      "One recorder of a cluster is at work at a time. Another one stands by, on whatever machine, and takes over when"
          + " the first ends, or has not been heard of for some 30 s (in holdfast.yaml record.takeoverAfterSeconds).%n",
      "Once a minute it looks who is connected (database, role, application name, address), for `holdfast status`, and tells when one"
          + " that was usual is gone.%n",
      "It also does what holdfast.yaml schedules for the cluster, one job at a time, each as a process of its own, and"
          + " tells when one fails; `holdfast status` shows them. Stopping it stops a job that runs, within 8 s. Times"
          + " have cron's five fields:%n",
      "  schedule:%n    acme:%n      timeZone: Europe/Berlin   # else this machine's%n      backup:%n        full:"
          + " \"0 3 * * 0\"%n        incremental: \"0 3 * * 1-6\"%n      rollup: \"0 12 1 * *\"%n      expire: \"0 6 * *"
          + " *\"%n      prove: \"0 8 * * 0\"%n      verify: \"0 12 * * *\"%n      verifyReadData: 5%%%n      proveScratch: /big/disk   # room for the cluster and its"
          + " WAL; else the system's temporary folder%n",
    })
final class RecordCommand extends CliCommand {
  @Parameters(paramLabel = "NAME", description = "The protected database server.")
  String name = "";

  @Option(
      names = "--url",
      paramLabel = "URL",
      description =
          "Connect with this instead of what `protect` kept, here and in scheduled jobs. Else"
              + " HOLDFAST_RECORDER_URL.")
  @Nullable String url;

  @Option(
      names = "--flush-interval",
      paramLabel = "SECONDS",
      description =
          "How old received WAL may get before it is durable in the repository (default: 1; in"
              + " holdfast.yaml record.flushIntervalSeconds).")
  @Nullable Double flushSeconds;

  @Option(
      names = "--synchronous",
      negatable = true,
      description =
          "Have commits wait for the repository: write as soon as WAL arrives, acknowledge at once, and join"
              + " synchronous_standby_names where that is allowed (in holdfast.yaml record.synchronous).")
  @Nullable Boolean synchronous;

  @Option(
      names = "--degrade-after",
      paramLabel = "SECONDS",
      description =
          "With --synchronous: how long commits may wait for a repository that takes no WAL, before the recorder"
              + " takes itself out of the list with an alarm (default: 10; in holdfast.yaml"
              + " record.degradeAfterSeconds).")
  @Nullable Double degradeSeconds;

  @Option(
      names = "--no-backup-after-gap",
      description = "Take no base backup by itself when WAL was lost; tell that one is needed.")
  boolean noBackupAfterGap;

  @Option(
      names = "--no-standby",
      description =
          "When another recorder of the same cluster is at work, leave (exit code 3) instead of standing by and"
              + " taking over when that one ends or dies.")
  boolean noStandby;

  @Option(
      names = "--from-directory",
      paramLabel = "DIR",
      description =
          "Take the WAL that archive_command copies to this folder, instead of connecting for it. The last"
              + " moments are then as old as the last archived segment: see archive_timeout.")
  @Nullable Path fromDirectory;

  @Option(names = "--once", description = "With --from-directory: take what is there, and end.")
  boolean once;

  @Option(
      names = "--remove",
      description = "With --from-directory: remove files from it once they are recorded.")
  boolean remove;

  @Mixin RepositoryOptions repository = new RepositoryOptions();

  RecordCommand(Terminal terminal, Map<String, String> environment) {
    super(terminal, environment);
  }

  @Override
  public Integer call() {
    refuseWhatDoesNotFit();
    String connection = RepositoryOptions.recorderUrl(url, environment);
    Record recorder =
        new Record(
                repository.location(holdfast.repository, environment),
                name,
                repository
                    .configuration(holdfast.repository, environment)
                    .recording(
                        connection,
                        flushSeconds,
                        synchronous,
                        degradeSeconds,
                        !noBackupAfterGap,
                        !noStandby))
            .scheduling(
                repository.configuration(holdfast.repository, environment),
                new ChildJobs(
                    OwnProgram.command(),
                    repository.options(holdfast.repository, environment),
                    OwnProgram.environment(environment, connection)));
    CountDownLatch ended = new CountDownLatch(1);
    Shutdown.onSignal(recorder::stop, ended);
    Record.Listener listener =
        new Record.Listener() {
          @Override
          public void destructive(LogEntry entry) {
            print(entry, () -> LogText.entry(terminal, entry));
          }

          @Override
          public void alarm(RecordingAlarm alarm) {
            print(alarm, () -> RecordingAlarmText.of(terminal, alarm));
          }

          @Override
          public void say(String line) {
            if (!output.quiet) {
              terminal.err().println(line);
            }
          }
        };
    try {
      if (fromDirectory == null) {
        recorder.run(listener);
        return 0;
      }
      ArchiveResult result = recorder.runFrom(fromDirectory, once, remove, listener);
      print(
          result,
          () ->
              "%d files recorded, %d refused, %d removed; recorded through %s%n"
                  .formatted(
                      result.taken(),
                      result.refused(),
                      result.removed(),
                      result.recordedThrough() == null ? "nothing" : result.recordedThrough()));
      return result.refused() == 0 ? 0 : Kind.DIFFERENT.exitCode();
    } finally {
      ended.countDown();
    }
  }

  private void refuseWhatDoesNotFit() {
    if (fromDirectory == null && (once || remove)) {
      throw new OperatorException(
          Kind.USAGE,
          "cannot record",
          (once ? "--once" : "--remove") + " is for --from-directory",
          "add --from-directory DIR, or leave it out");
    }
    if (fromDirectory != null && Boolean.TRUE.equals(synchronous)) {
      throw new OperatorException(
          Kind.USAGE,
          "cannot record",
          "commits cannot wait for what archive_command copies: --synchronous needs a connection",
          "leave one of --from-directory and --synchronous out");
    }
  }
}
