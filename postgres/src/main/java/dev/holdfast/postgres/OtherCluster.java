package dev.holdfast.postgres;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;

/** A server that is not the one the repository knows under this name. */
final class OtherCluster {
  private OtherCluster() {}

  static OperatorException found(String what, String recorded, String found) {
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
