package dev.holdfast.postgres;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import org.jspecify.annotations.Nullable;

/** A database server cannot be reached, or does not let us in. */
public final class DatabaseUnreachableException extends OperatorException {
  private static final long serialVersionUID = 1L;

  private final boolean temporary;

  DatabaseUnreachableException(
      boolean temporary, String what, String why, String next, @Nullable Throwable cause) {
    super(Kind.DATABASE_UNREACHABLE, what, why, next, cause);
    this.temporary = temporary;
  }

  /**
   * Whether trying again may help: the server is restarting, full, or not there; false for a wrong
   * password and the like.
   */
  public boolean temporary() {
    return temporary;
  }
}
