/**
 * What a repository is made of, whatever holds it: named objects that are complete or absent.
 *
 * <p>Lives here: the interface to the places, the rule for names, the two failures that are part of
 * the contract. Does not: what is in an object. For the packages of {@code store} only; may use
 * {@code dev.holdfast.failure} and the JDK.
 */
@NullMarked
package dev.holdfast.store.objects;

import org.jspecify.annotations.NullMarked;
