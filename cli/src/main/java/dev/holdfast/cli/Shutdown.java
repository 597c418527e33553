package dev.holdfast.cli;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/** Ends long-running commands tidily when the process is told to stop. */
final class Shutdown {
  private static final long SECONDS_MAX = 30;

  private Shutdown() {}

  /**
   * On SIGINT or SIGTERM runs {@code stop} and lets the process go when {@code ended} is down:
   * waiting for the main thread itself would wait for ourselves, since it ends in System.exit.
   */
  static void onSignal(Runnable stop, CountDownLatch ended) {
    Runtime.getRuntime()
        .addShutdownHook(
            new Thread(() -> {
              stop.run();
              try {
                boolean tidy = ended.await(SECONDS_MAX, TimeUnit.SECONDS);
                if (!tidy) {
                  System.err.println("holdfast: did not end in time; stopping as it is");
                }
              } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
              }
            }));
  }
}
