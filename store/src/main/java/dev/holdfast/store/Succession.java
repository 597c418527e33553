package dev.holdfast.store;

import java.time.Instant;

/**
 * Another cluster took this one's place: written once, beside the one that lost it.
 *
 * @param name of the cluster that took it
 * @param at when
 */
public record Succession(String name, Instant at) {
  static final String KIND = "successions";
  static final String ITEM = "successor";
}
