package dev.holdfast.postgres;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.server.ProcessResult;
import dev.holdfast.server.Processes;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * Locales made for one fork, where production's databases use some that this machine lacks. They
 * lie in a folder that the C library is pointed at by {@code LOCPATH}; the machine is not changed.
 */
final class ForkLocales {
  /** Language, territory, codeset, modifier: {@code de_DE.UTF-8@euro} ("locale(7)"). */
  private static final Pattern NAME =
      Pattern.compile("([a-z]{2,3}(?:_[A-Z]{2})?)(?:\\.([A-Za-z0-9-]+))?(@[a-z]+)?");

  private final Path folder;

  ForkLocales(Path folder) {
    this.folder = folder;
  }

  /** What a server needs in its environment to find them. */
  Map<String, String> environment() {
    return Files.isDirectory(folder) ? Map.of("LOCPATH", folder.toString()) : Map.of();
  }

  /**
   * Makes one.
   *
   * @param what the operation that needs it
   * @throws OperatorException when it cannot be made here, or was made and does not help
   */
  void make(String what, String locale) {
    Path made = folder.resolve(locale);
    Matcher name = NAME.matcher(locale);
    if (!name.matches() || Files.exists(made)) {
      throw missing(what, locale, "this machine has no locale \"" + locale + "\"");
    }
    String modifier = name.group(3) == null ? "" : name.group(3);
    String output;
    try {
      Files.createDirectories(folder);
      ProcessResult result =
          Processes.run(
              List.of(
                  "localedef",
                  "-c", // go on after warnings: many sources have some
                  "-i",
                  name.group(1) + modifier,
                  "-f",
                  charmap(name.group(2)),
                  made.toString()));
      output = result.output().strip();
    } catch (UncheckedIOException e) {
      output = "localedef is not installed";
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    if (!Files.exists(made.resolve("LC_COLLATE"))) {
      throw missing(
          what,
          locale,
          "this machine has no locale \"%s\" and none can be made: %s".formatted(locale, output));
    }
  }

  private static OperatorException missing(String what, String locale, String why) {
    return new OperatorException(
        Kind.FAILED, what, why, RecoveryFailure.missingLocaleRemedy(locale));
  }

  private static String charmap(@Nullable String codeset) {
    if (codeset == null) {
      return "ISO-8859-1";
    }
    return codeset.toLowerCase(Locale.ROOT).matches("utf-?8")
        ? "UTF-8"
        : codeset.toUpperCase(Locale.ROOT);
  }
}
