package dev.holdfast.bench;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** pgbench running beside what is measured, at a steady rate, until closed. */
final class Traffic implements AutoCloseable {
  private final Process process;
  private final Thread onDeath;

  private Traffic(Process process, Thread onDeath) {
    this.process = process;
    this.onDeath = onDeath;
  }

  /**
   * @param rate transactions each second
   */
  static Traffic start(Production production, int rate) throws IOException {
    Path log = production.folder().resolve("pgbench.log");
    List<String> command =
        new ArrayList<>(
            List.of(
                production.binaries().program("pgbench").toString(),
                "-n",
                "-c",
                "2",
                "-j",
                "1",
                "-M",
                "prepared",
                "-T",
                "86400",
                "--rate=" + rate,
                production.url()));
    Process process =
        new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(log.toFile()).start();
    Thread onDeath = new Thread(process::destroy);
    Runtime.getRuntime().addShutdownHook(onDeath);
    return new Traffic(process, onDeath);
  }

  /** Fails when the traffic has broken off: nothing would be running beside. */
  void check() {
    if (!process.isAlive()) {
      throw new IllegalStateException("pgbench ended with " + process.exitValue());
    }
  }

  @Override
  public void close() {
    process.destroy();
    process.onExit().join();
    Runtime.getRuntime().removeShutdownHook(onDeath);
  }
}
