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
      try (FamilyRecorder recording = new FamilyRecorder(family, all)) {
        Lsn one = commit(first, 1);
        recording.await(1, one);
        second.awaitReplayed(one);
        third.awaitReplayed(one);

        first.kill();
        second.promote();
        Lsn two = commit(second, 2);
        recording.await(2, two);
        third.awaitReplayed(two);

        second.kill();
        third.promote();
        recording.await(3, commit(third, 3));
      }
      assertThat(new RecordedWal(family.cluster()).gaps()).isEmpty();
      assertThat(restored(family, Target.LATEST, "latest")).isEqualTo("1,2,3");
      assertThat(restored(family, point("2"), "two")).isEqualTo("1,2");
      assertThat(restored(family, point("1"), "one")).isEqualTo("1");
    }
  }

  private static Target point(String name) {
    return new Target(null, null, null, null, name, null);
  }

  private static Lsn commit(ServerFamily.Member member, int n) {
    member.execute("INSERT INTO kept VALUES (" + n + ")");
    member.query("SELECT pg_create_restore_point('" + n + "')");
    return member.mark("committed " + n);
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
