package dev.holdfast.operations;

import java.nio.file.Path;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Which WAL to read, and where its tables' names are known.
 *
 * @param files segment files and directories of them; empty: what the repository recorded
 * @param repository null: no names, and no WAL but that of the files
 * @param repositoryRequired whether failing to open the repository fails the whole; false when
 *     nobody asked for it in this call
 * @param cluster the cluster whose WAL or names are meant; null: the one whose system identifier
 *     the files carry, or the only one there is
 */
public record WalInput(
    List<Path> files,
    @Nullable String repository,
    boolean repositoryRequired,
    @Nullable String cluster) {
  /** Copies the list. */
  public WalInput {
    files = List.copyOf(files);
  }
}
