package dev.holdfast.operations;

import dev.holdfast.guard.FreezeTriggers;
import dev.holdfast.postgres.PooledSession;
import dev.holdfast.postgres.PostgresUrl;
import java.sql.Connection;
import java.sql.SQLException;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/** Has a database refuse writes while people think, and lets it take them again. */
public final class Freeze {
  private static final int NAMED = 12;

  private final PostgresUrl url;

  /**
   * Whom to refuse what.
   *
   * @param application only this application_name; null for all
   * @param role only this role; null for all
   * @param exceptRole this role may write; null for none
   * @param tables as SQL spells them; empty for all
   * @param waitSeconds how long to try where others hold locks
   */
  public record Request(
      @Nullable String application,
      @Nullable String role,
      @Nullable String exceptRole,
      List<String> tables,
      @Nullable String reason,
      double waitSeconds) {
    /** Copies. */
    public Request {
      tables = List.copyOf(tables);
    }
  }

  private Freeze(PostgresUrl url) {
    this.url = url;
  }

  /** As the owner of a database's tables, or a superuser; as {@link OwnerConnection#of}. */
  public static Freeze of(
      String nameOrUrl, @Nullable String ownerUrl, Supplier<String> repository) {
    return new Freeze(OwnerConnection.of(nameOrUrl, ownerUrl, repository));
  }

  /** Freezes, or goes on with what an earlier run began. */
  public FreezeReport freeze(Request request, Progress progress) {
    try (Connection connection = open()) {
      FreezeTriggers triggers = new FreezeTriggers(connection);
      FreezeTriggers.State wanted =
          new FreezeTriggers.State(
              Instant.now(),
              System.getProperty("user.name") + " as " + url.user(),
              request.reason(),
              request.application(),
              request.role(),
              request.exceptRole(),
              triggers.resolve(request.tables()));
      FreezeTriggers.State state = triggers.begin(wanted, url.database());
      FreezeTriggers.Coverage coverage;
      try (Progress.Phase phase = progress.begin("tables frozen", 0, Progress.Unit.OBJECTS)) {
        coverage = triggers.cover(state, request.waitSeconds(), _ -> phase.advance(1));
      }
      return report(state, coverage);
    } catch (SQLException e) {
      throw new IllegalStateException(e); // closing
    }
  }

  /** What is frozen now. Changes nothing. */
  public FreezeReport status() {
    try (Connection connection = open()) {
      FreezeTriggers triggers = new FreezeTriggers(connection);
      FreezeTriggers.State state = triggers.state();
      return state == null
          ? FreezeReport.nothing(url.database())
          : report(state, triggers.coverage(state));
    } catch (SQLException e) {
      throw new IllegalStateException(e); // closing
    }
  }

  /**
   * Lets everybody write again.
   *
   * @param waitSeconds how long to try to take triggers away where others hold locks
   */
  public UnfreezeReport unfreeze(double waitSeconds) {
    try (Connection connection = open()) {
      FreezeTriggers triggers = new FreezeTriggers(connection);
      boolean frozen = triggers.state() != null;
      return new UnfreezeReport(url.database(), frozen, triggers.remove(waitSeconds));
    } catch (SQLException e) {
      throw new IllegalStateException(e); // closing
    }
  }

  private Connection open() {
    return PooledSession.withoutNamedStatements(url.withApplicationName("holdfast:freeze").open());
  }

  private FreezeReport report(FreezeTriggers.State state, FreezeTriggers.Coverage coverage) {
    List<String> notes = new ArrayList<>();
    if (!coverage.ddlRefused()) {
      notes.add(
          state.tables().isEmpty()
              ? "DDL is not refused (DROP, ALTER, and new tables take writes): that takes a"
                  + " superuser, or a role that the server lets make event triggers"
              : "DDL is not refused where only some tables are frozen");
    }
    notes.add(
        "not stopped: sequences, large objects, materialised views, foreign tables, temporary"
            + " tables; owners of a table can take its triggers away");
    if (state.application() != null) {
      notes.add("any client can give itself another application_name");
    }
    String example =
        coverage.frozen().isEmpty()
            ? coverage.missing().keySet().stream().findFirst().orElse("public.users")
            : coverage.frozen().getFirst();
    if (coverage.missing().size() > NAMED) {
      notes.add("%d tables are not frozen yet".formatted(coverage.missing().size()));
    }
    return new FreezeReport(
        url.database(),
        true,
        coverage.missing().isEmpty(),
        state.frozenAt(),
        state.frozenBy(),
        state.reason(),
        state.application(),
        state.role(),
        state.exceptRole(),
        state.tables(),
        coverage.frozen(),
        coverage.missing(),
        coverage.ddlRefused(),
        FreezeReport.Refusal.of(FreezeTriggers.refusal(state, url.database(), example)),
        notes);
  }
}
