package dev.holdfast.postgres;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Whether a PostgreSQL server of this machine is at a folder. A postmaster.pid alone tells neither
 * that one is (the process may be another's by now) nor that none is (somebody may have removed the
 * file): where the system tells (Linux), the servers' working directories count too, which are
 * their data directories. They are compared through the links that the system keeps, which lead
 * into the processes' own file systems: a server in a container has other names for its folders.
 *
 * <p>Not seen: servers on other machines that share the folder, and those of whose processes this
 * one is told nothing: where it runs in a container itself, or as a user who may not look at them.
 */
final class ServerUse {
  private static final Path PROCESSES = Path.of("/proc");

  private ServerUse() {}

  /** The server that runs on a data directory, as words; null for none. */
  static @Nullable String ofData(Path data) throws IOException {
    Path pidFile = data.resolve("postmaster.pid");
    if (Files.isRegularFile(pidFile, LinkOption.NOFOLLOW_LINKS)) {
      List<String> lines = Files.readAllLines(pidFile);
      String first = lines.isEmpty() ? "" : lines.getFirst().strip();
      if (first.matches("-?\\d{1,18}")) { // negative: a server for a single user
        long pid = Math.abs(Long.parseLong(first));
        boolean alive = ProcessHandle.of(pid).map(ProcessHandle::isAlive).orElse(false);
        if (alive && isServerAt(pid, data)) {
          return "a PostgreSQL server runs in " + data + " (process " + pid + ")";
        }
      }
    }
    for (long pid : servers()) {
      if (isSame(workingDirectory(pid), data)) {
        return "a PostgreSQL server runs in " + data + " (process " + pid + ")";
      }
    }
    return null;
  }

  /**
   * The server with another data directory that has this folder for a tablespace; null for none.
   */
  static @Nullable String ofTablespace(Path folder, Path data) throws IOException {
    for (long pid : servers()) {
      Path at = workingDirectory(pid);
      if (!isSame(at, data) && links(pid, at.resolve("pg_tblspc"), folder)) {
        return "%s is a tablespace of the server that runs in %s (process %d)"
            .formatted(folder, named(at), pid);
      }
    }
    return null;
  }

  /** A link leads to where the server sees it, in its own file system. */
  private static boolean links(long pid, Path tablespaces, Path folder) {
    Path root = PROCESSES.resolve(pid + "/root");
    try (DirectoryStream<Path> links = Files.newDirectoryStream(tablespaces)) {
      for (Path link : links) {
        Path to = Files.isSymbolicLink(link) ? Files.readSymbolicLink(link) : link;
        if (isSame(link, folder)
            || isSame(root.resolve(to.toString().replaceFirst("^/+", "")), folder)) {
          return true;
        }
      }
      return false;
    } catch (IOException e) {
      return false; // it ended meanwhile, or is somebody else's
    }
  }

  /** Where nobody tells who a living process is, it may be the server. */
  private static boolean isServerAt(long pid, Path data) throws IOException {
    String name = name(pid);
    if (name == null) {
      return true;
    }
    Path at = workingDirectory(pid);
    return isServer(name) && (named(at) == null || isSame(at, data));
  }

  private static List<Long> servers() {
    if (!Files.isDirectory(PROCESSES.resolve("self"))) {
      return List.of();
    }
    return ProcessHandle.allProcesses()
        .map(ProcessHandle::pid)
        .filter(pid -> {
          String name = name(pid);
          return name != null && isServer(name);
        })
        .toList();
  }

  private static boolean isServer(String name) {
    return name.equals("postgres") || name.equals("postmaster");
  }

  private static @Nullable String name(long pid) {
    try {
      return Files.readString(PROCESSES.resolve(pid + "/comm")).strip();
    } catch (IOException e) {
      return null; // it ended meanwhile, or there is no such file here
    }
  }

  private static Path workingDirectory(long pid) {
    return PROCESSES.resolve(pid + "/cwd");
  }

  /** As the process itself names it; null when we are not told. */
  private static @Nullable Path named(Path workingDirectory) {
    try {
      return Files.readSymbolicLink(workingDirectory);
    } catch (IOException e) {
      return null;
    }
  }

  private static boolean isSame(Path one, Path other) {
    try {
      return Files.isSameFile(one, other);
    } catch (IOException e) {
      return false;
    }
  }
}
