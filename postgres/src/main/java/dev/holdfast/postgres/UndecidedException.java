package dev.holdfast.postgres;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import org.jspecify.annotations.Nullable;

/**
 * Whether something can be restored could not be told, for want of something on this machine: it
 * says nothing about what is stored.
 */
public final class UndecidedException extends OperatorException {
  private static final long serialVersionUID = 1L;

  UndecidedException(String what, String why, String next, @Nullable Throwable cause) {
    super(Kind.FAILED, what, why, next, cause);
  }
}
