package dev.holdfast.postgres;

/** How a row's text becomes two numbers of 64 bits, inside the server. */
public enum ComparedDigest {
  /**
   * PostgreSQL's own hash of a text, with two seeds: three times as fast as MD5. It hashes the
   * bytes of the server's encoding, so both sides need the same one, and promises nothing across
   * versions: it is used where both servers were asked and gave the same ({@link
   * ComparedDatabase#probe}).
   */
  HASH {
    @Override
    String of(String text, int which) {
      return "hashtextextended(%s, %d)".formatted(text, which);
    }
  },
  /** MD5 of the text in UTF-8: the same on every server. */
  MD5 {
    @Override
    String of(String text, int which) {
      return "('x' || substr(md5(convert_to(%s, 'UTF8')), %d, 16))::bit(64)::bigint"
          .formatted(text, 1 + 16 * which);
    }
  };

  /**
   * SQL.
   *
   * @param text an expression under COLLATE "C"
   * @param which 0 or 1
   */
  abstract String of(String text, int which);
}
