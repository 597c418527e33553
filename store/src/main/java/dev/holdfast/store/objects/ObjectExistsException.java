package dev.holdfast.store.objects;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;

/** An object of that name is already there. */
public final class ObjectExistsException extends OperatorException {
  private static final long serialVersionUID = 1L;

  /**
   * @param location of the store
   * @param name of the object
   */
  public ObjectExistsException(String location, String name) {
    super(
        Kind.REFUSED,
        "cannot store " + name + " in " + location,
        "it is already there and is never overwritten",
        "see whether another Holdfast writes to the same repository");
  }
}
