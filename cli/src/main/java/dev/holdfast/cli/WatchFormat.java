package dev.holdfast.cli;

/** How a watch tells what it found: to people, or to the program that runs it. */
enum WatchFormat {
  TEXT,
  JSON,
  GITHUB,
  SARIF,
  JUNIT;

  /** Whether nothing but the report may be on standard output. */
  boolean isForPrograms() {
    return this != TEXT;
  }
}
