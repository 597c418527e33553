package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.wal.Lsn;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/** A recorder at work, of a family's servers. */
final class FamilyRecorder implements AutoCloseable {
  private final ServerFamily family;
  private final Record recorder;
  private final CompletableFuture<Void> running;

  /**
   * Begins to record.
   *
   * @param url of each server that may be, or become, the primary
   */
  FamilyRecorder(ServerFamily family, String url) {
    this.family = family;
    this.recorder =
        new Record(
            family.repository(), "acme", RecordOptions.DEFAULT.withUrl(url).withFlushSeconds(0.1));
    this.running =
        CompletableFuture.runAsync(
            () -> recorder.run(Listening.SILENT), Thread::startVirtualThread);
  }

  private enum Listening implements Record.Listener {
    SILENT;

    @Override
    public void destructive(LogEntry entry) {}

    @Override
    public void say(String line) {}
  }

  /** Waits until this position of this timeline is in the repository. */
  void await(int timeline, Lsn lsn) throws Exception {
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(90);
    while (true) {
      RecordedWal wal = new RecordedWal(family.cluster());
      if (wal.timeline() == timeline && !wal.end().isBefore(lsn)) {
        return;
      }
      if (running.isDone()) {
        running.join();
      }
      assertThat(System.nanoTime())
          .as("recorded %s of timeline %d, not %s", wal.describe(), wal.timeline(), lsn)
          .isLessThan(deadline);
      Thread.sleep(20); // the recorder tells the repository, and only that
    }
  }

  @Override
  public void close() {
    recorder.stop();
    running.orTimeout(60, TimeUnit.SECONDS).join();
  }
}
