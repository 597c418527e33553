/** damage. */
@NullMarked
package dev.holdfast.damage;

import org.jspecify.annotations.NullMarked;
