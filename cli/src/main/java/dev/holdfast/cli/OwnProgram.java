package dev.holdfast.cli;

import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** How this program was started, to start it once more. */
final class OwnProgram {
  private OwnProgram() {}

  /** With the same settings of the virtual machine, but for its heap: 256 MiB are enough. */
  static List<String> command() {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    for (String argument : ManagementFactory.getRuntimeMXBean().getInputArguments()) {
      // What watches this one, or writes its archive, is not for another.
      if (!argument.startsWith("-Xmx")
          && !argument.startsWith("-agent")
          && !argument.startsWith("-javaagent")
          && !argument.startsWith("-XX:ArchiveClassesAtExit")) {
        command.add(argument);
      }
    }
    command.add("-Xmx256m");
    command.add("-cp");
    command.add(System.getProperty("java.class.path"));
    command.add(Main.class.getName());
    return command;
  }
}
