/** Tables, keys and rows as values. */
module dev.holdfast.row {
  requires static org.jspecify;
  requires transitive dev.holdfast.failure;

  exports dev.holdfast.row;
}
