package dev.holdfast.server;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.List;

/**
 * A small shell process holding the other end of a pipe from us. The pipe closes when we die,
 * however we die; then it stops the server and removes its folders. A word on the pipe releases it
 * instead.
 */
final class Watchdog {
  private static final String SCRIPT =
      """
      trap '' INT TERM HUP
      pid=$1; shift
      if read -r word; then exit 0; fi
      if [ -n "$pid" ]; then
        kill -QUIT "$pid" 2>/dev/null
        tries=0
        while kill -0 "$pid" 2>/dev/null && [ "$tries" -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
        kill -KILL "$pid" 2>/dev/null
      fi
      for folder in "$@"; do rm -rf "$folder"; done
      """;

  private static final int REMOVALS_MAX = 50;

  private final Process process;
  private final List<Path> folders;

  private Watchdog(Process process, List<Path> folders) {
    this.process = process;
    this.folders = folders;
  }

  static Watchdog over(long pid, List<Path> folders) throws IOException {
    return start(Long.toString(pid), folders);
  }

  /** Over folders alone: no server runs in them yet. */
  static Watchdog over(List<Path> folders) throws IOException {
    return start("", folders);
  }

  private static Watchdog start(String pid, List<Path> folders) throws IOException {
    List<String> command = new ArrayList<>(List.of("sh", "-c", SCRIPT, "holdfast-watchdog", pid));
    folders.forEach(folder -> command.add(folder.toString()));
    Process process =
        Processes.withoutSecrets(new ProcessBuilder(command))
            .redirectOutput(ProcessBuilder.Redirect.DISCARD)
            .redirectError(ProcessBuilder.Redirect.DISCARD)
            .start();
    return new Watchdog(process, List.copyOf(folders));
  }

  /** The server is gone or no longer ours: the watchdog leaves without touching anything. */
  void release() {
    if (process.isAlive()) {
      try {
        process.getOutputStream().write("done\n".getBytes(StandardCharsets.UTF_8));
        process.getOutputStream().close();
        process.waitFor();
      } catch (IOException e) {
        // It left already: nothing to release.
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      }
    }
  }

  void cleanUp() {
    for (Path folder : folders) {
      for (int attempt = 1; ; attempt++) {
        try {
          remove(folder);
          break;
        } catch (UncheckedIOException e) {
          // A child of the server, such as its restore_command, may still be writing a last file.
          if (attempt == REMOVALS_MAX) {
            throw e;
          }
          pause();
        }
      }
    }
  }

  private static void pause() {
    try {
      Thread.sleep(20); // not our child: there is nothing to wait on
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private static void remove(Path folder) {
    if (!Files.exists(folder)) {
      return;
    }
    try {
      Files.walkFileTree(
          folder,
          new SimpleFileVisitor<>() {
            @Override
            public FileVisitResult visitFile(Path file, BasicFileAttributes attributes)
                throws IOException {
              Files.deleteIfExists(file);
              return FileVisitResult.CONTINUE;
            }

            @Override
            public FileVisitResult visitFileFailed(Path file, IOException e) {
              return FileVisitResult.CONTINUE; // a dying backend removed it first
            }

            @Override
            public FileVisitResult postVisitDirectory(
                Path dir, @org.jspecify.annotations.Nullable IOException e) throws IOException {
              Files.deleteIfExists(dir);
              return FileVisitResult.CONTINUE;
            }
          });
    } catch (IOException e) {
      throw new UncheckedIOException("cannot remove " + folder, e);
    }
  }
}
