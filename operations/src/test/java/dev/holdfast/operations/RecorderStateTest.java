package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.store.LeaseDocument;
import java.time.Instant;
import java.util.Objects;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;

/** What status says of a recorder that has not said that it ended. */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class RecorderStateTest {
  private static final Instant HEARD = Instant.parse("2026-11-22T03:00:00Z");

  private static LeaseDocument lease(LeaseDocument.Holder holder, boolean released) {
    return new LeaseDocument("record", holder, HEARD, HEARD, 30, released);
  }

  private static final LeaseDocument.Holder ELSEWHERE =
      new LeaseDocument.Holder("t", "db-backup-1", 4711, "another boot", 1L, "record");

  private static String state(LeaseDocument lease, long secondsLater) {
    return Objects.requireNonNull(ClusterStatus.Recorder.of(lease, HEARD.plusSeconds(secondsLater)))
        .state();
  }

  @Test
  void of_another_machine_silence_tells() {
    LeaseDocument lease = lease(ELSEWHERE, false);
    assertThat(state(lease, 32)).isEqualTo("working");
    assertThat(state(lease, 34)).isEqualTo("silent");
    assertThat(state(lease, -1000)).as("its clock is ahead").isEqualTo("working");
    assertThat(ClusterStatus.Recorder.of(lease(ELSEWHERE, true), HEARD)).isNull();
    assertThat(ClusterStatus.Recorder.of(null, HEARD)).isNull();
  }
}
