package dev.holdfast.cli;

/** How findings are told: to people, or to the program that runs Holdfast. */
enum ReportFormat {
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
