package dev.holdfast.operations;

import dev.holdfast.guard.Guard;
import dev.holdfast.guard.RetentionJob;
import java.sql.Connection;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Puts the guard into a database, brings it up to date, takes it out. */
public final class GuardInstall {
  private final GuardAccess access;

  /** In this database. */
  public GuardInstall(GuardAccess access) {
    this.access = access;
  }

  /**
   * What was installed.
   *
   * @param tables how many tables should be covered
   * @param uncovered those that are not, with why
   * @param lost what does not work here
   * @param server what kind of server it is
   */
  public record Result(
      String name,
      String environment,
      String database,
      int version,
      int tables,
      List<Uncovered> uncovered,
      List<String> lost,
      ServerKind server,
      List<Advice> advice) {}

  /** A table that the guard does not cover, or not all of it. */
  public record Uncovered(String schema, String table, String why) {
    static List<Uncovered> of(List<Guard.Uncovered> tables) {
      return tables.stream().map(t -> new Uncovered(t.schema(), t.table(), t.why())).toList();
    }
  }

  /**
   * What was taken out.
   *
   * @param identityStays whether the database still says who it is
   */
  public record Removed(String database, int tables, boolean identityStays) {}

  /**
   * Installs it, or brings it up to date.
   *
   * @param name what the cluster is called; null: as the repository has it
   * @param environment likewise
   */
  public Result install(@Nullable String name, @Nullable String environment, Progress progress) {
    Guard.Installation what = access.installation(name, environment);
    try (Connection connection = access.open()) {
      ServerKind server = ServerKind.of(connection);
      Guard.Installed installed;
      try (Progress.Phase phase = progress.begin("tables covered", 0, Progress.Unit.OBJECTS)) {
        installed = Guard.install(connection, what, (_, _, _) -> phase.advance(1));
      }
      return new Result(
          what.cluster(),
          what.environment(),
          access.url().database(),
          installed.version(),
          installed.tables(),
          Uncovered.of(installed.uncovered()),
          installed.lost(),
          server,
          advice(what, server, RetentionJob.refused(connection)));
    } catch (SQLException e) {
      throw new IllegalStateException(e); // of what reads catalogs only
    }
  }

  private static List<Advice> advice(
      Guard.Installation what, ServerKind server, List<RetentionJob> refused) {
    List<Advice> advice = new ArrayList<>();
    if (server.behindPooler()) {
      advice.add(pooler(server));
    }
    if (what.environment().equals("production") && !server.kind().equals("owner")) {
      advice.add(
          new Advice(
              "note",
              "the database is marked as a template now, so that nobody can drop it; every role with CREATEDB may"
                  + " clone it",
              "if that is not wanted: holdfast guard mode %s off drop-database"
                  .formatted(what.cluster())));
    }
    if (what.environment().equals("production")) {
      advice.add(
          new Advice(
              "note",
              "mass-delete, mass-update and json-keys-lost only observe for 14 days, so that no nightly job breaks",
              "then: holdfast guard suggest " + what.cluster()));
    }
    refused.forEach(job -> advice.add(retention(job, what.cluster())));
    return List.copyOf(advice);
  }

  static Advice retention(RetentionJob job, String cluster) {
    return new Advice(
        "warning",
        "%s drops partitions of %s that are older than %s: the guard will refuse that"
            .formatted(job.tool(), job.table(), job.keeps()),
        "let it go on: holdfast guard except %s --rule drop-table --table %s --mode off --reason \"%s retention\""
            .formatted(cluster, job.partitions(), job.tool()));
  }

  static Advice pooler(ServerKind server) {
    return new Advice(
        "warning",
        "this connection leads through a pooler that shares sessions between clients"
            + (server.directAddress() == null
                ? ""
                : "; the server itself is at " + server.directAddress()),
        "give the server's own address to Holdfast and to migrations; clients may go on through the pooler");
  }

  /**
   * Takes it out.
   *
   * @param identityStays whether the database goes on saying who it is, for those who ask
   */
  public Removed uninstall(boolean identityStays, Progress progress) {
    try (Connection connection = access.open();
        Progress.Phase phase = progress.begin("tables", 0, Progress.Unit.OBJECTS)) {
      int[] tables = {0};
      Guard.uninstall(
          connection,
          GuardAccess.patience(),
          identityStays,
          (done, _, _) -> {
            tables[0] = done;
            phase.advance(1);
          });
      return new Removed(access.url().database(), tables[0], identityStays);
    } catch (SQLException e) {
      throw new IllegalStateException(e); // closing
    }
  }
}
