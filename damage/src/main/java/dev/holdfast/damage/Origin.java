package dev.holdfast.damage;

import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * Who says to have done a transaction: WAL itself does not tell, so a message in it does ({@code
 * pg_logical_emit_message(true, 'holdfast', …)}, a JSON object with {@code user}, {@code
 * application} and {@code address}).
 */
record Origin(@Nullable String user, @Nullable String application, @Nullable String address) {
  /** The prefix of such messages. */
  static final String PREFIX = "holdfast";

  static final Origin UNKNOWN = new Origin(null, null, null);

  private static final JsonMapper JSON = new JsonMapper();

  /** Reads a message; one that is none of ours tells nothing. */
  static Origin of(byte[] message) {
    try {
      JsonNode said = JSON.readTree(message);
      return new Origin(text(said, "user"), text(said, "application"), text(said, "address"));
    } catch (JacksonException e) {
      return UNKNOWN; // anybody may write such a message, and anything into it
    }
  }

  /** What this one says, and where it says nothing, what the other does. */
  Origin or(Origin other) {
    return new Origin(
        user == null ? other.user : user,
        application == null ? other.application : application,
        address == null ? other.address : address);
  }

  private static @Nullable String text(JsonNode object, String name) {
    JsonNode value = object.get(name);
    return value != null && value.isString() ? value.stringValue() : null;
  }
}
