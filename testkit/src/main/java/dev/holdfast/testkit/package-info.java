/**
 * Real servers, seeds and clocks for tests.
 *
 * <p>Lives here: what tests of several modules share. Does not: anything production code uses. May
 * use {@code dev.holdfast.failure}, {@code dev.holdfast.server}, pgjdbc and JUnit.
 */
@NullMarked
package dev.holdfast.testkit;

import org.jspecify.annotations.NullMarked;
