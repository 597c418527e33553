package dev.holdfast.store;

import java.nio.charset.StandardCharsets;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;

/**
 * Records as JSON, the way the repository writes them: UTF-8, times RFC 3339 in UTC, components in
 * declared order. Unknown keys are ignored, so that an older Holdfast reads what a newer one added.
 */
public final class Json {
  private static final JsonMapper COMPACT = JsonMapper.builder().build();
  private static final JsonMapper READABLE =
      JsonMapper.builder().enable(SerializationFeature.INDENT_OUTPUT).build();

  private Json() {}

  /** One line, without a line end. */
  public static byte[] compact(Object value) {
    return COMPACT.writeValueAsBytes(value);
  }

  /** Indented, for people. */
  static String readable(Object value) {
    return READABLE.writeValueAsString(value);
  }

  /**
   * Reads a record.
   *
   * @throws JacksonException when the bytes are no JSON or do not fit the type
   */
  public static <T> T read(byte[] json, Class<T> type) {
    return COMPACT.readValue(new String(json, StandardCharsets.UTF_8), type);
  }
}
