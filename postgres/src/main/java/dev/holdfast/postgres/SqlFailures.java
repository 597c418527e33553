package dev.holdfast.postgres;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import java.sql.SQLException;
import org.postgresql.util.PSQLException;
import org.postgresql.util.ServerErrorMessage;

/** Tells an operator what a server's refusal means ("PostgreSQL Error Codes", PostgreSQL 18). */
public final class SqlFailures {
  /** The SQLSTATE of the guard's refusals. */
  public static final String GUARD_REFUSED = "HF001";

  private SqlFailures() {}

  /**
   * @param what the operation that failed, in lower case
   */
  static OperatorException told(String what, SQLException e) {
    String state = e.getSQLState() == null ? "" : e.getSQLState();
    String why = message(e);
    return switch (state) {
      case "42501" ->
          why.contains("row-level security")
              ? failure(
                  Kind.REFUSED,
                  what,
                  why,
                  "connect as the table's owner (not under FORCE ROW LEVEL SECURITY) or as a role"
                      + " with BYPASSRLS",
                  e)
              : failure(
                  Kind.REFUSED, what, why, "connect as the table's owner or as a superuser", e);
      case GUARD_REFUSED -> guardRefused(what, e);
      case "55P03" ->
          failure(
              Kind.FAILED,
              what,
              why,
              "wait until the transaction that holds the lock ends, or end it, and run the same"
                  + " command again",
              e);
      case "40P01", "40001" ->
          failure(Kind.FAILED, what, why, "run the same command again: nothing was written", e);
      case "53100", "53200", "53300", "53400" ->
          failure(Kind.FAILED, what, why, "free what the server ran out of and run again", e);
      default -> {
        if (state.startsWith("08") || state.startsWith("57P")) {
          yield failure(
              Kind.DATABASE_UNREACHABLE,
              what,
              why,
              "check that the server is running and run the same command again: what was not"
                  + " committed is rolled back",
              e);
        }
        if (state.startsWith("23") || state.startsWith("22")) {
          yield failure(
              Kind.REFUSED,
              what,
              why,
              "nothing was written; change what stands in the way and run revert again",
              e);
        }
        yield failure(Kind.FAILED, what, why, "nothing was written; run the same command again", e);
      }
    };
  }

  /**
   * The guard inside the database refused a statement of ours.
   *
   * @param what the operation that failed, in lower case
   */
  public static OperatorException guardRefused(String what, SQLException e) {
    return failure(
        Kind.REFUSED,
        what,
        message(e),
        "nothing was written; connect as the role that installed the guard, or as a superuser: then"
            + " what was agreed to passes with a permit of its own",
        e);
  }

  /** The server's own words, with its detail, without its context. */
  static String message(SQLException e) {
    if (e instanceof PSQLException postgres && postgres.getServerErrorMessage() != null) {
      ServerErrorMessage server = postgres.getServerErrorMessage();
      String detail = server.getDetail();
      return server.getMessage() + (detail == null ? "" : " (" + detail + ")");
    }
    return String.valueOf(e.getMessage());
  }

  private static OperatorException failure(
      Kind kind, String what, String why, String next, SQLException e) {
    return new OperatorException(kind, what, why, next, e);
  }
}
