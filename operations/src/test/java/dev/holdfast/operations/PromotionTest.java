package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.StoredSegment;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.ResourceManager;
import dev.holdfast.wal.SegmentName;
import dev.holdfast.wal.TimelineHistory;
import dev.holdfast.wal.TimelineSegments.LeftOut;
import dev.holdfast.wal.WalRecord;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Real promotions; the servers' own reading of their log is the oracle. */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class PromotionTest {
  private static final Pattern DUMPED =
      Pattern.compile(
          "rmgr: (\\S+)\\s+len \\(rec/tot\\):\\s*\\d+/\\s*(\\d+), tx:\\s*(\\d+), lsn:"
              + " (\\S+), prev (\\S+), desc: .*");

  @ParameterizedTest
  @CsvSource({"14, 16", "15, 1", "16, 1", "17, 16", "18, 1"})
  void the_log_is_read_through_a_promotion_in_the_middle_of_a_segment(int major, int megabytes)
      throws Exception {
    try (var family = ServerFamily.begin(PostgresBinaries.embedded(major), megabytes)) {
      readThroughPromotion(family, family.first().standby("second", Map.of()), megabytes);
    }
  }

  @Test
  void the_log_of_a_pg_basebackup_standby_is_as_pg_waldump_shows_it() throws Exception {
    PostgresBinaries installed =
        PostgresBinaries.installed(15)
            .orElseThrow(() -> new AssertionError("install Debian's postgresql-15"));
    try (var family = ServerFamily.begin(installed, 1)) {
      ServerFamily.Member second = family.first().standbyByBaseBackup("second");
      Promoted promoted = readThroughPromotion(family, second, 1);
      int size = 1 << 20;
      SegmentName switched = SegmentName.containing(promoted.at, 2, size);
      List<String> ours =
          promoted.records.stream()
              .filter(record -> !record.lsn().isBefore(switched.start()))
              .map(PromotionTest::line)
              .toList();
      Lsn start = Lsn.parse(ours.getFirst().split(" ", -1)[0]);
      assertThat(ours).isEqualTo(dumped(installed, second.walFolder(), 2, start, promoted.end));
    }
  }

  private record Promoted(Lsn at, Lsn end, List<WalRecord> records) {}

  private static Promoted readThroughPromotion(
      ServerFamily family, ServerFamily.Member second, int megabytes) throws Exception {
    ServerFamily.Member first = family.first();
    first.record(first.mark("shared 1"));
    first.write(3);
    second.awaitReplayed(first.mark("shared 2"));
    Lsn at = second.promote();
    assertThat(at.position() % (megabytes << 20)).as("in the middle of a segment").isNotZero();
    first.write(2);
    Lsn deadEnd = first.mark("dead");
    first.record(deadEnd);
    second.mark("new 1");
    second.write(3);
    Lsn end = second.mark("new 2");
    second.record(end);

    ClusterStore cluster = family.cluster();
    RecordedWal wal = new RecordedWal(cluster);
    assertThat(wal.timeline()).isEqualTo(2);
    assertThat(wal.history()).hasToString("1 until " + at + ", then 2");
    List<WalRecord> records = read(wal, end);
    assertThat(marks(records)).containsExactly("shared 1", "shared 2", "new 1", "new 2");
    assertThat(wal.spans()).hasSize(1);
    assertThat(wal.end()).isGreaterThanOrEqualTo(end);
    assertThat(records.getLast().end()).isEqualTo(end);
    assertThat(wal.leftOut()).hasSize(1);
    LeftOut dead = wal.leftOut().getFirst();
    assertThat(dead.timeline()).isEqualTo(1);
    assertThat(dead.from()).isEqualTo(at);
    assertThat(dead.to()).isGreaterThanOrEqualTo(deadEnd);
    assertThat(read(new RecordedWal(cluster), wal.end()))
        .as("in the middle as well as from the start")
        .hasSameSizeAs(read(wal, wal.end()));
    assertThat(readFrom(wal, at, end))
        .isEqualTo(
            lines(records).stream()
                .dropWhile(line -> Lsn.parse(line.split(" ", -1)[0]).isBefore(at))
                .toList());

    RecordedWal old = new RecordedWal(cluster, 1);
    assertThat(marks(read(old, deadEnd))).containsExactly("shared 1", "shared 2", "dead");
    assertThat(old.leftOut()).extracting(LeftOut::from).containsExactly(at);
    if (cluster.document().major() >= 15) {
      assertThat(lines(records)).isEqualTo(inspected(second, records, end));
      List<WalRecord> olds = read(old, deadEnd);
      assertThat(lines(olds)).isEqualTo(inspected(first, olds, deadEnd));
    }
    assertThatThrownBy(() -> new RecordedWal(cluster, 7))
        .hasMessage(
            "cannot read timeline 7 of acme: recorded are the timelines 1, 2; next: choose one of"
                + " these, or none for the newest");
    assertThat(advice(family))
        .contains(
            "WAL of timeline 1 from %s to %s is recorded and is no part of timeline 2"
                .formatted(at, dead.to()));
    assertGapWithoutTheSegmentOfTheSwitch(family, at, megabytes << 20, records);
    return new Promoted(at, end, records);
  }

  /** The old timeline's segment goes on past the switch, and is read up to it. */
  private static void assertGapWithoutTheSegmentOfTheSwitch(
      ServerFamily family, Lsn at, int segmentSize, List<WalRecord> records) throws Exception {
    SegmentName switched = SegmentName.containing(at, 2, segmentSize);
    Path stored = Path.of(family.repository(), "clusters/acme/wal/00000002", switched.toString());
    Files.deleteIfExists(stored);
    Path filling = stored.resolveSibling("filling");
    if (Files.exists(filling)) {
      try (var stretches =
          Files.newDirectoryStream(filling, stored.getFileName().toString() + ".*")) {
        for (Path stretch : stretches) {
          Files.delete(stretch);
        }
      }
    }
    RecordedWal wal = new RecordedWal(family.cluster());
    List<String> before =
        lines(records.stream().filter(record -> record.lsn().isBefore(at)).toList());
    assertThat(lines(read(wal, at))).isEqualTo(before);
    if (wal.timeline() == 2) { // it has more segments than that one
      assertThat(wal.spans()).hasSize(2);
      assertThat(wal.spans().getFirst().to()).isEqualTo(at);
      assertThat(wal.spans().getLast().from()).isEqualTo(switched.end());
      assertThat(wal.holds(wal.spans().getFirst().from(), at)).isTrue();
      assertThat(wal.holds(at, switched.end())).isFalse();
      assertThat(wal.describe()).contains(" to " + at + ", then " + switched.end() + " to ");
    } else {
      assertThat(segmentSize).isGreaterThan(1 << 20);
    }
  }

  @ParameterizedTest
  @CsvSource({"17, true", "18, false"})
  void two_promotions_in_a_row_are_read_through(int major, boolean recordedBetween)
      throws Exception {
    try (var family = ServerFamily.begin(PostgresBinaries.embedded(major), 1)) {
      ServerFamily.Member first = family.first();
      ServerFamily.Member second = first.standby("second", Map.of());
      Lsn one = first.mark("one");
      first.record(one);
      first.write(2);
      second.awaitReplayed(first.mark("one more"));
      Lsn at2 = second.promote();
      first.mark("dead of 1");
      second.mark("two");
      ServerFamily.Member third = second.standby("third", Map.of());
      second.write(2);
      Lsn two = second.mark("two more");
      third.awaitReplayed(two);
      Lsn at3 = third.promote();
      Lsn dead2 = second.mark("dead of 2");
      if (recordedBetween) {
        second.record(dead2);
      }
      third.write(2);
      Lsn end = third.mark("three");
      third.record(end);

      RecordedWal wal = new RecordedWal(family.cluster());
      assertThat(wal.history()).hasToString("1 until %s, 2 until %s, then 3".formatted(at2, at3));
      List<WalRecord> records = read(wal, end);
      assertThat(marks(records)).containsExactly("one", "one more", "two", "two more", "three");
      assertThat(wal.spans()).hasSize(1);
      assertThat(lines(records)).isEqualTo(inspected(third, records, end));
      assertThat(wal.leftOut())
          .extracting(LeftOut::timeline)
          .isEqualTo(recordedBetween ? List.of(2) : List.of());
      for (int timeline : new int[] {2, 3}) {
        assertThat(family.cluster().wal().readHistory(timeline))
            .isEqualTo(
                Files.readAllBytes(third.walFolder().resolve(TimelineHistory.fileName(timeline))));
      }
    }
  }

  @Test
  void a_dead_branch_and_the_one_that_lives_are_told_apart() throws Exception {
    try (var family = ServerFamily.begin(PostgresBinaries.embedded(16), 1)) {
      ServerFamily.Member first = family.first();
      ServerFamily.Member dead = first.standby("dead", Map.of());
      ServerFamily.Member live =
          first.standby("live", Map.of("recovery_target_timeline", "current"));
      first.record(first.mark("one"));
      dead.awaitReplayed(first.mark("one more"));
      Lsn deadAt = dead.promote();
      dead.write(2);
      Lsn deadEnd = dead.mark("dead of 2");
      dead.record(deadEnd);
      assertThat(marks(read(new RecordedWal(family.cluster()), deadEnd)))
          .containsExactly("one", "one more", "dead of 2");

      first.write(1);
      live.awaitReplayed(first.mark("one still"));
      // So a server learns which numbers are taken: here without an archive.
      Files.copy(
          dead.walFolder().resolve("00000002.history"),
          live.walFolder().resolve("00000002.history"));
      Lsn liveAt = live.promote();
      first.mark("dead of 1");
      Lsn end = live.mark("three");
      live.record(end);

      RecordedWal wal = new RecordedWal(family.cluster());
      assertThat(wal.history()).hasToString("1 until " + liveAt + ", then 3");
      List<WalRecord> records = read(wal, end);
      assertThat(marks(records)).containsExactly("one", "one more", "one still", "three");
      assertThat(lines(records)).isEqualTo(inspected(live, records, end));
      assertThat(wal.leftOut()).hasSize(1);
      assertThat(wal.leftOut().getFirst().timeline()).isEqualTo(2);
      assertThat(wal.leftOut().getFirst().from()).isEqualTo(deadAt);
      assertThat(marks(read(new RecordedWal(family.cluster(), 2), deadEnd)))
          .containsExactly("one", "one more", "dead of 2");
    }
  }

  /** Its history says that timeline 2 was left before it began. */
  @Test
  void a_restore_along_a_newer_timeline_to_a_moment_before_it_began_is_read() throws Exception {
    try (var family = ServerFamily.begin(PostgresBinaries.embedded(17), 1)) {
      ServerFamily.Member first = family.first();
      Path base = first.copy("base");
      ServerFamily.Member second = first.standby("second", Map.of());
      Lsn wanted = first.mark("kept");
      first.record(wanted);
      first.write(2);
      second.awaitReplayed(first.mark("undone"));
      Lsn at2 = second.promote();
      Lsn end2 = second.mark("undone too");
      second.record(end2);

      Path archive = base.resolveSibling("archive");
      Files.createDirectory(archive);
      for (ServerFamily.Member member : List.of(first, second)) {
        try (var files = Files.newDirectoryStream(member.walFolder(), "0000000*")) {
          for (Path file : files) {
            Files.copy(
                file,
                archive.resolve(file.getFileName()),
                java.nio.file.StandardCopyOption.REPLACE_EXISTING);
          }
        }
      }
      Files.createFile(base.resolve("recovery.signal"));
      ServerFamily.Member restored =
          family.start(
              base,
              Map.of(
                  "restore_command",
                  "cp " + archive + "/%f %p",
                  "recovery_target_timeline",
                  "2",
                  "recovery_target_lsn",
                  wanted.toString(),
                  "recovery_target_action",
                  "promote"));
      Lsn at3 = restored.awaitPromoted();
      assertThat(at3).isLessThan(at2);
      Lsn end = restored.mark("new life");
      restored.record(end);

      RecordedWal wal = new RecordedWal(family.cluster());
      assertThat(wal.history()).hasToString("1 until " + at3 + ", then 3");
      assertThat(wal.history().switches()).hasSize(2);
      List<WalRecord> records = read(wal, end);
      assertThat(marks(records)).containsExactly("kept", "new life");
      assertThat(lines(records)).isEqualTo(inspected(restored, records, end));
      assertThat(wal.leftOut()).extracting(LeftOut::timeline).containsExactly(1, 2);
    }
  }

  @Test
  void recording_that_begins_on_a_later_timeline_stores_its_history() throws Exception {
    try (var family = ServerFamily.begin(PostgresBinaries.embedded(18), 1)) {
      ServerFamily.Member second = family.first().standby("second", Map.of());
      second.awaitReplayed(family.first().mark("one"));
      Lsn at = second.promote();
      second.write(2);
      Lsn end = second.mark("two");
      second.record(end); // one connection: the next one would find something recorded
      RecordedWal wal = new RecordedWal(family.cluster());
      assertThat(wal.history()).hasToString("1 until " + at + ", then 2");
      assertThat(wal.lacksHistory()).isFalse();
      assertThat(wal.end()).isGreaterThanOrEqualTo(end);
      assertThat(wal.leftOut()).isEmpty();
    }
  }

  @Test
  void without_its_history_a_timeline_is_read_alone_and_that_is_said() throws Exception {
    try (var family = ServerFamily.begin(PostgresBinaries.embedded(18), 1)) {
      ServerFamily.Member second = family.first().standby("second", Map.of());
      Lsn one = family.first().mark("one");
      family.first().record(one);
      second.awaitReplayed(one);
      second.promote();
      Lsn end = second.mark("two");
      second.record(end);
      Path history = Path.of(family.repository(), "clusters/acme/wal/00000002/00000002.history");
      Files.delete(history);
      RecordedWal alone = new RecordedWal(family.cluster());
      assertThat(alone.lacksHistory()).isTrue();
      assertThat(marks(read(alone, end))).contains("two");
      assertThat(alone.leftOut()).extracting(LeftOut::timeline).containsExactly(1);
      assertThat(advice(family))
          .contains(
              "the history of timeline 2 is not recorded (00000002.history): whether it goes on"
                  + " from what was recorded before is not known");

      second.record(second.mark("three")); // and recording mends it
      assertThat(new RecordedWal(family.cluster()).lacksHistory()).isFalse();
      assertThat(history).exists();
    }
  }

  @Test
  void an_old_primary_is_not_recorded_again() throws Exception {
    try (var family = ServerFamily.begin(PostgresBinaries.embedded(18), 1)) {
      ServerFamily.Member second = family.first().standby("second", Map.of());
      Lsn one = family.first().mark("one");
      family.first().record(one);
      second.awaitReplayed(one);
      second.promote();
      second.record(second.mark("two"));
      List<StoredSegment> before = family.cluster().wal().list();
      List<OperatorException> said = new ArrayList<>();
      family.first().mark("dead");
      var receiver = family.first().receiver(said::add);
      var running = Thread.startVirtualThread(receiver::run);
      while (said.isEmpty()) {
        Thread.sleep(10); // it goes on trying: what it says is what there is to wait for
      }
      receiver.stop();
      running.join();
      assertThat(said.getFirst().kind()).isEqualTo(Kind.DATABASE_UNREACHABLE);
      assertThat(said.getFirst())
          .hasMessage(
              "cannot go on recording acme: the server is on timeline 1, and timeline 2 is recorded"
                  + " already: this is an old primary, or a standby that has not followed the"
                  + " promotion; next: point the recorder at the server that was promoted; it is"
                  + " tried again");
      assertThat(family.cluster().wal().list()).isEqualTo(before);
    }
  }

  @Test
  void each_destructive_transaction_is_told_once_across_a_promotion() throws Exception {
    try (var family = ServerFamily.begin(PostgresBinaries.embedded(17), 1)) {
      ServerFamily.Member first = family.first();
      for (String table : List.of("a", "b", "c")) {
        first.execute("CREATE TABLE " + table + " AS SELECT generate_series(1, 100) AS i");
      }
      ServerFamily.Member second = first.standby("second", Map.of());
      List<String> alarms = new ArrayList<>();
      first.mark("one");
      Lsn at;
      try (Alarms _ = new Alarms(family, first, alarms)) {
        first.execute("DROP TABLE a");
        second.awaitReplayed(first.mark("dropped"));
        awaitAlarms(alarms, 1);
        at = second.promote();
        first.write(2);
        first.execute("DROP TABLE b"); // on the branch that dies, past what comes on the new one
        awaitAlarms(alarms, 2);
      }
      second.execute("DROP TABLE c");
      try (Alarms _ = new Alarms(family, second, alarms)) {
        awaitAlarms(alarms, 3);
        second.execute("CREATE TABLE d AS SELECT 1 AS i", "DROP TABLE d");
        awaitAlarms(alarms, 4);
      }
      assertThat(Lsn.parse(alarms.get(0))).isLessThan(at);
      assertThat(Lsn.parse(alarms.get(2))).isBetween(at, Lsn.parse(alarms.get(1)));
      assertThat(alarms).hasSize(4).doesNotHaveDuplicates();
    }
  }

  private static void awaitAlarms(List<String> alarms, int count) throws Exception {
    long deadline = System.nanoTime() + 30_000_000_000L;
    while (true) {
      synchronized (alarms) {
        if (alarms.size() >= count) {
          return;
        }
      }
      assertThat(System.nanoTime()).as("told so far: %s", alarms).isLessThan(deadline);
      Thread.sleep(20); // told by the recorder's own thread
    }
  }

  /** `holdfast record` of one server, collecting the commits it warns of. */
  private static final class Alarms implements AutoCloseable {
    private final Record recorder;
    private final CompletableFuture<Void> running;

    Alarms(ServerFamily family, ServerFamily.Member member, List<String> alarms) {
      recorder = new Record(family.repository(), "acme", member.url(), 0.05);
      running =
          CompletableFuture.runAsync(
              () ->
                  recorder.run(
                      new Record.Listener() {
                        @Override
                        public void destructive(LogEntry entry) {
                          synchronized (alarms) {
                            alarms.add(entry.commitLsn());
                          }
                        }

                        @Override
                        public void say(String line) {}
                      }),
              Thread::startVirtualThread);
    }

    @Override
    public void close() {
      recorder.stop();
      running.orTimeout(60, TimeUnit.SECONDS).join();
    }
  }

  private static List<String> advice(ServerFamily family) {
    return new Status(family.repository())
        .of("acme").getFirst().advice().stream().map(Advice::what).toList();
  }

  private static List<WalRecord> read(RecordedWal wal, Lsn end) {
    List<WalRecord> records = new ArrayList<>();
    wal.readAll(
        Progress.SILENT.begin("", 0, Progress.Unit.BYTES),
        record -> {
          if (Long.compareUnsigned(record.end(), end.position()) <= 0) {
            records.add(record.decode());
          }
        });
    return records;
  }

  private static List<String> readFrom(RecordedWal wal, Lsn from, Lsn end) {
    List<String> lines = new ArrayList<>();
    wal.read(
        from,
        end,
        Progress.SILENT.begin("", 0, Progress.Unit.BYTES),
        record -> lines.add(line(record.decode())));
    return lines;
  }

  private static List<String> marks(List<WalRecord> records) {
    return records.stream()
        .filter(WalRecord.LogicalMessage.class::isInstance)
        .map(record -> ((WalRecord.LogicalMessage) record).prefix())
        .toList();
  }

  private static List<String> lines(List<WalRecord> records) {
    return records.stream().map(PromotionTest::line).toList();
  }

  private static String line(WalRecord record) {
    return "%s %s %d %s %d"
        .formatted(
            record.lsn(),
            record.prev(),
            record.xid(),
            ResourceManager.name(record.rmgr()),
            record.length());
  }

  private static List<String> inspected(
      ServerFamily.Member member, List<WalRecord> records, Lsn end) {
    return member.query(
        "SELECT start_lsn, prev_lsn, xid, resource_manager, record_length"
            + " FROM pg_get_wal_records_info('%s', '%s')".formatted(records.getFirst().lsn(), end));
  }

  private static List<String> dumped(
      PostgresBinaries installed, Path folder, int timeline, Lsn start, Lsn end) throws Exception {
    Process dump =
        new ProcessBuilder(
                installed.program("pg_waldump").toString(),
                "--path=" + folder,
                "--timeline=" + timeline,
                "--start=" + start,
                "--end=" + end)
            .redirectErrorStream(true)
            .start();
    List<String> lines = new ArrayList<>();
    try (var dumped = dump.inputReader()) {
      for (String line = dumped.readLine(); line != null; line = dumped.readLine()) {
        Matcher matcher = DUMPED.matcher(line);
        assertThat(matcher.matches()).as(line).isTrue();
        lines.add(
            "%s %s %s %s %s"
                .formatted(
                    Lsn.parse(matcher.group(4)),
                    Lsn.parse(matcher.group(5)),
                    matcher.group(3),
                    matcher.group(1),
                    matcher.group(2)));
      }
    }
    return lines;
  }
}
