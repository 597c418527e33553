package dev.holdfast.damage;

import java.util.List;

/**
 * What a transaction that committed did to definitions.
 *
 * @param relations every change to a row of pg_class, in order
 * @param columns the columns it dropped from tables that were there before and are still
 * @param guardTriggers what it did to triggers of the guard that were there before
 */
record CommittedDefinitions(
    List<RelationChange> relations,
    List<DroppedColumn> columns,
    List<WeakenedTrigger> guardTriggers) {
  static final CommittedDefinitions NONE =
      new CommittedDefinitions(List.of(), List.of(), List.of());
}
