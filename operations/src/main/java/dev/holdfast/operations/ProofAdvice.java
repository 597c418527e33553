package dev.holdfast.operations;

import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;

/** What should be looked at about the proofs of a cluster. */
final class ProofAdvice {
  /** A weekly proof, and a day to notice that it did not run. */
  private static final Duration FRESH_MAX = Duration.ofDays(8);

  private ProofAdvice() {}

  static List<Advice> of(String name, Proofs proofs, Instant now) {
    List<Advice> advice = new ArrayList<>();
    String again = "holdfast prove " + name + ", and have it run every week (cron)";
    ProofDocument latest = proofs.latest().orElse(null);
    ProofDocument proven = proofs.latestProven().orElse(null);
    if (latest != null && !latest.isProven()) {
      boolean failed = latest.result().equals(ProofDocument.FAILED);
      advice.add(
          new Advice(
              failed ? Advice.DANGER : "warning",
              "the last proof, of %s, %s: %s"
                  .formatted(
                      latest.finishedAt().truncatedTo(ChronoUnit.SECONDS),
                      failed ? "failed" : "could not be brought to an end",
                      reason(latest)),
              failed
                  ? "holdfast verify "
                      + name
                      + " --read-data 100%, which tells whether the repository is damaged; a new base backup"
                      + " if it is, and then holdfast prove "
                      + name
                  : "holdfast prove " + name + ", where it can be told"));
    }
    if (proven == null) {
      advice.add(
          new Advice(
              Advice.DANGER,
              latest == null
                  ? "never proven: no restore of " + name + " has been tried"
                  : "never proven: no restore of " + name + " that was tried is known to be right",
              again));
    } else if (proven.finishedAt().plus(FRESH_MAX).isBefore(now)) {
      advice.add(
          new Advice(
              Advice.DANGER,
              "the last successful proof is %d days old"
                  .formatted(Duration.between(proven.finishedAt(), now).toDays()),
              again));
    }
    for (String damaged : proofs.damaged()) {
      advice.add(
          new Advice("warning", "proof " + damaged + " cannot be read", "holdfast verify " + name));
    }
    return advice;
  }

  /** What stopped it, or the first thing that was found. */
  static String reason(ProofDocument proof) {
    if (proof.reason() != null) {
      return proof.reason();
    }
    return proof.checks().stream()
        .filter(check -> check.outcome().equals(proof.result()))
        .flatMap(check -> check.found().stream())
        .findFirst()
        .map(finding -> finding.what() + ": " + finding.why())
        .orElse("see `holdfast status --json`");
  }
}
