package dev.holdfast.cli;

import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;

/** The one JSON writer: a value a command answers with, on one line. */
final class Json {
  private static final JsonMapper MAPPER =
      JsonMapper.builder().disable(SerializationFeature.FAIL_ON_EMPTY_BEANS).build();

  private Json() {}

  /** The value as one line; records in the order of their components, times in RFC 3339 UTC. */
  static String line(Object value) {
    return MAPPER.writeValueAsString(value);
  }
}
