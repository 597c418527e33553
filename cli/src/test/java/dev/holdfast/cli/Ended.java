package dev.holdfast.cli;

import java.util.List;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** How a run of {@code holdfast} ended, and what it had printed. */
record Ended(int exitCode, String out, String err) {
  private static final JsonMapper JSON = JsonMapper.shared();

  /** Its JSON lines. */
  List<JsonNode> lines() {
    return out.lines().map(JSON::readTree).toList();
  }

  /** Its output where that is one JSON value. */
  JsonNode json() {
    return JSON.readTree(out);
  }
}
