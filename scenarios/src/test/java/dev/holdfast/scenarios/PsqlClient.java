package dev.holdfast.scenarios;

import dev.holdfast.server.ProcessResult;
import dev.holdfast.server.Processes;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/** A person at psql, who reads what it prints. */
final class PsqlClient implements Client {
  private static final String ALL_USERS = PEOPLE + " rows of public.users";
  private static final String ALL_ORDERS = ORDERS + " rows of public.orders";

  private static final List<String> ORDINARY =
      List.of(
          "CREATE TABLE users (id int PRIMARY KEY, name text NOT NULL, email text)",
          "ALTER TABLE users ADD COLUMN nickname text",
          "CREATE TABLE orders (id int PRIMARY KEY, user_id int NOT NULL REFERENCES users ON DELETE"
              + " CASCADE, amount int)",
          "CREATE INDEX CONCURRENTLY orders_user ON orders (user_id)",
          "INSERT INTO users SELECT i, 'person ' || i, 'person' || i || '@example.com'"
              + " FROM generate_series(1, 2000) i",
          "INSERT INTO orders VALUES (1, 1, 10), (2, 2, 20), (3, 3, 30)",
          "INSERT INTO users VALUES (1, 'person 1 again'), (2001, 'person 2001')"
              + " ON CONFLICT (id) DO UPDATE SET name = excluded.name",
          "UPDATE users SET nickname = 'two' WHERE id = 2",
          "ALTER TABLE orders ALTER COLUMN amount TYPE bigint", // nothing is lost by it
          "DELETE FROM users WHERE id = 11",
          "DELETE FROM users WHERE id BETWEEN 12 AND 20",
          "DROP INDEX orders_user",
          "VACUUM ANALYZE users");

  /** What a person types, and what it costs. */
  private static final Map<String, List<String>> ACTS = new LinkedHashMap<>();

  static {
    ACTS.put("DROP TABLE users, orders", List.of("table public.users", "table public.orders"));
    ACTS.put("DROP SCHEMA public CASCADE", List.of("table public.users", "table public.orders"));
    ACTS.put("TRUNCATE users, orders", List.of(ALL_USERS, ALL_ORDERS));
    ACTS.put("DELETE FROM users", List.of(ALL_USERS, ALL_ORDERS));
    ACTS.put("UPDATE users SET nickname = 'x'", List.of("values of public.users.nickname"));
    ACTS.put("ALTER TABLE users DROP COLUMN email", List.of("column public.users.email"));
  }

  @Override
  public String name() {
    return "psql";
  }

  @Override
  public List<Act> acts() {
    List<Act> acts = new ArrayList<>();
    ACTS.forEach((sql, losses) -> acts.add(Act.of(sql, losses.toArray(String[]::new))));
    return acts;
  }

  @Override
  public Outcome ordinary(Address database) {
    return psql(database.url(), ORDINARY);
  }

  @Override
  public Outcome commit(Act act, Address database) {
    return psql(database.url(), List.of(act.name()));
  }

  /** Runs statements, each for itself, until one fails. */
  static Outcome psql(String url, List<String> statements) {
    List<String> command =
        new ArrayList<>(
            List.of(
                "psql",
                "--no-psqlrc",
                "--quiet",
                "--set=ON_ERROR_STOP=1",
                // Else it does not show the SQLSTATE.
                "--set=VERBOSITY=verbose",
                "--dbname=" + url));
    statements.forEach(sql -> command.add("--command=" + sql));
    try {
      ProcessResult result = Processes.run(command);
      return result.exitCode() == 0 ? new Outcome.Done() : failed(result.output());
    } catch (UncheckedIOException e) {
      throw new IllegalStateException(
          "there is no psql here: install it (Debian: apt-get install postgresql-client-15) and run"
              + " the same command again",
          e);
    }
  }

  private static Outcome failed(String printed) {
    Matcher error =
        Pattern.compile(
                "ERROR: +(\\w{5}): (.*?)\\n(?:DETAIL: +(.*?)\\n)?(?:HINT: +(.*?)\\n)?(?:[A-Z ]+: .*)?$",
                Pattern.DOTALL)
            .matcher(printed);
    return error.find()
        ? new Outcome.Failed(
            error.group(1), error.group(2), text(error.group(3)), text(error.group(4)), printed)
        : new Outcome.Failed("", "", "", "", printed);
  }

  private static String text(@Nullable String group) {
    return group == null ? "" : group;
  }
}
