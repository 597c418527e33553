package dev.holdfast.guard;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import java.sql.SQLException;

/** Tells an operator what a server's refusal of a statement of ours means. */
final class StatementFailures {
  /** SQLSTATE: a lock was not had within lock_timeout. */
  static final String LOCK_NOT_AVAILABLE = "55P03";

  /** SQLSTATE: the role may not. */
  static final String INSUFFICIENT_PRIVILEGE = "42501";

  private StatementFailures() {}

  /**
   * @param what the operation that failed, in lower case
   */
  static OperatorException told(String what, SQLException e) {
    String state = String.valueOf(e.getSQLState());
    String why = message(e);
    if (state.equals(INSUFFICIENT_PRIVILEGE)) {
      return new OperatorException(
          Kind.REFUSED, what, why, "connect as the owner of the database and its tables", e);
    }
    if (state.startsWith("08") || state.startsWith("57P")) {
      return new OperatorException(
          Kind.DATABASE_UNREACHABLE,
          what,
          why,
          "check that the server is running and run the same command again",
          e);
    }
    return new OperatorException(Kind.FAILED, what, why, "run the same command again", e);
  }

  /** The server's own words, without their heading. */
  static String message(SQLException e) {
    return String.valueOf(e.getMessage()).replaceFirst("^(ERROR|FATAL): ", "").strip();
  }
}
