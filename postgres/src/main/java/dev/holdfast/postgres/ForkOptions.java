package dev.holdfast.postgres;

import java.nio.file.Path;

/**
 * How a fork is made.
 *
 * @param parent the folder its scratch folder is made in; needs room for the whole cluster
 * @param embeddedOnly use the binaries that ship with Holdfast even when the machine has its own
 * @param threads how many files of the base backup are fetched at once
 * @param progress told while it runs
 */
public record ForkOptions(Path parent, boolean embeddedOnly, int threads, ForkProgress progress) {
  /** In the machine's temporary folder, by its own binaries if there are any, quietly. */
  public static ForkOptions defaults() {
    return new ForkOptions(
        Path.of(System.getProperty("java.io.tmpdir")),
        false,
        Math.max(2, Runtime.getRuntime().availableProcessors()),
        ForkProgress.NONE);
  }

  /** The same in another folder. */
  public ForkOptions in(Path otherParent) {
    return new ForkOptions(otherParent, embeddedOnly, threads, progress);
  }

  /** The same by the binaries that ship with Holdfast. */
  public ForkOptions withEmbeddedBinaries() {
    return new ForkOptions(parent, true, threads, progress);
  }

  /** The same, telling its progress. */
  public ForkOptions telling(ForkProgress listener) {
    return new ForkOptions(parent, embeddedOnly, threads, listener);
  }
}
