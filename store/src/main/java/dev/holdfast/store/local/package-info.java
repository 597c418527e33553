/**
 * Objects as files below a directory.
 *
 * <p>Lives here: everything that file systems do and do not do. For {@code dev.holdfast.store}
 * only; may use {@code store.objects}, {@code dev.holdfast.failure} and the JDK.
 */
@NullMarked
package dev.holdfast.store.local;

import org.jspecify.annotations.NullMarked;
