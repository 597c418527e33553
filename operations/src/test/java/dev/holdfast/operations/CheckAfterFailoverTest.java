package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.guard.Identity;
import dev.holdfast.operations.CheckResult.Verdict;
import dev.holdfast.postgres.PostgresUrl;
import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.store.ClusterDocument;
import dev.holdfast.store.Repository;
import dev.holdfast.testkit.Majors;
import dev.holdfast.wal.Lsn;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * After a failover two servers have the same stamp, the same system identifier and the same rows:
 * the one that is recorded is the database.
 */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class CheckAfterFailoverTest {
  private static final Expectation PRODUCTION = Expectation.to("acme/production");
  private static final String ASSERT = "SELECT holdfast.assert_identity('acme', 'production')";

  static List<Integer> majors() {
    return Majors.of("holdfast.recovery.majors", "17");
  }

  @ParameterizedTest
  @MethodSource("majors")
  void the_promoted_standby_is_the_database_and_the_old_primary_a_copy(int major) throws Exception {
    try (var family = ServerFamily.begin(PostgresBinaries.embedded(major), 1)) {
      ServerFamily.Member first = stamped(family);
      ServerFamily.Member second = first.standby("second", Map.of());
      String both =
          "postgresql://postgres@127.0.0.1:%d,127.0.0.1:%d/postgres"
              .formatted(first.port(), second.port());
      try (FamilyRecorder recording = new FamilyRecorder(family, both)) {
        Lsn written = first.mark("before");
        recording.await(1, written);
        second.awaitReplayed(written);
        assertThat(verdict(family, first)).isEqualTo(Verdict.SAME);
        assertThat(verdict(family, second)).isEqualTo(Verdict.STANDBY);
        assertThat(second.query(ASSERT)).containsExactly("this is acme/production");

        // Stopped in peace: its last checkpoint is in the log that the other one goes on from.
        Path left = first.copy("left");
        first.kill();
        second.promote();
        recording.await(2, second.mark("after"));
        CheckResult promoted = check(family, second);
        assertThat(promoted.verdict()).as(promoted.toString()).isEqualTo(Verdict.SAME);
        assertThat(promoted.expected()).isTrue();
        assertThat(promoted.headline()).isEqualTo("this is acme/production itself");
        assertThat(second.query(ASSERT)).containsExactly("this is acme/production");

        Files.deleteIfExists(left.resolve("postmaster.pid"));
        ServerFamily.Member old = family.start(left, Map.of());
        CheckResult behind = check(family, old);
        assertThat(behind.verdict()).as(behind.toString()).isEqualTo(Verdict.PHYSICAL_COPY);
        assertThat(behind.expected()).isFalse();
        assertThat(behind.headline()).contains("an old primary");
        // What SQL alone cannot see, and says in its documentation.
        assertThat(old.query(ASSERT)).containsExactly("this is acme/production");
        assertThat(check(family, second).verdict()).isEqualTo(Verdict.SAME);
      }
    }
  }

  @ParameterizedTest
  @MethodSource("majors")
  void a_primary_that_crashed_and_is_started_again_is_a_copy_after_the_failover(int major)
      throws Exception {
    try (var family = ServerFamily.begin(PostgresBinaries.embedded(major), 1)) {
      ServerFamily.Member first = stamped(family);
      ServerFamily.Member second = first.standby("second", Map.of());
      String both =
          "postgresql://postgres@127.0.0.1:%d,127.0.0.1:%d/postgres"
              .formatted(first.port(), second.port());
      try (FamilyRecorder recording = new FamilyRecorder(family, both)) {
        Lsn written = first.mark("before");
        recording.await(1, written);
        second.awaitReplayed(written);
        first.kill();
        second.promote();
        recording.await(2, second.mark("after"));
        Path data = first.walFolder().resolveSibling("").normalize();
        Files.deleteIfExists(data.resolve("postmaster.pid"));
        ServerFamily.Member old = family.start(data, Map.of());
        assertThat(verdict(family, old)).isEqualTo(Verdict.PHYSICAL_COPY);
        assertThat(verdict(family, second)).isEqualTo(Verdict.SAME);
      }
    }
  }

  @ParameterizedTest
  @MethodSource("majors")
  void a_copy_of_a_server_that_was_stopped_is_not_let_in(int major) throws Exception {
    try (var family = ServerFamily.begin(PostgresBinaries.embedded(major), 1)) {
      ServerFamily.Member first = stamped(family);
      try (FamilyRecorder recording = new FamilyRecorder(family, first.url())) {
        recording.await(1, first.mark("before"));
        Path copied = first.copy("cold"); // stops it, and starts it again
        recording.await(1, first.mark("again"));
        ServerFamily.Member copy = family.start(copied, Map.of());
        CheckResult cold = check(family, copy);
        // The last checkpoint of both: nothing but the recorder tells them apart.
        assertThat(cold.verdict()).as(cold.toString()).isEqualTo(Verdict.DOUBTFUL);
        assertThat(cold.expected()).isFalse();
        copy.execute("INSERT INTO noise VALUES ('mine')", "CHECKPOINT");
        first.write(1);
        recording.await(1, first.mark("more"));
        assertThat(verdict(family, copy)).isEqualTo(Verdict.PHYSICAL_COPY);
        assertThat(verdict(family, first)).isEqualTo(Verdict.SAME);
      }
    }
  }

  @ParameterizedTest
  @MethodSource("majors")
  void a_promoted_standby_that_the_recorder_does_not_know_of_is_not_called_a_copy(int major)
      throws Exception {
    try (var family = ServerFamily.begin(PostgresBinaries.embedded(major), 1)) {
      ServerFamily.Member first = stamped(family);
      first.execute(
          "UPDATE holdfast.identity SET alive_at = now() - interval '1 hour', alive_in = holdfast.place()");
      ServerFamily.Member second = first.standby("second", Map.of());
      try (FamilyRecorder recording = new FamilyRecorder(family, first.url())) {
        Lsn written = first.mark("before");
        recording.await(1, written);
        second.awaitReplayed(written);
        first.kill();
        second.promote();
        CheckResult result = check(family, second);
        assertThat(result.verdict()).as(result.toString()).isEqualTo(Verdict.DOUBTFUL);
        assertThat(result.headline()).startsWith("this is acme after a failover");
        assertThat(result.next()).contains("holdfast record acme --url");
      }
    }
  }

  @ParameterizedTest
  @MethodSource("majors")
  void while_nobody_records_a_copy_of_a_stopped_server_cannot_be_told_and_that_is_said(int major)
      throws Exception {
    try (var family = ServerFamily.begin(PostgresBinaries.embedded(major), 1)) {
      ServerFamily.Member first = stamped(family);
      Path copied;
      try (FamilyRecorder recording = new FamilyRecorder(family, first.url())) {
        copied = first.copy("cold");
        recording.await(1, first.mark("again"));
      }
      ServerFamily.Member copy = family.start(copied, Map.of());
      assertThat(verdict(family, copy)).isEqualTo(Verdict.UNPROVEN);
      assertThat(verdict(family, first)).isEqualTo(Verdict.UNPROVEN);
    }
  }

  /** A copy of a cluster's files may be protected, too. */
  @ParameterizedTest
  @MethodSource("majors")
  void of_two_clusters_with_one_system_identifier_each_is_told_by_its_own_log(int major)
      throws Exception {
    try (var family = ServerFamily.begin(PostgresBinaries.embedded(major), 1)) {
      ServerFamily.Member first = stamped(family);
      Repository.open(family.repository())
          .register(
              new ClusterDocument(
                  "aaa",
                  "postgresql",
                  family.cluster().document().systemIdentifier(),
                  major,
                  "staging",
                  1 << 20,
                  first.url(),
                  null,
                  Instant.now(),
                  Map.of()));
      try (FamilyRecorder recording = new FamilyRecorder(family, first.url())) {
        recording.await(1, first.mark("before"));
        CheckResult result = check(family, first);
        assertThat(result.verdict()).as(result.toString()).isEqualTo(Verdict.SAME);
        assertThat(result.cluster()).isEqualTo("acme");
        first.execute("DELETE FROM holdfast.identity");
        assertThat(check(family, first).cluster()).isEqualTo("acme");
      }
    }
  }

  private static ServerFamily.Member stamped(ServerFamily family) throws Exception {
    ServerFamily.Member first = family.first();
    try (Connection connection = PostgresUrl.parse(first.url()).open()) {
      Identity.stamp(connection, "acme", "production");
    }
    return first;
  }

  private static CheckResult check(ServerFamily family, ServerFamily.Member member) {
    return new Check(family.repository(), null).of(member.url(), null, PRODUCTION);
  }

  private static Verdict verdict(ServerFamily family, ServerFamily.Member member) {
    return check(family, member).verdict();
  }
}
