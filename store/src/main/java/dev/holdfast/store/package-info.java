/** store. */
@NullMarked
package dev.holdfast.store;

import org.jspecify.annotations.NullMarked;
