/** Tests. */
@NullMarked
package dev.holdfast.store.objects;

import org.jspecify.annotations.NullMarked;
