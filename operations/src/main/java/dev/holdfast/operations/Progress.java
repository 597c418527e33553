package dev.holdfast.operations;

/** Told how long work is getting on; a terminal draws it, a log writes lines, a test listens. */
public interface Progress {
  /** What is counted. */
  enum Unit {
    /** Bytes read, written or replayed. */
    BYTES,
    /** Rows read or written. */
    ROWS,
    /** Objects of a repository looked at or removed. */
    OBJECTS,
    /** Nothing countable: only that it goes on. */
    STEPS
  }

  /** One phase of the work. Closing it says it is done. */
  interface Phase extends AutoCloseable {
    /** This much more is done. May be called from several threads. */
    void advance(long amount);

    @Override
    void close();
  }

  /**
   * Begins a phase.
   *
   * @param name what is being done, such as {@code "reading WAL"}
   * @param total how much there is to do; 0 when it is not known
   */
  Phase begin(String name, long total, Unit unit);

  /** Something worth a line of its own, such as a fork being ready. */
  void say(String line);

  /** Tells nobody. */
  Progress SILENT =
      new Progress() {
        @Override
        public Phase begin(String name, long total, Unit unit) {
          return new Phase() {
            @Override
            public void advance(long amount) {}

            @Override
            public void close() {}
          };
        }

        @Override
        public void say(String line) {}
      };
}
