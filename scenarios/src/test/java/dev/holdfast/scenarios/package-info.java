/**
 * Real clients of PostgreSQL, from npm, Maven Central and Debian, and how the guard meets each of
 * them.
 *
 * <p>Lives here: each client's ordinary work and its destructive acts, written as its users write
 * them, and the promises that are held against all of them ({@link
 * dev.holdfast.scenarios.MeetsTheGuard}). Does not: the guard's rules one by one, which {@code
 * guard} tests.
 */
@NullMarked
package dev.holdfast.scenarios;

import org.jspecify.annotations.NullMarked;
