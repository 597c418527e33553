package dev.holdfast.damage;

import dev.holdfast.wal.RelationId;

/**
 * A trigger of the guard's that a transaction kept from firing, as its row in pg_trigger tells.
 *
 * @param table its table
 * @param name its name before
 * @param what was done to it: "disabled", "dropped", …
 */
record WeakenedTrigger(RelationId table, String name, String what) {}
