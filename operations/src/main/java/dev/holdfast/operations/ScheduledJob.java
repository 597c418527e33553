package dev.holdfast.operations;

import java.util.List;
import java.util.Locale;

/** What can be scheduled: commands of ours. */
public enum ScheduledJob {
  /** A base backup that stands alone. */
  FULL("backup.full", "backup", List.of("--full")),
  /** A base backup of what changed, or a full one where there is none to stand on. */
  INCREMENTAL("backup.incremental", "backup", List.of()),
  /** The newest chain folded into a new full base backup. */
  ROLLUP("rollup", "rollup", List.of()),
  /** What need not be kept is removed. */
  EXPIRE("expire", "expire", List.of("--unattended")),
  /** A restore is tried. */
  PROVE("prove", "prove", List.of()),
  /** What is stored is looked at. */
  VERIFY("verify", "verify", List.of());

  private final String setting;
  private final String command;
  private final List<String> options;

  ScheduledJob(String setting, String command, List<String> options) {
    this.setting = setting;
    this.command = command;
    this.options = options;
  }

  /** As holdfast.yaml, status and alarms name it. */
  public String setting() {
    return setting;
  }

  /** Its name in the repository. */
  String key() {
    return name().toLowerCase(Locale.ROOT);
  }

  /** The command. */
  String command() {
    return command;
  }

  /** What it is always given. */
  List<String> options() {
    return options;
  }
}
