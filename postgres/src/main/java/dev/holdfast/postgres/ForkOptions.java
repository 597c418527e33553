package dev.holdfast.postgres;

import java.nio.file.Path;

/**
 * How a fork is made.
 *
 * @param parent the folder its scratch folder is made in; needs room for what it holds
 * @param embeddedOnly use the binaries that ship with Holdfast even when the machine has its own
 * @param threads how many files of the base backup are fetched at once
 * @param progress told while it runs
 * @param contents what of the cluster it holds
 */
public record ForkOptions(
    Path parent,
    boolean embeddedOnly,
    int threads,
    RecoveryProgress progress,
    ForkContents contents) {
  /** Whole, in the machine's temporary folder, by its own binaries if there are any, quietly. */
  public static ForkOptions defaults() {
    return new ForkOptions(
        Path.of(System.getProperty("java.io.tmpdir")),
        false,
        Math.max(2, Runtime.getRuntime().availableProcessors()),
        RecoveryProgress.NONE,
        new ForkContents.Whole());
  }

  /** The same in another folder. */
  public ForkOptions in(Path otherParent) {
    return new ForkOptions(otherParent, embeddedOnly, threads, progress, contents);
  }

  /** The same by the binaries that ship with Holdfast. */
  public ForkOptions withEmbeddedBinaries() {
    return new ForkOptions(parent, true, threads, progress, contents);
  }

  /** The same, telling its progress. */
  public ForkOptions telling(RecoveryProgress listener) {
    return new ForkOptions(parent, embeddedOnly, threads, listener, contents);
  }

  /** The same holding something else. */
  public ForkOptions holding(ForkContents other) {
    return new ForkOptions(parent, embeddedOnly, threads, progress, other);
  }
}
