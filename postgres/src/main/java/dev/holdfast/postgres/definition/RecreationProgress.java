package dev.holdfast.postgres.definition;

/** Hears how far a recreation got. Called by the thread that applies, between steps. */
public interface RecreationProgress {
  /** Hears nothing. */
  RecreationProgress NONE =
      new RecreationProgress() {
        @Override
        public void copying(TableCopy copy, long bytes) {}

        @Override
        public void executing(String statement) {}

        @Override
        public void copied() {}
      };

  /**
   * Rows of a table are on their way.
   *
   * @param bytes of this table so far, as COPY's text
   */
  void copying(TableCopy copy, long bytes);

  /** This statement is about to run. */
  void executing(String statement);

  /** All rows are in production: the fork is not asked any more. */
  void copied();
}
