package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.store.ClusterStore;
import java.nio.file.Path;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class RecordedWalTest {
  @TempDir Path temporary;

  /** A base backup of a server just promoted was published with the old primary's WAL otherwise. */
  @Test
  void the_same_positions_of_the_timeline_before_are_other_wal() {
    var past = new PastCluster(temporary.resolve("repository").toString()).wal(1, 1, 8);
    ClusterStore cluster = past.cluster;
    assertThat(RecordedWal.holds(cluster, 1, PastCluster.lsn(5), PastCluster.lsn(6))).isTrue();
    assertThat(RecordedWal.holds(cluster, 2, PastCluster.lsn(5), PastCluster.lsn(6))).isFalse();

    past.history(2, "1\t%s\tno recovery target specified\n".formatted(PastCluster.lsn(4.5)))
        .wal(2, 4, 5);
    assertThat(RecordedWal.holds(cluster, 2, PastCluster.lsn(3), PastCluster.lsn(5))).isTrue();
    assertThat(RecordedWal.holds(cluster, 2, PastCluster.lsn(5), PastCluster.lsn(6))).isFalse();
    past.wal(2, 5, 6);
    assertThat(RecordedWal.holds(cluster, 2, PastCluster.lsn(5), PastCluster.lsn(6))).isTrue();
  }
}
