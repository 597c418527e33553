package dev.holdfast.failure;

/** What sort of failure an operator met. The exit codes are API: documented, only ever added to. */
public enum Kind {
  /** Something went wrong that no other kind names. */
  FAILED(1),
  /** The command was given wrongly: unknown option, malformed value, missing argument. */
  USAGE(2),
  /** Holdfast could have done it and would not, because it is unsafe. */
  REFUSED(3),
  /** A comparison or a check found differences. */
  DIFFERENT(4),
  /** The repository cannot be reached, read or written. */
  REPOSITORY_UNREACHABLE(5),
  /** Something stored is damaged: a checksum, a magic or a structure does not hold. */
  DAMAGED_DATA(6),
  /** A database server cannot be reached, or does not let us in. */
  DATABASE_UNREACHABLE(7),
  /** The operator interrupted the command. */
  INTERRUPTED(130);

  private final int exitCode;

  Kind(int exitCode) {
    this.exitCode = exitCode;
  }

  /** The process exit code for this kind. */
  public int exitCode() {
    return exitCode;
  }
}
