package dev.holdfast.cli;

import dev.holdfast.operations.Advice;

/** Advice for people. */
final class AdviceText {
  private AdviceText() {}

  static String of(Terminal terminal, Advice advice) {
    Terminal.Colour colour =
        switch (advice.level()) {
          case "danger", "refused" -> Terminal.Colour.RED;
          case "warning" -> Terminal.Colour.YELLOW;
          default -> Terminal.Colour.DIM;
        };
    return terminal.paint(colour, advice.level() + ":")
        + " "
        + advice.what()
        + "\n  next: "
        + advice.next().replace("\n", "\n        ")
        + "\n";
  }
}
