package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.postgres.PostgresUrl;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.Repository;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import org.junit.jupiter.api.Test;

/** A real past expires while it is recorded. */
final class ExpireServerTest {
  @Test
  void a_moment_in_the_window_is_forked_after_what_is_older_expired() throws Exception {
    try (ProtectedServer acme = ProtectedServer.start(18, "CREATE TABLE t (n int)")) {
      for (int round = 1; round <= 2; round++) {
        acme.server.execute("INSERT INTO t VALUES (" + round + ")", "SELECT pg_switch_wal()");
        acme.caughtUp();
        new Backup(acme.repository, ProtectedServer.NAME, null, 2, Backup.Wanted.FULL)
            .run(Progress.SILENT);
      }
      acme.server.execute("INSERT INTO t VALUES (3)");
      String target = acme.server.value("SELECT pg_current_wal_insert_lsn()");
      acme.server.execute("INSERT INTO t VALUES (4)", "SELECT pg_switch_wal()");
      acme.caughtUp();
      assertThat(verify(acme)).isEmpty();

      ClusterStore cluster = Repository.open(acme.repository).cluster(ProtectedServer.NAME);
      int segments = cluster.wal().list().size();
      // Weeks later, as far as anything stored is concerned.
      Instant later = Instant.now().plus(Duration.ofDays(30));
      Expire expire =
          new Expire(
              cluster, new RetentionRules(Duration.ZERO, 1, Duration.ofDays(400)), () -> later);
      Expire.Planned planned = expire.plan();
      assertThat(planned.plan().removed()).hasSize(2);
      assertThat(planned.plan().wal()).isNotEmpty();
      planned.apply(planned.plan().digest(), Progress.SILENT);
      assertThat(cluster.bases().list()).hasSize(1);
      assertThat(cluster.wal().list()).hasSizeLessThan(segments);
      assertThat(verify(acme)).isEmpty();

      try (Fork.Running fork =
          new Fork(acme.repository, ProtectedServer.NAME, null)
              .start(
                  new Target(null, null, null, target, null, null),
                  Fork.Wanted.ALL,
                  Progress.SILENT)) {
        try (var connection = PostgresUrl.parse(fork.ready().url()).open();
            var statement = connection.createStatement();
            var rows =
                statement.executeQuery("SELECT string_agg(n::text, ',' ORDER BY n) FROM t")) {
          rows.next();
          assertThat(rows.getString(1)).isEqualTo("1,2,3");
        }
      }
      assertThatThrownBy(() ->
              new Fork(acme.repository, ProtectedServer.NAME, null)
                  .start(
                      new Target(null, null, null, "0/2000100", null, null),
                      Fork.Wanted.ALL,
                      Progress.SILENT))
          .as("what is gone is refused, and not tried")
          .extracting(e -> ((OperatorException) e).kind())
          .isEqualTo(Kind.REFUSED);

      assertThat(acme.log(new Log.Filter(false, "t", null, null, null, null)))
          .as("the log still tells of what is left")
          .isNotEmpty();
      acme.server.execute("INSERT INTO t VALUES (5)");
      acme.caughtUp();
      new Backup(acme.repository, ProtectedServer.NAME, null, 2, Backup.Wanted.FULL)
          .run(Progress.SILENT);
      assertThat(verify(acme)).as("recording and backing up go on").isEmpty();
    }
  }

  private static List<VerifyProblem> verify(ProtectedServer acme) {
    return new Verify(acme.repository)
        .run(new Verify.Request(null, 100, 1), Progress.SILENT).problems().stream()
            .filter(problem -> !problem.level().equals("note"))
            .toList();
  }
}
