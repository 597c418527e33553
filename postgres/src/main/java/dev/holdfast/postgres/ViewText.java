package dev.holdfast.postgres;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The text of a view as every version prints it. Up to 15 a view over one table names each column
 * with its table; from 16 it does not. Where the outermost FROM has one item, its columns mean the
 * same either way, for subqueries are printed with their tables always.
 */
final class ViewText {
  /** The outermost FROM, which stands under SELECT's fourth column, and what follows its line. */
  private static final Pattern FROM = Pattern.compile("(?m)^   FROM ([^\\n]*)(?:\\n([^\\n]*))?");

  private static final Pattern NAME = Pattern.compile("(?:[\\w$]+|\"(?:[^\"]|\"\")*\");?$");

  private ViewText() {}

  static String normalised(String definition) {
    Matcher from = FROM.matcher(definition);
    if (!from.find()) {
      return definition;
    }
    String item = from.group(1);
    String next = from.group(2);
    boolean several = item.endsWith(",") || (next != null && next.contains("JOIN "));
    Matcher name = NAME.matcher(item);
    if (several || item.startsWith("(") || !name.find()) {
      return definition;
    }
    String alias = name.group().replaceFirst(";$", "");
    Pattern qualified =
        Pattern.compile("(?<![\\w$.\"'])" + Pattern.quote(alias) + "\\.(?=[\\w\"*])");
    // FROM itself may name a schema of the same name.
    return qualified.matcher(definition.substring(0, from.start(1))).replaceAll("")
        + definition.substring(from.start(1), from.end(1))
        + qualified.matcher(definition.substring(from.end(1))).replaceAll("");
  }
}
