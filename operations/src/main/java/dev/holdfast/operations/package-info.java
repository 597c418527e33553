/**
 * One class for each thing an operator can ask for, and the values it answers with.
 *
 * <p>Lives here: wiring of engines ({@code postgres}) to ideas ({@code damage}, {@code revert})
 * over the repository ({@code store}); every value a command prints, as text or JSON. Does not:
 * SQL, bytes of WAL or of the repository, words and flags. May use every module below it.
 */
@NullMarked
package dev.holdfast.operations;

import org.jspecify.annotations.NullMarked;
