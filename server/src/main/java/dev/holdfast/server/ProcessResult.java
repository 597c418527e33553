package dev.holdfast.server;

/**
 * How a finished program ended.
 *
 * @param exitCode its exit code
 * @param output what it printed on standard output and standard error, interleaved
 */
public record ProcessResult(int exitCode, String output) {}
