/**
 * The command line: words and flags in, values printed as text or JSON.
 *
 * <p>Lives here: one class per command, the terminal, the one place that turns failures into exit
 * codes. Does not: decisions, connections, files. May use {@code operations}, {@code demo}, {@code
 * failure}, picocli and Jackson.
 */
@NullMarked
package dev.holdfast.cli;

import org.jspecify.annotations.NullMarked;
