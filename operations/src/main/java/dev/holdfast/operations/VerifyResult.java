package dev.holdfast.operations;

import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What verifying found.
 *
 * @param problems worst first; notes last
 */
public record VerifyResult(List<VerifyProblem> problems, Summary summary) {
  /**
   * In a few figures.
   *
   * @param result {@code clean}; {@code gaps}: all that is stored holds and some moments between
   *     cannot be reached; {@code damaged}: something stored is damaged, or lacks what it needs
   * @param problems how many there are of each level, {@code note}s among them
   * @param clusters what there is of each
   * @param readDataPercent how much of the contents was to be read
   * @param seed chose what was read; null when that was all or nothing
   */
  public record Summary(
      String result,
      Map<String, Integer> problems,
      List<Cluster> clusters,
      double readDataPercent,
      @Nullable Long seed,
      double durationSeconds) {}

  /**
   * One cluster.
   *
   * @param bases base backups that can be used
   * @param segments WAL segments that are recorded
   * @param objects objects that were looked at
   * @param contentBytes contents of base backups and WAL, as stored
   * @param contentBytesRead how many of them were read and compared with their checksums
   * @param reachable every moment that can be reached, by timeline
   */
  public record Cluster(
      String name,
      int bases,
      int segments,
      long objects,
      long contentBytes,
      long contentBytesRead,
      List<VerifyProblem.Stretch> reachable) {}
}
