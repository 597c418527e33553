package dev.holdfast.operations;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** JSON of random histories as a flat map of paths, and as jsonb writes it. */
final class HistoryDocument {
  /** Between the parts of a path; in no key. */
  static final char SEPARATOR = '\u0001';

  static final String OBJECT = "{}";

  /** utils/adt/jsonb_util.c, PostgreSQL 18: by length in bytes, then by bytes. */
  private static final Comparator<String> JSONB_ORDER =
      Comparator.comparing(
          key -> key.getBytes(StandardCharsets.UTF_8),
          Comparator.<byte[]>comparingInt(bytes -> bytes.length)
              .thenComparing(Arrays::compareUnsigned));

  private HistoryDocument() {}

  /** Adds what the text holds under this path: objects as {@link #OBJECT} and what is in them. */
  static void flatten(String path, @Nullable String text, Map<String, String> cells) {
    if (text != null) {
      flatten(path, JsonMapper.shared().readTree(text), cells);
    }
  }

  private static void flatten(String path, JsonNode node, Map<String, String> cells) {
    if (!node.isObject()) {
      cells.put(path, node.toString());
      return;
    }
    cells.put(path, OBJECT);
    node.propertyStream()
        .forEach(entry -> flatten(path + SEPARATOR + entry.getKey(), entry.getValue(), cells));
  }

  /** Takes out what lies under something that is no object. */
  static void dropOrphans(Map<String, String> cells) {
    cells
        .keySet()
        .removeIf(path -> {
          int end = path.indexOf(SEPARATOR);
          while (end >= 0) {
            if (!OBJECT.equals(cells.get(path.substring(0, end)))) {
              return true;
            }
            end = path.indexOf(SEPARATOR, end + 1);
          }
          return false;
        });
  }

  /** The text that jsonb gives back. */
  static String jsonb(String text) {
    StringBuilder written = new StringBuilder();
    write(JsonMapper.shared().readTree(text), written);
    return written.toString();
  }

  private static void write(JsonNode node, StringBuilder to) {
    if (!node.isObject()) {
      to.append(node);
      return;
    }
    List<String> keys = new ArrayList<>(node.propertyNames());
    keys.sort(JSONB_ORDER);
    String separator = "{";
    for (String key : keys) {
      to.append(separator).append('"').append(key).append("\": ");
      write(node.get(key), to);
      separator = ", ";
    }
    to.append(keys.isEmpty() ? OBJECT : "}");
  }

  /** A document with one key set, or taken out. */
  static String with(@Nullable String text, String key, @Nullable String value) {
    Map<String, String> members = new TreeMap<>();
    if (text != null) {
      JsonMapper.shared()
          .readTree(text)
          .propertyStream()
          .forEach(entry -> members.put(entry.getKey(), entry.getValue().toString()));
    }
    if (value == null) {
      members.remove(key);
    } else {
      members.put(key, value);
    }
    List<String> texts = new ArrayList<>();
    members.forEach((name, member) -> texts.add("\"" + name + "\":" + member));
    return "{" + String.join(",", texts) + "}";
  }
}
