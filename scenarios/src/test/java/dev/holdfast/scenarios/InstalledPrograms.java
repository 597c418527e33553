package dev.holdfast.scenarios;

import dev.holdfast.server.ProcessResult;
import dev.holdfast.server.Processes;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * Programs of another language, copied to a folder under target, with what they need installed
 * there: again only when the files that say what that is have changed.
 */
final class InstalledPrograms {
  private static final Pattern VERSION = Pattern.compile("(\\d+)\\.(\\d+)");

  private InstalledPrograms() {}

  /**
   * Copies and installs. One test process at a time: those that wait find it done.
   *
   * @param sources the programs
   * @param target where they are copied to
   * @param decisive files among the sources: when one of them changes it is all installed again
   * @param product folder under {@code target} that is made by installing
   * @param commands that install, one after the other
   */
  static void install(
      Path sources, Path target, List<String> decisive, String product, List<List<String>> commands)
      throws IOException {
    Files.createDirectories(target);
    try (FileChannel lock =
            FileChannel.open(
                target.resolveSibling(target.getFileName() + ".lock"),
                StandardOpenOption.CREATE,
                StandardOpenOption.WRITE);
        var _ = lock.lock()) {
      copy(sources, target, product);
      String wanted = digest(sources, decisive);
      Path done = target.resolve(product).resolve("installed-from");
      if (Files.exists(done) && Files.readString(done).equals(wanted)) {
        return;
      }
      Files.deleteIfExists(done);
      for (List<String> command : commands) {
        ProcessResult result = run(command);
        if (result.exitCode() != 0) {
          throw new IllegalStateException(
              "what the programs in %s need cannot be installed; %s said:%n%s"
                  .formatted(sources, command, result.output()));
        }
      }
      Files.writeString(done, wanted);
    }
  }

  /** Checks that a program is there and new enough. */
  static void require(String program, int majorMin, int minorMin, String packages) {
    String what = "%s %d.%d or later".formatted(program, majorMin, minorMin);
    ProcessResult said;
    try {
      said = Processes.run(List.of(program, "--version"));
    } catch (UncheckedIOException e) {
      throw missing(what, packages, e);
    }
    Matcher version = VERSION.matcher(said.output());
    if (!version.find()) {
      throw missing(what, packages, null);
    }
    int major = Integer.parseInt(version.group(1));
    if (major < majorMin || (major == majorMin && Integer.parseInt(version.group(2)) < minorMin)) {
      throw missing(what, packages, null);
    }
  }

  private static ProcessResult run(List<String> command) {
    try {
      return Processes.run(command);
    } catch (UncheckedIOException e) {
      throw missing(command.getFirst(), command.getFirst(), e);
    }
  }

  private static IllegalStateException missing(
      String what, String packages, @Nullable Exception cause) {
    return new IllegalStateException(
        "the scenarios run programs of others, and there is no %s here: install it (Debian: apt-get install %s) and run the same command again"
            .formatted(what, packages),
        cause);
  }

  private static String digest(Path sources, List<String> decisive) throws IOException {
    ByteArrayOutputStream all = new ByteArrayOutputStream();
    for (String name : decisive) {
      all.write((name + "\0").getBytes(StandardCharsets.UTF_8));
      all.write(Files.readAllBytes(sources.resolve(name)));
    }
    try {
      return HexFormat.of()
          .formatHex(MessageDigest.getInstance("SHA-256").digest(all.toByteArray()));
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException(e);
    }
  }

  /** What is there already stays as it is: another test process may be reading it. */
  private static void copy(Path sources, Path to, String product) throws IOException {
    for (Path source : files(sources, product)) {
      Path target = to.resolve(sources.relativize(source).toString());
      if (Files.isDirectory(source)) {
        Files.createDirectories(target);
        removeWhatHasLeft(source, target);
      } else if (!Files.exists(target) || Files.mismatch(source, target) >= 0) {
        Files.copy(source, target, StandardCopyOption.REPLACE_EXISTING);
      }
    }
  }

  /** Files and folders, but what somebody installed among the sources. */
  static List<Path> files(Path sources, String product) throws IOException {
    try (Stream<Path> paths = Files.walk(sources)) {
      return paths
          .filter(path ->
              !path.startsWith(sources.resolve(product))
                  && !path.toString().contains("__pycache__"))
          .toList();
    }
  }

  /** A migration that is no more would be run for ever. */
  private static void removeWhatHasLeft(Path source, Path target) throws IOException {
    try (DirectoryStream<Path> files = Files.newDirectoryStream(target, Files::isRegularFile)) {
      for (Path file : files) {
        if (!Files.exists(source.resolve(file.getFileName()))) {
          Files.delete(file);
        }
      }
    }
  }
}
