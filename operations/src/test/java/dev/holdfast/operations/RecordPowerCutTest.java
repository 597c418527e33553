package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.failure.OperatorException;
import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.server.PostgresServer;
import dev.holdfast.store.Repository;
import dev.holdfast.testkit.RunningServer;
import dev.holdfast.testkit.S3Server;
import dev.holdfast.testkit.TestServer;
import dev.holdfast.wal.Lsn;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;

/**
 * Power is lost at the n-th change that a whole recorder makes in its repository: segments, their
 * beginnings, catalogs, summaries. Always the same server and repository: each run goes on from
 * what the one before left.
 *
 * <p>{@code -Dholdfast.power-cut.changes=1000} cuts at every one, the usual is the first few.
 */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class RecordPowerCutTest {
  private static final int CHANGES_MAX = Integer.getInteger("holdfast.power-cut.changes", 6);

  private enum Listening implements Record.Listener {
    SILENT;

    @Override
    public void destructive(LogEntry entry) {}

    @Override
    public void say(String line) {}
  }

  @Test
  void recording_cut_off_at_any_change_leaves_what_verifies_and_what_the_next_run_goes_on_from()
      throws Exception {
    try (TestServer server =
            TestServer.start(
                PostgresBinaries.embedded(18),
                Map.of("autovacuum", "off", "wal_keep_size", "1GB"),
                List.of("--wal-segsize=1"));
        S3Server bucket = S3Server.startTrusting("acme-backups");
        PowerSocket socket = new PowerSocket(bucket.endpoint());
        S3Server.Environment _ = S3Server.environment(socket.endpoint())) {
      String repository = "s3://acme-backups/holdfast";
      server.execute("CREATE TABLE load (n int, filler text)");
      new Protect(repository)
          .run(
              new Protect.Request(
                  "acme",
                  server.url("postgres"),
                  "staging",
                  server.url("postgres"),
                  true,
                  false,
                  1),
              Progress.SILENT);
      int rows = 0;
      int cuts = 0;
      boolean cut = true;
      for (int change = 1; cut && change <= CHANGES_MAX; change++) {
        for (boolean lands : new boolean[] {true, false}) {
          rows++;
          cut = run(server, repository, socket, change, lands, rows);
          cuts += cut ? 1 : 0;
          socket.restore();
          assertThat(Repository.open(repository).verify())
              .as("cut off at change %d, landing %s", change, lands)
              .isEmpty();
        }
      }
      System.err.println(cuts + " cuts");
      assertThat(cuts).isGreaterThan(8);
      run(server, repository, socket, Integer.MAX_VALUE, true, ++rows);
      assertThat(new RecordedWal(Repository.open(repository).cluster("acme")).gaps()).isEmpty();
      Path data = server.folder().resolve("restored");
      new Restore(repository, "acme")
          .run(
              new Restore.Request(
                  Target.LATEST, data, Map.of(), null, true, PostgresServer.freePort(), null),
              Progress.SILENT);
      try (RunningServer back = new RunningServer(data)) {
        assertThat(back.value("SELECT count(DISTINCT n) FROM load"))
            .isEqualTo(Integer.toString(rows));
      }
    }
  }

  /** Returns whether it was cut off. */
  private static boolean run(
      TestServer server, String repository, PowerSocket socket, int change, boolean lands, int n)
      throws Exception {
    Record recorder = new Record(repository, "acme", RecordOptions.DEFAULT.withFlushSeconds(0.05));
    socket.cutAt(change, lands);
    CompletableFuture<Void> running =
        CompletableFuture.runAsync(
            () -> recorder.run(Listening.SILENT), Thread::startVirtualThread);
    try {
      server.execute(
          "INSERT INTO load SELECT "
              + n
              + ", repeat(md5(i::text), 30) FROM"
              + " generate_series(1, 1500) AS i",
          "CREATE TABLE made_" + n + " (n int)",
          "SELECT pg_switch_wal()",
          "INSERT INTO load VALUES (" + n + ", '')");
      Lsn written = Lsn.parse(server.value("SELECT pg_current_wal_flush_lsn()"));
      long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
      while (!running.isDone() && !socket.isCut() && !isRecorded(repository, written)) {
        assertThat(System.nanoTime()).isLessThan(deadline);
        Thread.sleep(20); // the recorder tells the repository, and only that
      }
    } finally {
      recorder.stop();
    }
    try {
      running.orTimeout(60, TimeUnit.SECONDS).join();
    } catch (CompletionException e) {
      assertThat(e.getCause()).isInstanceOf(OperatorException.class);
      assertThat(socket.isCut()).as("%s", e.getCause()).isTrue();
    }
    return socket.isCut();
  }

  /** Its WAL, the names of its tables, and the summaries of its segments. */
  private static boolean isRecorded(String repository, Lsn written) {
    try {
      var cluster = Repository.open(repository).cluster("acme");
      RecordedWal wal = new RecordedWal(cluster);
      long complete = cluster.wal().list().stream().filter(stored -> stored.complete()).count();
      return !wal.end().isBefore(written) && cluster.summaries().list().size() >= complete;
    } catch (OperatorException e) {
      return false; // power was cut meanwhile
    }
  }
}
