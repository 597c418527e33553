/**
 * Measurements against the tools operators use today, on the same data in the same run.
 *
 * <p>Lives here: programs that print figures. Does not: tests, or anything the product needs.
 */
@NullMarked
package dev.holdfast.bench;

import org.jspecify.annotations.NullMarked;
