package dev.holdfast.operations;

/**
 * Something an operator should know about a server or a cluster.
 *
 * @param level {@code refused} (it cannot be protected like this), {@code warning} or {@code note}
 * @param what the fact
 * @param next what to do about it
 */
public record Advice(String level, String what, String next) {}
