package dev.holdfast.store;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import java.security.GeneralSecurityException;
import java.security.SecureRandom;
import java.util.Base64;
import javax.crypto.KDF;
import javax.crypto.spec.HKDFParameterSpec;
import org.bouncycastle.crypto.generators.Argon2BytesGenerator;
import org.bouncycastle.crypto.params.Argon2Parameters;
import org.jspecify.annotations.Nullable;

/**
 * The data key as {@code holdfast.json} has it: encrypted with a key that a passphrase, a generated
 * key or a service gives. See FORMAT.md.
 *
 * @param by {@code passphrase}, {@code generatedKey} or {@code keyCommand}
 * @param kdf how a passphrase or a generated key becomes the key that encrypts; null for a service
 * @param wrappedKey what the service made of the key that encrypts, in base64; null without one
 * @param dataKey the data key, encrypted, in base64
 */
record WrappedKey(String by, @Nullable Kdf kdf, @Nullable String wrappedKey, String dataKey) {
  static final String PASSPHRASE = "passphrase";
  static final String GENERATED_KEY = "generatedKey";
  static final String KEY_COMMAND = "keyCommand";

  private static final String ARGON2ID = "argon2id";
  private static final String HKDF = "hkdf-sha256";
  private static final byte[] HKDF_INFO =
      "holdfast key encryption key".getBytes(java.nio.charset.StandardCharsets.US_ASCII);
  private static final int KEY_BYTES = 32;
  private static final int SALT_BYTES = 16;

  /** RFC 9106, the second recommended option: 64 MiB fit into the heap of any command. */
  private static final int MEMORY_KIB = 64 << 10;

  private static final int PASSES = 3;
  private static final int LANES = 4;

  /** What a document may ask for: whoever writes to the repository must not exhaust us. */
  private static final int MEMORY_KIB_MAX = 96 << 10;

  private static final int PASSES_MAX = 32;
  private static final int LANES_MAX = 16;

  /**
   * A key derivation.
   *
   * @param name {@code argon2id} (version 0x13) or {@code hkdf-sha256}
   * @param salt in base64
   * @param memoryKiB of Argon2id; 0 otherwise
   * @param passes of Argon2id; 0 otherwise
   * @param lanes of Argon2id; 0 otherwise
   */
  record Kdf(String name, String salt, int memoryKiB, int passes, int lanes) {}

  /** What the key that encrypts comes from. */
  sealed interface Secret {
    /** What an operator calls the place it was found at. */
    String origin();

    /** A text. */
    record Text(Passphrase passphrase, String origin) implements Secret {}

    /** A service. */
    record Service(KeyCommand command, String origin) implements Secret {}
  }

  /** The key does not open it. */
  static final class WrongKeyException extends Exception {
    private static final long serialVersionUID = 1L;
  }

  /** Encrypts the data key anew. */
  static WrappedKey wrap(DataKey unwrapped, Secret secret, String repositoryId) {
    return switch (secret) {
      case Secret.Text text -> {
        text.passphrase().checkStrength(text.origin());
        Kdf kdf =
            text.passphrase().isGenerated()
                ? new Kdf(HKDF, base64(random(SALT_BYTES)), 0, 0, 0)
                : new Kdf(ARGON2ID, base64(random(SALT_BYTES)), MEMORY_KIB, PASSES, LANES);
        byte[] key = derive(kdf, text.passphrase());
        yield new WrappedKey(
            text.passphrase().isGenerated() ? GENERATED_KEY : PASSPHRASE,
            kdf,
            null,
            base64(unwrapped.wrap(key, repositoryId)));
      }
      case Secret.Service service -> {
        byte[] key = random(KEY_BYTES);
        byte[] wrapped = service.command().wrap(key.clone());
        // A service that cannot give back what it was given would lose every backup.
        if (!java.security.MessageDigest.isEqual(key, service.command().unwrap(wrapped))) {
          throw new OperatorException(
              Kind.USAGE,
              "cannot use the key command " + service.command().name(),
              "after \"wrap\", \"unwrap\" did not give back the bytes that went in",
              "correct the command: it reads bytes on standard input and writes bytes, and nothing"
                  + " else, on standard output");
        }
        yield new WrappedKey(
            KEY_COMMAND, null, base64(wrapped), base64(unwrapped.wrap(key, repositoryId)));
      }
    };
  }

  /**
   * Decrypts the data key.
   *
   * @throws WrongKeyException when this is not the secret it was wrapped with
   * @throws IllegalArgumentException when a value makes no sense
   */
  DataKey unwrap(Secret secret, String repositoryId) throws WrongKeyException {
    try {
      return DataKey.unwrap(decode(dataKey), keyEncryptionKey(secret), repositoryId);
    } catch (GeneralSecurityException e) {
      var wrong = new WrongKeyException();
      wrong.initCause(e);
      throw wrong;
    }
  }

  private byte[] keyEncryptionKey(Secret secret) throws WrongKeyException {
    switch (secret) {
      case Secret.Text text -> {
        Kdf how = kdf;
        // A generated key is never a passphrase of somebody's choice: no need to try for long.
        if (how == null || how.name().equals(HKDF) != text.passphrase().isGenerated()) {
          throw new WrongKeyException();
        }
        return derive(how, text.passphrase());
      }
      case Secret.Service service -> {
        if (wrappedKey == null) {
          throw new WrongKeyException();
        }
        byte[] key = service.command().unwrap(decode(wrappedKey));
        if (key.length != KEY_BYTES) {
          throw new WrongKeyException();
        }
        return key;
      }
    }
  }

  private static byte[] derive(Kdf kdf, Passphrase passphrase) {
    byte[] salt = decode(kdf.salt());
    if (kdf.name().equals(HKDF)) {
      try {
        return KDF.getInstance("HKDF-SHA256")
            .deriveData(
                HKDFParameterSpec.ofExtract()
                    .addIKM(passphrase.secret())
                    .addSalt(salt)
                    .thenExpand(HKDF_INFO, KEY_BYTES));
      } catch (GeneralSecurityException e) {
        throw new IllegalStateException(e);
      }
    }
    if (!kdf.name().equals(ARGON2ID)
        || kdf.memoryKiB() < 8
        || kdf.memoryKiB() > MEMORY_KIB_MAX
        || kdf.passes() < 1
        || kdf.passes() > PASSES_MAX
        || kdf.lanes() < 1
        || kdf.lanes() > LANES_MAX) {
      throw new IllegalArgumentException("the key derivation " + kdf + " is not one of ours");
    }
    var argon2 = new Argon2BytesGenerator();
    argon2.init(
        new Argon2Parameters.Builder(Argon2Parameters.ARGON2_id)
            .withVersion(Argon2Parameters.ARGON2_VERSION_13)
            .withSalt(salt)
            .withMemoryAsKB(kdf.memoryKiB())
            .withIterations(kdf.passes())
            .withParallelism(kdf.lanes())
            .build());
    byte[] key = new byte[KEY_BYTES];
    argon2.generateBytes(passphrase.secret(), key);
    return key;
  }

  private static byte[] random(int length) {
    byte[] bytes = new byte[length];
    new SecureRandom().nextBytes(bytes);
    return bytes;
  }

  private static String base64(byte[] bytes) {
    return Base64.getEncoder().encodeToString(bytes);
  }

  private static byte[] decode(String text) {
    return Base64.getDecoder().decode(text);
  }
}
