package dev.holdfast.cli;

import dev.holdfast.operations.ProtectResult;
import dev.holdfast.operations.ServerKind;

/** What kind of server it is to a role, and what the guard can do there. */
final class ServerText {
  private ServerText() {}

  static String of(ServerKind server) {
    String kind =
        switch (server.kind()) {
          case "superuser" -> "as a superuser";
          case "event-triggers" -> "as a role that may make event triggers";
          default -> "as a role that may not make event triggers";
        };
    TextTable works =
        new TextTable(
            "the guard, %s%s".formatted(kind, server.behindPooler() ? ", through a pooler" : ""),
            "works",
            "");
    for (ProtectResult.Capability capability : server.works()) {
      works.row(capability.capability(), capability.works(), capability.note());
    }
    return works.format("  ");
  }
}
