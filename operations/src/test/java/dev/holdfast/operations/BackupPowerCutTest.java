package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.failure.OperatorException;
import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.server.PostgresServer;
import dev.holdfast.server.Processes;
import dev.holdfast.store.BaseManifest;
import dev.holdfast.store.BaseStore;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.Removal;
import dev.holdfast.store.Repository;
import dev.holdfast.testkit.Majors;
import dev.holdfast.testkit.RunningServer;
import dev.holdfast.testkit.S3Server;
import dev.holdfast.testkit.TestServer;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Power is lost at the n-th change that an operation on a real server's base backups makes in its
 * repository. Always the same server and repository: each operation goes on from what the one
 * before left, and is run again after its cut, which must work.
 *
 * <p>{@code -Dholdfast.power-cut.backup=all} cuts at every change, landing and not landing it; the
 * usual is two of each, {@code =12} are so many, and {@code -Dholdfast.power-cut.seed=N} chooses.
 * {@code -Dholdfast.power-cut.majors=14,15,16,17,18} does so on others.
 */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class BackupPowerCutTest {
  private static final String CUTS = System.getProperty("holdfast.power-cut.backup", "2");
  private static final boolean ALL = CUTS.equals("all");
  private static final long SEED = Long.getLong("holdfast.power-cut.seed", 1);
  private static final int CHANGES_MAX = 500;
  private static final String REPOSITORY = "s3://acme-backups/holdfast";

  /** What is cut off, in this order, so that each has something to do. */
  private enum Operation {
    FULL_BACKUP,
    INCREMENTAL_BACKUP,
    ROLLUP,
    EXPIRE
  }

  static List<Integer> majors() {
    return Majors.of("holdfast.power-cut.majors", "18");
  }

  @ParameterizedTest
  @MethodSource("majors")
  void whatever_is_cut_off_at_any_change_leaves_what_verifies_and_what_can_be_run_again(int major)
      throws Exception {
    try (TestServer server =
            TestServer.start(
                PostgresBinaries.embedded(major),
                Map.of("autovacuum", "off", "wal_keep_size", "1GB"),
                List.of("--wal-segsize=1"));
        S3Server bucket = S3Server.startTrusting("acme-backups");
        PowerSocket socket = new PowerSocket(bucket.endpoint());
        S3Server.Environment _ = S3Server.environment(socket.endpoint())) {
      // Of bytes that do not compress, so that a part of the backup is more than one of an upload.
      server.execute(
          "CREATE TABLE load (round int, filler bytea)",
          "INSERT INTO load SELECT 0, (SELECT string_agg(sha512((i || ' ' || j)::text::bytea), '')"
              + " FROM generate_series(1, 30) j) FROM generate_series(1, 5000) i");
      new Protect(REPOSITORY)
          .run(
              new Protect.Request(
                  "acme",
                  server.url("postgres"),
                  "staging",
                  server.url("postgres"),
                  false,
                  false,
                  1),
              Progress.SILENT);
      var rounds = new Rounds(server, socket, "PostgreSQL " + major);
      rounds.run(new EnumMap<>(Operation.class)); // none is cut: how many changes each makes
      var changes = new EnumMap<>(rounds.changes);
      if (ALL) {
        rounds.cutEverywhere();
      } else {
        Random random = new Random(SEED);
        int some = Integer.parseInt(CUTS);
        for (int i = 0; i < some; i++) {
          var cuts = new EnumMap<Operation, Cut>(Operation.class);
          for (Operation each : Operation.values()) {
            int of = Objects.requireNonNull(changes.get(each));
            // Spread: of two, one among the first half, and one among those that publish.
            int change = 1 + (of * i + random.nextInt(of)) / some;
            cuts.put(each, new Cut(change, random.nextBoolean()));
          }
          rounds.run(cuts);
        }
      }
      System.err.println(
          "PostgreSQL %d: of changes %s, cut %s, and the last changes of an operation %s times"
              .formatted(major, changes, rounds.cuts, rounds.survived));
      for (Operation each : Operation.values()) {
        assertThat(rounds.cuts.getOrDefault(each, 0))
            .as("%s of %s", each, changes)
            .isGreaterThanOrEqualTo(ALL ? changes.getOrDefault(each, 0).intValue() : 1);
      }
      rounds.restore();
      rounds.assertClean("in the end", 100);
    }
  }

  private record Cut(int change, boolean lands) {}

  private static final class Rounds {
    private final TestServer server;
    private final PowerSocket socket;
    private final String what;
    private final Map<Operation, Integer> changes = new EnumMap<>(Operation.class);
    private final Map<Operation, Integer> cuts = new EnumMap<>(Operation.class);

    /** Power was cut at a change whose answer the operation could do without. */
    private final Map<Operation, Integer> survived = new EnumMap<>(Operation.class);

    private int round;
    private String newest = "";

    Rounds(TestServer server, PowerSocket socket, String what) {
      this.server = server;
      this.socket = socket;
      this.what = what;
    }

    void cutEverywhere() throws Exception {
      var left = new ArrayList<>(List.of(Operation.values()));
      for (int change = 1; !left.isEmpty(); change++) {
        assertThat(change).isLessThan(CHANGES_MAX);
        var before = new EnumMap<>(cuts);
        for (boolean lands : new boolean[] {true, false}) {
          var cut = new EnumMap<Operation, Cut>(Operation.class);
          for (Operation each : left) {
            cut.put(each, new Cut(change, lands));
          }
          run(cut);
        }
        if (change % 4 == 0) {
          restore();
        }
        left.removeIf(each -> Objects.equals(before.get(each), cuts.get(each)));
      }
    }

    /** Each operation once, some of them cut off and then run again. */
    void run(Map<Operation, Cut> toCut) throws Exception {
      round++;
      for (Operation each : Operation.values()) {
        if (!isNeeded(each, toCut.keySet())) {
          continue;
        }
        server.execute(
            "UPDATE load SET round = " + round + " WHERE ctid = '(" + round + ",1)'",
            "INSERT INTO load VALUES (" + round + ", '')",
            "SELECT pg_switch_wal()");
        Cut cut = toCut.get(each);
        String cutOff = "%s, round %d, %s cut off at %s".formatted(what, round, each, cut);
        boolean wasCut = cut != null && cutOff(each, cut, cutOff);
        socket.restore();
        performWhole(each, cutOff);
        changes.put(each, socket.changes());
        if (wasCut) {
          cuts.merge(each, 1, Integer::sum);
        }
      }
    }

    /** Something must be there to roll up and to expire; all are needed when none is cut. */
    private static boolean isNeeded(Operation operation, Set<Operation> cut) {
      return cut.isEmpty()
          || cut.contains(operation)
          || operation == Operation.FULL_BACKUP
          || (operation == Operation.INCREMENTAL_BACKUP && cut.contains(Operation.ROLLUP));
    }

    /** Returns whether it came to that. */
    private boolean cutOff(Operation operation, Cut cut, String cutOff) throws Exception {
      prepare(operation);
      socket.cutAt(cut.change, cut.lands);
      boolean failed = false;
      try {
        perform(operation);
      } catch (OperatorException e) {
        failed = true;
        assertThat(socket.isCut()).as("%s: %s", cutOff, e).isTrue();
      }
      boolean wasCut = socket.isCut();
      socket.restore();
      if (wasCut && !failed) {
        survived.merge(operation, 1, Integer::sum);
      }
      assertNotInBackupMode(cutOff);
      assertClean(cutOff, ALL ? 100 : 0);
      return wasCut;
    }

    private void performWhole(Operation operation, String cutOff) {
      int had = labels().size();
      prepare(operation);
      Set<String> made = perform(operation);
      assertThat(labels()).as(cutOff).containsAll(made);
      switch (operation) {
        case FULL_BACKUP, INCREMENTAL_BACKUP -> {
          assertThat(labels()).as(cutOff).hasSize(had + 1);
          newest = made.iterator().next();
        }
        case ROLLUP -> {}
        case EXPIRE -> {
          assertThat(labels()).as(cutOff).hasSameSizeAs(made);
          assertThat(cluster().bases().unpublished()).as(cutOff).isEmpty();
        }
      }
    }

    /** Returns the labels of base backups that are there because of it. */
    private Set<String> perform(Operation operation) {
      return switch (operation) {
        case FULL_BACKUP -> Set.of(backUp(Backup.Wanted.FULL, BaseManifest.FULL));
        case INCREMENTAL_BACKUP ->
            Set.of(backUp(Backup.Wanted.INCREMENTAL, BaseManifest.INCREMENTAL));
        case ROLLUP ->
            Set.of(new Rollup(REPOSITORY, "acme", 2).run(newest, Progress.SILENT).label());
        case EXPIRE -> {
          // Weeks later, as far as anything stored is concerned.
          Instant later = Instant.now().plus(Duration.ofDays(30));
          Expire.Planned planned =
              new Expire(
                      cluster(),
                      new RetentionRules(Duration.ZERO, 1, Duration.ofDays(400)),
                      () -> later)
                  .plan();
          planned.apply(planned.plan().digest(), Progress.SILENT);
          yield planned.plan().kept().stream()
              .map(ExpirePlan.Kept::label)
              .collect(Collectors.toSet());
        }
      };
    }

    /**
     * Before an expiry: leftovers that say what they were being made from keep that for a day,
     * which the store counts itself, whatever the clock of who expires says.
     */
    private static void prepare(Operation operation) {
      if (operation != Operation.EXPIRE) {
        return;
      }
      List<String> young =
          cluster().bases().unpublished().stream()
              .filter(left -> left.madeFrom() != null)
              .map(BaseStore.Unpublished::label)
              .toList();
      cluster().remove(new Removal(young, List.of(), List.of(), List.of()), () -> {});
    }

    private static List<String> labels() {
      return cluster().bases().list().stream().map(BaseManifest::label).toList();
    }

    private String backUp(Backup.Wanted wanted, String kind) {
      BackupResult result = new Backup(REPOSITORY, "acme", null, 2, wanted).run(Progress.SILENT);
      assertThat(result.kind()).as("%s", result.fullBecause()).isEqualTo(kind);
      return result.label();
    }

    private static ClusterStore cluster() {
      return Repository.open(REPOSITORY).cluster("acme");
    }

    /** It is a session's, and ends with it. */
    private void assertNotInBackupMode(String cutOff) throws InterruptedException {
      long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
      while (!server
          .query("SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'holdfast%'")
          .isEmpty()) {
        assertThat(System.nanoTime()).as(cutOff).isLessThan(deadline);
        Thread.sleep(20); // a session that was closed is listed until its process has ended
      }
    }

    private void assertClean(String cutOff, int readPercent) {
      VerifyResult found =
          new Verify(REPOSITORY).run(new Verify.Request(null, readPercent, 1), Progress.SILENT);
      assertThat(found.problems().stream().filter(problem -> !problem.level().equals("note")))
          .as(cutOff)
          .isEmpty();
    }

    /** What is there comes back. */
    void restore() throws Exception {
      String expected = server.value("SELECT count(*) || ' ' || sum(round) FROM load");
      backUp(Backup.Wanted.INCREMENTAL, BaseManifest.INCREMENTAL);
      Path data = server.folder().resolve("restored-" + round);
      new Restore(REPOSITORY, "acme")
          .run(
              new Restore.Request(
                  Target.LATEST, data, Map.of(), null, true, PostgresServer.freePort(), null),
              Progress.SILENT);
      try (RunningServer back = new RunningServer(data)) {
        assertThat(back.value("SELECT count(*) || ' ' || sum(round) FROM load"))
            .as("%s, round %d", what, round)
            .isEqualTo(expected);
      }
      Processes.run(List.of("rm", "-rf", data.toString()));
    }
  }
}
