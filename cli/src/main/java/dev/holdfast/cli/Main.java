package dev.holdfast.cli;

import java.util.Map;

/** {@code holdfast}: the process. */
public final class Main {
  private Main() {}

  /** Runs one command and ends the process with its exit code. */
  public static void main(String[] arguments) {
    Map<String, String> environment = System.getenv();
    System.exit(
        new CommandLineRun(Terminal.ofProcess(environment), environment).execute(arguments));
  }
}
