package dev.holdfast.store;

import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import tools.jackson.core.JacksonException;

/**
 * The envelope of documents people read: valid JSON whose first line carries kind, format version
 * and checksum. See FORMAT.md.
 */
final class JsonDocument {
  private static final Pattern FIRST_LINE =
      Pattern.compile(
          "\\{\"holdfast\":\"([a-z]+)\",\"formatVersion\":([0-9]{1,9}),\"crc32c\":\"([0-9a-f]{8})\",\"content\":\\n");
  private static final String NO_CHECKSUM = "00000000";
  private static final String LAST_LINE = "\n}\n";

  private JsonDocument() {}

  static byte[] wrap(String name, String kind, Object content) {
    return wrap(name, kind, Envelope.VERSION, Json.readable(content));
  }

  static byte[] wrap(String name, String kind, int version, String content) {
    String start =
        "{\"holdfast\":\"%s\",\"formatVersion\":%d,\"crc32c\":\"".formatted(kind, version);
    String end = "\",\"content\":\n" + content + LAST_LINE;
    byte[] blank = (start + NO_CHECKSUM + end).getBytes(StandardCharsets.UTF_8);
    int checksum = Envelope.boundChecksum(name, blank, 0, blank.length);
    return (start + HexFormat.of().toHexDigits(checksum) + end).getBytes(StandardCharsets.UTF_8);
  }

  static <T> T unwrap(String name, String kind, byte[] wrapped, Class<T> type) {
    String text = new String(wrapped, StandardCharsets.UTF_8);
    Matcher first = FIRST_LINE.matcher(text);
    if (!first.lookingAt()) {
      throw new DamagedObjectException(name, "it does not start as Holdfast's documents do");
    }
    byte[] blank = wrapped.clone();
    // The first line is ASCII, so the digits are where the text has them.
    System.arraycopy(NO_CHECKSUM.getBytes(StandardCharsets.US_ASCII), 0, blank, first.start(3), 8);
    int recorded = Integer.parseUnsignedInt(first.group(3), 16);
    int found = Envelope.boundChecksum(name, blank, 0, blank.length);
    if (found != recorded) {
      throw new DamagedObjectException(
          name,
          "it has checksum %08x where %08x is recorded: damaged, edited, or moved under another name"
              .formatted(found, recorded));
    }
    Envelope.checkVersion(name, Integer.parseInt(first.group(2)));
    if (!first.group(1).equals(kind) || !text.endsWith(LAST_LINE)) {
      throw new DamagedObjectException(
          name, "it is a document \"%s\" where \"%s\" is expected".formatted(first.group(1), kind));
    }
    String content = text.substring(first.end(), text.length() - LAST_LINE.length());
    try {
      return Json.read(content.getBytes(StandardCharsets.UTF_8), type);
    } catch (JacksonException e) {
      var damaged =
          new DamagedObjectException(name, "its content does not fit: " + e.getOriginalMessage());
      damaged.addSuppressed(e);
      throw damaged;
    }
  }
}
