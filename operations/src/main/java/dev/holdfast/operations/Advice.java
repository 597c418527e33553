package dev.holdfast.operations;

import java.util.List;

/**
 * Something an operator should know about a server or a cluster.
 *
 * @param level {@code danger} (data would be lost, or nobody knows that it would not), {@code
 *     refused} (it cannot be protected like this), {@code warning} or {@code note}
 * @param what the fact
 * @param next what to do about it
 */
public record Advice(String level, String what, String next) {
  /** The worst level. */
  static final String DANGER = "danger";

  /** Worst first. */
  static final List<String> LEVELS = List.of(DANGER, "refused", "warning", "note");
}
