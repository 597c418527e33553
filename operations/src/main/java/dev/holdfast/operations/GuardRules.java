package dev.holdfast.operations;

import dev.holdfast.guard.Permits;
import dev.holdfast.guard.Rules;
import dev.holdfast.guard.Suggestions;
import java.sql.Connection;
import java.sql.SQLException;
import java.util.List;
import java.util.function.Function;

/** Changes what a database's guard does: modes, exceptions, permits, limits. */
public final class GuardRules {
  private final GuardAccess access;

  /** Of this database. */
  public GuardRules(GuardAccess access) {
    this.access = access;
  }

  /** The rules as they are now. */
  public record Modes(String database, List<GuardRule> rules) {}

  /** An exception that was made. */
  public record Excepted(String database, long id) {}

  /** What was said of a permit. */
  public record Said(String database, String said) {}

  /** All permits of a database. */
  public record PermitList(String database, List<GuardPermit> permits) {}

  /** Has rules do something else from now on; none named: all. */
  public Modes setMode(List<String> rules, String mode) {
    return with(connection -> {
      Rules.setMode(connection, rules.isEmpty() ? Rules.NAMES : rules, mode);
      return modes(connection);
    });
  }

  private Modes modes(Connection connection) {
    try {
      return new Modes(
          access.url().database(), Rules.list(connection).stream().map(GuardRule::of).toList());
    } catch (SQLException e) {
      throw new IllegalStateException(e); // what was just written is read
    }
  }

  /** Makes an exception. */
  public Excepted except(GuardException exception, Progress progress) {
    return with(connection -> {
      try (Progress.Phase phase = progress.begin("tables", 0, Progress.Unit.OBJECTS)) {
        return new Excepted(
            access.url().database(),
            Rules.except(
                connection,
                exception.toMake(),
                GuardAccess.patience(),
                (_, _, _) -> phase.advance(1)));
      }
    });
  }

  /** Takes an exception away. */
  public Excepted removeException(long id) {
    return with(connection -> {
      Rules.removeException(connection, id);
      return new Excepted(access.url().database(), id);
    });
  }

  /** Makes a permit. */
  public GuardPermit.Issued issue(GuardPermit.Request request) {
    Permits.Request asked = request.toIssue();
    return with(connection -> {
      Permits.Issued issued = Permits.issue(connection, asked);
      return new GuardPermit.Issued(
          issued.id(),
          issued.code(),
          issued.expiresAt(),
          request.needsApproval(),
          "SET LOCAL holdfast.permit = '" + issued.code() + "'");
    });
  }

  /** Approves another's permit. */
  public Said approve(long id) {
    return with(connection -> new Said(access.url().database(), Permits.approve(connection, id)));
  }

  /** Takes a permit back. */
  public Said revoke(long id) {
    return with(connection -> {
      Permits.revoke(connection, id);
      return new Said(access.url().database(), "permit " + id + " is revoked");
    });
  }

  /** Lists permits. */
  public PermitList permits() {
    return with(connection ->
        new PermitList(
            access.url().database(),
            Permits.list(connection).stream().map(GuardPermit::of).toList()));
  }

  /**
   * Proposes limits from what was seen.
   *
   * @param apply makes them, and enforces the rules
   * @param early although they have not observed for long enough
   */
  public GuardSuggestion suggest(boolean apply, boolean early, Progress progress) {
    return with(connection -> {
      if (!apply) {
        return GuardSuggestion.of(access.url().database(), Suggestions.of(connection), false);
      }
      try (Progress.Phase phase = progress.begin("tables", 0, Progress.Unit.OBJECTS)) {
        return GuardSuggestion.of(
            access.url().database(),
            Suggestions.apply(
                connection, early, GuardAccess.patience(), (_, _, _) -> phase.advance(1)),
            true);
      }
    });
  }

  private <T> T with(Function<Connection, T> work) {
    try (Connection connection = access.open()) {
      return work.apply(connection);
    } catch (SQLException e) {
      throw new IllegalStateException(e); // closing
    }
  }
}
