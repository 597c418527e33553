package dev.holdfast.operations;

import java.util.List;
import java.util.Locale;

/** What can be scheduled: commands of ours. */
public enum ScheduledJob {
  /** A base backup that stands alone. */
  FULL("backup.full", "backup", "--full"),
  /** A base backup of what changed, or a full one where there is none to stand on. */
  INCREMENTAL("backup.incremental", "backup", ""),
  /** The newest chain folded into a new full base backup. */
  ROLLUP("rollup", "rollup", ""),
  /** What need not be kept is removed. */
  EXPIRE("expire", "expire", "--unattended"),
  /** A restore is tried. */
  PROVE("prove", "prove", ""),
  /** What is stored is looked at. */
  VERIFY("verify", "verify", "");

  private final String setting;
  private final String command;
  private final String option;

  ScheduledJob(String setting, String command, String option) {
    this.setting = setting;
    this.command = command;
    this.option = option;
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
    return option.isEmpty() ? List.of() : List.of(option);
  }
}
