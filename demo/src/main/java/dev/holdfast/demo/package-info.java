/**
 * The incidents, replayed on an embedded server with traffic of its own, and checked against the
 * clients' own books.
 *
 * <p>Lives here: the demo's schema, its clients, its accidents, its figures. Does not: anything
 * that makes the figures right; it asks {@code operations} for that, as an operator would. May use
 * {@code operations}, {@code server}, {@code failure} and pgjdbc.
 */
@NullMarked
package dev.holdfast.demo;

import org.jspecify.annotations.NullMarked;
