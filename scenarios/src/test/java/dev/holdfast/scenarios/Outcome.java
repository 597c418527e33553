package dev.holdfast.scenarios;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.Objects;
import org.postgresql.util.PSQLException;
import org.postgresql.util.ServerErrorMessage;

/** How a client came out of something. */
sealed interface Outcome {
  /** It went through. */
  record Done() implements Outcome {}

  /**
   * It failed.
   *
   * @param sqlState of the database's error; this and what follows are empty where the client does
   *     not tell
   * @param shown everything the client shows of it
   */
  record Failed(String sqlState, String message, String detail, String hint, String shown)
      implements Outcome {}

  /** What the client on the JVM makes of the database's error. */
  static Outcome of(Throwable thrown) {
    StringWriter shown = new StringWriter();
    thrown.printStackTrace(new PrintWriter(shown));
    for (Throwable cause = thrown; cause != null; cause = cause.getCause()) {
      if (cause instanceof PSQLException e && e.getServerErrorMessage() != null) {
        ServerErrorMessage said = e.getServerErrorMessage();
        return new Failed(
            Objects.requireNonNullElse(said.getSQLState(), ""),
            Objects.requireNonNullElse(said.getMessage(), ""),
            Objects.requireNonNullElse(said.getDetail(), ""),
            Objects.requireNonNullElse(said.getHint(), ""),
            shown.toString());
      }
    }
    return new Failed("", "", "", "", shown.toString());
  }

  /** Some work of a client on the JVM. */
  @FunctionalInterface
  interface Work {
    void run() throws Exception;
  }

  /** Does it. */
  static Outcome ofDoing(Work work) {
    try {
      work.run();
      return new Done();
    } catch (Exception e) {
      return of(e);
    }
  }
}
