package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.postgres.ConnectedClients.Session;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.Function;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.json.JsonMapper;

/** What is learnt of clients from samples, with days that pass in no time. */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class ClientsDocumentTest {
  private static final Instant BEGIN = Instant.parse("2026-11-02T00:00:00Z"); // a Monday
  private static final Duration MINUTE = Duration.ofMinutes(1);
  private static final Session API = new Session("shop", "app", "api", "10.0.3.17");

  private Instant now = BEGIN;
  private ClientsDocument known = ClientsDocument.begun(BEGIN);

  /** A sample each minute. */
  private void watch(Duration time, Function<Instant, List<Session>> connected) {
    Instant end = now.plus(time);
    while (now.isBefore(end)) {
      now = now.plus(MINUTE);
      known = known.with(now, connected.apply(now));
    }
  }

  private ClientsDocument.Client client(String application) {
    return known.clients().stream()
        .filter(each -> each.application().equals(application))
        .findFirst()
        .orElseThrow();
  }

  private boolean isVanished(String application) {
    return known.isVanished(client(application));
  }

  @Test
  void an_application_that_was_always_there_is_missed_after_ten_minutes() {
    watch(Duration.ofHours(20), _ -> List.of(API));
    assertThat(client("api").isUsual()).as("not a day yet").isFalse();
    watch(Duration.ofHours(5), _ -> List.of(API));
    assertThat(client("api").isUsual()).isTrue();
    Instant last = now;
    watch(Duration.ofMinutes(10), _ -> List.of());
    assertThat(isVanished("api")).isFalse();
    watch(MINUTE, _ -> List.of());
    assertThat(isVanished("api")).isTrue();
    assertThat(client("api").lastSeen()).isEqualTo(last);
    assertThat(client("api").days()).isEqualTo(2);
    assertThat(client("api").samples()).isEqualTo(25 * 60);

    watch(MINUTE, _ -> List.of(API));
    assertThat(isVanished("api")).isFalse();
    assertThat(known.isConnected(client("api"))).isTrue();
  }

  @Test
  void a_job_of_the_night_is_not_missed_at_noon_and_is_missed_after_two_nights() {
    Session job = new Session("shop", "app", "nightly", "10.0.3.18");
    Function<Instant, List<Session>> nightly =
        at -> at.toString().contains("T03:0") ? List.of(job) : List.of();
    watch(Duration.ofDays(3), nightly);
    assertThat(client("nightly").isUsual()).as("three nights say little").isFalse();
    watch(
        Duration.ofDays(4),
        at -> {
          assertThat(known.clients().stream().anyMatch(known::isVanished))
              .as(at.toString())
              .isFalse();
          return nightly.apply(at);
        });
    assertThat(client("nightly").isUsual()).isTrue();
    watch(Duration.ofHours(26), _ -> List.of());
    assertThat(isVanished("nightly")).isFalse();
    watch(Duration.ofHours(24), _ -> List.of());
    assertThat(isVanished("nightly")).isTrue();
  }

  @Test
  void time_that_nobody_watched_is_nobodys_absence() {
    watch(Duration.ofDays(2), _ -> List.of(API));
    now = now.plus(Duration.ofDays(3));
    known = known.with(now, List.of());
    assertThat(isVanished("api")).isFalse();
    known = known.blindAt(now.plus(Duration.ofMinutes(1)));
    now = now.plus(Duration.ofMinutes(2));
    known = known.with(now, List.of());
    watch(Duration.ofMinutes(9), _ -> List.of());
    assertThat(isVanished("api")).isFalse();
    watch(Duration.ofMinutes(2), _ -> List.of());
    assertThat(isVanished("api")).isTrue();
    known = known.with(now.minus(Duration.ofDays(400)), List.of()); // a clock that was set
    assertThat(known.watchedSeconds()).isLessThan(3 * 86_400.0);
  }

  @Test
  void one_long_absence_of_the_past_does_not_hide_a_new_one_for_ever() {
    watch(Duration.ofDays(3), _ -> List.of(API));
    watch(Duration.ofHours(5), _ -> List.of());
    watch(Duration.ofHours(1), _ -> List.of(API));
    watch(Duration.ofHours(5), _ -> List.of());
    assertThat(isVanished("api")).as("it was away for as long an hour ago").isFalse();
    watch(Duration.ofDays(28), _ -> List.of(API));
    watch(Duration.ofMinutes(50), _ -> List.of());
    assertThat(isVanished("api")).isTrue();
  }

  @Test
  void a_person_with_psql_is_never_missed_and_who_left_long_ago_is_not_told_of() {
    Session person = new Session("shop", "alice", "psql", "192.168.178.20");
    watch(Duration.ofDays(2), _ -> List.of(API, person));
    watch(Duration.ofDays(1), _ -> List.of());
    assertThat(client("psql").isUsual()).isTrue();
    assertThat(isVanished("psql")).isFalse();
    assertThat(isVanished("api")).isTrue();
    watch(Duration.ofDays(14), _ -> List.of());
    assertThat(isVanished("api")).isFalse();
    watch(Duration.ofDays(90), _ -> List.of());
    assertThat(known.clients()).isEmpty();
  }

  @Test
  void an_application_that_moves_from_machine_to_machine_is_one_and_the_same() {
    watch(
        Duration.ofDays(2),
        at ->
            List.of(
                new Session(
                    "shop", "app", "api", "10.0." + at.getEpochSecond() / 3600 % 40 + ".7")));
    assertThat(known.clients()).hasSize(1);
    assertThat(client("api").longestAbsenceSeconds()).isZero();
    assertThat(client("api").networks()).hasSize(ClientsDocument.NETWORKS_MAX);
    assertThat(client("api").networks().getLast().lastSeen()).isEqualTo(now);
  }

  @Test
  void whatever_clients_call_themselves_the_list_stays_short_and_the_usual_ones_stay_in_it() {
    watch(Duration.ofDays(2), _ -> List.of(API));
    Random random = new Random(7);
    watch(
        Duration.ofHours(1),
        _ -> {
          List<Session> flood = new ArrayList<>(List.of(API));
          for (int i = 0; i < 50; i++) {
            String letters =
                random
                    .ints(300, 'a', 'z')
                    .collect(
                        StringBuilder::new, (to, c) -> to.append((char) c), StringBuilder::append)
                    .toString();
            flood.add(new Session("shop", "app", letters, "10.1." + i + ".9"));
            flood.add(new Session("shop", letters, "\u001b]0;" + letters, "10.2." + i + ".9"));
          }
          return flood;
        });
    assertThat(known.clients()).hasSizeLessThanOrEqualTo(ClientsDocument.CLIENTS_MAX);
    assertThat(known.clients().stream().filter(each -> each.role().equals("app")))
        .hasSizeLessThanOrEqualTo(ClientsDocument.NAMES_MAX + 1);
    assertThat(client("api").samples()).isEqualTo((48 + 1) * 60);
    assertThat(known.isConnected(client(ClientsDocument.OTHERS))).isTrue();
    String json = JsonMapper.shared().writeValueAsString(known);
    assertThat(json.length()).isLessThan(300_000);
    assertThat(json).doesNotContain("\\u001b");
  }

  // ---- what is told of it ----------------------------------------------------------------------

  private List<String> presence(boolean recording, Instant at) {
    return ClientAdvice.presence("acme", "production", "holdfast", known, recording, at).stream()
        .map(advice -> advice.level() + ": " + advice.what() + " | " + advice.next())
        .toList();
  }

  @Test
  void a_usual_client_that_is_gone_is_told_with_its_name_and_when_it_was_last_seen() {
    watch(Duration.ofDays(2), _ -> List.of(API));
    assertThat(presence(true, now)).isEmpty();
    watch(Duration.ofMinutes(11), _ -> List.of());
    assertThat(presence(true, now))
        .containsExactly(
            "warning: a usual client of acme is gone: api (role app, database shop), last seen 2026-11-04T00:00:00Z; it"
                + " was here on 3 days, from 10.0.3.0/24 | nothing, if it was stopped on purpose; else ask where it runs"
                + " which database it talks to: holdfast check \"$DATABASE_URL\" --expect acme/production");
  }

  @Test
  void that_nobody_looks_or_may_look_is_told_too() {
    watch(Duration.ofDays(2), _ -> List.of(API));
    Instant later = now.plus(Duration.ofMinutes(16));
    assertThat(presence(false, later)).as("that nobody records is told anyway").isEmpty();
    assertThat(presence(true, later)).hasSize(1);
    assertThat(presence(true, later).getFirst())
        .startsWith("note: who is connected to acme is not known since 2026-11-04T00:00:00Z");
    known = known.blindAt(later);
    assertThat(presence(true, later))
        .containsExactly(
            "note: who is connected to acme is not known since 2026-11-04T00:16:00Z: the role holdfast may not see the"
                + " sessions of others | as a superuser: GRANT pg_read_all_stats TO holdfast");
  }

  @Test
  void one_role_in_several_places_is_told_and_a_network_of_staging_is_a_warning() {
    watch(MINUTE, _ -> List.of(API, new Session("shop", "app", "job", "10.0.7.1")));
    assertThat(ClientAdvice.places("acme", "production", known, Map.of())).isEmpty();
    List<Advice> staging =
        ClientAdvice.places(
            "acme", "production", known, Map.of("10.0.7.0/24", "acme-staging (staging)"));
    assertThat(staging).extracting(Advice::level).containsExactly("warning");
    assertThat(staging.getFirst().what())
        .isEqualTo(
            "the role app of acme is used from several places: 10.0.7.0/24 (job; from there acme-staging (staging) is"
                + " used), 10.0.3.0/24 (api)");

    watch(
        MINUTE,
        _ ->
            List.of(
                new Session("shop", "app", "psql", "192.168.178.20"),
                new Session("shop", "app", "cron", "127.0.0.1")));
    List<Advice> laptop = ClientAdvice.places("acme", "production", known, Map.of());
    assertThat(laptop).extracting(Advice::level).containsExactly("note");
    assertThat(laptop.getFirst().what()).contains("192.168.178.0/24 (psql)");
    watch(Duration.ofDays(31), _ -> List.of(API));
    assertThat(ClientAdvice.places("acme", "production", known, Map.of())).isEmpty();
  }

  @Test
  void where_all_is_as_it_should_be_nothing_is_told() {
    watch(Duration.ofDays(2), _ -> List.of(API));
    assertThat(presence(true, now)).isEmpty();
    assertThat(ClientAdvice.places("acme", "production", known, Map.of())).isEmpty();
    assertThat(ClientAdvice.rights("acme", List.of())).isEmpty();
  }
}
