package dev.holdfast.operations;

import dev.holdfast.guard.GuardLook;
import java.time.Instant;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * How the guards of a cluster's databases stand, as {@code status} tells it.
 *
 * @param state the worst of the databases': {@code weakened}, {@code unknown}, {@code armed},
 *     {@code observing}, {@code off}; {@code none} when no database is guarded
 * @param databases those that let the recorder in; empty when the server did not answer
 * @param tampering what was done to a guard by hand, as WAL tells it, newest first; of very much
 *     the newest
 * @param lookedBackTo WAL position that this was looked for back to; null when nothing is recorded
 */
public record ClusterGuard(
    String state,
    List<Database> databases,
    List<Tampering> tampering,
    @Nullable String lookedBackTo) {
  static final String WEAKENED = "weakened";
  static final String UNKNOWN = "unknown";
  static final String NONE = "none";
  static final String ARMED = "armed";

  /** Worst first. */
  private static final List<String> STATES = List.of(WEAKENED, UNKNOWN, ARMED, "observing", "off");

  /**
   * One database.
   *
   * @param state {@code armed}: everything is in place and a rule enforces; {@code observing},
   *     {@code off}: likewise, and none does; {@code weakened}: something is missing or disabled;
   *     {@code none}: there is no guard; {@code unknown}: it could not be looked at
   * @param why it is unknown; null otherwise
   * @param version of the guard's SQL; null where it does not say
   * @param environment what the database says to be; null where it does not
   * @param identityFits whether it says so on the server where it was said; null when unknown
   * @param aliveAt when the recorder was last connected; null if never
   * @param rules how they are set, and since when; they are not provoked here
   * @param tables how many should be covered
   * @param wrong what is missing, disabled or overruled
   */
  public record Database(
      String database,
      String state,
      @Nullable String why,
      @Nullable Integer version,
      @Nullable String environment,
      @Nullable Boolean identityFits,
      @Nullable Instant aliveAt,
      List<GuardRule> rules,
      int tables,
      List<String> wrong) {
    static Database none(String name) {
      return new Database(name, NONE, null, null, null, null, null, List.of(), 0, List.of());
    }

    static Database unknown(String name, String why) {
      return new Database(name, UNKNOWN, why, null, null, null, null, List.of(), 0, List.of());
    }

    static Database of(String name, GuardLook.Seen seen) {
      List<GuardRule> rules = seen.rules().stream().map(GuardRule::of).toList();
      List<String> wrong =
          java.util.stream.Stream.concat(
                  seen.tampered().stream(),
                  seen.uncovered().stream()
                      .map(table ->
                          "%s.%s: %s".formatted(table.schema(), table.table(), table.why())))
              .toList();
      return new Database(
          name,
          wrong.isEmpty() ? set(rules) : WEAKENED,
          null,
          seen.version(),
          seen.environment(),
          seen.identityFits(),
          seen.aliveAt(),
          rules,
          seen.tables(),
          wrong);
    }

    private static String set(List<GuardRule> rules) {
      return rules.stream().anyMatch(rule -> rule.mode().equals("enforce"))
          ? ARMED
          : rules.stream().anyMatch(rule -> rule.mode().equals("observe")) ? "observing" : "off";
    }
  }

  /**
   * A transaction that changed a guard, not through Holdfast.
   *
   * @param at when it committed, by the server's clock
   * @param what it did, a sentence each
   * @param user who; null when the log does not say, as of everything that the guard did not see
   */
  public record Tampering(
      Instant at,
      String xid,
      String commitLsn,
      List<String> what,
      @Nullable String user,
      @Nullable String application,
      @Nullable String address) {
    /** Whether it may have been in this database. */
    boolean mayBeIn(String database) {
      return what.stream()
          .anyMatch(deed ->
              !deed.contains(" database ")
                  || (deed + " ").contains(" database " + database + " ")
                  || deed.contains(" database " + database + ":"));
    }
  }

  static String worst(List<Database> databases) {
    return databases.stream()
        .map(Database::state)
        .filter(STATES::contains)
        .min(java.util.Comparator.comparingInt(STATES::indexOf))
        .orElse(NONE);
  }
}
