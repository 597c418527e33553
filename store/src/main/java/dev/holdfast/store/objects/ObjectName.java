package dev.holdfast.store.objects;

/**
 * The rule for names of objects. No component starts with a dot, so a name can neither leave the
 * repository nor look like a temporary file.
 */
public final class ObjectName {
  private static final int COMPONENT_MAX = 200;

  private ObjectName() {}

  /** Returns the name; throws {@link IllegalArgumentException} when the rule does not hold. */
  public static String check(String name) {
    for (String component : name.split("/", -1)) {
      if (!isComponent(component)) {
        throw new IllegalArgumentException("\"" + name + "\" cannot name an object");
      }
    }
    return name;
  }

  /** As {@link #check}, for an empty prefix or one ending in a slash. */
  public static String checkPrefix(String prefix) {
    if (!prefix.isEmpty()) {
      if (!prefix.endsWith("/")) {
        throw new IllegalArgumentException("\"" + prefix + "\" does not end in a slash");
      }
      check(prefix.substring(0, prefix.length() - 1));
    }
    return prefix;
  }

  /** Whether the text can stand between two slashes. */
  public static boolean isComponent(String text) {
    if (text.isEmpty() || text.length() > COMPONENT_MAX || text.charAt(0) == '.') {
      return false;
    }
    for (int at = 0; at < text.length(); at++) {
      if (!isAllowed(text.charAt(at))) {
        return false;
      }
    }
    return true;
  }

  // By hand: a regular expression costs more than opening the file that is named.
  private static boolean isAllowed(char c) {
    return (c >= 'a' && c <= 'z')
        || (c >= 'A' && c <= 'Z')
        || (c >= '0' && c <= '9')
        || c == '.'
        || c == '_'
        || c == '-';
  }

  /** What goes into checksums: the name below its cluster's folder, so a cluster can be moved. */
  public static String bound(String name) {
    if (name.startsWith("clusters/")) {
      int slash = name.indexOf('/', "clusters/".length());
      if (slash > 0) {
        return name.substring(slash + 1);
      }
    }
    return name;
  }
}
