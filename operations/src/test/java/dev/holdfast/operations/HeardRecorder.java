package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;

/** A recorder in this process, and the alarms it raised. */
final class HeardRecorder implements AutoCloseable {
  private static final Duration IN_TIME = Duration.ofSeconds(90);

  final List<RecordingAlarm> alarms = Collections.synchronizedList(new ArrayList<>());
  final CompletableFuture<Void> running;
  private final Record recorder;

  HeardRecorder(String repository, String name, RecordOptions options) {
    recorder = new Record(repository, name, options);
    running =
        CompletableFuture.runAsync(
            () ->
                recorder.run(
                    new Record.Listener() {
                      @Override
                      public void destructive(LogEntry entry) {}

                      @Override
                      public void say(String line) {}

                      @Override
                      public void alarm(RecordingAlarm alarm) {
                        alarms.add(alarm);
                      }
                    }),
            Thread::startVirtualThread);
  }

  List<RecordingAlarm> alarms(String about) {
    return List.copyOf(alarms).stream().filter(each -> each.alarm().equals(about)).toList();
  }

  boolean heard(String level, String what) {
    return alarms("synchronous").stream()
        .anyMatch(alarm -> alarm.level().equals(level) && alarm.what().contains(what));
  }

  /** Fails when the recorder ends first. */
  void await(BooleanSupplier condition) {
    awaitUntil(() -> {
      if (running.isDone()) {
        running.join();
      }
      return condition.getAsBoolean();
    });
  }

  static void awaitUntil(BooleanSupplier condition) {
    long deadline = System.nanoTime() + IN_TIME.toNanos();
    while (!condition.getAsBoolean()) {
      assertThat(System.nanoTime()).as("in time").isLessThan(deadline);
      try {
        Thread.sleep(20); // what happens elsewhere is seen by looking
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new IllegalStateException(e);
      }
    }
  }

  @Override
  public void close() {
    recorder.stop();
    running.orTimeout(60, TimeUnit.SECONDS).join();
  }
}
