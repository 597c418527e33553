/** Failures told to an operator, and exit codes. */
module dev.holdfast.failure {
  requires static org.jspecify;

  exports dev.holdfast.failure;
}
