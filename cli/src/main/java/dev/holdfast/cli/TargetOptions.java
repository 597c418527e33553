package dev.holdfast.cli;

import dev.holdfast.operations.Target;
import java.time.Instant;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Option;

/** Which moment a command works on. */
final class TargetOptions {
  static final class Moment {
    @Option(
        names = "--before",
        paramLabel = "XID",
        description = "Just before this transaction committed.")
    @Nullable String before;

    @Option(
        names = "--after",
        paramLabel = "XID",
        description = "Just after this transaction committed.")
    @Nullable String after;

    @Option(
        names = "--at",
        paramLabel = "TIME",
        converter = TimeWithOffset.class,
        description = "Before the first transaction that committed after this time.")
    @Nullable Instant at;

    @Option(
        names = "--lsn",
        paramLabel = "LSN",
        description = "Before the record at this position.")
    @Nullable String lsn;

    @Option(
        names = "--restore-point",
        paramLabel = "POINT",
        description = "At the point named by pg_create_restore_point.")
    @Nullable String restorePoint;

    @Option(names = "--latest", description = "The newest recorded moment.")
    boolean latest;
  }

  @ArgGroup(exclusive = true, heading = "Moment (default: the newest recorded one):%n")
  @Nullable Moment moment;

  @Option(
      names = "--timeline",
      paramLabel = "N",
      description =
          "The moment lies on this timeline, perhaps one that a promotion left behind (default: the"
              + " newest).")
  @Nullable Integer timeline;

  Target target() {
    Moment given = moment == null ? new Moment() : moment;
    return new Target(given.before, given.after, given.at, given.lsn, given.restorePoint, timeline);
  }
}
