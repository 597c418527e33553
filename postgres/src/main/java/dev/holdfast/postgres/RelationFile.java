package dev.holdfast.postgres;

import dev.holdfast.wal.RelFile;

/**
 * Which part of a relation a file of the data directory is.
 *
 * @param file the relation's files, as WAL names them
 * @param fork as {@link dev.holdfast.wal.BlockRef} numbers them
 * @param firstBlock number of the file's first block in the fork
 */
record RelationFile(RelFile file, int fork, long firstBlock) {}
