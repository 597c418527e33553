package dev.holdfast.operations;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.postgres.Check;
import dev.holdfast.postgres.CheckFindings;
import dev.holdfast.postgres.Drill;
import dev.holdfast.postgres.DrillChecks;
import dev.holdfast.postgres.DrillOptions;
import dev.holdfast.postgres.DrillTimings;
import dev.holdfast.postgres.NoRoomException;
import dev.holdfast.postgres.PostgresUrl;
import dev.holdfast.postgres.ProductionSnapshot;
import dev.holdfast.postgres.RecoveryTarget;
import dev.holdfast.postgres.RestoredCluster;
import dev.holdfast.postgres.TableSum;
import dev.holdfast.postgres.UndecidedException;
import dev.holdfast.row.TableName;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.LocalHost;
import dev.holdfast.store.Repository;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Tries whether a cluster comes back: restores it into a scratch folder by the code that {@code
 * restore} uses, starts it, looks at all of it, and keeps what was found in the repository.
 */
public final class Prove {
  private static final Duration RECORDED_MAX = Duration.ofSeconds(30);
  private static final DateTimeFormatter LABEL =
      DateTimeFormatter.ofPattern("uuuuMMdd'T'HHmmss'Z'", Locale.ROOT).withZone(ZoneOffset.UTC);

  private final ClusterStore cluster;
  private final String name;
  private final @Nullable String recorderUrl;

  /** Of one cluster of a repository. */
  public Prove(String repository, String name) {
    this(repository, name, null);
  }

  /**
   * Of one cluster of a repository.
   *
   * @param recorderUrl the recorder's connection; null: what {@code protect} kept
   */
  public Prove(String repository, String name, @Nullable String recorderUrl) {
    this.recorderUrl = recorderUrl;
    this.cluster = Repository.open(repository).cluster(name);
    this.name = name;
  }

  /**
   * What is wanted.
   *
   * @param target the moment; {@link Target#LATEST} with {@code seed} or {@code tables}
   * @param seed draws a moment from all that can be reached; null: none is drawn
   * @param tables to compare with production, as SQL writes them, with commas between; null: none
   * @param url of a role that may read these tables, in their database; never stored. Null: the
   *     recorder's, which hardly ever may
   * @param scratch the folder it is restored in; null: the machine's temporary one
   * @param threads how much is fetched, or checked, at once; null: one for each processor
   * @param niceness of the scratch server's processes, above ours: 0 to 19
   * @param version Holdfast's
   */
  public record Request(
      Target target,
      @Nullable Long seed,
      @Nullable String tables,
      @Nullable String url,
      @Nullable Path scratch,
      @Nullable Integer threads,
      int niceness,
      String version) {
    private int threadCount() {
      return threads != null ? threads : Math.max(2, Runtime.getRuntime().availableProcessors());
    }

    private String wanted() {
      if (tables != null) {
        return "tables";
      }
      return seed != null ? "random" : target.equals(Target.LATEST) ? "latest" : "given";
    }

    /** Whether it has to work, wherever an operator did not choose the moment. */
    private boolean isOurs() {
      return !wanted().equals("given");
    }
  }

  /**
   * A proof, and what stopped it.
   *
   * @param stopped null when it came to its end
   */
  public record Outcome(ProofDocument proof, @Nullable OperatorException stopped) {
    /** The exit code that tells it. */
    public int exitCode() {
      if (stopped != null && stopped.kind() == Kind.DAMAGED_DATA) {
        return Kind.DAMAGED_DATA.exitCode();
      }
      return proof.isProven() ? 0 : Kind.DIFFERENT.exitCode();
    }
  }

  /** What is found out on the way, for the document. */
  private static final class Course {
    private final Instant startedAt = Instant.now();
    private final List<Check> checks = new ArrayList<>();
    private ProofDocument.@Nullable Recording recording;
    private @Nullable RecoveryTarget target;
    private @Nullable Instant lastCommitAt;
    private @Nullable RestoredCluster restored;
    private @Nullable DrillTimings timings;
    private @Nullable String postgres;
    private double checksSeconds;
  }

  /**
   * Proves, and keeps the result.
   *
   * @throws OperatorException when nothing could be tried: USAGE, REFUSED (room is lacking, or the
   *     moment that was asked for cannot be reached), REPOSITORY_UNREACHABLE, DATABASE_UNREACHABLE
   *     (production is to be compared with, and does not answer). Then nothing is kept
   */
  public Outcome run(Request request, Progress progress) {
    Course course = new Course();
    OperatorException stopped = null;
    try {
      if (request.isOurs()) {
        course.checks.add(recording(course));
      } else {
        course.checks.add(CheckFindings.skipped("recording", "a moment of choice was restored"));
      }
      restore(request, course, progress);
    } catch (UndecidedException e) {
      stopped = e;
    } catch (NoRoomException e) {
      throw e;
    } catch (OperatorException e) {
      boolean tells =
          e.kind() == Kind.DAMAGED_DATA
              || (course.target != null
                  && (e.kind() == Kind.FAILED || (e.kind() == Kind.REFUSED && request.isOurs())));
      if (!tells) {
        throw e;
      }
      stopped = e;
    }
    return new Outcome(keep(request, course, stopped), stopped);
  }

  private Check recording(Course course) {
    CheckFindings findings = new CheckFindings("recording");
    RecordingLag lag;
    try {
      lag = RecordingLag.measure(cluster, recorderUrl, RECORDED_MAX);
    } catch (OperatorException e) {
      return CheckFindings.skipped(
          "recording",
          "how far it is behind production is not known: " + e.what() + ": " + e.why());
    }
    Duration behind = lag.behind();
    if (behind == null && !lag.isAwaited()) {
      // Not the copy's fault, and with a folder that fills segment by segment it is always so.
      return CheckFindings.skipped(
          "recording",
          ("no recorder is connected to production, and %,d bytes of WAL that it has written are not"
                  + " recorded: they would be lost with it. See that `holdfast record %s` runs; one"
                  + " that takes WAL from a folder has it when the server has archived it")
              .formatted(lag.behindBytes(), name));
    }
    findings.looked(lag.behindBytes());
    course.recording =
        new ProofDocument.Recording(lag.behindBytes(), behind == null ? null : seconds(behind));
    if (behind == null) {
      findings.damaged(
          name,
          "%,d bytes of WAL that production has written are not recorded, and did not get there within"
                  .formatted(lag.behindBytes())
              + " %d s: see what `holdfast record %s` says"
                  .formatted(RECORDED_MAX.toSeconds(), name));
    }
    return findings.end();
  }

  private void restore(Request request, Course course, Progress progress) {
    ProductionSnapshot snapshot = null;
    List<TableSum> sums = List.of();
    if (request.tables != null) {
      List<GivenTable> given = GivenTable.parse(request.tables);
      PostgresUrl url =
          request.url == null
              ? Connections.recorder(cluster.document(), recorderUrl)
              : PostgresUrl.parse(request.url).withApplicationName("holdfast prove");
      snapshot =
          ProductionSnapshot.connect(
              url,
              cluster.document().systemIdentifier(),
              (database, all) -> chosen(given, database, all));
      try (ProductionSnapshot open = snapshot) {
        RecoveryTarget moment = MatchingMoment.find(cluster, open, progress);
        try (Progress.Phase _ =
            progress.begin("prove " + name + ": reading production", 0, Progress.Unit.STEPS)) {
          sums = open.sums();
        }
        course.target = moment;
      }
    } else if (request.seed != null) {
      course.target = RecoveryTarget.before(RandomMoment.draw(cluster, request.seed));
    } else {
      course.target = RecoveryTargets.resolve(cluster, "prove", request.target, progress);
      if (request.target.equals(Target.LATEST)) {
        course.lastCommitAt = lastCommit();
      }
    }
    RecoveryTarget target = Objects.requireNonNull(course.target);
    try (Drill drill = drill(request, target, progress)) {
      course.restored = drill.restored();
      course.timings = drill.timings();
      course.postgres = drill.binaries().version();
      long checking = System.nanoTime();
      // Before anything is written into the copy.
      course.checks.add(
          snapshot == null
              ? CheckFindings.skipped("tables", "no tables were named to compare with production")
              : snapshot.compare(drill, sums));
      try (CheckProgress checked = new CheckProgress(name, progress)) {
        course.checks.addAll(DrillChecks.run(drill, checked));
      }
      course.checksSeconds = seconds(Duration.ofNanos(System.nanoTime() - checking));
    }
  }

  private Drill drill(Request request, RecoveryTarget target, Progress progress) {
    try (Forks.Told told = new Forks.Told("prove " + name, progress)) {
      return Drill.run(
          cluster,
          target,
          new DrillOptions(scratch(request), request.threadCount(), request.niceness, told));
    }
  }

  private static Path scratch(Request request) {
    return request.scratch != null
        ? request.scratch
        : Path.of(System.getProperty("java.io.tmpdir"));
  }

  private @Nullable Instant lastCommit() {
    return Status.lastCommit(cluster, new RecordedWal(cluster));
  }

  private List<TableName> chosen(List<GivenTable> given, String database, List<TableName> all) {
    List<TableName> chosen = new ArrayList<>();
    for (GivenTable table : given) {
      List<TableName> found =
          all.stream()
              .filter(one -> table.schema() != null || one.schema().equals("public"))
              .filter(one -> table.means(database, one))
              .toList();
      if (found.size() != 1) {
        List<String> known = all.stream().map(TableName::toString).toList();
        throw new OperatorException(
            Kind.USAGE,
            "cannot compare " + table.text() + " with production",
            found.isEmpty()
                ? "database %s, which --url names, has no table of that name that can be compared"
                    .formatted(database)
                : "several tables can be meant",
            known.isEmpty()
                ? "give --url with the tables' database"
                : "known are, nearest first: "
                    + String.join(
                        ", ",
                        NearestNames.of(table.text(), known)
                            .subList(0, Math.min(5, known.size()))));
      }
      chosen.addAll(found);
    }
    return chosen.stream().distinct().toList();
  }

  private ProofDocument keep(Request request, Course course, @Nullable OperatorException stopped) {
    RestoredCluster restored = course.restored;
    DrillTimings timings = course.timings;
    RecoveryTarget target = course.target;
    for (int attempt = 1; ; attempt++) {
      String label = LABEL.format(course.startedAt) + (attempt == 1 ? "" : "-" + attempt);
      if (cluster.documents(Proofs.KIND).contains(label)) {
        continue;
      }
      ProofDocument proof =
          new ProofDocument(
              label,
              name,
              course.startedAt,
              Instant.now(),
              result(course.checks, stopped),
              stopped == null ? null : stopped.why(),
              new ProofDocument.Moment(
                  request.wanted(),
                  target == null ? null : target.lsn().toString(),
                  target != null && target.inclusive() ? "after" : "before",
                  request.seed,
                  course.lastCommitAt),
              restored == null ? null : restored.base().label(),
              restored == null ? 0 : restored.base().bytes(),
              restored == null ? 0 : restored.walBytes(),
              timings == null
                  ? null
                  : new ProofDocument.Recovery(
                      seconds(timings.wal()),
                      seconds(timings.base()),
                      seconds(timings.durable()),
                      seconds(timings.replay()),
                      seconds(timings.start()),
                      seconds(timings.total())),
              course.checksSeconds,
              course.recording,
              course.checks.stream().map(Prove::kept).toList(),
              new ProofDocument.Machine(
                  LocalHost.name(),
                  Runtime.getRuntime().availableProcessors(),
                  request.threadCount(),
                  course.postgres,
                  request.version));
      cluster.putDocument(Proofs.KIND, label, proof);
      return proof;
    }
  }

  private static String result(List<Check> checks, @Nullable OperatorException stopped) {
    boolean damaged =
        (stopped != null && !(stopped instanceof UndecidedException))
            || checks.stream().anyMatch(check -> check.outcome() == Check.Outcome.FAILED);
    if (damaged) {
      return ProofDocument.FAILED;
    }
    return stopped != null
            || checks.stream().anyMatch(check -> check.outcome() == Check.Outcome.INCONCLUSIVE)
        ? ProofDocument.INCONCLUSIVE
        : ProofDocument.PROVEN;
  }

  private static ProofDocument.Check kept(Check check) {
    return new ProofDocument.Check(
        check.name(),
        check.outcome().name().toLowerCase(Locale.ROOT),
        check.looked(),
        check.found().stream()
            .map(found -> new ProofDocument.Finding(found.damaged(), found.what(), found.why()))
            .toList(),
        check.more(),
        check.notes(),
        seconds(check.took()));
  }

  private static double seconds(Duration duration) {
    return duration.toMillis() / 1e3;
  }

  /** Turns what checks tell into phases. */
  private static final class CheckProgress implements DrillChecks.Listener, AutoCloseable {
    private final String name;
    private final Progress progress;
    private String check = "";
    private long done;
    private Progress.@Nullable Phase phase;

    private CheckProgress(String name, Progress progress) {
      this.name = name;
      this.progress = progress;
    }

    @Override
    public synchronized void checked(String now, long bytes, long total) {
      if (!now.equals(check)) {
        close();
        check = now;
        done = 0;
        Progress.Unit unit =
            now.equals("catalogs") ? Progress.Unit.STEPS : Progress.Unit.BYTES; // one a database
        phase = progress.begin("prove " + name + ": checking " + now, total, unit);
      }
      if (phase != null && bytes > done) {
        phase.advance(bytes - done);
        done = bytes;
      }
    }

    @Override
    public synchronized void close() {
      if (phase != null) {
        phase.close();
        phase = null;
      }
    }
  }
}
