package dev.holdfast.store;

/**
 * A service that keeps a key to itself: it encrypts a small secret, and decrypts it again. The
 * repository keeps what came out.
 */
public interface KeyCommand {
  /** What an operator calls it, without what may be a secret. */
  String name();

  /**
   * Encrypts.
   *
   * @param key 32 bytes
   * @return anything from which {@link #unwrap} makes them again
   * @throws dev.holdfast.failure.OperatorException when it cannot
   */
  byte[] wrap(byte[] key);

  /**
   * Decrypts what {@link #wrap} returned.
   *
   * @throws dev.holdfast.failure.OperatorException when it cannot
   */
  byte[] unwrap(byte[] wrapped);
}
