package dev.holdfast.cli;

import dev.holdfast.operations.RecordingAlarm;

/** What is the matter with recording, for people. */
final class RecordingAlarmText {
  private RecordingAlarmText() {}

  static String of(Terminal terminal, RecordingAlarm alarm) {
    Terminal.Colour colour =
        switch (alarm.level()) {
          case "critical" -> Terminal.Colour.RED;
          case "warning" -> Terminal.Colour.YELLOW;
          default -> Terminal.Colour.DIM;
        };
    return terminal.paint(colour, alarm.level() + ":")
        + " "
        + Texts.time(alarm.at())
        + " "
        + alarm.what()
        + "\n  next: "
        + alarm.next().replace("\n", "\n        ")
        + "\n";
  }
}
