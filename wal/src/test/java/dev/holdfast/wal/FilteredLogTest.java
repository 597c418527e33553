package dev.holdfast.wal;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Crafted logs: every way a record can lie over pages and segments. */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class FilteredLogTest {
  private static final int SEGMENT = CraftedLog.SEGMENT;
  private static final int PAGE = CraftedLog.PAGE;
  private static final int MAGIC_14 = 0xD10D;
  private static final RelFile UNWANTED = new RelFile(1663, 5, 16384);
  private static final RelFile WANTED = new RelFile(1663, 5, 16390);
  private static final ExcludedFiles EXCLUDED = ExcludedFiles.of(List.of(UNWANTED));

  /** A record with one block reference for each file, data for the first, and main data. */
  private static Lsn change(
      CraftedLog log, int fork, int dataLength, int mainLength, RelFile... files) {
    ByteBuffer body =
        ByteBuffer.allocate(20 * files.length + dataLength + mainLength + 5)
            .order(ByteOrder.LITTLE_ENDIAN);
    for (int id = 0; id < files.length; id++) {
      int data = id == 0 ? dataLength : 0;
      body.put((byte) id).put((byte) (fork | (data > 0 ? 0x20 : 0))).putShort((short) data);
      body.putInt((int) files[id].tablespace()).putInt((int) files[id].database());
      body.putInt((int) files[id].number()).putInt(7 + id);
    }
    byte[] main = new byte[mainLength];
    Arrays.fill(main, (byte) 0x5A);
    byte[] announced = CraftedLog.mainData(main);
    body.put(announced, 0, announced.length - mainLength);
    body.put(new byte[dataLength]).put(main);
    return log.record(ResourceManager.BTREE, 0, 700, Arrays.copyOf(body.array(), body.position()));
  }

  /** Fills the segment so that the next record begins this many bytes before its end. */
  private static void leave(CraftedLog log, int bytes) {
    while (into(log) < SEGMENT - 3 * PAGE) {
      log.record(200);
    }
    while (into(log) < SEGMENT - PAGE) {
      fill(log, log.leftOnPage() == 0 ? PAGE - 24 : log.leftOnPage());
    }
    fill(log, PAGE - 24 - bytes);
    boolean newPage = bytes == PAGE - 24; // its header is written with the record
    assertThat(into(log)).isEqualTo((SEGMENT - (newPage ? PAGE : bytes)) % SEGMENT);
  }

  private static void fill(CraftedLog log, int bytes) {
    for (int left = bytes; left > 0; ) { // a record has 24 bytes, and 2 before short main data
      int taken = left <= 240 ? left : 160;
      log.record(taken - 26);
      left -= taken;
    }
  }

  private static int into(CraftedLog log) {
    return (int) (log.position().position() % SEGMENT);
  }

  private static List<FilteredSegment> segments(byte[] bytes) {
    List<FilteredSegment> segments = new ArrayList<>();
    for (int at = 0; at < bytes.length; at += SEGMENT) {
      SegmentName name = SegmentName.containing(CraftedLog.START.plus(at), 1, SEGMENT);
      segments.add(new FilteredSegment(name, Arrays.copyOfRange(bytes, at, at + SEGMENT)));
    }
    return segments;
  }

  /** Filters in order, nothing ahead. */
  private static byte[] filtered(byte[] bytes, ExcludedFiles excluded) {
    return joined(segments(bytes), new FilteredLog(excluded, _ -> {}));
  }

  private static byte[] joined(List<FilteredSegment> segments, FilteredLog log) {
    ByteBuffer result = ByteBuffer.allocate(segments.size() * SEGMENT);
    for (FilteredSegment segment : segments) {
      log.add(segment);
      for (var done = log.poll(); done != null; done = log.poll()) {
        result.put(done.bytes());
      }
    }
    log.finish();
    for (var done = log.poll(); done != null; done = log.poll()) {
      result.put(done.bytes());
    }
    assertThat(result.hasRemaining()).isFalse();
    return result.array();
  }

  private static List<WalRecord> read(byte[] bytes) {
    WalReader reader = new WalReader(CraftedLog.START, SEGMENT);
    reader.feed(bytes, 0, bytes.length);
    List<WalRecord> records = new ArrayList<>();
    while (reader.next() instanceof Decoded.Complete complete) {
      records.add(complete.record());
    }
    return records;
  }

  /** The naive way: reads it all, rewrites what is excluded, record by record. */
  private static void assertFiltered(byte[] before, byte[] after, ExcludedFiles excluded) {
    List<WalRecord> old = read(before);
    List<WalRecord> now = read(after);
    assertThat(now).hasSameSizeAs(old);
    Set<Integer> mayDiffer = new TreeSet<>();
    ExcludedFiles current = excluded;
    for (int index = 0; index < old.size(); index++) {
      WalRecord was = old.get(index);
      WalRecord is = now.get(index);
      assertThat(is.lsn()).isEqualTo(was.lsn());
      assertThat(is.prev()).isEqualTo(was.prev());
      assertThat(is.end()).isEqualTo(was.end());
      assertThat(is.xid()).isEqualTo(was.xid());
      assertThat(is.length()).isEqualTo(was.length());
      ExcludedFiles then = current;
      boolean leftOut =
          !was.blocks().isEmpty()
              && was.blocks().stream().allMatch(block -> then.contains(block.file()));
      if (leftOut) {
        assertThat(is).as("%s", was).isInstanceOf(WalRecord.Noop.class);
        for (int at = 0; at < 29 + 40; at++) { // the head of it, and a page header between
          mayDiffer.add((int) was.lsn().minus(CraftedLog.START) + at);
        }
      } else {
        assertThat(is).isEqualTo(was);
      }
      if (was instanceof WalRecord.DatabaseCreate created) {
        current = current.withCopies(created);
      }
    }
    for (int at = Arrays.mismatch(before, after); at >= 0 && at < before.length; ) {
      assertThat(mayDiffer).contains(at);
      int next = Arrays.mismatch(before, at + 1, before.length, after, at + 1, after.length);
      at = next < 0 ? -1 : at + 1 + next;
    }
  }

  private static void create(
      CraftedLog log, long database, long tablespace, long source, long sourceTablespace) {
    ByteBuffer main = ByteBuffer.allocate(16).order(ByteOrder.LITTLE_ENDIAN);
    main.putInt((int) database).putInt((int) tablespace);
    main.putInt((int) source).putInt((int) sourceTablespace);
    log.record(ResourceManager.DATABASE, 0x00, 900, CraftedLog.mainData(main.array()));
  }

  @Test
  void records_of_excluded_relations_alone_become_noops_and_the_others_stay() {
    CraftedLog log = new CraftedLog();
    log.record(40);
    final Lsn excluded = change(log, 0, 100, 14, UNWANTED);
    change(log, 0, 100, 14, WANTED);
    change(log, 0, 100, 14, UNWANTED, WANTED);
    change(log, 0, 100, 14, UNWANTED, UNWANTED, UNWANTED);
    change(log, 2, 0, 0, UNWANTED); // its visibility map
    change(log, 0, 0, 0, new RelFile(1664, 5, 16384));
    change(log, 0, 0, 0, new RelFile(1663, 6, 16384));
    byte[] before = log.segments();

    byte[] after = filtered(before, EXCLUDED);

    assertFiltered(before, after, EXCLUDED);
    assertThat(noops(after)).isEqualTo(1 + 3);
    WalRecord noop = read(after).get(1);
    assertThat(noop.lsn()).isEqualTo(excluded);
    assertThat(noop.xid()).isEqualTo(700);
    assertThat(filtered(after, EXCLUDED)).as("filtered twice").isEqualTo(after);
  }

  private static long noops(byte[] bytes) {
    return read(bytes).stream().filter(record -> record instanceof WalRecord.Noop).count();
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 230, 233, 234, 235, 236, 237, 238, 239, 240, 255, 256, 5000, 70_000})
  void the_filler_has_the_short_form_or_the_long_one_by_its_length(int mainLength) {
    CraftedLog log = new CraftedLog();
    change(log, 0, 0, mainLength, UNWANTED);
    log.record(10);
    byte[] before = log.segments();
    assertFiltered(before, filtered(before, EXCLUDED), EXCLUDED);
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 8, 16, 24, 32, 40, 64, 4096, PAGE - 24})
  void a_record_may_begin_in_one_segment_and_end_in_the_next(int leftInFirst) {
    for (int length : new int[] {0, 300, 9000}) {
      for (RelFile file : List.of(UNWANTED, WANTED)) {
        CraftedLog log = new CraftedLog();
        leave(log, leftInFirst);
        change(log, 0, 0, length, file);
        change(log, 0, 0, 10, UNWANTED);
        byte[] before = log.segments();

        byte[] after = filtered(before, EXCLUDED);

        assertFiltered(before, after, EXCLUDED);
        assertThat(filtered(after, EXCLUDED)).as("filtered twice").isEqualTo(after);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {8, 24, 32, 8000})
  void a_record_may_span_several_segments(int leftInFirst) {
    CraftedLog log = new CraftedLog();
    leave(log, leftInFirst);
    change(log, 0, 0, 3 * SEGMENT, UNWANTED);
    leave(log, leftInFirst);
    change(log, 0, 0, SEGMENT, WANTED);
    change(log, 0, 0, 10, UNWANTED);
    byte[] before = log.segments();

    assertFiltered(before, filtered(before, EXCLUDED), EXCLUDED);
  }

  @Test
  void nobody_waits_for_a_long_record_that_is_kept_anyway() {
    CraftedLog log = new CraftedLog();
    leave(log, 64);
    log.record(5 << 20);
    change(log, 0, 0, 10, UNWANTED);
    byte[] before = log.segments();
    FilteredLog filter = new FilteredLog(EXCLUDED, _ -> {});
    int added = 0;
    int handedOut = 0;
    for (FilteredSegment segment : segments(before)) {
      filter.add(segment);
      added++;
      while (filter.poll() != null) {
        handedOut++;
      }
      assertThat(handedOut).isGreaterThanOrEqualTo(added - 1);
    }
    assertFiltered(before, filtered(before, EXCLUDED), EXCLUDED);
  }

  @ParameterizedTest
  @ValueSource(ints = {CraftedLog.MAGIC_18, MAGIC_14})
  void copies_of_excluded_files_are_excluded_from_the_copy_on(int magic) {
    RelFile copy = new RelFile(16500, 9, 16384);
    RelFile copyOfCopy = new RelFile(1663, 10, 16384);
    CraftedLog log = new CraftedLog(magic);
    change(log, 0, 0, 10, copy);
    create(log, 9, 16500, 5, 1663);
    change(log, 0, 0, 10, copy);
    change(log, 0, 0, 10, new RelFile(1663, 9, 16384));
    change(log, 0, 0, 10, new RelFile(16500, 9, 16390));
    change(log, 0, 0, 10, copyOfCopy);
    create(log, 11, 1663, 5, 16500); // nothing of it is excluded
    create(log, 10, 1663, 9, 16500);
    change(log, 0, 0, 10, copyOfCopy);
    byte[] before = log.segments();

    byte[] after = filtered(before, EXCLUDED);

    assertFiltered(before, after, EXCLUDED);
    assertThat(noops(after)).isEqualTo(2);
  }

  @Test
  void a_database_dropped_or_created_from_logged_pages_excludes_nothing() {
    CraftedLog log18 = new CraftedLog();
    ByteBuffer main = ByteBuffer.allocate(16).order(ByteOrder.LITTLE_ENDIAN);
    main.putInt(9).putInt(1663).putInt(5).putInt(1663);
    log18.record(ResourceManager.DATABASE, 0x10, 900, CraftedLog.mainData(main.array()));
    change(log18, 0, 0, 10, new RelFile(1663, 9, 16384));
    byte[] before = log18.segments();
    assertThat(filtered(before, EXCLUDED)).isEqualTo(before);

    CraftedLog log14 = new CraftedLog(MAGIC_14); // there it is a drop: one tablespace, 1663
    main.clear().putInt(9).putInt(1).putInt(1663).putInt(0);
    log14.record(ResourceManager.DATABASE, 0x10, 900, CraftedLog.mainData(main.array()));
    change(log14, 0, 0, 10, new RelFile(1663, 9, 16384));
    byte[] before14 = log14.segments();
    assertThat(filtered(before14, EXCLUDED)).isEqualTo(before14);
  }

  @Test
  void a_copy_s_record_may_straddle_and_what_was_filtered_ahead_is_filtered_again() {
    CraftedLog log = new CraftedLog();
    leave(log, 32);
    create(log, 9, 1663, 5, 1663);
    for (int i = 0; i < 100; i++) {
      change(log, 0, 0, 9000, new RelFile(1663, 9, 16384));
      change(log, 0, 0, 9000, WANTED);
    }
    byte[] before = log.segments();
    List<FilteredSegment> ahead = segments(before);
    ahead.forEach(segment -> segment.filter(EXCLUDED, _ -> {}));

    byte[] after = joined(ahead, new FilteredLog(EXCLUDED, _ -> {}));

    assertFiltered(before, after, EXCLUDED);
    assertThat(after).isEqualTo(filtered(before, EXCLUDED));
  }

  @Test
  void a_record_that_does_not_hold_stays_as_it_is_and_so_does_all_behind_it() {
    CraftedLog log = new CraftedLog();
    change(log, 0, 0, 10, UNWANTED);
    Lsn damaged = change(log, 0, 0, 100, UNWANTED);
    change(log, 0, 0, 10, UNWANTED);
    byte[] before = log.segments();
    int at = (int) damaged.minus(CraftedLog.START);
    before[at + 60] ^= 1;
    FilteredLog filter = new FilteredLog(EXCLUDED, _ -> {});

    byte[] after = joined(segments(before), filter);

    assertThat(Arrays.copyOfRange(after, at, after.length))
        .isEqualTo(Arrays.copyOfRange(before, at, before.length));
    assertThat(after).isNotEqualTo(before);
    assertThat(filter.damage()).extracting(damage -> damage.at()).isEqualTo(damaged);
  }

  @Test
  void damage_of_a_straddling_record_is_not_masked_wherever_it_is() {
    CraftedLog log = new CraftedLog();
    leave(log, 64);
    Lsn straddling = change(log, 0, 0, SEGMENT + 5000, UNWANTED);
    log.record(10);
    byte[] good = log.segments();
    int start = (int) straddling.minus(CraftedLog.START);
    int[] flipped = {
      start + 20, // checksum
      start + 50, // in the first segment
      SEGMENT + 16, // what the page says is left
      SEGMENT + 8, // the page's address
      SEGMENT + 1000,
      2 * SEGMENT + 1000
    };
    for (int at : flipped) {
      byte[] before = good.clone();
      before[at] ^= 1;
      FilteredLog filter = new FilteredLog(EXCLUDED, _ -> {});

      byte[] after = joined(segments(before), filter);

      assertThat(after).as("byte %d", at).isEqualTo(before);
      assertThat(filter.damage()).as("byte %d", at).isNotNull();
    }
  }

  @Test
  void a_record_left_unfinished_by_a_crash_is_not_joined() {
    CraftedLog log = new CraftedLog();
    leave(log, 64);
    Lsn unfinished = log.unfinished(500);
    log.overwritten(unfinished);
    change(log, 0, 0, 10, UNWANTED);
    byte[] before = log.segments();
    FilteredLog filter = new FilteredLog(EXCLUDED, _ -> {});

    byte[] after = joined(segments(before), filter);

    assertFiltered(before, after, EXCLUDED);
    assertThat(filter.damage()).isNull();
  }

  @Test
  void the_last_segment_may_be_recorded_in_part_and_end_inside_a_record() {
    CraftedLog log = new CraftedLog();
    change(log, 0, 0, 10, UNWANTED);
    Lsn last = change(log, 0, 0, 60_000, UNWANTED);
    byte[] before = Arrays.copyOf(log.segments(), (int) last.minus(CraftedLog.START) + 20_000);
    SegmentName name = SegmentName.containing(CraftedLog.START, 1, SEGMENT);
    for (int length : new int[] {before.length, before.length - 1, before.length - 20_000 + 12}) {
      FilteredLog filter = new FilteredLog(EXCLUDED, _ -> {});
      byte[] bytes = Arrays.copyOf(before, length);
      filter.add(new FilteredSegment(name, bytes));
      filter.finish();
      assertThat(filter.poll()).isNotNull();
      assertThat(filter.damage()).isNull();
      int lastAt = (int) last.minus(CraftedLog.START);
      assertThat(Arrays.copyOfRange(bytes, lastAt, length))
          .isEqualTo(Arrays.copyOfRange(before, lastAt, length));
      assertThat(Arrays.copyOf(bytes, lastAt)).isNotEqualTo(Arrays.copyOf(before, lastAt));
    }
  }

  @Test
  void any_log_comes_out_the_same_in_whatever_order_its_segments_were_filtered() {
    long seed = Long.getLong("tests.seed", System.nanoTime());
    Random random = new Random(seed);
    for (int round = 0; round < Integer.getInteger("tests.rounds", 25); round++) {
      CraftedLog log = new CraftedLog(random.nextBoolean() ? CraftedLog.MAGIC_18 : MAGIC_14);
      byte[] before = random(log, random);
      ExcludedFiles excluded = ExcludedFiles.of(List.of(UNWANTED, new RelFile(16500, 6, 16385)));

      byte[] after = filtered(before, excluded);

      try {
        assertFiltered(before, after, excluded);
        List<FilteredSegment> ahead = segments(before);
        List<FilteredSegment> some = new ArrayList<>(ahead);
        Collections.shuffle(some, random);
        some.subList(0, random.nextInt(some.size() + 1))
            .forEach(segment -> segment.filter(excluded, _ -> {}));
        FilteredLog filter = new FilteredLog(excluded, _ -> {});
        assertThat(Arrays.equals(joined(ahead, filter), after)).isTrue();
        assertThat(filter.damage()).isNull();
      } catch (AssertionError e) {
        throw new AssertionError("seed %d, round %d".formatted(seed, round), e);
      }
    }
  }

  private static byte[] random(CraftedLog log, Random random) {
    long segments = 2L + random.nextInt(3);
    int typical = random.nextInt(4) == 0 ? 100_000 : 600;
    while (log.position().minus(CraftedLog.START) < segments * SEGMENT) {
      RelFile[] files = new RelFile[1 + random.nextInt(3)];
      for (int i = 0; i < files.length; i++) {
        files[i] =
            new RelFile(
                random.nextInt(6) == 0 ? 16500 : 1663,
                5 + random.nextInt(3),
                16384 + random.nextInt(3));
      }
      switch (random.nextInt(100)) {
        case 0 ->
            create(
                log,
                5 + random.nextInt(3),
                random.nextBoolean() ? 1663 : 16500,
                5 + random.nextInt(3),
                random.nextBoolean() ? 1663 : 16500);
        case 1 -> log.switchSegment();
        case 2 -> change(log, 0, 0, random.nextInt(SEGMENT / 2), files);
        case 3, 4, 5, 6, 7 -> log.record(random.nextInt(2000));
        default -> {
          if (random.nextInt(40) == 0 && into(log) < SEGMENT - 4 * PAGE) {
            leave(log, 8 * random.nextInt(8));
          }
          change(log, random.nextInt(4), random.nextInt(300), random.nextInt(typical), files);
        }
      }
    }
    return log.segments();
  }
}
