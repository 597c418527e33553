package dev.holdfast.postgres;

import java.security.SecureRandom;
import java.util.HexFormat;

/** The only role that may connect to a fork: a superuser with a name and password of its own. */
record ForkRole(String name, String password) {
  private static final SecureRandom RANDOM = new SecureRandom();

  /** One that no restored cluster can know. */
  static ForkRole random() {
    return new ForkRole("holdfast_fork_" + hex(4), hex(24));
  }

  /** Without the password. */
  @Override
  public String toString() {
    return name;
  }

  private static String hex(int bytes) {
    byte[] random = new byte[bytes];
    RANDOM.nextBytes(random);
    return HexFormat.of().formatHex(random);
  }
}
