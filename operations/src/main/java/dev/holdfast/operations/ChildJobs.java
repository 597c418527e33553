package dev.holdfast.operations;

import dev.holdfast.server.Processes;
import dev.holdfast.server.TiedProcess;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.MissingNode;

/**
 * Runs jobs as processes of their own: what one takes of memory, or dies of, recording does not
 * feel. They end when this process does.
 */
public final class ChildJobs implements JobRunner {
  private static final JsonMapper JSON = JsonMapper.shared();
  private static final int SAID_MAX = 500;

  private final List<String> program;
  private final List<String> options;
  private final Map<String, String> environment;
  private @Nullable TiedProcess running;

  /**
   * @param program starts Holdfast: a command is added
   * @param options where the repository and its key are, added behind
   * @param environment what is different for them from what it is for this process
   */
  public ChildJobs(List<String> program, List<String> options, Map<String, String> environment) {
    this.program = List.copyOf(program);
    this.options = List.copyOf(options);
    this.environment = Map.copyOf(environment);
  }

  @Override
  public End run(List<String> arguments) throws InterruptedException {
    List<String> command = new ArrayList<>(program);
    command.addAll(arguments);
    command.addAll(options);
    command.add("--json");
    TiedProcess child;
    synchronized (this) {
      child = Processes.start(command, environment);
      running = child;
    }
    int code;
    try {
      code = child.await();
    } catch (InterruptedException e) {
      child.stop();
      throw e;
    } finally {
      synchronized (this) {
        running = null;
      }
    }
    return new End(
        code, code == 0 ? null : why(code, child.errors(), child.output()), child.isStopped());
  }

  @Override
  public void stopRunning() {
    TiedProcess child;
    synchronized (this) {
      child = running;
    }
    if (child != null) {
      child.stop();
    }
  }

  /**
   * What the command said went wrong, in one line; else what it answered was found; else the end of
   * what it said.
   */
  static String why(int code, String errors, String output) {
    for (String line : errors.lines().toList().reversed()) {
      JsonNode error = read(line).path("error");
      if (error.isObject()) {
        return error.path("what").asString() + ": " + error.path("why").asString();
      }
    }
    List<JsonNode> problems =
        output.lines().map(ChildJobs::read).filter(ChildJobs::isProblem).toList();
    if (!problems.isEmpty()) {
      JsonNode worst = problems.getFirst(); // in this order they are printed
      return worst.path("object").asString()
          + ": "
          + worst.path("found").asString()
          + (problems.size() == 1 ? "" : "; and %d more".formatted(problems.size() - 1));
    }
    String said = (errors.isBlank() ? output : errors).strip();
    return (code > 128 && code < 160
            ? "its process was ended by signal " + (code - 128)
            : "exit code " + code)
        + (said.isEmpty() ? "" : ": " + said.substring(Math.max(0, said.length() - SAID_MAX)));
  }

  /** Whether it is one of what {@code verify} answers. */
  private static boolean isProblem(JsonNode line) {
    return line.path("found").isString()
        && line.path("object").isString()
        && !line.path("level").asString("").equals("note");
  }

  /** Not every line is JSON: the JVM's are not. */
  private static JsonNode read(String line) {
    try {
      return JSON.readTree(line);
    } catch (JacksonException e) {
      return MissingNode.getInstance();
    }
  }
}
