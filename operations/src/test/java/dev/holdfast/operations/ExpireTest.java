package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.tuple;

import dev.holdfast.damage.SegmentSummary;
import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.BaseManifest;
import dev.holdfast.store.StoredSegment;
import dev.holdfast.wal.Lsn;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class ExpireTest {
  private static final Instant NOW = Instant.parse("2026-11-22T03:30:00Z");
  private static final RetentionRules WEEK =
      new RetentionRules(Duration.ofDays(7), 1, Duration.ofDays(400));

  @TempDir private Path folder;
  private PastCluster past;
  private int copies;

  private static String label(int day) {
    return "202611%02dT030000Z-full".formatted(day);
  }

  /** A full base backup every fifth day from the first to the twenty-first, WAL from 3 to 30. */
  @BeforeEach
  void live() throws IOException {
    past = new PastCluster(folder.resolve("repository").toString());
    live(past);
    past.storedAt(NOW.minus(Duration.ofDays(2)));
    Files.setLastModifiedTime(
        past.file("wal/00000001/filling/" + PastCluster.segment(1, 30) + ".00000001"),
        FileTime.from(NOW.minus(Duration.ofHours(1)))); // it is being recorded
    assertThat(problems(past)).isEmpty();
  }

  private static void live(PastCluster past) {
    past.wal(1, 3, 30).partial(1, 30, 1000);
    for (int day = 1; day <= 21; day += 5) {
      past.base(
          label(day),
          1,
          day + 3.25,
          day + 3.5,
          Instant.parse("2026-11-%02dT03:00:00Z".formatted(day)));
      past.cluster.putCatalog("%016X".formatted(PastCluster.lsn(day + 3.1).position()), Map.of());
    }
    for (int number = 3; number < 30; number++) {
      past.cluster
          .summaries()
          .put(PastCluster.segment(1, number), summary(number, NOW).encode(), new byte[0]);
    }
  }

  private static SegmentSummary summary(int number, @Nullable Instant commit) {
    Lsn from = PastCluster.lsn(number);
    return new SegmentSummary(
        from,
        PastCluster.lsn(number + 1),
        from,
        commit == null ? 0 : 1,
        commit == null ? null : from,
        commit == null ? null : from,
        commit,
        commit,
        0,
        false,
        List.of(),
        List.of(),
        false,
        List.of());
  }

  private static List<VerifyProblem> problems(PastCluster past) {
    return new Verify(past.location)
        .run(new Verify.Request(null, 100, 1), Progress.SILENT).problems().stream()
            .filter(problem -> !problem.level().equals("note"))
            .toList();
  }

  private static Expire expire(PastCluster past, RetentionRules rules) {
    return new Expire(past.cluster, rules, () -> NOW);
  }

  private static List<String> bases(PastCluster past) {
    return past.cluster.bases().list().stream().map(BaseManifest::label).toList();
  }

  private static List<String> segments(PastCluster past) {
    return past.cluster.wal().list().stream().map(StoredSegment::name).toList();
  }

  private static ExpireResult apply(Expire expire) {
    Expire.Planned planned = expire.plan();
    return planned.apply(planned.plan().digest(), Progress.SILENT);
  }

  @Test
  void what_is_older_than_the_window_goes_and_what_reaches_its_beginning_stays() {
    ExpirePlan plan = expire(past, WEEK).plan().plan();
    assertThat(plan.removed())
        .extracting(ExpirePlan.Removed::label)
        .containsExactly(label(1), label(6));
    assertThat(plan.kept())
        .extracting(ExpirePlan.Kept::label, ExpirePlan.Kept::why)
        .containsExactly(
            tuple(label(11), List.of("reaches the window's beginning")),
            tuple(label(16), List.of("in the window")),
            tuple(
                label(21),
                List.of("in the window", "newest full backup", "newest that can be used")));
    assertThat(plan.wal())
        .extracting(ExpirePlan.Wal::first, ExpirePlan.Wal::last, ExpirePlan.Wal::segments)
        .containsExactly(tuple(PastCluster.segment(1, 3), PastCluster.segment(1, 13), 11));
    assertThat(plan.keptFromLsn()).isEqualTo(PastCluster.lsn(14.25).toString());
    assertThat(plan.reachableSince()).isEqualTo(Instant.parse("2026-11-11T03:00:00Z"));
    assertThat(bases(past)).as("a plan removes nothing").hasSize(5);

    ExpireResult result = apply(expire(past, WEEK));
    assertThat(result.basesRemoved()).isEqualTo(2);
    assertThat(result.segmentsRemoved()).isEqualTo(11);
    assertThat(result.bytesRemoved()).isEqualTo(plan.bytes());
    assertThat(bases(past)).containsExactly(label(11), label(16), label(21));
    assertThat(segments(past)).hasSize(17).first().isEqualTo(PastCluster.segment(1, 14));
    assertThat(past.cluster.summaries().list()).as("they outlive their WAL").hasSize(27);
    assertThat(past.cluster.catalogs()).as("the summaries need them").hasSize(5);
    assertThat(problems(past)).isEmpty();
    assertThat(expire(past, WEEK).plan().plan().removesNothing()).isTrue();
  }

  @Test
  void another_digest_is_refused_and_removes_nothing() {
    Expire.Planned planned = expire(past, WEEK).plan();
    assertThatThrownBy(() -> planned.apply("0123456789abcdef", Progress.SILENT))
        .isInstanceOf(OperatorException.class)
        .hasMessage(
            "the plan 0123456789abcdef is not this one: what would be removed has changed since, or"
                + " other rules are given: its digest is "
                + planned.plan().digest()
                + " now; next: look at it: holdfast expire acme");
    // Agreed to too late: somebody opened an incident meanwhile.
    past.cluster.putDocument("incidents", "one", Map.of("base", label(6)));
    assertThatThrownBy(() -> planned.apply(planned.plan().digest(), Progress.SILENT))
        .extracting(e -> ((OperatorException) e).kind())
        .isEqualTo(Kind.REFUSED);
    assertThat(bases(past)).hasSize(5);
    assertThat(segments(past)).hasSize(28);
  }

  @Test
  void a_recorder_that_stood_still_has_nothing_expire() {
    past.storedAt(NOW.minus(Duration.ofDays(16)));
    assertThat(expire(past, WEEK).plan().plan().removed()).isEmpty();
  }

  @Test
  void new_wal_does_not_change_the_plan() {
    String digest = expire(past, WEEK).plan().plan().digest();
    past.wal(1, 30, 32);
    assertThat(expire(past, WEEK).plan().plan().digest()).isEqualTo(digest);
  }

  @Test
  void what_a_document_names_stays_with_the_wal_after_it() {
    past.cluster.putDocument(
        "incidents", "one", Map.of("steps", List.of(Map.of("base", label(6)))));
    ExpirePlan plan = expire(past, WEEK).plan().plan();
    assertThat(plan.removed()).extracting(ExpirePlan.Removed::label).containsExactly(label(1));
    assertThat(plan.kept().getFirst().why()).containsExactly("named by incidents/one");
    assertThat(plan.keptFromLsn()).isEqualTo(PastCluster.lsn(9.25).toString());

    past.cluster.putDocument(
        "incidents", "two", Map.of("lsn", PastCluster.lsn(5.5).toString(), "what", "a drop"));
    assertThat(expire(past, WEEK).plan().plan().removed()).isEmpty();
  }

  @Test
  void what_clients_call_themselves_keeps_nothing() {
    String digest = expire(past, WEEK).plan().plan().digest();
    past.cluster.replaceDocument(
        "checks", "one", Map.of("application", label(6), "host", PastCluster.lsn(5.5).toString()));
    assertThat(expire(past, WEEK).plan().plan().digest()).isEqualTo(digest);
  }

  @Test
  void of_the_proofs_the_newest_successful_one_alone_keeps_its_base_backup() {
    keepProof("20261106T040000Z", "proven", label(6));
    assertThat(expire(past, WEEK).plan().plan().kept().getFirst().why())
        .containsExactly("named by proofs/20261106T040000Z");
    keepProof("20261111T040000Z", "proven", label(11));
    keepProof("20261112T040000Z", "failed", label(1));
    assertThat(expire(past, WEEK).plan().plan().removed())
        .extracting(ExpirePlan.Removed::label)
        .containsExactly(label(1), label(6));
  }

  private void keepProof(String name, String result, String base) {
    past.cluster.putDocument("proofs", name, ProofSample.of(name, NOW, result, base));
  }

  @Test
  void what_cannot_be_read_may_need_anything_and_nothing_is_removed() throws IOException {
    past.cluster.putDocument("incidents", "one", Map.of("base", label(6)));
    Path document = past.file("incidents/one.json");
    Files.writeString(document, Files.readString(document).replace("base", "bose"));
    assertThatThrownBy(() -> expire(past, WEEK).plan())
        .hasMessageStartingWith(
            "cannot say what of acme may be removed: incidents/one cannot be read, so what it needs"
                + " is not known")
        .extracting(e -> ((OperatorException) e).kind())
        .isEqualTo(Kind.DAMAGED_DATA);
    Files.delete(document);
    Path manifest = past.file("bases/" + label(6) + "/manifest.json");
    Files.writeString(manifest, Files.readString(manifest).replace("full", "fool"));
    assertThatThrownBy(() -> expire(past, WEEK).plan())
        .hasMessageContaining("bases/" + label(6) + "/manifest.json cannot be read");
  }

  @Test
  void the_last_base_backup_that_can_be_used_is_never_removed() throws IOException {
    var strict = new RetentionRules(Duration.ZERO, 1, Duration.ofDays(400));
    for (int day : new int[] {11, 16, 21}) {
      Files.delete(past.file("bases/" + label(day) + "/part-0001"));
    }
    ExpirePlan plan = expire(past, strict).plan().plan();
    assertThat(plan.removed()).extracting(ExpirePlan.Removed::label).containsExactly(label(1));
    for (int day : new int[] {1, 6}) {
      Files.delete(past.file("bases/" + label(day) + "/part-0001"));
    }
    assertThat(expire(past, strict).plan().plan().removesNothing()).isTrue();
  }

  @Test
  void wal_that_a_base_backup_being_taken_may_need_stays() throws IOException {
    var strict = new RetentionRules(Duration.ZERO, 1, Duration.ofDays(400));
    assertThat(expire(past, strict).plan().plan().keptFromLsn())
        .isEqualTo(PastCluster.lsn(24.25).toString());
    // Begun between the last two that are published, and still writing.
    Path part = past.file("bases/20261117T000000Z-full/part-0001");
    Files.createDirectories(part.getParent());
    Files.copy(past.file("bases/" + label(16) + "/part-0001"), part);
    Files.setLastModifiedTime(part, FileTime.from(NOW.minus(Duration.ofHours(3))));
    ExpirePlan plan = expire(past, strict).plan().plan();
    assertThat(plan.keptFromLsn()).isEqualTo(PastCluster.lsn(19.25).toString());
    assertThat(plan.notes()).hasSize(1);
    assertThat(plan.notes().getFirst()).contains("20261117T000000Z-full");
    // Nobody wrote to it for a day: it goes itself.
    Files.setLastModifiedTime(part, FileTime.from(NOW.minus(Duration.ofHours(30))));
    assertThat(expire(past, strict).plan().plan().removed())
        .extracting(ExpirePlan.Removed::label)
        .contains("20261117T000000Z-full");
  }

  @Test
  void wal_of_a_newer_timeline_stays_until_a_base_backup_of_it_is_published() {
    var strict = new RetentionRules(Duration.ZERO, 1, Duration.ofDays(400));
    apply(expire(past, strict));
    assertThat(bases(past)).containsExactly(label(21));
    // Taken back to before all that is left, it writes at positions lower than any base backup's.
    past.history(2, "1\t0/A80000\tbefore a drop\n")
        .wal(2, 10, 16)
        .storedAt(NOW.minus(Duration.ofDays(2)));
    assertThat(expire(past, strict).plan().plan().removesNothing()).isTrue();
    past.base(label(22), 2, 14.2, 14.4, Instant.parse("2026-11-22T02:00:00Z"))
        .storedAt(NOW.minus(Duration.ofDays(2)));
    assertThat(expire(past, strict).plan().plan().wal())
        .extracting(ExpirePlan.Wal::first, ExpirePlan.Wal::last)
        .containsExactly(tuple(PastCluster.segment(2, 10), PastCluster.segment(2, 13)));
  }

  @Test
  void wal_stored_less_than_a_day_ago_stays() throws IOException {
    Path young = past.file("wal/00000001/" + PastCluster.segment(1, 13));
    Files.setLastModifiedTime(young, FileTime.from(NOW.minus(Duration.ofHours(3))));
    assertThat(expire(past, WEEK).plan().plan().wal().getFirst().last())
        .isEqualTo(PastCluster.segment(1, 12));
  }

  @Test
  void summaries_go_with_all_that_share_their_pack_when_they_are_old_enough() {
    var old = new PastCluster(folder.resolve("old").toString());
    Instant longAgo = NOW.minus(Duration.ofDays(500));
    for (int number = 0; number < 300; number++) {
      old.cluster
          .summaries()
          .put(
              PastCluster.segment(1, number),
              summary(number, number == 299 ? NOW : longAgo).encode(),
              new byte[0]);
    }
    old.cluster.putCatalog("0000000000000100", Map.of());
    old.cluster.putCatalog("%016X".formatted(PastCluster.lsn(200).position()), Map.of());
    old.cluster.putCatalog("%016X".formatted(PastCluster.lsn(299).position()), Map.of());
    old.wal(1, 310, 315)
        .base(label(21), 1, 310.2, 310.4, Instant.parse("2026-11-21T03:00:00Z"))
        .storedAt(NOW.minus(Duration.ofDays(3)));
    ExpirePlan plan = expire(old, WEEK).plan().plan();
    assertThat(plan.summaries()).as("the second pack has a young one in it").isEqualTo(256);
    assertThat(plan.catalogs()).isEqualTo(1);
    apply(expire(old, WEEK));
    assertThat(old.cluster.summaries().list())
        .hasSize(44)
        .first()
        .isEqualTo(PastCluster.segment(1, 256));
    assertThat(old.cluster.catalogs())
        .as("the one in force where the summaries begin stays")
        .hasSize(2)
        .first()
        .isEqualTo("%016X".formatted(PastCluster.lsn(200).position()));
    assertThat(problems(old)).isEmpty();
  }

  private static final class Cut extends RuntimeException {
    private static final long serialVersionUID = 1L;
  }

  /** Stops after so many objects. */
  private static Progress cutAfter(int objects) {
    int[] left = {objects};
    return new Progress() {
      @Override
      public Phase begin(String name, long total, Unit unit) {
        return new Phase() {
          @Override
          public void advance(long amount) {
            if (--left[0] < 0) {
              throw new Cut();
            }
          }

          @Override
          public void close() {}
        };
      }

      @Override
      public void say(String line) {}
    };
  }

  @Test
  void cut_off_between_any_two_objects_the_repository_verifies_and_the_next_run_finishes_the_job() {
    long objects = expire(past, WEEK).plan().plan().objects();
    assertThat(objects).isEqualTo(2 * 3 + 11);
    for (int after = 0; after < objects; after++) {
      PastCluster copy = copy();
      Expire.Planned planned = expire(copy, WEEK).plan();
      Progress cutting = cutAfter(after);
      assertThatThrownBy(() -> planned.apply(planned.plan().digest(), cutting))
          .isInstanceOf(Cut.class);
      assertThat(problems(copy)).as("cut off after %d", after).isEmpty();
      Reach reach =
          new Reach(
              copy.cluster.bases().list(),
              copy.cluster.wal().list(),
              Map.of(),
              PastCluster.SEGMENT);
      assertThat(reach.moments().holds(1, PastCluster.lsn(14.6))).isTrue();
      assertThat(reach.moments().holds(1, PastCluster.lsn(30))).isTrue();

      apply(expire(copy, WEEK));
      assertThat(bases(copy)).containsExactly(label(11), label(16), label(21));
      assertThat(segments(copy)).hasSize(17);
      assertThat(copy.cluster.bases().unpublished()).isEmpty();
      assertThat(problems(copy)).isEmpty();
    }
  }

  /** Runs something, once, after so many objects. */
  private static Progress meanwhile(int objects, Runnable other) {
    int[] left = {objects};
    return new Progress() {
      @Override
      public Phase begin(String name, long total, Unit unit) {
        return new Phase() {
          @Override
          public void advance(long amount) {
            if (--left[0] == -1) {
              other.run();
            }
          }

          @Override
          public void close() {}
        };
      }

      @Override
      public void say(String line) {}
    };
  }

  @Test
  void two_at_once_under_different_rules_leave_what_both_keep() {
    RetentionRules shorter = new RetentionRules(Duration.ofDays(2), 1, Duration.ofDays(400));
    PastCluster alone = copy();
    apply(expire(alone, shorter));
    assertThat(bases(alone)).hasSizeLessThan(3).contains(label(21));
    long objects = expire(past, WEEK).plan().plan().objects();
    for (int after = 0; after < objects; after++) {
      PastCluster copy = copy();
      Expire.Planned planned = expire(copy, WEEK).plan();
      planned.apply(planned.plan().digest(), meanwhile(after, () -> apply(expire(copy, shorter))));
      assertThat(problems(copy)).as("the other one after %d", after).isEmpty();
      assertThat(bases(copy)).isEqualTo(bases(alone));
      assertThat(segments(copy)).isEqualTo(segments(alone));
      assertThat(copy.cluster.bases().unpublished()).isEmpty();
    }
  }

  private PastCluster copy() {
    Path from = Path.of(past.location);
    Path to = folder.resolve("copy-" + copies++);
    try (Stream<Path> files = Files.walk(from)) {
      for (Path file : files.toList()) {
        Path target = to.resolve(from.relativize(file).toString());
        if (Files.isDirectory(file)) {
          Files.createDirectories(target);
        } else {
          Files.copy(file, target, StandardCopyOption.COPY_ATTRIBUTES);
        }
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return new PastCluster(to.toString());
  }

  @Test
  void durations_and_rules_are_read_and_wrong_ones_refused() {
    assertThat(RetentionRules.duration("28d")).isEqualTo(Duration.ofDays(28));
    assertThat(RetentionRules.duration("4w")).isEqualTo(Duration.ofDays(28));
    assertThat(RetentionRules.duration("36h")).isEqualTo(Duration.ofHours(36));
    for (String wrong : List.of("28", "d", "-1d", "1.5d", "28 days", "")) {
      assertThatThrownBy(() -> RetentionRules.duration(wrong))
          .extracting(e -> ((OperatorException) e).kind())
          .isEqualTo(Kind.USAGE);
    }
    assertThatThrownBy(() -> new RetentionRules(Duration.ZERO, 0, Duration.ZERO))
        .extracting(e -> ((OperatorException) e).kind())
        .isEqualTo(Kind.USAGE);
  }
}
