package dev.holdfast.store;

/**
 * Something in a repository that does not hold.
 *
 * @param object the object's name
 * @param found what is wrong with it
 * @param next what the operator can do
 */
public record Problem(String object, String found, String next) {}
