package dev.holdfast.postgres.definition;

import dev.holdfast.server.PostgresBinaries;
import java.sql.SQLException;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;

/** That {@link RecreationTest} could fail: once, on the server whose pg_dump is at hand. */
class RecreationComparisonTest {
  @AfterAll
  static void stop() {
    RecreationTest.stop();
  }

  @Test
  void the_comparison_notices_every_change() throws SQLException {
    PostgresBinaries debian =
        PostgresBinaries.installed(15)
            .orElseThrow(() ->
                new IllegalStateException(
                    "pg_dump is the judge here: apt-get install postgresql-15"));
    RecreationTest test = new RecreationTest(debian);
    test.prepare();
    test.assertThatTheComparisonNoticesEveryChange();
  }
}
