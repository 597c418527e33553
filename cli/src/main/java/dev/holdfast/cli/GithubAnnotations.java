package dev.holdfast.cli;

/**
 * Findings as GitHub's workflow commands, one to a line: they are shown on the run's page.
 *
 * <p>Names and sentences come from whoever wrote them: what would end a line, or begin another
 * command, is escaped as {@code @actions/toolkit} does ("packages/core/src/command.ts").
 */
final class GithubAnnotations {
  // The command's own last line may not have ended, and a command begins a line.
  private final StringBuilder text = new StringBuilder("\n");

  /**
   * Adds one.
   *
   * @param level {@code error}, {@code warning} or {@code notice}
   */
  void add(String level, String title, String message) {
    text.append("::")
        .append(level)
        .append(" title=")
        .append(data(title).replace(":", "%3A").replace(",", "%2C"))
        .append("::")
        .append(data(message))
        .append('\n');
  }

  private static String data(String text) {
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A");
  }

  @Override
  public String toString() {
    return text.toString();
  }
}
