package dev.holdfast.operations;

import java.util.List;

/**
 * What applying a plan did, in one transaction.
 *
 * @param xids the transactions undone, in order of commit
 * @param undone the same in words: {@code transaction 812}
 * @param rowsRestored rows brought back or set back
 * @param rowsKept rows left because they were written again since, or were right already
 * @param rowsInConflict rows left because undoing them would overwrite somebody's later work
 * @param objectsRecreated tables, views, constraints and so on created again
 */
public record RevertResult(
    List<String> xids,
    String undone,
    String digest,
    long rowsRestored,
    long rowsKept,
    long rowsInConflict,
    long objectsRecreated,
    double durationSeconds) {}
