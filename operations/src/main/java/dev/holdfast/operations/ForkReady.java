package dev.holdfast.operations;

/**
 * A fork that answers.
 *
 * @param url connects to it; holds a password made for this fork alone
 * @param lsn the position it was stopped at
 * @param state {@code before} or {@code after} the record at that position
 * @param base the base backup it was made from
 * @param walBytes WAL that was replayed
 */
public record ForkReady(
    String name,
    String url,
    String lsn,
    String state,
    String base,
    long walBytes,
    double fetchSeconds,
    double startSeconds,
    double replaySeconds,
    double durationSeconds) {}
