package dev.holdfast.store;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.objects.ObjectStore;
import dev.holdfast.store.s3.FaultyProxy;
import dev.holdfast.store.s3.FaultyProxy.Fault;
import dev.holdfast.store.s3.S3ObjectStore;
import dev.holdfast.testkit.S3Server;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * As {@link PowerCutTest}, in a bucket, between requests: after the n-th one that would change
 * something, which lands or does not, none gets through.
 */
final class BucketPowerCutTest {
  private static S3Server server;
  private static FaultyProxy proxy;
  private static S3Server.Environment environment;
  private static int disks;

  @BeforeAll
  static void start() {
    server = S3Server.start("acme-backups");
    proxy = new FaultyProxy(server.endpoint());
    environment = S3Server.environment(proxy.endpoint());
  }

  @AfterAll
  static void stop() {
    environment.close();
    proxy.close();
    server.close();
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void a_backup_cut_off_at_any_change_leaves_a_repository_that_verifies(boolean lastLands) {
    int finished =
        cutOffEverywhere(
            lastLands,
            PowerCutTest::backUp,
            (disk, cutAt) -> {
              Repository repository = Repository.open(disk);
              assertThat(repository.verify()).as("cut off at change %d", cutAt).isEmpty();
              BaseStore bases = repository.cluster("acme").bases();
              if (bases.list().isEmpty()) {
                PowerCutTest.backUp(disk);
              }
              assertThat(bases.list()).hasSize(1);
              assertThat(repository.verify()).isEmpty();
            });
    assertThat(finished).as("the sample has several parts").isGreaterThan(6);
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void recording_cut_off_at_any_change_loses_nothing_acknowledged(boolean lastLands) {
    var acknowledged = new PowerCutTest.Acknowledged[1];
    int finished =
        cutOffEverywhere(
            lastLands,
            disk -> {
              acknowledged[0] = new PowerCutTest.Acknowledged();
              PowerCutTest.record(disk, acknowledged[0]);
            },
            (disk, cutAt) -> {
              Repository repository = Repository.open(disk);
              assertThat(repository.verify()).as("cut off at change %d", cutAt).isEmpty();
              WalStore wal = repository.cluster("acme").wal();
              acknowledged[0].checkStored(wal, cutAt);
              PowerCutTest.record(disk, new PowerCutTest.Acknowledged());
              assertThat(wal.list())
                  .containsExactly(
                      new StoredSegment(Samples.SEGMENT_3, true, Samples.SEGMENT_BYTES),
                      new StoredSegment(Samples.SEGMENT_4, false, 70_000));
            });
    assertThat(finished).isGreaterThan(6);
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void removing_cut_off_at_any_delete_leaves_a_repository_that_verifies(boolean lastLands) {
    var removal =
        new Removal(List.of(Samples.LABEL), List.of(Samples.SEGMENT_3), List.of(), List.of());
    int finished =
        cutOffEverywhere(
            lastLands,
            disk -> {
              PowerCutTest.backUp(disk);
              PowerCutTest.record(disk, new PowerCutTest.Acknowledged());
            },
            disk -> Repository.open(disk).cluster("acme").remove(removal, () -> {}),
            (disk, cutAt) -> {
              Repository repository = Repository.open(disk);
              assertThat(repository.verify()).as("cut off at change %d", cutAt).isEmpty();
              repository.cluster("acme").remove(removal, () -> {});
              assertThat(repository.verify()).isEmpty();
              assertThat(repository.cluster("acme").bases().unpublished()).isEmpty();
              assertThat(repository.cluster("acme").wal().list())
                  .containsExactly(new StoredSegment(Samples.SEGMENT_4, false, 70_000));
            });
    assertThat(finished).isEqualTo(6);
  }

  private interface Check {
    void of(ObjectStore disk, int cutAt);
  }

  /** Returns the first number of changes that the work did not reach. */
  private static int cutOffEverywhere(boolean lastLands, PowerCutTest.Work work, Check check) {
    return cutOffEverywhere(lastLands, _ -> {}, work, check);
  }

  private static int cutOffEverywhere(
      boolean lastLands, PowerCutTest.Work before, PowerCutTest.Work work, Check check) {
    for (int cutAt = 1; ; cutAt++) {
      String location = "s3://acme-backups/disk-" + disks++;
      before.on(PowerCutTest.prepared(S3ObjectStore.open(location)));
      boolean finished = false;
      cutOff(cutAt, lastLands);
      try {
        work.on(S3ObjectStore.open(location)); // another process: it tries the conditions again
        finished = true;
      } catch (OperatorException e) {
        assertThat(e).hasMessageContaining("PowerCut");
      }
      proxy.plan(_ -> new Fault.Pass());
      if (finished) {
        return cutAt;
      }
      check.of(S3ObjectStore.open(location), cutAt);
    }
  }

  /** Answers that the SDK makes no further attempt after. */
  private static void cutOff(int cutAt, boolean lastLands) {
    int[] changes = new int[1];
    proxy.plan(request -> {
      boolean change = !request.method().equals("GET") && !request.method().equals("HEAD");
      if (change) {
        changes[0]++;
      }
      if (changes[0] < cutAt) {
        return new Fault.Pass();
      }
      return lastLands && change && changes[0] == cutAt
          ? new Fault.Landed(400, "PowerCut", "no more")
          : new Fault.Answer(400, "PowerCut", "no more");
    });
  }
}
