package dev.holdfast.store;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.SecureRandom;
import java.text.Normalizer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.regex.Pattern;

/**
 * A secret that can be written down: a passphrase somebody chose, or a key that Holdfast made,
 * which is 256 random bits in a form that can be copied by hand. Never printed by {@link
 * #toString}.
 */
public final class Passphrase {
  /** Fewer are guessed too soon, however slow each guess is. */
  static final int CHARACTERS_MIN = 8;

  private static final String GENERATED = "holdfast-key-1-";
  private static final Pattern GENERATED_KEY =
      Pattern.compile(GENERATED + "((?:[0-9a-f]{8}-){8})([0-9a-f]{8})");
  private static final String COMMENT = "# Holdfast key";
  private static final int KEY_BYTES = 32;
  private static final HexFormat HEX = HexFormat.of();

  private final byte[] secret;
  private final boolean generated;
  private final String text;

  private Passphrase(byte[] secret, boolean generated, String text) {
    this.secret = secret;
    this.generated = generated;
    this.text = text;
  }

  /** A new random key. */
  public static Passphrase generate() {
    byte[] key = new byte[KEY_BYTES];
    new SecureRandom().nextBytes(key);
    List<String> groups = new ArrayList<>();
    for (int at = 0; at < KEY_BYTES; at += 4) {
      groups.add(HEX.formatHex(key, at, at + 4));
    }
    return new Passphrase(key, true, GENERATED + String.join("-", groups) + "-" + checksum(key));
  }

  /** Finds slips of the pen; it is no secret's business. */
  private static String checksum(byte[] key) {
    return HEX.toHexDigits(Envelope.checksum(key, 0, key.length));
  }

  /**
   * Reads a passphrase or a generated key.
   *
   * @param content a file's or a variable's; line ends at its end do not count, and of a key file
   *     only the line with the key does
   * @param origin what an operator calls the place it came from
   * @throws OperatorException USAGE when there is none in it, or a key with a slip of the pen
   */
  public static Passphrase parse(String content, String origin) {
    String stripped = content.replaceFirst("[\r\n]+\\z", "");
    String line = stripped;
    if (stripped.startsWith(COMMENT)) {
      line = stripped.lines().filter(each -> !each.startsWith("#")).findFirst().orElse("").strip();
    }
    if (line.isBlank()) {
      throw unusable(origin, "it is empty", "write the passphrase into it, or name another one");
    }
    if (line.indexOf('\n') >= 0 || line.indexOf('\r') >= 0) {
      throw unusable(
          origin,
          "it has %d lines, and a passphrase is one".formatted(line.lines().count()),
          "name a file with nothing but the passphrase");
    }
    if (line.strip().startsWith(GENERATED)) {
      return generated(line.strip(), origin);
    }
    // The same characters have several spellings in Unicode, and keyboards differ.
    String normal = Normalizer.normalize(line, Normalizer.Form.NFC);
    return new Passphrase(normal.getBytes(StandardCharsets.UTF_8), false, line);
  }

  private static Passphrase generated(String line, String origin) {
    var key = GENERATED_KEY.matcher(line);
    byte[] bytes = key.matches() ? HEX.parseHex(key.group(1).replace("-", "")) : new byte[0];
    if (!key.matches() || !checksum(bytes).equals(key.group(2))) {
      throw unusable(
          origin,
          "the key in it was not copied exactly: its digits do not fit its own checksum",
          "copy it again: holdfast-key-1 and nine groups of eight digits");
    }
    return new Passphrase(bytes, true, line);
  }

  private static OperatorException unusable(String origin, String why, String next) {
    return new OperatorException(Kind.USAGE, "cannot use the passphrase from " + origin, why, next);
  }

  /**
   * Refuses what is too short to protect anything.
   *
   * @throws OperatorException USAGE
   */
  void checkStrength(String origin) {
    if (!generated && text.codePointCount(0, text.length()) < CHARACTERS_MIN) {
      throw unusable(
          origin,
          "it has fewer than "
              + CHARACTERS_MIN
              + " characters, and whoever gets at the repository"
              + " could try them all",
          "choose a longer one: four or five words that nobody would put together");
    }
  }

  /** Whether Holdfast made it: 256 random bits. */
  public boolean isGenerated() {
    return generated;
  }

  /** The bits of a generated key; else the text in UTF-8. */
  byte[] secret() {
    return secret.clone();
  }

  /** As it is written down. */
  String text() {
    return text;
  }

  /** The content of a file that keeps it. */
  byte[] keyFile(String repositoryId, String location, String madeAt) {
    String content =
        """
        %s of repository %s
        # (%s, written %s)
        # Whoever has this file and the repository can read every database in it. Without it nobody can.
        # Keep copies where neither this machine nor the repository is.
        %s
        """
            .formatted(COMMENT, repositoryId, location, madeAt, text);
    return content.getBytes(StandardCharsets.UTF_8);
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Passphrase that
        && generated == that.generated
        && java.security.MessageDigest.isEqual(secret, that.secret);
  }

  @Override
  public int hashCode() {
    return ByteBuffer.wrap(Arrays.copyOf(secret, 4)).getInt();
  }

  @Override
  public String toString() {
    return generated ? "a generated key" : "a passphrase";
  }
}
