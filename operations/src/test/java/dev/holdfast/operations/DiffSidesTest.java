package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.testkit.TestServer;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** Sides that are no ordinary server: a standby, and what was recorded of a protected one. */
class DiffSidesTest {
  private static DiffSummary diff(String a, String b, String repository, List<DiffEntry> found) {
    return Diff.run(request(a, b), () -> repository, found::add, Progress.SILENT);
  }

  private static DiffRequest request(String a, String b) {
    return new DiffRequest(
        a, b, true, true, List.of(), List.of(), List.of(), 10, 10_000, null, null);
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
  void a_standby_that_must_give_up_the_snapshot_says_so_with_how_far_it_came() throws Exception {
    try (ServerFamily family = ServerFamily.begin(PostgresBinaries.embedded(18), 16)) {
      ServerFamily.Member primary = family.first();
      primary.execute(
          "CREATE TABLE users AS SELECT g AS id FROM generate_series(1, 1000) g",
          "CREATE TABLE zoo AS SELECT g AS id FROM generate_series(1, 1000) g",
          "CREATE DATABASE other TEMPLATE postgres");
      ServerFamily.Member standby =
          primary.standby("standby", Map.of("max_standby_streaming_delay", "0"));
      List<DiffEntry> found = new ArrayList<>();
      // Users was read on both sides then, zoo on neither. A snapshot in another database of the
      // primary does not keep VACUUM from removing rows here.
      String other = url(primary).replaceFirst("/postgres$", "/other");
      Progress vacuuming =
          DiffTest.after(
              2,
              () -> {
                primary.execute("DELETE FROM zoo", "VACUUM zoo");
                standby.awaitReplayed(primary.mark("removed"));
              });
      assertThatThrownBy(
              () -> Diff.run(request(other, url(standby)), () -> "", found::add, vacuuming))
          .isInstanceOfSatisfying(
              OperatorException.class,
              e -> {
                assertThat(e.kind()).as(e.toString()).isEqualTo(Kind.FAILED);
                assertThat(e.what()).contains("side B, ").contains("gave up its snapshot");
                assertThat(e.why())
                    .contains("conflict with recovery")
                    .contains("until then the rows of 2 of 3 tables were compared");
                assertThat(e.next()).contains("hot_standby_feedback = on");
              });
      assertThat(found.getLast())
          .isInstanceOfSatisfying(
              DiffEntry.OfEnd.class, end -> assertThat(end.tablesCompared()).isEqualTo(2));
    }
  }

  @Test
  void on_debians_server_what_was_made_twice_is_equal() {
    PostgresBinaries debians = PostgresBinaries.installed(15).orElseThrow();
    try (TestServer server = TestServer.start(debians, Map.of(), List.of())) {
      for (String database : List.of("one", "two")) {
        server.execute("CREATE DATABASE " + database);
        server.executeIn(
            database,
            "CREATE TABLE users AS SELECT g AS id, 'user ' || g AS name FROM generate_series(1, 1000) g",
            "ALTER TABLE users ADD PRIMARY KEY (id)",
            "CREATE VIEW names AS SELECT name FROM users",
            "CREATE MATERIALIZED VIEW few AS SELECT * FROM users WHERE id < 10",
            "CREATE TABLE more (id serial PRIMARY KEY, v text)",
            "INSERT INTO more (v) SELECT md5(g::text) FROM generate_series(1, 1000) g");
      }
      List<DiffEntry> found = new ArrayList<>();
      DiffSummary summary = diff(server.url("one"), server.url("two"), "", found);
      assertThat(found).isEmpty();
      assertThat(summary.equal()).isTrue();
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
