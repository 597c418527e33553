package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.postgres.ConnectedClients;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.Repository;
import dev.holdfast.testkit.TestServer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Incident A, from production's side: its API is connected to another database since a moment. */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class UsualClientsTest {
  private static final Instant BEGIN = Instant.parse("2026-11-02T08:00:00Z");
  private static final Duration STEP = Duration.ofMinutes(2);

  private Instant now = BEGIN;

  private static Connection connect(TestServer server, String role, String application)
      throws SQLException {
    Properties properties = new Properties();
    properties.setProperty("user", role);
    properties.setProperty("password", "");
    properties.setProperty("ApplicationName", application);
    return DriverManager.getConnection(
        "jdbc:postgresql://127.0.0.1:" + server.server().port() + "/postgres", properties);
  }

  /** A closed connection's process ends a little later. */
  private static void awaitGone(TestServer server, String application) {
    HeardRecorder.awaitUntil(() ->
        server
            .value(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = '"
                    + application
                    + "'")
            .equals("0"));
  }

  private void sample(ClientSampling sampling, Connection recorder, Duration time) {
    Instant end = now.plus(time);
    while (now.isBefore(end)) {
      now = now.plus(STEP);
      sampling.sample(recorder);
    }
  }

  private static List<String> about(ClusterStatus status, String what) {
    return status.advice().stream()
        .filter(advice -> advice.what().contains(what))
        .map(advice -> advice.level() + ": " + advice.what())
        .toList();
  }

  @ParameterizedTest
  @ValueSource(ints = {14, 18})
  void an_application_that_is_connected_elsewhere_since_then_is_named_by_status(int major)
      throws Exception {
    try (ProtectedServer acme =
            ProtectedServer.start(
                major,
                "CREATE ROLE shop LOGIN",
                "CREATE ROLE app LOGIN",
                "CREATE TABLE users (id int)",
                "ALTER TABLE users OWNER TO shop");
        TestServer clone = TestServer.start(major)) {
      clone.execute("CREATE ROLE app LOGIN");
      acme.stopRecording();
      Files.deleteIfExists(Path.of(acme.repository, "clusters", "acme", "clients.json"));
      assertThat(new Status(acme.repository).of("acme").getFirst().clients().state())
          .isEqualTo("unknown");

      ClusterStore cluster = Repository.open(acme.repository).cluster("acme");
      List<RecordingAlarm> alarms = new ArrayList<>();
      ClientSampling sampling = new ClientSampling(cluster, () -> now, Runnable::run, alarms::add);
      Connection api = connect(acme.server, "app", "api");
      try (Connection owner = connect(acme.server, "shop", "worker-1");
          Connection root = connect(acme.server, "postgres", "exporter");
          Connection own = connect(acme.server, "postgres", "holdfast:acme");
          Connection recorder = connect(acme.server, "postgres", "holdfast:acme")) {
        assertThat(own.isValid(5) && owner.isValid(5) && root.isValid(5)).isTrue();
        sample(sampling, recorder, Duration.ofHours(26));
        ClusterStatus before = new Status(acme.repository).of("acme").getFirst();
        assertThat(before.clients().clients())
            .extracting(client ->
                "%s %s %s %s %s"
                    .formatted(
                        client.application(),
                        client.state(),
                        client.superuser(),
                        client.databaseOwner(),
                        client.tablesOwned()))
            .containsExactly(
                "api connected false false 0",
                "exporter connected true true 1",
                "worker-* connected false false 1");
        assertThat(about(before, "is gone")).isEmpty();
        assertThat(about(before, "as a superuser"))
            .containsExactly(
                "warning: applications use acme as a superuser: exporter (role postgres, database postgres);"
                    + " nothing is refused to it, and no guard holds");
        assertThat(about(before, "as an owner"))
            .containsExactly(
                "note: applications use acme as an owner: worker-* (role shop, owner of 1 table of postgres); a mistake"
                    + " in them can drop what they own");
        assertThat(alarms).isEmpty();

        // The deployment carries another environment file: the API is at the clone now.
        Instant last = now;
        api.close();
        awaitGone(acme.server, "api");
        api = connect(clone, "app", "api");
        sample(sampling, recorder, Duration.ofMinutes(12));

        ClusterStatus after = new Status(acme.repository).of("acme").getFirst();
        assertThat(about(after, "is gone"))
            .containsExactly(
                "warning: a usual client of acme is gone: api (role app, database postgres), last seen %s; it was here on 2 days, from local"
                    .formatted(last));
        assertThat(alarms).extracting(RecordingAlarm::alarm).containsExactly("client");
        assertThat(alarms.getFirst().what()).contains("api (role app").contains(last.toString());
        assertThat(after.advice().stream().map(Advice::next))
            .anyMatch(
                next -> next.contains("holdfast check \"$DATABASE_URL\" --expect acme/production"));

        // Redeployed with the right one.
        api.close();
        api = connect(acme.server, "app", "api");
        sample(sampling, recorder, STEP);
        assertThat(about(new Status(acme.repository).of("acme").getFirst(), "is gone")).isEmpty();
        assertThat(alarms).hasSize(2);
        assertThat(alarms.getLast().what())
            .startsWith("api (role app, database postgres) is back on acme");
      } finally {
        api.close();
      }
    }
  }

  @Test
  void the_recorder_samples_by_itself_and_keeps_what_is_new_at_once() throws Exception {
    try (ProtectedServer acme = ProtectedServer.start(18, "CREATE ROLE app LOGIN")) {
      acme.stopRecording();
      try (Connection api = connect(acme.server, "app", "api-7f9c6d5b8-x2x4z")) {
        assertThat(api.isValid(5)).isTrue();
        acme.record(); // the first look is at its beginning
        HeardRecorder.awaitUntil(() ->
            new Status(acme.repository)
                .of("acme").getFirst().clients().clients().stream()
                    .anyMatch(client -> client.application().equals("api-*")));
      }
      ClusterStatus status = new Status(acme.repository).of("acme").getFirst();
      assertThat(status.clients().state()).isEqualTo("sampled");
      assertThat(status.clients().clients())
          .allSatisfy(client -> {
            assertThat(client.usual()).isFalse();
            assertThat(client.newestName()).doesNotStartWith("holdfast");
          });
      assertThat(about(status, "connected to acme is not known")).isEmpty();
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {14, 18})
  void a_role_that_may_not_see_others_is_told_and_nothing_is_made_of_what_it_sees(int major)
      throws Exception {
    try (TestServer server = TestServer.start(major)) {
      server.execute(
          "CREATE ROLE app LOGIN",
          "CREATE ROLE blind LOGIN",
          "CREATE ROLE seeing LOGIN",
          "GRANT pg_read_all_stats TO seeing");
      try (Connection api = connect(server, "app", "api");
          Connection blind = connect(server, "blind", "x");
          Connection seeing = connect(server, "seeing", "y")) {
        assertThat(api.isValid(5)).isTrue();
        assertThat(ConnectedClients.read(blind)).isEqualTo(new ConnectedClients(false, List.of()));
        ConnectedClients seen = ConnectedClients.read(seeing);
        assertThat(seen.visible()).isTrue();
        assertThat(seen.sessions())
            .contains(new ConnectedClients.Session("postgres", "app", "api", "127.0.0.1"));
      }
    }
  }
}
