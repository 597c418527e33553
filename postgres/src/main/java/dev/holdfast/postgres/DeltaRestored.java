package dev.holdfast.postgres;

import java.time.Duration;

/**
 * A cluster that was restored into an existing data directory.
 *
 * @param plan what was found there, and done
 * @param bytesFetched stored bytes of the base backup
 * @param bytesWritten of files of the base backup
 * @param comparing how long it took to compare
 */
public record DeltaRestored(
    RestoredCluster cluster,
    DeltaPlan plan,
    long bytesFetched,
    long bytesWritten,
    Duration comparing) {}
