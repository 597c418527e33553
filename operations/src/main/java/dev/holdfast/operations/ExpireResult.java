package dev.holdfast.operations;

/**
 * What was removed.
 *
 * @param expired digest of the plan
 * @param basesRemoved base backups, leftovers of unpublished ones too
 * @param bytesRemoved as stored, of base backups and WAL
 */
public record ExpireResult(
    String cluster,
    String expired,
    int basesRemoved,
    int segmentsRemoved,
    int summariesRemoved,
    int catalogsRemoved,
    long bytesRemoved,
    double durationSeconds) {}
