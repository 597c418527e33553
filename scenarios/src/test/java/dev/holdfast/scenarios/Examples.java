package dev.holdfast.scenarios;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** The folder examples/ of the project, which people copy from. */
final class Examples {
  /** Where it is. */
  static final Path FOLDER = Path.of("../examples").toAbsolutePath().normalize();

  /** What is said in the code of each, and once there. */
  private static final String EXPECTED = "assert_identity('acme', 'production')";

  private static final String EXPECTED_ALIVE = "assert_identity('acme', 'production', '5 minutes')";

  private Examples() {}

  /** Where the examples of a language are copied to and run. */
  static Path target(String name) {
    return Path.of("target/examples").resolve(name).toAbsolutePath();
  }

  /**
   * A copy of files that people have changed as docs/applications.md says, so that a copy of the
   * files of their database is refused when it gets old.
   */
  static void copyWithMark(Path sources, List<String> files, Path target) {
    try {
      boolean changed = false;
      for (String file : files) {
        String text = Files.readString(sources.resolve(file));
        String withMark = text.replace(EXPECTED, EXPECTED_ALIVE);
        changed |= !withMark.equals(text);
        Path copy = target.resolve(file);
        Files.createDirectories(copy.resolveSibling("."));
        Files.writeString(copy, withMark);
      }
      if (!changed) {
        throw new IllegalStateException("nothing in " + sources + " says " + EXPECTED);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** The same, of a statement. */
  static String withMark(String statement) {
    return statement.replace(EXPECTED, EXPECTED_ALIVE);
  }
}
