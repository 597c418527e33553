package dev.holdfast.server;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * A folder of ours for a server's data, readable by that server's operating system user and nobody
 * else, removed when closed or when this process dies, however it dies.
 *
 * <p>{@link PostgresServer} watches the folders it is given, but only while it runs; this covers
 * the time before its start and between two starts.
 */
public final class ScratchFolder implements AutoCloseable {
  private final Path path;
  private final Watchdog watchdog;

  private ScratchFolder(Path path, Watchdog watchdog) {
    this.path = path;
    this.watchdog = watchdog;
  }

  /**
   * Creates a folder of mode 0700 with a name of its own.
   *
   * @param parent created when it does not exist
   * @throws OperatorException when the folder cannot be created
   */
  public static ScratchFolder create(Path parent, String prefix) {
    try {
      Files.createDirectories(parent);
      Path path = Files.createTempDirectory(parent.toAbsolutePath().normalize(), prefix);
      ScratchFolder folder = new ScratchFolder(path, Watchdog.over(List.of(path)));
      folder.giveToServer(path);
      return folder;
    } catch (IOException e) {
      throw new OperatorException(
          Kind.FAILED,
          "cannot create a scratch folder in " + parent,
          String.valueOf(e.getMessage()),
          "name a folder that can be written to, with room for the data",
          e);
    }
  }

  /** Where it is; absolute. */
  public Path path() {
    return path;
  }

  /** Lets a server started by {@link PostgresServer} own everything under this path inside. */
  public void giveToServer(Path inside) {
    Unprivileged.way().own(inside);
  }

  /** Removes the folder. A server running in it must have been stopped. */
  @Override
  public void close() {
    watchdog.release();
    watchdog.cleanUp();
  }
}
