package dev.holdfast.server;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * One set of PostgreSQL server programs.
 *
 * @param major the major version: 14 to 18
 * @param version what {@code postgres --version} prints after the product name, such as {@code
 *     15.18 (Debian 15.18-0+deb12u1)}
 * @param bin the folder that holds {@code postgres} and {@code initdb}
 * @param source where they come from; decides what they can do
 */
public record PostgresBinaries(int major, String version, Path bin, Source source) {
  /** Where binaries come from. */
  public enum Source {
    /** The machine's own packages, with client tools, lz4, zstd, ICU. */
    INSTALLED,
    /**
     * Shipped with Holdfast: initdb, pg_ctl, postgres and contrib; no client tools, lz4 or zstd.
     */
    EMBEDDED
  }

  private static final Pattern VERSION = Pattern.compile("postgres \\(PostgreSQL\\) ((\\d+).*)");

  /** The embedded binaries of this major version, unpacked once into the user's cache folder. */
  public static PostgresBinaries embedded(int major) {
    return inspect(EmbeddedBinaries.unpacked(major).resolve("bin"), Source.EMBEDDED)
        .orElseThrow(() ->
            new OperatorException(
                Kind.FAILED,
                "cannot run the PostgreSQL " + major + " that ships with Holdfast",
                "its postgres program does not start on this machine",
                "install PostgreSQL "
                    + major
                    + " (Debian: apt-get install postgresql-"
                    + major
                    + ") and run the same command again"));
  }

  /** The machine's own binaries of this major version, where its packages put them. */
  public static Optional<PostgresBinaries> installed(int major) {
    List<Path> folders =
        List.of(
            Path.of("/usr/lib/postgresql/" + major + "/bin"),
            Path.of("/usr/pgsql-" + major + "/bin"),
            Path.of("/opt/homebrew/opt/postgresql@" + major + "/bin"),
            Path.of("/usr/local/opt/postgresql@" + major + "/bin"));
    return folders.stream()
        .flatMap(folder -> inspect(folder, Source.INSTALLED).stream())
        .filter(binaries -> binaries.major == major)
        .findFirst();
  }

  /** Installed binaries if there are any, embedded ones otherwise. */
  public static PostgresBinaries of(int major) {
    return installed(major).orElseGet(() -> embedded(major));
  }

  /** The path of one program, such as {@code initdb}. */
  public Path program(String name) {
    return bin.resolve(name);
  }

  /**
   * What a setting is for a server of this data directory, by its files and the programs' defaults;
   * empty when the programs do not say.
   */
  public Optional<String> setting(String name, Path data, ServerUser user) {
    ProcessResult asked =
        Processes.run(
            user.command(
                List.of(program("postgres").toString(), "-D", data.toString(), "-C", name)));
    return asked.exitCode() == 0
        ? asked.output().lines().reduce((_, last) -> last)
        : Optional.empty();
  }

  private static Optional<PostgresBinaries> inspect(Path bin, Source source) {
    Path postgres = bin.resolve("postgres");
    if (!Files.isExecutable(postgres)) {
      return Optional.empty();
    }
    ProcessResult result = Processes.run(List.of(postgres.toString(), "--version"));
    Matcher matcher = VERSION.matcher(result.output().strip());
    return result.exitCode() == 0 && matcher.matches()
        ? Optional.of(
            new PostgresBinaries(Integer.parseInt(matcher.group(2)), matcher.group(1), bin, source))
        : Optional.empty();
  }
}
