package dev.holdfast.operations;

import dev.holdfast.failure.OperatorException;
import dev.holdfast.guard.Identity;
import dev.holdfast.postgres.Databases;
import dev.holdfast.postgres.PostgresUrl;
import java.sql.Connection;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.List;

/**
 * The stamps of a server's databases: each says of itself which cluster it belongs to.
 *
 * @param stamped the databases that say so now
 * @param without those that do not, with why
 */
public record Stamps(List<String> stamped, List<Without> without) {
  static final Stamps NONE = new Stamps(List.of(), List.of());

  private static final String APPLICATION = "holdfast:stamp";

  /** A database that could not be stamped. */
  public record Without(String database, String why, String next) {}

  /**
   * Stamps every database that lets the role in, templates aside.
   *
   * @param owner of a superuser, or of whoever may create schemas in them
   */
  static Stamps put(PostgresUrl owner, String cluster, String environment) {
    List<String> stamped = new ArrayList<>();
    List<Without> without = new ArrayList<>();
    for (String database : databases(owner)) {
      try (Connection connection =
          owner.withDatabase(database).withApplicationName(APPLICATION).open()) {
        Identity.stamp(connection, cluster, environment);
        stamped.add(database);
      } catch (OperatorException e) {
        without.add(new Without(database, e.why(), e.next()));
      } catch (SQLException e) {
        throw new IllegalStateException(e); // closing
      }
    }
    return new Stamps(List.copyOf(stamped), List.copyOf(without));
  }

  /** What is executed in one database, which a comment in the first statement names. */
  public static List<String> statements(String database, String cluster, String environment) {
    List<String> statements = new ArrayList<>(Identity.statements(cluster, environment));
    statements.set(
        0,
        "-- In database %s:%n%s".formatted(database.replaceAll("\\s", " "), statements.getFirst()));
    return statements;
  }

  /**
   * One statement for an application's start, as part of its code: an error where the database is
   * another one, and a plain word where nobody ever stamped it.
   */
  public static String assertStatement(String cluster, String environment) {
    return Identity.assertStatement(cluster, environment);
  }

  static List<String> databases(PostgresUrl url) {
    return Databases.open(url.withApplicationName(APPLICATION));
  }

  /** What to do about those that could not be. */
  List<Advice> advice() {
    return without.stream()
        .map(w ->
            new Advice(
                "warning",
                "%s does not say who it is, so that applications cannot ask: %s"
                    .formatted(w.database(), w.why()),
                w.next()))
        .toList();
  }
}
