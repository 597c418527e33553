/** Tests. */
@NullMarked
package dev.holdfast.store.s3;

import org.jspecify.annotations.NullMarked;
