package dev.holdfast.operations;

import java.time.ZoneId;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.SortedMap;

/**
 * What is to be done for one cluster, and when.
 *
 * @param zone whose clock counts
 * @param times when each job is due
 * @param verifyOptions what {@code verify} is given
 * @param proveOptions what {@code prove} is given
 */
record ClusterSchedule(
    ZoneId zone,
    SortedMap<ScheduledJob, Cron> times,
    List<String> verifyOptions,
    List<String> proveOptions) {
  /** Nothing to do. */
  static final ClusterSchedule NONE =
      new ClusterSchedule(
          ZoneId.systemDefault(), Collections.emptySortedMap(), List.of(), List.of());

  /** The command line of a job, without the program and where the repository is. */
  List<String> arguments(ScheduledJob job, String cluster) {
    List<String> line = new ArrayList<>(List.of(job.command(), cluster));
    line.addAll(job.options());
    if (job == ScheduledJob.VERIFY) {
      line.addAll(verifyOptions);
    }
    if (job == ScheduledJob.PROVE) {
      line.addAll(proveOptions);
    }
    return line;
  }
}
