/** What transactions did to tables. */
module dev.holdfast.damage {
  requires static org.jspecify;
  requires transitive dev.holdfast.failure;
  requires transitive dev.holdfast.row;
  requires transitive dev.holdfast.wal;
  requires tools.jackson.databind;

  exports dev.holdfast.damage;
}
