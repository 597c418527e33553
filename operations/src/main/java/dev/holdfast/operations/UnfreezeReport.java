package dev.holdfast.operations;

import java.util.List;

/**
 * What became of a freeze.
 *
 * @param wasFrozen whether there was one
 * @param leftovers tables that others held locks on: they keep triggers that refuse nothing
 */
public record UnfreezeReport(String database, boolean wasFrozen, List<String> leftovers) {
  /** Copies. */
  public UnfreezeReport {
    leftovers = List.copyOf(leftovers);
  }
}
