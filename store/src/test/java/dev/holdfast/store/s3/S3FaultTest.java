package dev.holdfast.store.s3;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.objects.ObjectExistsException;
import dev.holdfast.store.objects.ObjectWriter;
import dev.holdfast.store.s3.FaultyProxy.Fault;
import dev.holdfast.testkit.S3Server;
import java.time.Duration;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What networks and servers do to requests, and what becomes of them. */
final class S3FaultTest {
  private static final int ATTEMPTS = 4;

  private static final S3Limits IMPATIENT =
      new S3Limits(
          ATTEMPTS,
          Duration.ofMillis(1),
          Duration.ofMillis(5),
          Duration.ofMillis(1),
          Duration.ofSeconds(5),
          Duration.ofSeconds(2),
          10_000_000,
          Duration.ofSeconds(60));

  private static S3Server server;
  private static FaultyProxy proxy;
  private static S3Server.Environment environment;
  private static int opened;

  private S3ObjectStore store;

  @BeforeAll
  static void start() {
    server = S3Server.startTrusting("acme-backups");
    proxy = new FaultyProxy(server.endpoint());
    environment = S3Server.environment(proxy.endpoint());
  }

  @AfterAll
  static void stop() {
    environment.close();
    proxy.close();
    server.close();
  }

  @BeforeEach
  void open() {
    proxy.plan(_ -> new Fault.Pass());
    opened++;
    store = S3ObjectStore.open("s3://acme-backups/run/" + opened, IMPATIENT);
    store.put("first", new byte[0]); // the trial is over
  }

  private enum Stumble {
    LOST,
    ANSWER_LOST,
    SLOW_DOWN,
    INTERNAL_ERROR,
    CONFLICT,
    ALTERED;

    Fault fault() {
      return switch (this) {
        case LOST -> new Fault.Lost();
        case ANSWER_LOST -> new Fault.AnswerLost();
        case SLOW_DOWN -> new Fault.Answer(503, "SlowDown", "Please reduce your request rate.");
        case INTERNAL_ERROR -> new Fault.Answer(500, "InternalError", "An internal error.");
        case CONFLICT -> new Fault.Answer(409, "ConditionalRequestConflict", "Try again.");
        case ALTERED -> new Fault.Altered();
      };
    }
  }

  @ParameterizedTest
  @EnumSource
  void a_put_that_stumbles_twice_is_made_once(Stumble stumble) {
    proxy.firstTimes(2, "PUT", stumble.fault());
    store.put("a", text("hello"));
    assertThat(proxy.count("PUT")).isEqualTo(3);
    proxy.plan(_ -> new Fault.Pass());
    assertThat(store.get("a")).isEqualTo(text("hello"));
    assertThatThrownBy(() -> store.put("a", text("other")))
        .isInstanceOf(ObjectExistsException.class);
  }

  @ParameterizedTest
  @EnumSource
  void a_replacement_that_stumbles_twice_is_made(Stumble stumble) {
    store.put("a", text("old"));
    proxy.firstTimes(2, "PUT", stumble.fault());
    store.replace("a", text("hello"));
    assertThat(proxy.count("PUT")).isEqualTo(3);
    assertThat(store.get("a")).isEqualTo(text("hello"));
  }

  @Test
  void a_put_whose_answer_is_lost_beside_anothers_object_is_no_success() {
    S3ObjectStore other = S3ObjectStore.open("s3://acme-backups/run/" + opened, IMPATIENT);
    other.put("a", text("same bytes"));
    proxy.firstTimes(1, "PUT", new Fault.AnswerLost());
    assertThatThrownBy(() -> store.put("a", text("same bytes")))
        .isInstanceOf(ObjectExistsException.class);
  }

  @Test
  void a_server_that_is_always_busy_is_given_up_after_all_attempts() {
    proxy.plan(_ -> new Fault.Answer(503, "SlowDown", "Please reduce your request rate."));
    assertThatThrownBy(() -> store.put("a", text("hello")))
        .isInstanceOf(OperatorException.class)
        .hasMessage(
            "cannot write a in s3://acme-backups/run/%d: %s has too much to do: 503 SlowDown: Please"
                    .formatted(opened, proxy.endpoint())
                + " reduce your request rate. (4 attempts); next: run the same command again later;"
                + " if it lasts, look at what else uses the bucket, and ask its operator");
    assertThat(proxy.requests()).hasSize(ATTEMPTS);
    assertThat(proxy.requests())
        .extracting(request -> request.header("amz-sdk-request"))
        .containsExactly(
            "attempt=1; max=4", "attempt=2; max=4", "attempt=3; max=4", "attempt=4; max=4");
  }

  @Test
  void a_body_that_breaks_off_or_arrives_altered_is_read_again() {
    byte[] content = new byte[300_000];
    new Random(1).nextBytes(content);
    store.put("a", content);
    for (Fault fault :
        new Fault[] {
          new Fault.AnswerCut(100_000),
          new Fault.AnswerCut(0),
          new Fault.AnswerShort(100_000),
          new Fault.AnswerAltered()
        }) {
      proxy.firstTimes(2, "GET", fault);
      assertThat(store.get("a")).as(fault.toString()).isEqualTo(content);
      assertThat(proxy.count("GET")).as(fault.toString()).isEqualTo(3);
    }
    // A part of an object comes without a checksum: its length is all that tells.
    for (Fault fault : new Fault[] {new Fault.AnswerCut(50_000), new Fault.AnswerShort(50_000)}) {
      proxy.firstTimes(1, "GET", fault);
      assertThat(store.get("a", 100_000, 100_000))
          .as(fault.toString())
          .isEqualTo(Arrays.copyOfRange(content, 100_000, 200_000));
    }
    proxy.plan(_ -> new Fault.AnswerCut(1000));
    assertThatThrownBy(() -> store.get("a"))
        .isInstanceOf(OperatorException.class)
        .hasMessageContaining("(4 attempts)")
        .extracting(e -> ((OperatorException) e).kind())
        .isEqualTo(Kind.REPOSITORY_UNREACHABLE);
  }

  @Test
  void a_range_is_a_range_where_the_server_sends_everything() {
    store.put("a", text("0123456789"));
    proxy.plan(_ -> new Fault.Without("Range"));
    assertThat(store.get("a", 2, 3)).isEqualTo(text("234"));
    assertThat(store.get("a", 7, 100)).isEqualTo(text("789"));
    assertThat(store.get("a", 10, 1)).isEmpty();
  }

  @Test
  void uploads_that_nobody_may_list_do_not_stop_a_backup() {
    for (int status : new int[] {403, 405, 501}) {
      proxy.plan(request ->
          request.target().contains("uploads")
              ? new Fault.Answer(status, "No", "no")
              : new Fault.Pass());
      store.sweep("");
    }
    proxy.plan(_ -> new Fault.Answer(400, "Broken", "no"));
    assertThatThrownBy(() -> store.sweep("")).hasMessageContaining("cannot clean up objects in");
  }

  @Test
  void a_list_whose_answer_breaks_off_is_asked_for_again() {
    for (int i = 0; i < 20; i++) {
      store.put("a/" + i, text("x"));
    }
    for (Fault fault : new Fault[] {new Fault.AnswerCut(700), new Fault.AnswerShort(700)}) {
      proxy.firstTimes(2, "GET", fault);
      assertThat(store.list("a/")).as(fault.toString()).hasSize(20);
      assertThat(proxy.count("GET")).as(fault.toString()).isEqualTo(3);
    }
  }

  @Test
  void silence_is_not_waited_for_without_end() {
    proxy.firstTimes(1, "GET", new Fault.Silence());
    store.put("a", text("hello"));
    assertThat(store.get("a")).isEqualTo(text("hello"));
    assertThat(proxy.count("GET")).isEqualTo(2);
  }

  @Test
  void a_server_that_stops_listening_in_the_middle_of_a_body_is_sent_it_again() {
    byte[] large = new byte[6 << 20]; // more than the buffers of the two sides hold
    proxy.firstTimes(1, "PUT", new Fault.Deaf());
    store.put("a", large);
    assertThat(proxy.count("PUT")).isEqualTo(2);
    proxy.plan(_ -> new Fault.Pass());
    assertThat(store.get("a")).hasSize(large.length);
  }

  @ParameterizedTest
  @EnumSource(mode = EnumSource.Mode.EXCLUDE, names = "ALTERED") // the signature covers this body
  void an_upload_whose_last_step_stumbles_twice_is_completed_once(Stumble stumble) {
    try (ObjectWriter writer = store.create("big")) {
      writer.write(new byte[9 << 20], 0, 9 << 20);
      int[] completions = new int[1];
      proxy.plan(request ->
          request.method().equals("POST") && completions[0]++ < 2
              ? stumble.fault()
              : new Fault.Pass());
      writer.commit();
    }
    proxy.plan(_ -> new Fault.Pass());
    assertThat(store.get("big")).hasSize(9 << 20);
    try (ObjectWriter writer = store.create("big")) {
      writer.write(new byte[9 << 20], 0, 9 << 20);
      assertThatThrownBy(writer::commit).isInstanceOf(ObjectExistsException.class);
    }
  }

  @Test
  void an_upload_whose_completion_landed_unheard_is_ours_and_anothers_is_not() {
    for (Fault second :
        new Fault[] {
          new Fault.Answer(404, "NoSuchUpload", "The upload may have been completed."),
          new Fault.Answer(412, "PreconditionFailed", "It exists.")
        }) {
      for (boolean landed : new boolean[] {true, false}) {
        String name = "big-%s-%s".formatted(((Fault.Answer) second).status(), landed);
        try (ObjectWriter writer = store.create(name)) {
          writer.write(new byte[9 << 20], 0, 9 << 20);
          int[] completions = new int[1];
          proxy.plan(request -> {
            if (!request.method().equals("POST")) {
              return new Fault.Pass();
            }
            completions[0]++;
            if (completions[0] > 1) {
              return second;
            }
            if (!landed) {
              S3ObjectStore.open("s3://acme-backups/run/" + opened, IMPATIENT)
                  .replace(name, text("another's"));
            }
            return landed ? new Fault.AnswerLost() : new Fault.Lost();
          });
          if (landed) {
            writer.commit();
          } else {
            assertThatThrownBy(writer::commit).isInstanceOf(ObjectExistsException.class);
          }
          assertThat(completions[0]).isEqualTo(2);
        }
        proxy.plan(_ -> new Fault.Pass());
        assertThat(store.get(name)).as(name).hasSize(landed ? 9 << 20 : "another's".length());
      }
    }
  }

  @Test
  void an_error_inside_a_success_is_an_error() {
    try (ObjectWriter writer = store.create("big")) {
      writer.write(new byte[9 << 20], 0, 9 << 20);
      int[] completions = new int[1];
      proxy.plan(request ->
          request.method().equals("POST") && completions[0]++ < 1
              ? new Fault.Answer(200, "InternalError", "We encountered an internal error.")
              : new Fault.Pass());
      writer.commit();
    }
    assertThat(store.get("big")).hasSize(9 << 20);
  }

  @Test
  void a_part_that_is_lost_or_altered_is_sent_again() {
    byte[] content = new byte[17 << 20];
    new Random(2).nextBytes(content);
    for (Fault fault :
        new Fault[] {new Fault.Lost(), new Fault.AnswerLost(), new Fault.Altered()}) {
      String name = "big-" + fault.getClass().getSimpleName();
      proxy.firstTimes(2, "PUT", fault);
      try (ObjectWriter writer = store.create(name)) {
        writer.write(content, 0, content.length);
        writer.commit();
      }
      assertThat(proxy.count("PUT")).as(name).isEqualTo(5);
      assertThat(store.get(name)).as(name).isEqualTo(content);
    }
  }

  @Test
  void a_server_that_ignores_the_condition_is_refused_before_anything_is_overwritten() {
    S3ObjectStore other = S3ObjectStore.open("s3://acme-backups/run/" + opened, IMPATIENT);
    store.put("a", text("first"));
    proxy.plan(_ -> new Fault.Without("If-None-Match"));
    assertThatThrownBy(() -> other.put("a", text("second")))
        .isInstanceOf(OperatorException.class)
        .hasMessage(
            ("cannot write to s3://acme-backups/run/%1$d: this server has no conditional writes: it"
                    + " overwrites an object that it was told not to overwrite, so two Holdfasts"
                    + " could overwrite each other's objects; next: use a server that has them"
                    + " (Amazon S3, MinIO, Ceph, R2 do); or, where never more than one Holdfast"
                    + " writes to this repository, name it"
                    + " s3://acme-backups/run/%1$d?conditionalWrites=false: then Holdfast looks"
                    + " before it writes")
                .formatted(opened))
        .extracting(e -> ((OperatorException) e).kind())
        .isEqualTo(Kind.REFUSED);
    assertThatThrownBy(
            () -> {
              try (ObjectWriter writer = other.create("big")) {
                writer.write(new byte[9 << 20], 0, 9 << 20);
              }
            })
        .hasMessageContaining("no conditional writes");
    assertThat(store.get("a")).isEqualTo(text("first"));
    assertThat(other.list("")).as("reading goes on").hasSize(2);
  }

  @Test
  void a_server_that_does_not_know_the_condition_is_refused() {
    S3ObjectStore other = S3ObjectStore.open("s3://acme-backups/run/" + opened, IMPATIENT);
    proxy.plan(request ->
        request.header("If-None-Match").isEmpty()
            ? new Fault.Pass()
            : new Fault.Answer(
                501, "NotImplemented", "A header you provided implies functionality"));
    assertThatThrownBy(() -> other.put("a", text("x")))
        .hasMessageContaining(
            "this server has no conditional writes: it does not know the condition If-None-Match");
  }

  @Test
  void where_the_operator_waives_conditions_holdfast_looks_before_it_writes() {
    S3ObjectStore waived =
        S3ObjectStore.open(
            "s3://acme-backups/run/" + opened + "?conditionalWrites=false", IMPATIENT);
    proxy.plan(request ->
        request.header("If-None-Match").isEmpty()
            ? new Fault.Pass()
            : new Fault.Answer(501, "NotImplemented", "no"));
    waived.put("a", text("first"));
    assertThatThrownBy(() -> waived.put("a", text("second")))
        .isInstanceOf(ObjectExistsException.class);
    try (ObjectWriter writer = waived.create("big")) {
      writer.write(new byte[9 << 20], 0, 9 << 20);
      writer.commit();
    }
    try (ObjectWriter writer = waived.create("a")) {
      writer.write(new byte[9 << 20], 0, 9 << 20);
      assertThatThrownBy(writer::commit).isInstanceOf(ObjectExistsException.class);
    }
    assertThat(waived.get("a")).isEqualTo(text("first"));
    proxy.firstTimes(1, "PUT", new Fault.AnswerLost());
    waived.put("b", text("x"));
    assertThat(waived.get("b")).isEqualTo(text("x"));
  }

  @Test
  void an_upload_does_not_overwrite_where_only_its_last_step_ignores_the_condition() {
    store.put("a", text("first"));
    proxy.plan(request ->
        request.method().equals("POST") ? new Fault.Without("If-None-Match") : new Fault.Pass());
    try (ObjectWriter writer = store.create("a")) {
      writer.write(new byte[9 << 20], 0, 9 << 20);
      assertThatThrownBy(writer::commit).isInstanceOf(ObjectExistsException.class);
    }
    assertThat(store.get("a")).isEqualTo(text("first"));
  }

  @Test
  void an_upload_cut_off_at_any_request_is_seen_whole_or_not_at_all() {
    byte[] content = new byte[17 << 20];
    new Random(3).nextBytes(content);
    for (boolean lands : new boolean[] {true, false}) {
      for (int cutAt = 1; ; cutAt++) {
        String name = "cut/%s-%d".formatted(lands, cutAt);
        cutOff(cutAt, lands);
        boolean finished = false;
        try {
          ObjectWriter writer = store.create(name); // without power nobody closes it
          writer.write(content, 0, content.length);
          writer.commit();
          finished = true;
        } catch (OperatorException e) {
          assertThat(e).hasMessageContaining("PowerCut");
        }
        int made = proxy.requests().size();
        proxy.plan(_ -> new Fault.Pass());
        if (finished) {
          assertThat(cutAt).as("begin, three parts, look, complete").isEqualTo(7);
          break;
        }
        if (store.exists(name)) {
          assertThat(lands && cutAt == 6).as("request %d of %d", cutAt, made).isTrue();
          assertThat(store.get(name)).isEqualTo(content);
        } else {
          assertThat(store.list("cut/"))
              .as("request %d", cutAt)
              .noneMatch(object -> object.name().equals(name));
          store.put(name, text("the next attempt"));
          assertThat(store.get(name)).isEqualTo(text("the next attempt"));
        }
      }
    }
  }

  /** From the n-th request on every answer is an error that no further attempt is made after. */
  private static void cutOff(int cutAt, boolean lands) {
    int[] seen = new int[1];
    proxy.plan(_ -> {
      seen[0]++;
      if (seen[0] < cutAt) {
        return new Fault.Pass();
      }
      return lands && seen[0] == cutAt
          ? new Fault.Landed(400, "PowerCut", "no more")
          : new Fault.Answer(400, "PowerCut", "no more");
    });
  }

  private static byte[] text(String text) {
    return text.getBytes(UTF_8);
  }
}
