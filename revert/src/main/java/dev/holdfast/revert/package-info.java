/** revert. */
@NullMarked
package dev.holdfast.revert;

import org.jspecify.annotations.NullMarked;
