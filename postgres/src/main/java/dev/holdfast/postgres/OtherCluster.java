package dev.holdfast.postgres;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;

/** A server that is not the one the repository knows under this name. */
public final class OtherCluster {
  private OtherCluster() {}

  /**
   * REFUSED.
   *
   * @param what cannot be done
   * @param recorded the system identifier of the one that is meant
   * @param found that of the server
   */
  public static OperatorException found(String what, String recorded, String found) {
    return new OperatorException(
        Kind.REFUSED,
        what,
        "the server at this URL is another cluster: its system identifier is "
            + found
            + ", the recorded one is "
            + recorded,
        "check the URL; protect the other cluster under a name of its own, and where it took this one's place, upgraded or moved, with --continues");
  }
}
