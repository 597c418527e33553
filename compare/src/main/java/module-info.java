/** Two schemas and row sources in; differences out. */
module dev.holdfast.compare {
  requires static org.jspecify;

  exports dev.holdfast.compare;
}
