package dev.holdfast.operations;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.postgres.PostgresUrl;
import io.github.cdimascio.dotenv.Dotenv;
import io.github.cdimascio.dotenv.DotenvException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;

/** A file of {@code NAME=VALUE} lines that tells an application where its databases are. */
public final class EnvironmentFile {
  private EnvironmentFile() {}

  /**
   * One database's address.
   *
   * @param name the variable's
   * @param url with its password, if it has one
   */
  public record Address(String name, String url) {}

  /**
   * The PostgreSQL URLs in a file, sorted by their names.
   *
   * @throws OperatorException USAGE when it cannot be read, or holds none
   */
  public static List<Address> addresses(Path file) {
    Path absolute = file.toAbsolutePath();
    if (!Files.isReadable(absolute)) {
      throw new OperatorException(
          Kind.USAGE,
          "cannot read " + file,
          Files.exists(absolute) ? "we may not" : "it is not there",
          "name another file with --env-file");
    }
    List<Address> found;
    try {
      found =
          Dotenv.configure()
              .directory(String.valueOf(absolute.getParent()))
              .filename(String.valueOf(absolute.getFileName()))
              .load()
              .entries(Dotenv.Filter.DECLARED_IN_ENV_FILE)
              .stream()
              .filter(entry -> PostgresUrl.isOfApplication(entry.getValue()))
              .map(entry -> new Address(entry.getKey(), entry.getValue()))
              .sorted(Comparator.comparing(Address::name))
              .toList();
    } catch (DotenvException e) {
      throw new OperatorException(
          Kind.USAGE,
          "cannot read " + file,
          "a line of it is not NAME=VALUE (nor is export NAME=VALUE understood)", // no more: it may
          // hold a password
          "correct it, or name another file with --env-file");
    }
    if (found.isEmpty()) {
      throw new OperatorException(
          Kind.USAGE,
          "there is no database in " + file,
          "no value in it begins with postgres:// or postgresql://, with or without a driver",
          "name another file with --env-file, or give the URL itself");
    }
    return found;
  }
}
