/**
 * Decides what undoing a transaction does to each row it changed.
 *
 * <p>Lives here: the three-way merge of rows before, after and now, of JSON key by key, the
 * verdicts, the plan's figures and its digest. Does not: connections, files, SQL, where the rows
 * come from. May use {@code dev.holdfast.row}, {@code dev.holdfast.failure} and the JDK.
 */
@NullMarked
package dev.holdfast.revert;

import org.jspecify.annotations.NullMarked;
