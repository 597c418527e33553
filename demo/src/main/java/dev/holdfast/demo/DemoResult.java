package dev.holdfast.demo;

import java.util.List;

/**
 * What the demo measured.
 *
 * @param figures each with what was told in the incident, what was measured here, and whether it is
 *     what Holdfast promises
 * @param rowsLost rows that the clients had been told were committed and that are gone
 * @param rowsRecovered rows that were destroyed and are back
 * @param rowsKept rows written while it was broken or being repaired, and kept
 * @param passed whether every figure is right
 */
public record DemoResult(
    List<Figure> figures,
    long rowsLost,
    long rowsRecovered,
    long rowsKept,
    boolean passed,
    double durationSeconds) {
  /**
   * One figure.
   *
   * @param told what the people it happened to told; empty when they told none
   */
  public record Figure(String name, String told, String measured, boolean right) {}

  static DemoResult of(
      List<Figure> figures, long lost, long recovered, long kept, double durationSeconds) {
    return new DemoResult(
        List.copyOf(figures),
        lost,
        recovered,
        kept,
        !figures.isEmpty() && figures.stream().allMatch(Figure::right),
        durationSeconds);
  }
}
