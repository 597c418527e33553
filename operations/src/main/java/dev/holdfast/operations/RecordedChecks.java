package dev.holdfast.operations;

import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.ClusterStore;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HexFormat;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Who asked whether an address leads to a cluster, kept beside the cluster's log: of a client that
 * is elsewhere the cluster itself knows nothing.
 */
final class RecordedChecks {
  static final String KIND = "checks";
  private static final Logger LOG = LoggerFactory.getLogger(RecordedChecks.class);

  /** Hosts with names that are used once, as containers have, must not fill the repository. */
  private static final int MOST = 300;

  private static final Duration KEPT = Duration.ofDays(30);
  private static final int NAME_MAX = 100;

  private final ClusterStore cluster;

  RecordedChecks(ClusterStore cluster) {
    this.cluster = cluster;
  }

  /**
   * Keeps what a client was told. Whoever only reads the repository goes without.
   *
   * @return whether it is kept
   */
  boolean note(Asker asker, CheckResult result, Instant now) {
    try {
      String name = name(asker);
      RecordedCheck before = read(name);
      if (before == null) {
        makeRoom(now);
      }
      boolean right = result.expected();
      cluster.replaceDocument(
          KIND,
          name,
          new RecordedCheck(
              cut(asker.application()),
              cut(asker.host()),
              asker.commit() == null ? null : cut(asker.commit()),
              result.url(),
              result.expectation(),
              result.verdict().toString(),
              result.headline(),
              right ? now : before == null ? null : before.rightAt(),
              right ? (before == null ? null : before.wrongAt()) : now,
              right
                  ? null
                  : before == null || before.wrongSince() == null ? now : before.wrongSince()));
      return true;
    } catch (OperatorException e) {
      LOG.debug("what was checked is not kept", e);
      return false;
    }
  }

  private void makeRoom(Instant now) {
    if (cluster.documents(KIND).size() < MOST) {
      return;
    }
    List<RecordedCheck> all = list();
    all.stream()
        .sorted(Comparator.comparing(RecordedCheck::lastAt))
        .limit(Math.max(1, all.size() - MOST / 2))
        .filter(old -> old.wrongSince() == null || old.lastAt().isBefore(now.minus(KEPT)))
        .forEach(old ->
            cluster.removeDocument(
                KIND, name(new Asker(old.application(), old.host(), old.commit()))));
  }

  /** All there are, newest first; one that does not hold is left out. */
  List<RecordedCheck> list() {
    List<RecordedCheck> all = new ArrayList<>();
    for (String name : cluster.documents(KIND)) {
      RecordedCheck one = read(name);
      if (one != null) {
        all.add(one);
      }
    }
    all.sort(Comparator.comparing(RecordedCheck::lastAt).reversed());
    return all;
  }

  private @Nullable RecordedCheck read(String name) {
    try {
      return cluster.document(KIND, name, RecordedCheck.class);
    } catch (OperatorException e) {
      LOG.debug("no check {}", name, e);
      return null;
    }
  }

  private static String cut(String text) {
    return text.length() <= NAME_MAX ? text : text.substring(0, NAME_MAX);
  }

  private static String name(Asker asker) {
    try {
      byte[] digest =
          MessageDigest.getInstance("SHA-256")
              .digest(
                  (cut(asker.application()) + "\n" + cut(asker.host()))
                      .getBytes(StandardCharsets.UTF_8));
      return HexFormat.of().formatHex(digest, 0, 16);
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException(e); // every JDK has it
    }
  }
}
