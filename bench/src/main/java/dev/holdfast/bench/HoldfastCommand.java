package dev.holdfast.bench;

import dev.holdfast.operations.ClusterStatus;
import dev.holdfast.operations.Status;
import dev.holdfast.store.KeySources;
import dev.holdfast.wal.Lsn;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** {@code ./holdfast}, run as an operator runs it: whole processes, timed from start to exit. */
final class HoldfastCommand {
  private static final String CONFIGURATION = "XDG_CONFIG_HOME";
  private static final JsonMapper JSON = JsonMapper.shared();
  private static final Duration RECORDED_MAX = Duration.ofMinutes(5);
  private static final Pattern PAUSE = Pattern.compile("Pause .* (\\d+)M->(\\d+)M\\(");
  private static final Pattern AT_EXIT =
      Pattern.compile("(?:new|tenured) generation +total \\d+K, used (\\d+)K");

  private final String program;
  private final Production production;
  private final String repository;
  private final String configuration;

  /**
   * @param program path of {@code holdfast}
   * @param repository a folder; need not exist
   */
  HoldfastCommand(String program, Production production, Path repository) {
    this.program = program;
    this.production = production;
    this.repository = repository.toString();
    this.configuration = production.folder().resolve("config").toString();
    // Status is asked in this process, too.
    KeySources.useInProcess(KeySources.of(Map.of(CONFIGURATION, configuration)));
  }

  /** The repository's key is made where everything of this run goes in the end. */
  private ProcessBuilder withOurKeys(ProcessBuilder builder) {
    builder.environment().keySet().removeIf(name -> name.startsWith("HOLDFAST_"));
    builder.environment().put(CONFIGURATION, configuration);
    return builder;
  }

  /**
   * A run that has ended well.
   *
   * @param seconds from the start of the process to its exit
   * @param answeredSeconds from the start of the process to the last line it answered with
   * @param processorSeconds its own and of the servers it started
   * @param answer what it printed on standard output
   * @param told its progress and its answer, each line with the seconds since the start
   */
  record Ran(
      double seconds,
      double answeredSeconds,
      double processorSeconds,
      List<String> answer,
      List<String> told,
      Heap heap) {
    /** The answer of a command that was asked for JSON. */
    JsonNode json() {
      return JSON.readTree(answer.getLast());
    }
  }

  /**
   * @param peak the most that was in use, garbage included, in MiB
   * @param afterCollection the most that was left after a collection, in MiB
   */
  record Heap(double peak, double afterCollection) {}

  /** Runs a command to its end. */
  Ran run(String... arguments) throws IOException {
    Path collections = Files.createTempFile(production.folder(), "gc", ".log");
    double before = ChildProcesses.seconds();
    long begun = System.nanoTime();
    Process process = start(collections, arguments);
    List<String> told = Collections.synchronizedList(new ArrayList<>());
    CompletableFuture<Void> progress = listen(process.errorReader(), begun, told);
    List<String> answer = new ArrayList<>();
    double answered = 0;
    try (BufferedReader reader = process.inputReader()) {
      for (String line = reader.readLine(); line != null; line = reader.readLine()) {
        answered = (System.nanoTime() - begun) / 1e9;
        answer.add(line);
        told.add(timed(answered, line));
      }
    }
    int exit = process.onExit().join().exitValue();
    double seconds = (System.nanoTime() - begun) / 1e9;
    progress.join();
    if (exit != 0) {
      throw new IllegalStateException(
          String.join(" ", arguments) + " left with " + exit + ":\n" + String.join("\n", told));
    }
    return new Ran(
        seconds,
        answered,
        ChildProcesses.seconds() - before,
        answer,
        List.copyOf(told),
        heap(collections));
  }

  /**
   * A command that runs until it is told to stop.
   *
   * @param seconds from the start of the process to the value it printed
   */
  record Running(Process process, double seconds, JsonNode json, Path collections, Thread onDeath)
      implements AutoCloseable {
    /** Stops it and waits until it is gone. */
    @Override
    public void close() {
      process.destroy();
      process.onExit().join();
      Runtime.getRuntime().removeShutdownHook(onDeath);
    }

    Heap heap() throws IOException {
      return HoldfastCommand.heap(collections);
    }
  }

  /** Starts a command and returns when it has printed its value. */
  Running begin(String... arguments) throws IOException {
    Path collections = Files.createTempFile(production.folder(), "gc", ".log");
    long begun = System.nanoTime();
    Process process = start(collections, arguments);
    Thread onDeath = endingWithUs(process);
    List<String> told = Collections.synchronizedList(new ArrayList<>());
    CompletableFuture<Void> progress = listen(process.errorReader(), begun, told);
    for (String line = process.inputReader().readLine();
        line != null;
        line = process.inputReader().readLine()) {
      if (line.startsWith("{")) {
        double seconds = (System.nanoTime() - begun) / 1e9;
        return new Running(process, seconds, JSON.readTree(line), collections, onDeath);
      }
    }
    process.onExit().join();
    progress.join();
    throw new IllegalStateException(
        String.join(" ", arguments) + " ended:\n" + String.join("\n", told));
  }

  /** {@code holdfast record}, until closed. */
  AutoCloseable record(String name) throws IOException {
    Path log = production.folder().resolve("record-" + name + ".log");
    Process process =
        withOurKeys(
                new ProcessBuilder(program, "--repository", repository, "record", name, "--json"))
            .redirectErrorStream(true)
            .redirectOutput(log.toFile())
            .start();
    Thread onDeath = endingWithUs(process);
    return () -> {
      process.destroy();
      process.onExit().join();
      Runtime.getRuntime().removeShutdownHook(onDeath);
    };
  }

  /** Waits until the repository holds all WAL before this position. */
  void awaitRecorded(String name, Lsn position) throws InterruptedException {
    long deadline = System.nanoTime() + RECORDED_MAX.toNanos();
    while (System.nanoTime() < deadline) {
      ClusterStatus status = new Status(repository).of(name).getFirst();
      String through = status.recordedThrough();
      if (through != null && !Lsn.parse(through).isBefore(position)) {
        return;
      }
      Thread.sleep(200); // another process records: there is nothing to wait on
    }
    throw new IllegalStateException("the recorder has not come to " + position);
  }

  private Process start(Path collections, String... arguments) throws IOException {
    List<String> command = new ArrayList<>(List.of(program, "--repository", repository));
    command.addAll(Arrays.asList(arguments));
    ProcessBuilder builder = withOurKeys(new ProcessBuilder(command));
    builder.environment().put("HOLDFAST_URL", production.url());
    builder
        .environment()
        .put(
            "JDK_JAVA_OPTIONS",
            "-Xlog:gc,gc+heap+exit:file="
                + collections
                + " "
                + System.getenv().getOrDefault("HOLDFAST_JAVA_OPTIONS", ""));
    return builder.start();
  }

  private static CompletableFuture<Void> listen(
      BufferedReader errors, long begun, List<String> told) {
    return CompletableFuture.runAsync(
        () ->
            errors
                .lines()
                .filter(line -> !line.startsWith("NOTE: Picked up"))
                .forEach(line -> told.add(timed((System.nanoTime() - begun) / 1e9, line))),
        Thread::startVirtualThread);
  }

  private static String timed(double seconds, String line) {
    return String.format(Locale.ROOT, "%7.2f s  %s", seconds, line);
  }

  private static Thread endingWithUs(Process process) {
    Thread onDeath =
        new Thread(() -> {
          process.destroy();
          process.onExit().join();
        });
    Runtime.getRuntime().addShutdownHook(onDeath);
    return onDeath;
  }

  private static Heap heap(Path collections) throws IOException {
    double peak = 0;
    double after = 0;
    double atExit = 0;
    for (String line : Files.readAllLines(collections)) {
      Matcher pause = PAUSE.matcher(line);
      Matcher exit = AT_EXIT.matcher(line);
      if (pause.find()) {
        peak = Math.max(peak, Double.parseDouble(pause.group(1)));
        after = Math.max(after, Double.parseDouble(pause.group(2)));
      } else if (exit.find()) {
        atExit += Double.parseDouble(exit.group(1)) / 1024;
      }
    }
    return new Heap(Math.max(peak, atExit), after);
  }
}
