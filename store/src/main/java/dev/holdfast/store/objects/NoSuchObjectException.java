package dev.holdfast.store.objects;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;

/** No object has that name. */
public final class NoSuchObjectException extends OperatorException {
  private static final long serialVersionUID = 1L;

  private final String object;

  /**
   * @param location of the store
   * @param name of the object
   */
  public NoSuchObjectException(String location, String name) {
    super(
        Kind.DAMAGED_DATA,
        "cannot read " + name + " in " + location,
        "there is no such object",
        "if it was deleted, copy it back from another copy of the repository");
    this.object = name;
  }

  /** The name of the object. */
  public String object() {
    return object;
  }
}
