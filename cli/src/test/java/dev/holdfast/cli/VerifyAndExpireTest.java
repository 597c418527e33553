package dev.holdfast.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.store.BaseManifest;
import dev.holdfast.store.BaseWriter;
import dev.holdfast.store.ClusterDocument;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.Repository;
import dev.holdfast.testkit.S3Server;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** What is printed, and the exit codes, on a past made by hand. */
class VerifyAndExpireTest {
  private static final int SEGMENT = 1 << 20;

  @TempDir Path folder;
  private Ended ended = new Ended(0, "", "");

  private int run(String location, String... arguments) {
    ended =
        InProcess.run(
            Map.of("HOLDFAST_REPOSITORY", location, "XDG_CONFIG_HOME", folder.toString()),
            arguments);
    return ended.exitCode();
  }

  private List<JsonNode> lines() {
    return ended.out().lines().map(JsonMapper.shared()::readTree).toList();
  }

  private static String segment(int number) {
    return "0000000100000000%08X".formatted(number);
  }

  /** Segments 3 to 11 and base backups in 4 and in 8. */
  private static ClusterStore live(String location) {
    ClusterStore cluster =
        Repository.create(location)
            .register(
                new ClusterDocument(
                    "acme",
                    "postgresql",
                    "7",
                    18,
                    "production",
                    SEGMENT,
                    "postgresql://localhost/shop",
                    null,
                    Instant.parse("2026-01-01T00:00:00Z"),
                    Map.of()));
    for (int number = 3; number < 12; number++) {
      cluster.wal().put(segment(number), new byte[SEGMENT]);
    }
    base(cluster, "20260101T000000Z-full", 4, "2026-01-01T00:00:00Z");
    base(cluster, "20260201T000000Z-full", 8, "2026-02-01T00:00:00Z");
    return cluster;
  }

  private static void base(ClusterStore cluster, String label, int segment, String finishedAt) {
    try (BaseWriter writer = cluster.bases().begin(label)) {
      writer.file("global/pg_control", 3, new ByteArrayInputStream(new byte[] {1, 2, 3}));
      writer.publish(
          new BaseManifest(
              label,
              "full",
              null,
              1,
              (long) segment * SEGMENT + 40,
              (long) segment * SEGMENT + 256,
              Instant.parse(finishedAt),
              Instant.parse(finishedAt),
              18,
              "7",
              SEGMENT,
              "",
              null,
              Map.of(),
              0,
              0));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static void increment(ClusterStore cluster, String label, String parent, int segment) {
    Instant finishedAt = Instant.parse("2026-02-02T00:00:00Z");
    try (BaseWriter writer = cluster.bases().begin(label)) {
      writer.madeFrom(parent);
      writer.sized("global/pg_control", 3);
      writer.publish(
          new BaseManifest(
              label,
              BaseManifest.INCREMENTAL,
              parent,
              1,
              (long) segment * SEGMENT + 40,
              (long) segment * SEGMENT + 256,
              finishedAt,
              finishedAt,
              18,
              "7",
              SEGMENT,
              "",
              null,
              Map.of(),
              0,
              0,
              0,
              1));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"directory", "bucket"})
  void a_chain_is_rolled_up_once(String place) {
    try (S3Server bucket = place.equals("bucket") ? S3Server.start("acme-backups") : null;
        var _ = bucket == null ? null : S3Server.environment(bucket.endpoint())) {
      String location =
          bucket == null ? folder.resolve("repository").toString() : "s3://acme-backups/holdfast";
      ClusterStore cluster = live(location);
      assertThat(run(location, "rollup", "acme")).as(ended.out() + ended.err()).isZero();
      assertThat(ended.out())
          .isEqualTo("20260201T000000Z-full is a full base backup: there is nothing to roll up\n");
      increment(cluster, "20260202T000000Z-incr", "20260201T000000Z-full", 9);
      assertThat(run(location, "verify", "--read-data", "100"))
          .as(ended.out() + ended.err())
          .isZero();

      assertThat(run(location, "rollup", "acme", "--json")).as(ended.out() + ended.err()).isZero();
      JsonNode made = lines().getLast();
      assertThat(made.get("label").asString()).isEqualTo("20260202T000000Z-full");
      assertThat(made.get("from").asString()).isEqualTo("20260202T000000Z-incr");
      assertThat(made.get("layers").asInt()).isEqualTo(2);
      assertThat(made.get("made").asBoolean()).isTrue();
      assertThat(cluster.bases().open("20260202T000000Z-full").files())
          .containsExactly(Map.entry("global/pg_control", 3L));
      assertThat(run(location, "rollup", "acme", "20260202T000000Z-incr")).isZero();
      assertThat(ended.out())
          .isEqualTo("20260202T000000Z-incr was rolled up before: 20260202T000000Z-full\n");
      assertThat(run(location, "rollup", "acme", "20260303T000000Z-incr")).isEqualTo(2);
      assertThat(ended.err()).contains("there is no base backup 20260303T000000Z-incr");
      assertThat(run(location, "verify", "--read-data", "100"))
          .as(ended.out() + ended.err())
          .isZero();

      // What the incremental one stands on goes with it, and never before it.
      assertThat(
              run(location, "expire", "acme", "--keep-full", "1", "--keep-window", "0d", "--json"))
          .as(ended.out() + ended.err())
          .isZero();
      List<String> removed = new ArrayList<>();
      lines().getLast().get("removed").forEach(base -> removed.add(base.get("label").asString()));
      assertThat(removed)
          .containsExactlyInAnyOrder(
              "20260101T000000Z-full", "20260202T000000Z-incr", "20260201T000000Z-full")
          .containsSubsequence("20260202T000000Z-incr", "20260201T000000Z-full");
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"directory", "bucket"})
  void a_past_is_verified_expired_and_verified_again(String place) {
    try (S3Server bucket = place.equals("bucket") ? S3Server.start("acme-backups") : null;
        var _ = bucket == null ? null : S3Server.environment(bucket.endpoint())) {
      String location =
          bucket == null ? folder.resolve("repository").toString() : "s3://acme-backups/holdfast";
      ClusterStore cluster = live(location);
      assertThat(run(location, "verify", "acme", "--read-data", "100%", "--json"))
          .as(ended.out() + ended.err())
          .isZero();
      JsonNode summary = lines().getLast();
      assertThat(summary.get("result").asString()).isEqualTo("clean");
      assertThat(summary.get("clusters").get(0).get("contentBytesRead").asLong())
          .isPositive()
          .isEqualTo(summary.get("clusters").get(0).get("contentBytes").asLong());

      assertThat(
              run(location, "expire", "acme", "--keep-full", "1", "--keep-window", "0d", "--json"))
          .as(ended.out() + ended.err())
          .isZero();
      JsonNode plan = lines().getFirst();
      assertThat(plan.get("removed").get(0).get("label").asString())
          .isEqualTo("20260101T000000Z-full");
      assertThat(plan.get("wal")).as("it was stored just now").isEmpty();
      assertThat(
              run(
                  location,
                  "expire",
                  "acme",
                  "--keep-full",
                  "1",
                  "--keep-window",
                  "0d",
                  "--apply",
                  plan.get("digest").asString()))
          .as(ended.out() + ended.err())
          .isZero();
      assertThat(ended.out())
          .startsWith("expired  acme: 1 base backup, 0 segments of WAL, 0 summaries");
      assertThat(cluster.bases().list()).hasSize(1);
      assertThat(run(location, "verify", "--read-data", "50"))
          .as(ended.out() + ended.err())
          .isZero();
      assertThat(ended.out())
          .contains("acme  1 base backup that can be used, 9 segments of WAL")
          .contains("every moment can be reached from 0/800100 to 0/C00000")
          .contains("chosen with --seed ")
          .contains("clean  no problem found");
    }
  }

  @Test
  void a_gap_ends_with_4_and_damage_with_6_and_each_says_what_it_costs() throws IOException {
    String location = folder.resolve("repository").toString();
    live(location);
    Path wal = Path.of(location, "clusters/acme/wal/00000001");
    Files.delete(wal.resolve(segment(6)));
    assertThat(run(location, "verify")).isEqualTo(4);
    assertThat(ended.out())
        .isEqualTo(
            """
            gap: 000000010000000000000006
              found: WAL from 0/600000 to 0/700000 is not recorded: segment 000000010000000000000006
              costs: the moments from 0/600000 to 0/800100 cannot be reached
              next:  copy the segment from another copy of the repository if it has it; base backup\
             20260201T000000Z-full reaches the moments from 0/800100 on
            acme  2 base backups that can be used, 8 segments of WAL, 15 objects looked at
              every moment can be reached from 0/400100 to 0/600000, from 0/800100 to 0/C00000
            contents of base backups and WAL were not read: --read-data 100%% reads all %s
            gaps  1 problem; what is stored holds, and not every moment can be reached
            """
                .formatted(
                    ended.out().replaceAll("(?s).*reads all ([0-9.]+ [KMG]?i?B)\n.*", "$1")));
    byte[] damaged = Files.readAllBytes(wal.resolve(segment(10)));
    damaged[20] ^= 1;
    Files.write(wal.resolve(segment(10)), damaged);
    assertThat(run(location, "verify", "--json")).isEqualTo(6);
    assertThat(lines())
        .extracting(line -> line.path("level").asString(""))
        .containsExactly("damaged", "gap", "");
    assertThat(lines().getFirst().get("lost").toString())
        .isEqualTo("[{\"timeline\":1,\"from\":\"0/A00000\",\"to\":\"0/C00000\"}]");
  }

  @Test
  void wrong_words_are_told() {
    String location = folder.resolve("repository").toString();
    live(location);
    assertThat(run(location, "verify", "--read-data", "101%")).isEqualTo(2);
    assertThat(run(location, "verify", "acne")).isEqualTo(2);
    assertThat(run(location, "expire", "--apply", "0123456789abcdef")).isEqualTo(2);
    assertThat(ended.err()).contains("holdfast expire NAME --apply 0123456789abcdef");
    assertThat(run(location, "expire", "acme", "--dry-run", "--apply", "0")).isEqualTo(2);
    assertThat(run(location, "expire", "acme", "--keep-window", "soon")).isEqualTo(2);
    assertThat(run(location, "expire", "acme", "--keep-full", "0")).isEqualTo(2);
    assertThat(run(location, "expire", "acme", "--apply", "0123456789abcdef")).isEqualTo(3);
    assertThat(run(folder.resolve("none").toString(), "verify")).isEqualTo(5);
  }

  @Test
  void holdfast_yaml_says_what_is_kept_and_the_command_line_wins() throws IOException {
    String location = folder.resolve("repository").toString();
    live(location);
    Path yaml = folder.resolve("rules.yaml");
    Files.writeString(yaml, "expire:\n  keepWindow: 0d\n  keepFull: 1\n  keepSummaries: 30d\n");
    assertThat(run(location, "expire", "--config", yaml.toString(), "--json")).isZero();
    assertThat(lines().getFirst().get("removed")).hasSize(1);
    assertThat(lines().getFirst().get("keepSummaries").asString()).isEqualTo("30d");
    assertThat(run(location, "expire", "--config", yaml.toString(), "--keep-full", "2", "--json"))
        .isZero();
    assertThat(lines().getFirst().get("removed")).isEmpty();
    Files.writeString(yaml, "expire:\n  keepWidow: 0d\n");
    assertThat(run(location, "expire", "--config", yaml.toString())).isEqualTo(2);
    assertThat(ended.err()).contains("did you mean \"keepWindow\"?");
  }
}
