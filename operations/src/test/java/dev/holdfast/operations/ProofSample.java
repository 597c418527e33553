package dev.holdfast.operations;

import java.time.Instant;
import java.util.List;

/** A proof as one may have been kept. */
final class ProofSample {
  private ProofSample() {}

  static ProofDocument of(String label, Instant at, String result, String base) {
    boolean proven = result.equals("proven");
    return new ProofDocument(
        label,
        "acme",
        at,
        at,
        result,
        proven ? null : "the disk ate it",
        new ProofDocument.Moment("latest", "0/3000000", "before", null, at),
        base,
        1000,
        500,
        proven ? new ProofDocument.Recovery(1, 2, 3, 4, 5, 15) : null,
        1,
        null,
        List.of(),
        new ProofDocument.Machine("host", 2, 2, "15.20", "test"));
  }
}
