package dev.holdfast.operations;

import dev.holdfast.damage.TransactionDamage;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.guard.Guard;
import dev.holdfast.guard.GuardLook;
import dev.holdfast.postgres.Databases;
import dev.holdfast.postgres.PostgresUrl;
import dev.holdfast.store.ClusterStore;
import java.sql.Connection;
import java.sql.SQLException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;

/**
 * Looks at the guards of a cluster: how they are now, over the recorder's connection, and what was
 * done to them, in the WAL that is recorded. Both are bounded in time; what was not seen is
 * unknown.
 */
final class ClusterGuardCheck {
  private static final Duration DATABASES_MAX = Duration.ofSeconds(10);
  private static final Duration STATEMENT_MAX = Duration.ofSeconds(5);
  private static final Duration LOOKING_BACK_MAX = Duration.ofSeconds(5);
  private static final int TAMPERING_MAX = 10;
  private static final int NAMED = 3;

  private final ClusterStore cluster;
  private final RecordedWal wal;

  ClusterGuardCheck(ClusterStore cluster, RecordedWal wal) {
    this.cluster = cluster;
    this.wal = wal;
  }

  /**
   * @param answers whether the server that is recorded answered just now
   */
  ClusterGuard run(PostgresUrl recorder, boolean answers, List<Advice> advice) {
    List<ClusterGuard.Database> databases = answers ? look(recorder, advice) : List.of();
    RecordedDamage.Noted noted = lookBack(advice);
    List<ClusterGuard.Tampering> tampering =
        noted.transactions().stream().map(ClusterGuardCheck::tampering).toList();
    ClusterGuard guard =
        new ClusterGuard(
            answers && !databases.isEmpty() ? ClusterGuard.worst(databases) : ClusterGuard.UNKNOWN,
            databases,
            tampering,
            noted.lookedBackTo() == null ? null : noted.lookedBackTo().toString());
    advise(guard, advice);
    return guard;
  }

  private RecordedDamage.Noted lookBack(List<Advice> advice) {
    long until = System.nanoTime() + LOOKING_BACK_MAX.toNanos();
    try {
      return new RecordedDamage(cluster, wal, RecordedNames.none())
          .noted(TAMPERING_MAX, () -> System.nanoTime() < until);
    } catch (OperatorException e) {
      advice.add(
          new Advice(
              "warning",
              "what was done to guards is not known: %s: %s".formatted(e.what(), e.why()),
              e.next()));
      return new RecordedDamage.Noted(List.of(), null);
    }
  }

  private static ClusterGuard.Tampering tampering(TransactionDamage damage) {
    return new ClusterGuard.Tampering(
        damage.committedAt(),
        Long.toString(damage.xid()),
        damage.commitLsn().toString(),
        damage.notes(),
        damage.user(),
        damage.application(),
        damage.address());
  }

  // ---- now -------------------------------------------------------------------------------------

  private static List<ClusterGuard.Database> look(PostgresUrl recorder, List<Advice> advice) {
    long until = System.nanoTime() + DATABASES_MAX.toNanos();
    List<ClusterGuard.Database> databases = new ArrayList<>();
    try {
      for (String database : Databases.open(recorder)) {
        databases.add(
            System.nanoTime() > until
                ? ClusterGuard.Database.unknown(
                    database, "not looked at: others took " + DATABASES_MAX.toSeconds() + " s")
                : look(recorder, database));
      }
      return databases;
    } catch (OperatorException e) {
      advice.add(
          new Advice(
              "warning",
              "whether guards are armed is not known: " + said(e),
              "holdfast guard status NAME --url URL, for each database"));
      return List.of();
    }
  }

  private static ClusterGuard.Database look(PostgresUrl recorder, String database) {
    try (Connection connection = recorder.withDatabase(database).open()) {
      GuardLook.Seen seen = GuardLook.of(connection, STATEMENT_MAX);
      return seen == null
          ? ClusterGuard.Database.none(database)
          : ClusterGuard.Database.of(database, seen);
    } catch (SQLException | OperatorException e) {
      return ClusterGuard.Database.unknown(database, said(e));
    }
  }

  private static String said(Exception e) {
    String said = e instanceof OperatorException told ? told.why() : String.valueOf(e.getMessage());
    return said.lines().findFirst().orElse("").replaceFirst("^ERROR: ", "");
  }

  // ---- what to say of it -----------------------------------------------------------------------

  private void advise(ClusterGuard guard, List<Advice> advice) {
    String name = cluster.document().name();
    boolean weakened = false;
    for (ClusterGuard.Database database : guard.databases()) {
      switch (database.state()) {
        case ClusterGuard.WEAKENED -> {
          weakened = true;
          advice.add(
              new Advice(
                  "warning",
                  "the guard of %s is weakened: %s; %s"
                      .formatted(database.database(), named(database), done(guard, database)),
                  "find out who did it (holdfast log %s --destructive), then put it right: holdfast guard install %s"
                      .formatted(name, name)));
        }
        case ClusterGuard.UNKNOWN ->
            advice.add(
                new Advice(
                    "warning",
                    "whether %s is guarded is not known: %s"
                        .formatted(database.database(), database.why()),
                    "look with its owner's connection: holdfast guard status %s --url URL"
                        .formatted(name)));
        default -> {}
      }
      if (database.version() != null && database.version() != Guard.VERSION) {
        advice.add(
            new Advice(
                "warning",
                "the guard of %s is of version %d, this program has %d: what it does itself may be told as done by hand"
                    .formatted(database.database(), database.version(), Guard.VERSION),
                "holdfast guard install " + name));
      }
      if (Boolean.FALSE.equals(database.identityFits()) && database.environment() != null) {
        advice.add(
            new Advice(
                "warning",
                "the guard's stamp in %s was made on another server or under another name"
                    .formatted(database.database()),
                "holdfast guard status " + name + ", which says what to do"));
      }
    }
    if (!weakened && !guard.tampering().isEmpty()) {
      boolean known = !guard.state().equals(ClusterGuard.UNKNOWN);
      advice.add(
          new Advice(
              known ? "note" : "warning",
              "a guard was tampered with: %s; %s"
                  .formatted(
                      told(guard.tampering().getFirst()),
                      known
                          ? "what is there now is in order"
                          : "whether it was put right is not known"),
              "find out who did it: holdfast log %s --destructive".formatted(name)));
    }
  }

  private static String named(ClusterGuard.Database database) {
    int more = database.wrong().size() - NAMED;
    return database.wrong().stream().limit(NAMED).collect(Collectors.joining("; "))
        + (more > 0 ? "; and " + more + " more" : "");
  }

  private static String done(ClusterGuard guard, ClusterGuard.Database database) {
    Optional<ClusterGuard.Tampering> last =
        guard.tampering().stream()
            .filter(tampering -> tampering.mayBeIn(database.database()))
            .findFirst();
    return last.map(tampering -> "last done: " + told(tampering))
        .orElse(
            guard.lookedBackTo() == null
                ? "when is not known, as nothing is recorded"
                : "when is not known: the log from %s on does not tell"
                    .formatted(guard.lookedBackTo()));
  }

  private static String told(ClusterGuard.Tampering tampering) {
    return "%s by transaction %s%s (%s)"
        .formatted(
            tampering.at(),
            tampering.xid(),
            tampering.user() == null ? "" : " of " + tampering.user(),
            String.join("; ", tampering.what()));
  }
}
