package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.Repository;
import dev.holdfast.testkit.Majors;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.List;
import java.util.Objects;
import java.util.stream.Stream;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What a moment would give back, told before anything is restored. */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class PreviewTest {
  static List<Integer> majors() {
    return Majors.of("holdfast.recovery.majors", "14,18");
  }

  @ParameterizedTest
  @MethodSource("majors")
  void before_a_dropped_table_it_is_there_with_its_rows_and_after_it_is_not(
      int major, @TempDir Path scratch) throws Exception {
    try (ProtectedServer production =
        ProtectedServer.start(
            major,
            "CREATE TABLE users (id int PRIMARY KEY, name text)",
            "INSERT INTO users SELECT i, repeat('x', 100) FROM generate_series(1, 20000) i",
            "ANALYZE users",
            "CREATE UNLOGGED TABLE fleeting AS SELECT generate_series(1, 1000) AS id",
            "CREATE DATABASE \"other one\"")) {
      production.server.executeIn(
          "other one",
          "CREATE SCHEMA s",
          "CREATE TABLE s.made_later AS SELECT generate_series(1, 5000) AS id",
          "ANALYZE s.made_later");
      production.server.execute("DROP TABLE users");
      production.caughtUp();
      LogEntry drop =
          production.log(new Log.Filter(true, null, null, null, null, null)).stream()
              .reduce((_, b) -> b)
              .orElseThrow();
      Preview preview = new Preview(production.repository, ProtectedServer.NAME, scratch);

      PreviewResult before =
          preview.run(new Target(drop.xid(), null, null, null, null, null), true, Progress.SILENT);
      PreviewResult after =
          preview.run(new Target(null, drop.xid(), null, null, null, null), true, Progress.SILENT);

      PreviewResult.Table users = table(before, "postgres", "users");
      assertThat(users.estimatedRows()).isEqualTo(20_000);
      assertThat(users.estimatedBytes()).isBetween(2_500_000L, 6_000_000L); // with its index
      assertThat(table(before, "postgres", "fleeting").estimatedRows()).isZero();
      PreviewResult.Table later = table(before, "other one", "made_later");
      assertThat(later.schema()).isEqualTo("s");
      assertThat(later.estimatedRows()).isEqualTo(5000);
      assertThat(later.estimatedBytes()).isGreaterThan(150_000); // not in the base backup
      assertThat(after.tables()).extracting(PreviewResult.Table::table).doesNotContain("users");
      assertThat(before.notes()).isEmpty();
      assertThat(before.lastCommitAt()).isBetween(Instant.now().minusSeconds(600), Instant.now());

      var cluster = Repository.open(production.repository).cluster(ProtectedServer.NAME);
      var base = cluster.bases().list().getFirst();
      assertThat(before.bases())
          .extracting(PreviewResult.Base::label)
          .containsExactly(base.label());
      assertThat(before.walSegments()).isPositive();
      assertThat(before.walBytes()).isEqualTo(before.walSegments() * (long) base.walSegmentSize());
      assertThat(before.fetchBytes())
          .isGreaterThan(base.storedBytes())
          .isLessThan(base.storedBytes() + before.walBytes());
      try (Stream<Path> left = Files.list(scratch)) {
        assertThat(left).isEmpty();
      }

      PreviewResult quick = preview.run(Target.LATEST, false, Progress.SILENT);
      assertThat(quick.tables()).isNull();
      assertThat(quick.state()).isEqualTo("before");

      assertThatThrownBy(() ->
              preview.run(new Target(null, null, null, "FF/0", null, null), false, Progress.SILENT))
          .isInstanceOfSatisfying(
              OperatorException.class,
              e -> {
                assertThat(e.kind()).isEqualTo(Kind.REFUSED);
                assertThat(e.next()).contains("choose a target from");
              });
    }
  }

  @Test
  void the_time_a_restore_takes_is_what_a_proof_took_in_the_proportion_of_the_bytes() {
    ProofDocument proof =
        new ProofDocument(
            "20261122T030000Z",
            "acme",
            Instant.EPOCH,
            Instant.EPOCH,
            ProofDocument.PROVEN,
            null,
            new ProofDocument.Moment("latest", "0/3000000", "before", null, null),
            "20261121T010000Z-full",
            1000,
            100,
            new ProofDocument.Recovery(1, 20, 4, 9, 0.5, 34.5),
            3,
            null,
            List.of(),
            new ProofDocument.Machine("here", 2, 2, "18.1", "0.1"));

    assertThat(Preview.expectedSeconds(proof, 1000, 100)).isEqualTo(34.5);
    assertThat(Preview.expectedSeconds(proof, 2000, 50)).isEqualTo(48 + 5 + 0.5);
    assertThat(Preview.expectedSeconds(proof, 500, 0)).isEqualTo(12.5);
  }

  private static PreviewResult.Table table(PreviewResult result, String database, String name) {
    return Objects.requireNonNull(result.tables()).stream()
        .filter(table -> table.database().equals(database) && table.table().equals(name))
        .findFirst()
        .orElseThrow();
  }
}
