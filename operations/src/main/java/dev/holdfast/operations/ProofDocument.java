package dev.holdfast.operations;

import java.time.Instant;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The record of one restore that was tried, as the repository keeps it. Components are only ever
 * added. Times are those of the machine that tried.
 *
 * @param label its name among the cluster's proofs; sorts by time
 * @param cluster the protected cluster
 * @param startedAt when it was begun
 * @param finishedAt when it was over
 * @param result {@code proven}, {@code failed} or {@code inconclusive}
 * @param reason what stopped it before anything could be checked; null when nothing did
 * @param target the moment that was restored
 * @param base the base backup it was made from; null when it did not come that far
 * @param baseBytes of that base backup
 * @param walBytes of WAL that was fetched
 * @param recovery what it took from nothing to a server that takes writes; null when there was none
 * @param checksSeconds what the checks took
 * @param recording how far the recorder was behind production; null when that was not measured
 * @param checks what was checked, and what it came to
 * @param machine what it ran on
 */
public record ProofDocument(
    String label,
    String cluster,
    Instant startedAt,
    Instant finishedAt,
    String result,
    @Nullable String reason,
    Moment target,
    @Nullable String base,
    long baseBytes,
    long walBytes,
    @Nullable Recovery recovery,
    double checksSeconds,
    @Nullable Recording recording,
    List<Check> checks,
    Machine machine) {
  /** Nothing was found, and nothing that was to be looked at was left out. */
  static final String PROVEN = "proven";

  /** Something is damaged, or it cannot be restored. */
  static final String FAILED = "failed";

  /** Some of it could not be told; never to be taken for safe. */
  static final String INCONCLUSIVE = "inconclusive";

  /**
   * A moment.
   *
   * @param wanted how it was chosen: {@code latest}, {@code random}, {@code given}, {@code tables}
   *     (where production was asked for the sums of tables)
   * @param state {@code before} or {@code after} the record at that position
   * @param lsn the position; null when none could be found
   * @param seed what {@code random} was drawn by; null otherwise
   * @param lastCommitAt of {@code latest}: when the newest recorded transaction committed; null
   *     when that is not known
   */
  public record Moment(
      String wanted,
      @Nullable String lsn,
      String state,
      @Nullable Long seed,
      @Nullable Instant lastCommitAt) {}

  /** Durations of the phases, one after the other; {@code totalSeconds} is their sum. */
  public record Recovery(
      double walSeconds,
      double baseSeconds,
      double durableSeconds,
      double replaySeconds,
      double startSeconds,
      double totalSeconds) {}

  /**
   * How far the recorder was behind production when the proof was begun.
   *
   * @param behindBytes WAL that production had on its disk and the repository did not have
   * @param behindSeconds how long it took until that was in the repository; null when it did not
   *     get there in time
   */
  public record Recording(long behindBytes, @Nullable Double behindSeconds) {}

  /**
   * One check.
   *
   * @param name {@code recording}, {@code tables}, {@code databases}, {@code catalogs}, {@code
   *     heaps}, {@code indexes}, {@code rows}
   * @param outcome {@code passed}, {@code failed}, {@code inconclusive} or {@code skipped}
   * @param looked how many relations, rows or bytes were looked at
   * @param found what is damaged or could not be told; the first of them
   * @param more how many findings there were besides
   * @param notes what the check does not cover, or why it was skipped
   */
  public record Check(
      String name,
      String outcome,
      long looked,
      List<Finding> found,
      long more,
      List<String> notes,
      double seconds) {
    /** Copies the lists. */
    public Check {
      found = List.copyOf(found);
      notes = List.copyOf(notes);
    }
  }

  /**
   * Something that was found.
   *
   * @param damaged false when it could not be told
   */
  public record Finding(boolean damaged, String what, String why) {}

  /**
   * What it ran on.
   *
   * @param host its name
   * @param cores processors
   * @param threads how many were used at once
   * @param postgres the version of the PostgreSQL programs; null when none was started
   * @param holdfast the version of Holdfast
   */
  public record Machine(
      String host, int cores, int threads, @Nullable String postgres, String holdfast) {}

  /** Copies the list. */
  public ProofDocument {
    checks = List.copyOf(checks);
  }

  boolean isProven() {
    return result.equals(PROVEN);
  }
}
