package dev.holdfast.operations;

import java.util.List;
import org.jspecify.annotations.Nullable;

/** Runs one of our own commands to its end. */
public interface JobRunner {
  /**
   * Runs it; one at a time.
   *
   * @param arguments the command and what it is given, without where the repository is
   */
  End run(List<String> arguments) throws InterruptedException;

  /** Makes {@link #run} end soon, with what it was doing given up. May be called from anywhere. */
  void stopRunning();

  /**
   * How it ended.
   *
   * @param exitCode as commands have them
   * @param why what it said when it failed; null when it did not
   * @param stopped whether it was told to
   */
  record End(int exitCode, @Nullable String why, boolean stopped) {}
}
