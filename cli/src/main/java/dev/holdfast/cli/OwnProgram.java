package dev.holdfast.cli;

import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/** How this program was started, to start it once more. */
final class OwnProgram {
  /**
   * What the launcher ({@code holdfast}) sets. What others set may name a file or a port, which two
   * cannot have, a heap that does not fit, or a password, which no command line is to show.
   */
  private static final Pattern LAUNCHERS =
      Pattern.compile(
          "-XX:\\+Use\\w+GC|-XX:SharedArchiveFile=.*|-XX:Tier\\w+=\\d+|-Xshare:\\w+"
              + "|-Xlog:cds(\\+dynamic)?=off|--enable-native-access=.*"
              + "|-Djdk\\.util\\.jar\\.version=.*|-DZstdNativePath=.*");

  /** Variables that every virtual machine reads. */
  private static final List<String> VARIABLES =
      List.of("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS");

  /** What in them is the recorder's alone: its heap, its ports, its logs, what watches it. */
  private static final Pattern ITS_OWN =
      Pattern.compile(
          "-Xm[sxn].*|-XX:(Initial|Max|Min)(Heap|RAM).*|-Xlog.*|-agent.*|-javaagent.*"
              + "|-Dcom\\.sun\\.management\\..*|-XX:ArchiveClassesAtExit=.*"
              + "|-XX:.*FlightRec.*");

  private static final Pattern WORD = Pattern.compile("(?:[^\\s\"']|\"[^\"]*\"?|'[^']*'?)+");

  private OwnProgram() {}

  /** The same program with a heap of its own: 256 MiB are enough. */
  static List<String> command() {
    return command(
        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
        ManagementFactory.getRuntimeMXBean().getInputArguments(),
        System.getProperty("java.class.path"));
  }

  /**
   * @param arguments what the virtual machine was given, in variables or on its command line
   */
  static List<String> command(String java, List<String> arguments, String classPath) {
    List<String> command = new ArrayList<>(List.of(java));
    arguments.stream()
        .filter(argument -> LAUNCHERS.matcher(argument).matches())
        .forEach(command::add);
    // Both: what a variable says of one of them would have to fit the other.
    command.addAll(List.of("-Xms16m", "-Xmx256m", "-cp", classPath, Main.class.getName()));
    return command;
  }

  /**
   * What has to be different in its environment: trust stores and proxies stay, what cannot be had
   * twice goes.
   *
   * @param recorderUrl how it connects as the recorder; null: as {@code protect} kept it
   */
  static Map<String, String> environment(
      Map<String, String> environment, @Nullable String recorderUrl) {
    Map<String, String> different = new HashMap<>();
    for (String variable : VARIABLES) {
      String given = environment.get(variable);
      if (given != null) {
        List<String> kept = new ArrayList<>();
        for (Matcher word = WORD.matcher(given); word.find(); ) {
          if (!ITS_OWN.matcher(word.group()).matches()) {
            kept.add(word.group());
          }
        }
        different.put(variable, String.join(" ", kept));
      }
    }
    if (recorderUrl != null) {
      different.put(RepositoryOptions.RECORDER_URL, recorderUrl);
    }
    return different;
  }
}
