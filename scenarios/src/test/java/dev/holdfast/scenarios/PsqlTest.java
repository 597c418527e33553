package dev.holdfast.scenarios;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.scenarios.GuardedDatabase.Guarded;
import java.util.List;
import org.assertj.core.api.InstanceOfAssertFactories;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** A person at psql. */
final class PsqlTest extends MeetsTheGuard {
  @Override
  List<Client> clients() {
    return List.of(new PsqlClient());
  }

  @ParameterizedTest
  @MethodSource("majors")
  void a_superuser_is_refused_like_anybody_else(int major) {
    GuardedDatabase database = worked(major, Guarded.PRODUCTION);
    Contents before = database.contents();

    Outcome outcome = PsqlClient.psql(database.superuser().url(), List.of("DROP TABLE orders"));

    assertThat(outcome)
        .isInstanceOfSatisfying(
            Outcome.Failed.class, refused -> assertThat(refused.sqlState()).isEqualTo("HF001"));
    assertThat(database.contents()).isEqualTo(before);
  }

  @ParameterizedTest
  @MethodSource("majors")
  void in_the_first_days_a_delete_of_many_rows_passes_and_is_observed(int major) {
    GuardedDatabase database = worked(major, Guarded.PRODUCTION_AS_INSTALLED);

    Outcome outcome =
        PsqlClient.psql(database.address().url(), List.of("DELETE FROM users WHERE id > 500"));

    assertThat(outcome).isEqualTo(new Outcome.Done());
    assertThat(database.observations("mass-delete"))
        .singleElement(InstanceOfAssertFactories.STRING)
        .contains("users", "1501");
  }

  /** PostgreSQL's statistics learn of them when the session ends, or a second later. */
  @ParameterizedTest
  @MethodSource("majors")
  void all_rows_of_a_table_that_the_same_session_has_filled_are_too_many(int major) {
    GuardedDatabase database = empty(major, Guarded.PRODUCTION);

    Outcome outcome =
        PsqlClient.psql(
            database.address().url(),
            List.of(
                "CREATE TABLE events (id int)",
                "INSERT INTO events SELECT generate_series(1, 5000)",
                "DELETE FROM events"));

    assertThat(outcome)
        .isInstanceOfSatisfying(
            Outcome.Failed.class, refused -> assertThat(refused.sqlState()).isEqualTo("HF001"));
    assertThat(database.contents().rows("public.events")).isEqualTo(5000);
  }

  private GuardedDatabase worked(int major, Guarded guarded) {
    GuardedDatabase database = empty(major, guarded);
    assertThat(new PsqlClient().ordinary(database.address())).isEqualTo(new Outcome.Done());
    database.analyze();
    return database;
  }

  /** Else what tests say of SQLSTATE, message and hint would hold of anything. */
  @ParameterizedTest
  @MethodSource("majors")
  void what_psql_prints_of_an_error_is_understood(int major) {
    GuardedDatabase database = empty(major, Guarded.NOT);

    Outcome outcome =
        PsqlClient.psql(
            database.address().url(),
            List.of(
                """
                DO $$ BEGIN
                  RAISE 'two
                lines' USING ERRCODE = 'HF999', DETAIL = 'a detail', HINT = 'a hint';
                END $$
                """));

    assertThat(outcome)
        .isInstanceOfSatisfying(
            Outcome.Failed.class,
            failed -> {
              assertThat(failed.sqlState()).isEqualTo("HF999");
              assertThat(failed.message()).isEqualTo("two\nlines");
              assertThat(failed.detail()).isEqualTo("a detail");
              assertThat(failed.hint()).isEqualTo("a hint");
            });
  }
}
