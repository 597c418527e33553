package dev.holdfast.postgres;

import org.jspecify.annotations.Nullable;

/**
 * A setting that a restored server has otherwise than production.
 *
 * @param name the setting; {@code include} for a file that is not there
 * @param production what production's files say; null when they do not, and the default or another
 *     file counted there
 * @param restored what it is now; null when nothing sets it any more
 * @param why what production's value would have done
 */
public record Overridden(
    String name, @Nullable String production, @Nullable String restored, String why) {}
