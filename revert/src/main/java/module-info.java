/** Rows before, after and now in; a plan out. */
module dev.holdfast.revert {
  requires static org.jspecify;
  requires transitive dev.holdfast.row;

  exports dev.holdfast.revert;
}
