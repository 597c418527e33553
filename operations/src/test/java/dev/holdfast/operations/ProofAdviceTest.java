package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.store.ClusterStore;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class ProofAdviceTest {
  private static final Instant NOW = Instant.parse("2026-11-22T12:00:00Z");

  @TempDir private Path folder;

  @SuppressWarnings("NullAway.Init")
  private ClusterStore cluster;

  @BeforeEach
  void makeCluster() {
    cluster = new PastCluster(folder.toString()).cluster;
  }

  private void keep(String label, Duration ago, String result) {
    cluster.putDocument(
        Proofs.KIND, label, ProofSample.of(label, NOW.minus(ago), result, "20261101T000000Z-full"));
  }

  private List<String> advice() {
    return ProofAdvice.of("acme", new Proofs(cluster), NOW).stream()
        .map(one -> one.level() + ": " + one.what())
        .toList();
  }

  @Test
  void what_was_never_proven_is_a_danger() {
    assertThat(advice()).containsExactly("danger: never proven: no restore of acme has been tried");
    keep("20261122T100000Z", Duration.ofHours(2), "inconclusive");
    assertThat(advice())
        .containsExactly(
            "warning: the last proof, of 2026-11-22T10:00:00Z, could not be brought to an end: the"
                + " disk ate it",
            "danger: never proven: no restore of acme that was tried is known to be right");
  }

  @Test
  void a_fresh_proof_leaves_nothing_to_say_and_an_old_one_does() {
    keep("20261114T130000Z", Duration.ofHours(8 * 24 - 1), "proven");
    assertThat(advice()).isEmpty();
    assertThat(ProofAdvice.of("acme", new Proofs(cluster), NOW.plus(Duration.ofHours(2))))
        .extracting(Advice::what)
        .containsExactly("the last successful proof is 8 days old");
  }

  @Test
  void a_failure_after_a_proof_is_told_and_what_was_measured_before_stays() {
    keep("20261121T120000Z", Duration.ofDays(1), "proven");
    keep("20261122T110000Z", Duration.ofHours(1), "failed");
    assertThat(advice())
        .containsExactly(
            "danger: the last proof, of 2026-11-22T11:00:00Z, failed: the disk ate it");
    Proofs proofs = new Proofs(cluster);
    assertThat(proofs.latest()).map(ProofDocument::result).contains("failed");
    assertThat(proofs.latestProven()).map(ProofDocument::label).contains("20261121T120000Z");
    Outlook outlook =
        Outlook.of(true, new RecordingLag(0, Duration.ZERO, true), NOW, proofs.latestProven(), NOW);
    assertThat(outlook)
        .isEqualTo(new Outlook(true, 0.0, false, 15.0, 1500L, 2, NOW.minus(Duration.ofDays(1))));
  }

  @Test
  void a_proof_that_cannot_be_read_is_named_and_hides_no_other() throws Exception {
    keep("20261121T120000Z", Duration.ofDays(1), "proven");
    keep("20261122T110000Z", Duration.ofHours(1), "failed");
    Path newest = folder.resolve("clusters/acme/proofs/20261122T110000Z.json");
    Files.writeString(newest, Files.readString(newest).replace("failed", "proven"));
    assertThat(advice()).containsExactly("warning: proof 20261122T110000Z cannot be read");
  }

  @Test
  void a_loss_that_was_not_measured_is_a_bound_or_unknown() {
    Outlook bound =
        Outlook.of(
            true,
            new RecordingLag(100, null, false),
            NOW.minus(Duration.ofMinutes(3)),
            Optional.empty(),
            NOW);
    assertThat(bound).isEqualTo(new Outlook(true, 180.0, true, null, null, null, null));
    assertThat(Outlook.of(true, null, NOW, Optional.empty(), NOW).lossSeconds()).isNull();
    assertThat(
            Outlook.of(true, new RecordingLag(100, null, false), null, Optional.empty(), NOW)
                .lossSeconds())
        .isNull();
  }
}
