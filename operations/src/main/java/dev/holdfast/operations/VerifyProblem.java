package dev.holdfast.operations;

import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Something found while verifying.
 *
 * @param level {@code damaged} (something stored does not hold), {@code missing} (something stored
 *     needs what is not there), {@code gap} (all that is stored holds, and WAL between is not
 *     recorded) or {@code note} (no damage)
 * @param cluster whose it is; null for the repository's own
 * @param object the object's name in the repository; for a gap the first segment that is missing
 * @param found what is wrong with it
 * @param cost what cannot be done for it, in words
 * @param lost moments that cannot be reached for it, though they could without it
 * @param next what to do about it
 */
public record VerifyProblem(
    String level,
    @Nullable String cluster,
    String object,
    String found,
    String cost,
    List<Stretch> lost,
    String next) {
  /**
   * Moments that lie together.
   *
   * @param timeline whose log they are in
   * @param from the first position
   * @param to just past the last one
   */
  public record Stretch(int timeline, String from, String to) {
    static List<Stretch> of(Moments moments) {
      return moments.stretches().stream()
          .map(stretch ->
              new Stretch(stretch.timeline(), stretch.from().toString(), stretch.to().toString()))
          .toList();
    }
  }
}
