package dev.holdfast.postgres;

/**
 * Something an operator should know about a server before or while it is protected.
 *
 * @param severity what follows from it
 * @param what the fact, a sentence without a full stop
 * @param next what to do about it, a statement to run where there is one; empty when nothing can be
 */
public record Finding(Severity severity, String what, String next) {
  /** What follows from a finding. */
  public enum Severity {
    /** The server cannot be protected like this. */
    REFUSED,
    /** It works, and something will be missing or harder when it is needed. */
    WARNING,
    /** Good to know. */
    NOTE
  }
}
