package dev.holdfast.operations;

import java.time.Duration;
import java.time.Instant;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * What it would be like if the machine of a cluster vanished now: measured, and null where it was
 * not.
 *
 * @param recoverable whether there is anything to come back from
 * @param lossSeconds of writes that would be lost: how long what production had written when it was
 *     asked took to be recorded; null when that is not known
 * @param lossIsAtMost whether that is only a bound: the time since the newest recorded commit,
 *     where what came after did not get recorded while {@code status} waited
 * @param recoverySeconds from nothing to a server that takes writes, as the last successful proof
 *     measured it then, there; null when there is none
 * @param recoveryBytes of base backup and WAL that this was for
 * @param recoveryCores processors of the machine that it was measured on
 * @param provenAt when; null: never
 */
public record Outlook(
    boolean recoverable,
    @Nullable Double lossSeconds,
    boolean lossIsAtMost,
    @Nullable Double recoverySeconds,
    @Nullable Long recoveryBytes,
    @Nullable Integer recoveryCores,
    @Nullable Instant provenAt) {
  /**
   * Puts together what was measured.
   *
   * @param lag how far the recorder was behind; null when production did not answer
   * @param lastCommitAt of the newest recorded commit; null when there is none
   */
  static Outlook of(
      boolean recoverable,
      @Nullable RecordingLag lag,
      @Nullable Instant lastCommitAt,
      Optional<ProofDocument> proven,
      Instant now) {
    Double loss = null;
    boolean atMost = false;
    Duration behind = lag == null ? null : lag.behind();
    if (behind != null) {
      loss = behind.toMillis() / 1e3;
    } else if (lag != null && lastCommitAt != null && !lastCommitAt.isAfter(now)) {
      loss = Duration.between(lastCommitAt, now).toMillis() / 1e3;
      atMost = true;
    }
    ProofDocument.Recovery recovery = proven.map(ProofDocument::recovery).orElse(null);
    return new Outlook(
        recoverable,
        loss,
        atMost,
        recovery == null ? null : recovery.totalSeconds(),
        proven.map(proof -> proof.baseBytes() + proof.walBytes()).orElse(null),
        proven.map(proof -> proof.machine().cores()).orElse(null),
        proven.map(ProofDocument::finishedAt).orElse(null));
  }
}
