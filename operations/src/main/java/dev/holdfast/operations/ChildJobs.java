package dev.holdfast.operations;

import dev.holdfast.server.Processes;
import dev.holdfast.server.TiedProcess;
import java.util.ArrayList;
import java.util.List;
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
  private @Nullable TiedProcess running;

  /**
   * @param program starts Holdfast: a command is added
   * @param options where the repository and its key are, added behind
   */
  public ChildJobs(List<String> program, List<String> options) {
    this.program = List.copyOf(program);
    this.options = List.copyOf(options);
  }

  @Override
  public End run(List<String> arguments) throws InterruptedException {
    List<String> command = new ArrayList<>(program);
    command.addAll(arguments);
    command.addAll(options);
    command.add("--json");
    TiedProcess child;
    synchronized (this) {
      child = Processes.start(command);
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
    return new End(code, code == 0 ? null : why(code, child.errors()), child.isStopped());
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

  /** What the command said went wrong, in one line; else the end of what it said. */
  static String why(int code, String errors) {
    for (String line : errors.lines().toList().reversed()) {
      JsonNode error = error(line);
      if (error.isObject()) {
        return error.path("what").asString() + ": " + error.path("why").asString();
      }
    }
    String said = errors.strip();
    return (code > 128 && code < 160
            ? "its process was ended by signal " + (code - 128)
            : "exit code " + code)
        + (said.isEmpty() ? "" : ": " + said.substring(Math.max(0, said.length() - SAID_MAX)));
  }

  /** Not every line is JSON: the JVM's are not. */
  private static JsonNode error(String line) {
    try {
      return JSON.readTree(line).path("error");
    } catch (JacksonException e) {
      return MissingNode.getInstance();
    }
  }
}
