package dev.holdfast.compare;

/**
 * The order of UTF-8 bytes, which both servers can sort by whatever their collations; {@link
 * String#compareTo} differs past the basic plane.
 */
final class CodePoints {
  private CodePoints() {}

  static int compare(String a, String b) {
    int length = Math.min(a.length(), b.length());
    for (int at = 0; at < length; at++) {
      char left = a.charAt(at);
      char right = b.charAt(at);
      if (left != right) {
        boolean leftPair = Character.isSurrogate(left);
        return leftPair != Character.isSurrogate(right)
            ? (leftPair ? 1 : -1)
            : Character.compare(left, right);
      }
    }
    return Integer.compare(a.length(), b.length());
  }
}
