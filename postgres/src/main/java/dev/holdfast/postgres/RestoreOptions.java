package dev.holdfast.postgres;

import dev.holdfast.server.ServerUser;
import java.nio.file.Path;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * How a cluster is restored.
 *
 * @param directory the data directory to make; absolute
 * @param tablespaces where tablespaces go, by production's paths; those not named go where they
 *     were, or below {@code tablespacesBelow}
 * @param tablespacesBelow a folder for them, each in one named by its OID; null for none. Then
 *     nothing is written anywhere else than there and in {@code directory}
 * @param owner who the files belong to, and who the server runs as
 * @param port the port to set; null for production's, or a free one above it where that is taken
 *     and the server is to be started
 * @param start whether the server is going to be started
 * @param threads how many files and segments are fetched at once
 * @param progress told while it runs
 */
public record RestoreOptions(
    Path directory,
    Map<String, String> tablespaces,
    @Nullable Path tablespacesBelow,
    ServerUser owner,
    @Nullable Integer port,
    boolean start,
    int threads,
    RecoveryProgress progress) {
  /** Copies the map. */
  public RestoreOptions {
    tablespaces = Map.copyOf(tablespaces);
  }

  /** The same, with another listener. */
  public RestoreOptions telling(RecoveryProgress listener) {
    return new RestoreOptions(
        directory, tablespaces, tablespacesBelow, owner, port, start, threads, listener);
  }
}
