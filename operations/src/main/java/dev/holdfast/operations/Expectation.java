package dev.holdfast.operations;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Which database somebody means to talk to, or not to talk to.
 *
 * @param cluster the cluster's name; null where any will do
 * @param environment {@code production}, {@code staging} or {@code development}; null where any
 *     will do
 * @param not whether it must not be this one
 */
public record Expectation(@Nullable String cluster, @Nullable String environment, boolean not) {
  private static final List<String> ENVIRONMENTS = List.of("production", "staging", "development");

  /**
   * Must be this one.
   *
   * @param text {@code acme} or {@code acme/production}
   * @throws OperatorException USAGE when it is neither
   */
  public static Expectation to(String text) {
    String[] parts = text.split("/", -1);
    if (parts.length > 2 || parts[0].isEmpty() || (parts.length == 2 && !isEnvironment(parts[1]))) {
      throw new OperatorException(
          Kind.USAGE,
          "\"" + text + "\" does not say which database is expected",
          "it is NAME or NAME/ENVIRONMENT; environments are " + String.join(", ", ENVIRONMENTS),
          "for example --expect acme/production");
    }
    return new Expectation(parts[0], parts.length == 2 ? parts[1] : null, false);
  }

  /**
   * Must not be this one.
   *
   * @param text an environment, or as in {@link #to}
   */
  public static Expectation not(String text) {
    if (isEnvironment(text)) {
      return new Expectation(null, text, true);
    }
    Expectation one = to(text);
    return new Expectation(one.cluster, one.environment, true);
  }

  private static boolean isEnvironment(String text) {
    return ENVIRONMENTS.contains(text);
  }

  /** Whether a database that is this, and no copy, is the one named. */
  boolean names(@Nullable String itsCluster, @Nullable String itsEnvironment) {
    return (cluster == null || cluster.equals(itsCluster))
        && (environment == null || environment.equals(itsEnvironment));
  }

  /** As it was given. */
  @Override
  public String toString() {
    String named =
        cluster == null
            ? String.valueOf(environment)
            : environment == null ? cluster : cluster + "/" + environment;
    return not ? "not " + named : named;
  }
}
