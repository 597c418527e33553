/**
 * Tables, keys, rows and their changes, as values.
 *
 * <p>Lives here: what a row is, independent of the engine it came from, and the interfaces rows and
 * their changes pass through. Does not: connections, SQL, decisions. May use {@code
 * dev.holdfast.failure} and the JDK.
 */
@NullMarked
package dev.holdfast.row;

import org.jspecify.annotations.NullMarked;
