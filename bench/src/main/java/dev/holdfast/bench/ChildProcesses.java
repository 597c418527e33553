package dev.holdfast.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * Processor time of the processes that this one started and that have ended, with all that those
 * started and waited for: what a run took, however busy the machine was.
 */
final class ChildProcesses {
  /** USER_HZ of Linux, on every architecture that PostgreSQL is packaged for. */
  private static final double TICKS_PER_SECOND = 100;

  /** Of /proc/PID/stat after the program's name: proc(5). */
  private static final int USER_TIME = 13;

  private static final int SYSTEM_TIME = 14;

  private ChildProcesses() {}

  static double seconds() throws IOException {
    String stat = Files.readString(Path.of("/proc/self/stat"));
    List<String> fields = List.of(stat.substring(stat.lastIndexOf(')') + 2).split(" ", -1));
    return (Long.parseLong(fields.get(USER_TIME)) + Long.parseLong(fields.get(SYSTEM_TIME)))
        / TICKS_PER_SECOND;
  }
}
