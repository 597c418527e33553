package dev.holdfast.postgres;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import org.jspecify.annotations.Nullable;

/** One table cannot be read; others still can, in the same snapshot. */
public final class TableUnreadableException extends OperatorException {
  private static final long serialVersionUID = 1L;

  TableUnreadableException(String what, String why, String next, @Nullable Throwable cause) {
    super(Kind.FAILED, what, why, next, cause);
  }
}
