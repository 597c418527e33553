package dev.holdfast.postgres;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;

/** A file system has not the room that a restore needs; nothing was written. */
public final class NoRoomException extends OperatorException {
  private static final long serialVersionUID = 1L;

  NoRoomException(String what, String why, String next) {
    super(Kind.REFUSED, what, why, next);
  }
}
