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

  /** As this one, in the place of that cluster. */
  public ClusterDocument continuing(ClusterDocument before) {
    Map<String, String> more = new TreeMap<>(settings);
    more.put(CONTINUES, before.name());
    more.put(IDENTITY, before.identity());
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
        more);
  }
}
