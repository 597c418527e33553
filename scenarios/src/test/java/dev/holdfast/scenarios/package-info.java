/**
 * Real clients of PostgreSQL, from npm, Maven Central and Debian, and how the guard meets each of
 * them.
 *
 * <p>Lives here: each client's ordinary work and its destructive acts, written as its users write
 * them, and the promises that are held against all of them ({@link
 * dev.holdfast.scenarios.MeetsTheGuard}); the applications of {@code examples/}, as processes,
 * before the database that they are written for and before others ({@link
 * dev.holdfast.scenarios.MeetsAnotherDatabase}). Does not: the guard's rules one by one, which
 * {@code guard} tests.
 */
@NullMarked
package dev.holdfast.scenarios;

import org.jspecify.annotations.NullMarked;
