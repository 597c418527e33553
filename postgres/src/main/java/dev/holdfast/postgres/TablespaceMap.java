package dev.holdfast.postgres;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/** Where the tablespaces of a base backup lay in production, by OID. */
final class TablespaceMap {
  private TablespaceMap() {}

  /**
   * Reads {@code tablespace_map}: a line for each, the OID and the path, in which a backslash
   * stands before a line end or a backslash ("access/transam/xlog.c", do_pg_backup_start,
   * PostgreSQL 14 to 18).
   *
   * @param text null or empty for none
   */
  static Map<Long, String> parse(@Nullable String text) {
    Map<Long, String> paths = new TreeMap<>();
    if (text == null) {
      return paths;
    }
    StringBuilder line = new StringBuilder();
    for (int at = 0; at < text.length(); at++) {
      char c = text.charAt(at);
      if (c == '\\' && at + 1 < text.length()) {
        line.append(text.charAt(++at));
      } else if (c == '\n') {
        put(paths, line.toString());
        line.setLength(0);
      } else {
        line.append(c);
      }
    }
    put(paths, line.toString());
    return paths;
  }

  private static void put(Map<Long, String> paths, String line) {
    int space = line.indexOf(' ');
    if (space > 0) {
      paths.put(Long.parseLong(line.substring(0, space)), line.substring(space + 1));
    }
  }

  /**
   * Where they go now.
   *
   * @param production paths by OID
   * @param mapping new paths by production's
   * @param below a folder for those that are not mapped, each in one named by its OID; null: they
   *     go where they were
   * @throws OperatorException USAGE for a mapping of a path that no tablespace has, or one that is
   *     no absolute path
   */
  static Map<Long, Path> placed(
      String what,
      Map<Long, String> production,
      Map<String, String> mapping,
      @Nullable Path below) {
    for (Map.Entry<String, String> mapped : mapping.entrySet()) {
      if (!production.containsValue(mapped.getKey())) {
        throw new OperatorException(
            Kind.USAGE,
            what,
            "no tablespace lies at " + mapped.getKey(),
            production.isEmpty()
                ? "leave --tablespace-mapping out: the base backup has no tablespaces"
                : "the base backup has tablespaces at " + String.join(", ", production.values()));
      }
    }
    Map<Long, Path> placed = new LinkedHashMap<>();
    for (Map.Entry<Long, String> one : production.entrySet()) {
      String otherwise =
          below == null ? one.getValue() : below.resolve(Long.toString(one.getKey())).toString();
      placed.put(one.getKey(), absolute(what, mapping.getOrDefault(one.getValue(), otherwise)));
    }
    return placed;
  }

  private static Path absolute(String what, String text) {
    try {
      Path path = Path.of(text);
      if (path.isAbsolute()) {
        return path.normalize();
      }
    } catch (InvalidPathException e) {
      // Said below.
    }
    throw new OperatorException(
        Kind.USAGE,
        what,
        "\"" + text + "\" is not an absolute path",
        "give --tablespace-mapping OLD=NEW with absolute paths");
  }
}
