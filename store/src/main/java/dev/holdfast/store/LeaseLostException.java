package dev.holdfast.store;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;

/** Another process has taken the place of this one; nothing is written any more. */
public final class LeaseLostException extends OperatorException {
  private static final long serialVersionUID = 1L;

  LeaseLostException(String what, String why, String next) {
    super(Kind.REFUSED, what, why, next);
  }
}
