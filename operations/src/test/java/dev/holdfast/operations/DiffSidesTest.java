package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.server.PostgresBinaries;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** Sides that are no ordinary server: a standby, and what was recorded of a protected one. */
class DiffSidesTest {
  private static DiffSummary diff(String a, String b, String repository, List<DiffEntry> found) {
    return Diff.run(
        new DiffRequest(a, b, true, true, List.of(), List.of(), List.of(), 10, 10_000, null, null),
        () -> repository,
        found::add,
        Progress.SILENT);
  }

  private static String url(ServerFamily.Member member) {
    return "postgresql://postgres@127.0.0.1:%s/postgres"
        .formatted(member.query("SHOW port").getFirst());
  }

  @Test
  void a_standby_is_waited_for_and_is_equal_to_its_primary() throws Exception {
    try (ServerFamily family = ServerFamily.begin(PostgresBinaries.embedded(18), 16)) {
      ServerFamily.Member primary = family.first();
      primary.execute(
          "CREATE TABLE users AS SELECT g AS id, md5(g::text) AS v FROM generate_series(1, 1000) g");
      ServerFamily.Member standby =
          primary.standby("standby", Map.of("recovery_min_apply_delay", "1s"));
      primary.execute("UPDATE users SET v = 'new' WHERE id = 5");
      List<DiffEntry> found = new ArrayList<>();
      DiffSummary summary = diff(url(primary), url(standby), "", found);
      assertThat(found).isEmpty();
      assertThat(summary.equal()).isTrue();
      assertThat(summary.b().standby()).isTrue();
      assertThat(summary.notes()).isEmpty();
    }
  }

  @Test
  void a_protected_server_is_compared_with_what_was_recorded_of_it_last() throws Exception {
    try (ProtectedServer acme =
        ProtectedServer.start(
            18,
            "CREATE TABLE users (id serial PRIMARY KEY, v text)",
            "INSERT INTO users (v) SELECT 'v' || g FROM generate_series(1, 100) g")) {
      acme.server.execute("UPDATE users SET v = 'recorded' WHERE id = 1");
      acme.caughtUp();
      acme.stopRecording();
      List<DiffEntry> found = new ArrayList<>();
      DiffSummary same = diff(acme.server.url("postgres"), "acme", acme.repository, found);
      assertThat(found).isEmpty();
      assertThat(same.equal()).isTrue();
      assertThat(same.b().fork()).isEqualTo("acme");
      acme.server.execute("DELETE FROM users WHERE id = 7");
      DiffSummary changed =
          diff(acme.server.url("postgres"), "acme/postgres", acme.repository, found);
      assertThat(Diff.exitCode(changed)).isEqualTo(4);
      assertThat(found.getFirst())
          .isInstanceOfSatisfying(
              DiffEntry.OfRow.class,
              row -> {
                assertThat(row.change()).isEqualTo("onlyInB");
                assertThat(row.key()).isEqualTo(Map.of("id", "7"));
              });
    }
  }
}
