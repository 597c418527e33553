package dev.holdfast.operations;

import dev.holdfast.guard.Guard;
import dev.holdfast.guard.RetentionJob;
import dev.holdfast.guard.SelfCheck;
import java.sql.Connection;
import java.sql.SQLException;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/** Whether a database's guard is armed, proved by provoking it. */
public final class GuardCheck {
  private static final int NAMED = 5;

  private final GuardAccess access;

  /** Of this database. */
  public GuardCheck(GuardAccess access) {
    this.access = access;
  }

  /**
   * How it stands.
   *
   * @param armed whether every rule that is not off was seen to refuse, on every table
   * @param identityFits whether the stamp was made on this server and for this database
   * @param aliveAt when the recorder was last connected to it; null if never
   * @param disarmers roles that can switch it off, with how
   * @param tampered what was done to it that could not be refused
   */
  public record Result(
      boolean armed,
      String name,
      String environment,
      String database,
      int version,
      boolean identityFits,
      @Nullable Instant aliveAt,
      List<GuardRule> rules,
      List<GuardException> exceptions,
      int tables,
      List<GuardInstall.Uncovered> uncovered,
      List<Disarmer> disarmers,
      List<String> tampered,
      List<String> freeSchemas,
      long observations,
      ServerKind server,
      List<Advice> advice) {}

  /** A role that can switch the guard off. */
  public record Disarmer(String role, String how) {}

  /** Checks it; what is tried is rolled back. */
  public Result run() {
    try (Connection connection = access.open()) {
      SelfCheck.Report report = SelfCheck.of(connection);
      ServerKind server = ServerKind.of(connection);
      return new Result(
          report.armed(),
          report.cluster(),
          report.environment(),
          report.database(),
          report.version(),
          report.identityFits(),
          report.aliveAt(),
          report.rules().stream().map(GuardRule::of).toList(),
          report.exceptions().stream().map(GuardException::of).toList(),
          report.tables(),
          GuardInstall.Uncovered.of(report.uncovered()),
          report.disarmers().stream().map(d -> new Disarmer(d.role(), d.how())).toList(),
          report.tampered(),
          report.freeSchemas(),
          report.observations(),
          server,
          advice(report, server, RetentionJob.refused(connection)));
    } catch (SQLException e) {
      throw new IllegalStateException(e); // of what reads catalogs only
    }
  }

  private List<Advice> advice(
      SelfCheck.Report report, ServerKind server, List<RetentionJob> refused) {
    List<Advice> advice = new ArrayList<>();
    String again = "holdfast guard install " + report.cluster();
    for (String tampered : report.tampered()) {
      advice.add(
          new Advice(
              "danger",
              tampered,
              "find out who did it (holdfast log %s --destructive), then put it right: "
                      .formatted(report.cluster())
                  + again));
    }
    if (!report.uncovered().isEmpty()) {
      advice.add(
          new Advice(
              "danger",
              "not covered: "
                  + report.uncovered().stream()
                      .limit(NAMED)
                      .map(u -> u.schema() + "." + u.table() + " (" + u.why() + ")")
                      .collect(Collectors.joining(", "))
                  + (report.uncovered().size() > NAMED
                      ? " and " + (report.uncovered().size() - NAMED) + " more"
                      : ""),
              again));
    }
    if (!report.identityFits()) {
      advice.add(
          new Advice(
              "danger",
              "the guard's stamp was made on another server or under another name: this is a copy of %s, or it was upgraded"
                      .formatted(report.cluster())
                  + " or renamed; it stays armed until somebody says which",
              "SELECT holdfast.adopt('%s') where it is %s itself, SELECT holdfast.adopt('development') where it is a copy"
                  .formatted(report.environment(), report.cluster())));
    }
    if (report.version() != Guard.VERSION) {
      advice.add(
          new Advice(
              "warning",
              "the guard is of version %d, this program has %d"
                  .formatted(report.version(), Guard.VERSION),
              again));
    }
    if (server.behindPooler()) {
      advice.add(GuardInstall.pooler(server));
    }
    refused.forEach(job -> advice.add(GuardInstall.retention(job, report.cluster())));
    return List.copyOf(advice);
  }
}
