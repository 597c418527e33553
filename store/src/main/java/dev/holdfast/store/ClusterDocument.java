package dev.holdfast.store;

import java.time.Instant;
import java.util.Collections;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * What the repository knows about one protected cluster.
 *
 * @param name the operator's name for it: letters, digits, dot, underscore, hyphen; at most 63
 * @param engine {@code postgresql}
 * @param systemIdentifier PostgreSQL's, decimal, as pg_control_system() gives it
 * @param major the server's major version
 * @param environment {@code production}, {@code staging} or {@code development}
 * @param walSegmentSize bytes in a WAL segment
 * @param url how it is reached; never with a password
 * @param slot the replication slot that keeps WAL for the recorder; null without one
 * @param protectedAt when it was registered
 * @param settings server settings and options worth keeping, by name
 */
public record ClusterDocument(
    String name,
    String engine,
    String systemIdentifier,
    int major,
    String environment,
    int walSegmentSize,
    String url,
    @Nullable String slot,
    Instant protectedAt,
    Map<String, String> settings) {
  private static final String CONTINUES = "continues";
  private static final String TO_CONTINUE = "toContinue";
  private static final String IDENTITY = "identity";

  /** Takes the settings as they are now, sorted, so that equal ones are stored as equal bytes. */
  public ClusterDocument {
    settings = Collections.unmodifiableMap(new TreeMap<>(settings));
  }

  /**
   * What its databases say, and applications expect, that they belong to: its own name, unless it
   * continues another cluster.
   */
  public String identity() {
    return settings.getOrDefault(IDENTITY, name);
  }

  /**
   * The name of the cluster that it took the place of, by an upgrade or a move; null for none. What
   * is recorded of that one is kept under its own name: its log ends there.
   */
  public @Nullable String continues() {
    return settings.get(CONTINUES);
  }

  /** The cluster whose place it is about to take; null for none. */
  public @Nullable String toContinue() {
    return settings.get(TO_CONTINUE);
  }

  /** As this one, about to take that cluster's place. */
  public ClusterDocument aboutToContinue(String before) {
    return with(Map.of(TO_CONTINUE, before));
  }

  /**
   * As this one, in the place of that cluster.
   *
   * @param identity of that cluster's databases
   */
  public ClusterDocument continuing(String before, String identity) {
    return with(Map.of(CONTINUES, before, IDENTITY, identity));
  }

  private ClusterDocument with(Map<String, String> changed) {
    return new ClusterDocument(
        name,
        engine,
        systemIdentifier,
        major,
        environment,
        walSegmentSize,
        url,
        slot,
        protectedAt,
        changed);
  }
}
