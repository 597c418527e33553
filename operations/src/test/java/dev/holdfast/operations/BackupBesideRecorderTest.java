package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.postgres.PostgresUrl;
import dev.holdfast.postgres.WalReceiver;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.Lease;
import dev.holdfast.store.Repository;
import dev.holdfast.testkit.TestServer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;

/** A base backup takes no recorder's place. */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class BackupBesideRecorderTest {
  private static final Duration LONG = Duration.ofSeconds(60);

  private static Lease taken(ClusterStore cluster, Duration term) {
    return Objects.requireNonNull(
        cluster.candidate(RecorderPlace.ROLE, "holdfast record acme", term).ask().lease());
  }

  @Test
  void it_leaves_the_slot_to_a_recorder_at_work_that_is_about_to_connect() throws Exception {
    try (TestServer server = TestServer.start(18)) {
      String repository = server.folder().resolve("repository").toString();
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
      ClusterStore cluster = Repository.open(repository).cluster("acme");
      PostgresUrl url = Connections.recorder(cluster.document(), null);
      List<String> warnings = new ArrayList<>();

      Lease silent = taken(cluster, Duration.ofMillis(300));
      Backup.awaitRecorder(cluster, url, warnings::add, LONG); // gone, for all that is known
      silent.close();
      assertThat(warnings).isEmpty();

      Lease held = taken(cluster, LONG);
      Backup.awaitRecorder(cluster, url, warnings::add, Duration.ofMillis(1));
      assertThat(warnings).hasSize(1);
      assertThat(warnings.getFirst())
          .startsWith("a recorder is at work (")
          .contains("and not connected to the server");

      CompletableFuture<BackupResult> taking =
          CompletableFuture.supplyAsync(
              () ->
                  new Backup(repository, "acme", null, 1, Backup.Wanted.FULL).run(Progress.SILENT),
              Thread::startVirtualThread);
      // What must not happen can only be looked for during some time.
      long until = System.nanoTime() + Duration.ofSeconds(3).toNanos();
      while (System.nanoTime() < until) {
        assertThat(WalReceiver.isActive(url, "acme")).isFalse();
        assertThat(taking.isDone()).isFalse();
        Thread.sleep(50); // each look is a connection of its own; the loop ends by the clock above
      }
      held.close();
      BackupResult taken = taking.get(90, TimeUnit.SECONDS); // nobody records: it does so itself
      assertThat(taken.warnings()).isEmpty();
    }
  }
}
