/** demo. */
@NullMarked
package dev.holdfast.demo;

import org.jspecify.annotations.NullMarked;
