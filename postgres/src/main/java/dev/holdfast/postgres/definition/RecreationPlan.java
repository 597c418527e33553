package dev.holdfast.postgres.definition;

import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * Everything that will be done to production to bring dropped objects back.
 *
 * @param objects what comes back, in the order in which it is made
 * @param beforeData statements that make empty schemas, types, functions, sequences, tables
 * @param copies rows to bring, after {@code beforeData}
 * @param afterData statements run after the rows: indexes, constraints, views, triggers, policies,
 *     owners, grants; those that lock surviving tables stand late
 * @param unrecoverable what will be missing; whoever applies a plan where this is not empty must
 *     have been told to bring back a part
 * @param conflicts why the plan cannot be applied now, such as a name in use again
 * @param notes what the operator should know, without a decision to make
 */
public record RecreationPlan(
    List<ObjectRef> objects,
    List<String> beforeData,
    List<TableCopy> copies,
    List<String> afterData,
    List<String> unrecoverable,
    List<String> conflicts,
    List<String> notes) {
  public RecreationPlan {
    objects = List.copyOf(objects);
    beforeData = List.copyOf(beforeData);
    copies = List.copyOf(copies);
    afterData = List.copyOf(afterData);
    unrecoverable = List.copyOf(unrecoverable);
    conflicts = List.copyOf(conflicts);
    notes = List.copyOf(notes);
  }

  /** Whether nothing was dropped, or all of it is there again. */
  public boolean isEmpty() {
    return objects.isEmpty() && unrecoverable.isEmpty();
  }

  /** Every statement in the order in which it runs, copies as the COPY that writes them. */
  public List<String> statements() {
    return Stream.of(beforeData.stream(), copies.stream().map(TableCopy::in), afterData.stream())
        .flatMap(statements -> statements)
        .toList();
  }

  /**
   * What a plan's digest must cover of this part: equal texts mean equal effects. The rows
   * themselves are fixed by the fork's position, which the caller's digest names.
   */
  public String digestPart() {
    return Stream.of(statements(), unrecoverable, conflicts)
        .map(texts -> texts.stream().collect(Collectors.joining("\0", "", "\1")))
        .collect(Collectors.joining());
  }
}
