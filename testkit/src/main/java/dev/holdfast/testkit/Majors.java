package dev.holdfast.testkit;

import java.util.Arrays;
import java.util.List;

/** The major versions a test runs on: a few as a rule, others when they are asked for. */
public final class Majors {
  private Majors() {}

  /**
   * Those that a system property lists, as {@code -Dholdfast.recovery.majors=14,16}.
   *
   * @param usual in the same form, where it is not set
   */
  public static List<Integer> of(String property, String usual) {
    return Arrays.stream(System.getProperty(property, usual).split(",", -1))
        .map(text -> Integer.valueOf(text.strip()))
        .toList();
  }
}
