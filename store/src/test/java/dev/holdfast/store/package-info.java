/** Tests of the repository: contracts, power cuts, damage, hostile names. */
@NullMarked
package dev.holdfast.store;

import org.jspecify.annotations.NullMarked;
