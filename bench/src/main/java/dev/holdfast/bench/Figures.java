package dev.holdfast.bench;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;

/** One figure measured again and again: what is printed of it is minimum, median and maximum. */
final class Figures {
  private final String name;
  private final List<Double> values = new ArrayList<>();

  Figures(String name) {
    this.name = name;
  }

  void add(double value) {
    values.add(value);
  }

  double last() {
    return values.getLast();
  }

  double median() {
    return sorted().get(values.size() / 2);
  }

  /** Round by round: neighbours met the same machine. */
  static Figures ratio(String name, Figures ours, Figures theirs) {
    Figures ratio = new Figures(name);
    for (int round = 0; round < Math.min(ours.values.size(), theirs.values.size()); round++) {
      ratio.add(ours.values.get(round) / theirs.values.get(round));
    }
    return ratio;
  }

  /** Round by round. */
  static Figures sum(String name, Figures one, Figures other) {
    Figures sum = new Figures(name);
    for (int round = 0; round < Math.min(one.values.size(), other.values.size()); round++) {
      sum.add(one.values.get(round) + other.values.get(round));
    }
    return sum;
  }

  void print() {
    List<Double> sorted = sorted();
    System.out.printf(
        Locale.ROOT,
        "  %-58s min %10.3f  median %10.3f  max %10.3f%n",
        name,
        sorted.getFirst(),
        median(),
        sorted.getLast());
  }

  private List<Double> sorted() {
    List<Double> sorted = new ArrayList<>(values);
    Collections.sort(sorted);
    return sorted;
  }
}
