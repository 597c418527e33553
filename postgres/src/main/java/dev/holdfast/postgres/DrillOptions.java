package dev.holdfast.postgres;

import java.nio.file.Path;

/**
 * How a restore is tried out.
 *
 * @param parent the folder its scratch folder is made in; needs room for the whole cluster
 * @param threads how many files and segments are fetched, and relations checked, at once
 * @param niceness of the server's processes, above ours: 0 to 19
 * @param progress told while it restores
 */
public record DrillOptions(Path parent, int threads, int niceness, RecoveryProgress progress) {}
