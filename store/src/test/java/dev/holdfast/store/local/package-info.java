/** Tests. */
@NullMarked
package dev.holdfast.store.local;

import org.jspecify.annotations.NullMarked;
