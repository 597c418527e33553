package dev.holdfast.postgres;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import org.jspecify.annotations.Nullable;

/** The time that the operator gave is over; a statement was ended for it, or not begun. */
public final class TimeIsUpException extends OperatorException {
  private static final long serialVersionUID = 1L;

  TimeIsUpException(@Nullable Throwable cause) {
    super(Kind.FAILED, "stopped", "the time given is over", "give more time", cause);
  }
}
