package dev.holdfast.failure;

import org.jspecify.annotations.Nullable;

/**
 * A failure an operator can act on: what failed, why, and what to do next.
 *
 * <p>Never carries a secret: whoever builds the texts redacts passwords first. A defect of Holdfast
 * is not one of these; it keeps its own type and trace.
 */
public class OperatorException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private final Kind kind;
  private final String what;
  private final String why;
  private final String next;

  /**
   * @param kind decides the exit code
   * @param what the operation that failed, in lower case without a full stop
   * @param why the cause as far as it is known
   * @param next what the operator should do now; several steps are separated by "; "
   * @param cause kept for the log, never shown to the operator; null when there is none
   */
  @SuppressWarnings("this-escape")
  public OperatorException(
      Kind kind, String what, String why, String next, @Nullable Throwable cause) {
    super(what + ": " + why + "; next: " + next, cause);
    this.kind = kind;
    this.what = what;
    this.why = why;
    this.next = next;
  }

  /** As the five-argument constructor, without a cause. */
  public OperatorException(Kind kind, String what, String why, String next) {
    this(kind, what, why, next, null);
  }

  /** Decides the exit code. */
  public Kind kind() {
    return kind;
  }

  /** The operation that failed. */
  public String what() {
    return what;
  }

  /** The cause, as far as it is known. */
  public String why() {
    return why;
  }

  /** What the operator should do now. */
  public String next() {
    return next;
  }
}
