/**
 * Finds what is different between two databases.
 *
 * <p>Lives here: the difference of two schemas, given as sorted definitions; the descent into the
 * parts of a table whose sums differ, and the merge of their rows. Does not: connections, SQL, how
 * a sum is taken. May use the JDK alone.
 *
 * <p>Everything is streamed: what is kept is two sums a part, and the tables that one side lacks.
 */
@NullMarked
package dev.holdfast.compare;

import org.jspecify.annotations.NullMarked;
