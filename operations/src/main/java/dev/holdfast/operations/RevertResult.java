package dev.holdfast.operations;

/**
 * What applying a plan did, in one transaction.
 *
 * @param rowsRestored rows brought back or set back
 * @param rowsKept rows left because they were written again since, or were right already
 * @param rowsInConflict rows left because undoing them would overwrite somebody's later work
 * @param objectsRecreated tables, views, constraints and so on created again
 */
public record RevertResult(
    String xid,
    String digest,
    long rowsRestored,
    long rowsKept,
    long rowsInConflict,
    long objectsRecreated,
    double durationSeconds) {}
