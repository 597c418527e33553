package dev.holdfast.operations;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.guard.Identity;
import dev.holdfast.guard.Stamp;
import dev.holdfast.postgres.Databases;
import dev.holdfast.postgres.PostgresUrl;
import java.sql.Connection;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Says of the databases of a server that came from another one what they are from now on: after
 * pg_upgrade, a move, a restore of a dump.
 */
public final class Adopt {
  private static final String APPLICATION = "holdfast:adopt";

  private Adopt() {}

  /**
   * What became of one database.
   *
   * @param adopted whether it says now what it was told to
   * @param said what it said; null where it has no stamp
   */
  public record Adopted(String database, boolean adopted, @Nullable String said) {}

  /**
   * What became of all.
   *
   * @param environment {@code production}, {@code staging} or {@code development}
   */
  public record Result(String url, String environment, List<Adopted> databases) {}

  /**
   * Adopts; one database that cannot be reached keeps no other from being adopted.
   *
   * @param url as its owner for production; else anybody's
   * @param all every database of the server that lets the role in; false: the one in the URL
   * @throws OperatorException REFUSED when none was adopted, with what each of them said
   */
  public static Result run(String url, String environment, boolean all) {
    PostgresUrl parsed = PostgresUrl.parse(url).withApplicationName(APPLICATION);
    List<Adopted> adopted = new ArrayList<>();
    for (String database : all ? Databases.open(parsed) : List.of(parsed.database())) {
      adopted.add(adopt(parsed.withDatabase(database), environment));
    }
    if (adopted.stream().noneMatch(Adopted::adopted)) {
      throw new OperatorException(
          Kind.REFUSED,
          "nothing was adopted at " + parsed.redacted(),
          String.join(
              "; ",
              adopted.stream()
                  .map(one ->
                      one.said() == null
                          ? one.database() + " has no stamp: it was never protected"
                          : one.database() + ": " + one.said())
                  .toList()),
          "where it is a database that was never protected: holdfast protect NAME URL --environment ENV");
    }
    return new Result(parsed.redacted(), environment, List.copyOf(adopted));
  }

  private static Adopted adopt(PostgresUrl url, String environment) {
    try (Connection connection = url.open()) {
      Stamp stamp = Stamp.read(connection);
      if (stamp != null
          && !stamp.environment().equals(environment)
          && Stamp.fits(connection, stamp)) {
        return new Adopted(
            url.database(),
            false,
            "it is %s/%s itself: its stamp was made here. To call it something else on purpose, as its owner: SELECT holdfast.adopt('%s')"
                .formatted(stamp.cluster(), stamp.environment(), environment));
      }
      String said = Identity.adopt(connection, environment);
      return new Adopted(url.database(), said != null, said);
    } catch (OperatorException e) {
      if (e.kind() == Kind.USAGE) {
        throw e;
      }
      return new Adopted(url.database(), false, e.why());
    } catch (SQLException e) {
      return new Adopted(url.database(), false, String.valueOf(e.getMessage()));
    }
  }
}
