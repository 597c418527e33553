/**
 * Failures as they are told to an operator, and the exit codes scripts branch on.
 *
 * <p>Lives here: {@link dev.holdfast.failure.OperatorException} and its kinds. Does not: bugs (they
 * keep their own types and traces), texts of one subject (each module extends the exception beside
 * its subject). May use the JDK only.
 */
@NullMarked
package dev.holdfast.failure;

import org.jspecify.annotations.NullMarked;
