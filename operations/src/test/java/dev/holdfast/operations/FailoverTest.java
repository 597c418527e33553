package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.server.PostgresServer;
import dev.holdfast.testkit.Majors;
import dev.holdfast.testkit.RunningServer;
import dev.holdfast.wal.Lsn;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Primaries die, standbys take over, and the same recorder goes on. */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class FailoverTest {
  static List<Integer> majors() {
    return Majors.of("holdfast.recovery.majors", "17");
  }

  @ParameterizedTest
  @MethodSource("majors")
  void one_recorder_goes_on_through_two_failovers_and_every_part_can_be_restored(int major)
      throws Exception {
    try (var family = ServerFamily.begin(PostgresBinaries.embedded(major), 1)) {
      ServerFamily.Member first = family.first();
      first.execute("CREATE TABLE kept (n int)");
      ServerFamily.Member second = first.standby("second", Map.of());
      ServerFamily.Member third =
          first.standby(
              "third",
              Map.of(
                  "primary_conninfo",
                  "user=postgres host=127.0.0.1,127.0.0.1 port=%d,%d"
                      .formatted(first.port(), second.port())));
      new Backup(family.repository(), "acme", first.url(), 1, Backup.Wanted.FULL)
          .run(Progress.SILENT);
      String all =
          "postgresql://postgres@127.0.0.1:%d,127.0.0.1:%d,127.0.0.1:%d/postgres"
              .formatted(first.port(), second.port(), third.port());
      Record recorder =
          new Record(
              family.repository(),
              "acme",
              RecordOptions.DEFAULT.withUrl(all).withFlushSeconds(0.1));
      CompletableFuture<Void> recording =
          CompletableFuture.runAsync(
              () -> recorder.run(Listening.SILENT), Thread::startVirtualThread);
      try {
        Lsn one = commit(first, 1);
        awaitRecorded(family, recording, 1, one);
        second.awaitReplayed(one);
        third.awaitReplayed(one);

        first.kill();
        second.promote();
        Lsn two = commit(second, 2);
        awaitRecorded(family, recording, 2, two);
        third.awaitReplayed(two);

        second.kill();
        third.promote();
        awaitRecorded(family, recording, 3, commit(third, 3));
      } finally {
        recorder.stop();
        recording.orTimeout(60, TimeUnit.SECONDS).join();
      }
      assertThat(new RecordedWal(family.cluster()).gaps()).isEmpty();
      assertThat(restored(family, Target.LATEST, "latest")).isEqualTo("1,2,3");
      assertThat(restored(family, point("2"), "two")).isEqualTo("1,2");
      assertThat(restored(family, point("1"), "one")).isEqualTo("1");
    }
  }

  private enum Listening implements Record.Listener {
    SILENT;

    @Override
    public void destructive(LogEntry entry) {}

    @Override
    public void say(String line) {}
  }

  private static Target point(String name) {
    return new Target(null, null, null, null, name, null);
  }

  private static Lsn commit(ServerFamily.Member member, int n) {
    member.execute("INSERT INTO kept VALUES (" + n + ")");
    member.query("SELECT pg_create_restore_point('" + n + "')");
    return member.mark("committed " + n);
  }

  private static void awaitRecorded(
      ServerFamily family, CompletableFuture<Void> recording, int timeline, Lsn lsn)
      throws Exception {
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(90);
    while (true) {
      RecordedWal wal = new RecordedWal(family.cluster());
      if (wal.timeline() == timeline && !wal.end().isBefore(lsn)) {
        return;
      }
      if (recording.isDone()) {
        recording.join();
      }
      assertThat(System.nanoTime())
          .as("recorded %s of timeline %d, not %s", wal.describe(), wal.timeline(), lsn)
          .isLessThan(deadline);
      Thread.sleep(20); // the recorder tells the repository, and only that
    }
  }

  private static String restored(ServerFamily family, Target target, String name) {
    Path data = Path.of(family.repository()).resolveSibling("restored-" + name);
    new Restore(family.repository(), "acme")
        .run(
            new Restore.Request(
                target, data, Map.of(), null, true, PostgresServer.freePort(), null),
            Progress.SILENT);
    try (RunningServer server = new RunningServer(data)) {
      return server.value("SELECT string_agg(n::text, ',' ORDER BY n) FROM kept");
    }
  }
}
