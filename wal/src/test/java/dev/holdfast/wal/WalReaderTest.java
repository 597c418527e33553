package dev.holdfast.wal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.holdfast.failure.Kind;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class WalReaderTest {
  private static final String SEGMENT_3 = "000000010000000000000003";
  private static final String SEGMENT_4 = "000000010000000000000004";

  private final CraftedLog log = new CraftedLog();
  private final WalReader reader = new WalReader(CraftedLog.START);

  // ---- records ---------------------------------------------------------------------------------

  @ParameterizedTest
  @ValueSource(ints = {1, 7, 24, 1000, 8192, 1 << 20})
  void records_come_out_the_same_however_the_bytes_are_cut(int piece) {
    List<Lsn> written = new ArrayList<>();
    for (int i = 0; i < 300; i++) {
      written.add(log.record(i * 37 % 900));
    }
    written.add(log.record(20_000)); // over three pages
    written.add(log.record(1_200_000)); // over a whole segment
    written.add(log.record(0));

    List<WalRecord> read = readAll(log.pages(), piece);

    assertThat(read).extracting(WalRecord::lsn).containsExactlyElementsOf(written);
    assertThat(read.getLast().end()).isEqualTo(log.position());
    assertThat(reader.position()).isEqualTo(log.position());
    for (int i = 1; i < read.size(); i++) {
      assertThat(read.get(i).prev()).isEqualTo(read.get(i - 1).lsn());
    }
    assertThat(reader.majorVersion()).isEqualTo(18);
    assertThat(reader.systemIdentifier()).isEqualTo(4711);
    assertThat(reader.segmentSize()).isEqualTo(CraftedLog.SEGMENT);
    assertThat(reader.timeline()).isEqualTo(1);
  }

  @Test
  void a_header_may_be_split_between_pages_after_its_first_eight_bytes() {
    log.record(1);
    log.record(log.leftOnPage() - 24 - 5 - 8);
    assertThat(log.leftOnPage()).isEqualTo(8);
    Lsn split = log.record(100);
    Lsn after = log.record(1);

    assertThat(readAll(log.pages(), 8192)).extracting(WalRecord::lsn).endsWith(split, after);
  }

  @Test
  void a_record_that_fills_its_page_is_followed_by_one_after_the_next_page_header() {
    log.record(1);
    log.record(log.leftOnPage() - 24 - 5);
    assertThat(log.leftOnPage()).isZero();
    Lsn after = log.record(1);

    List<WalRecord> read = readAll(log.pages(), 8192);

    assertThat(read.getLast().lsn()).isEqualTo(after);
    assertThat(after.minus(read.get(1).end())).isEqualTo(24);
  }

  @Test
  void reading_from_inside_a_long_record_begins_with_the_first_record_that_starts_there() {
    log.record(1);
    Lsn last = log.record(30_000);
    Lsn next = log.record(1);
    byte[] pages = log.pages();
    WalReader later = new WalReader(CraftedLog.START.plus(CraftedLog.PAGE), CraftedLog.SEGMENT);
    later.feed(pages, CraftedLog.PAGE, pages.length - CraftedLog.PAGE);

    assertThat(later.next())
        .isInstanceOfSatisfying(
            Decoded.Complete.class,
            complete -> {
              assertThat(complete.record().lsn()).isEqualTo(next);
              assertThat(complete.record().prev()).isEqualTo(last);
            });
  }

  @Test
  void a_switch_ends_the_segment_and_the_next_one_goes_on() {
    log.record(1);
    Lsn switched = log.switchSegment();
    Lsn next = log.record(1);

    List<WalRecord> read = readAll(log.pages(), 5000);

    assertThat(read.get(1))
        .isInstanceOf(WalRecord.Switch.class)
        .extracting(WalRecord::lsn, WalRecord::end)
        .containsExactly(switched, CraftedLog.START.plus(CraftedLog.SEGMENT));
    assertThat(read.get(2).lsn()).isEqualTo(next);
  }

  @Test
  void a_switch_at_the_very_end_of_a_segment_skips_nothing() {
    log.record(1);
    while (CraftedLog.START.plus(CraftedLog.SEGMENT).minus(log.position()) > CraftedLog.PAGE) {
      log.record(log.leftOnPage() == 0 ? 1 : Math.max(0, log.leftOnPage() - 24 - 5));
    }
    log.record(1);
    log.record(log.leftOnPage() - 24 - 24 - 5);
    Lsn switched = log.switchSegment();
    Lsn next = log.record(1);
    assertThat(next.minus(switched)).isEqualTo(24 + 40);

    assertThat(readAll(log.pages(), 8192)).extracting(WalRecord::lsn).endsWith(switched, next);
  }

  @Test
  void a_record_a_crash_left_unfinished_is_dropped_and_told() {
    Lsn first = log.record(1);
    Lsn unfinished = log.unfinished(20_000);
    Lsn told = log.overwritten(unfinished);
    Lsn next = log.record(1);

    List<WalRecord> read = readAll(log.pages(), 8192);

    assertThat(read).extracting(WalRecord::lsn).containsExactly(first, told, next);
    assertThat(read.get(1))
        .isInstanceOfSatisfying(
            WalRecord.OverwrittenContinuation.class,
            record -> assertThat(record.overwritten()).isEqualTo(unfinished));
  }

  @Test
  void a_commit_of_18_gives_its_time_its_children_and_what_it_dropped() {
    ByteBuffer main = ByteBuffer.allocate(200).order(ByteOrder.LITTLE_ENDIAN);
    main.putLong(1_500_000).putInt(0x001 | 0x002 | 0x004 | 0x100 | 0x008 | 0x010 | 0x080);
    main.putInt(5).putInt(1663);
    main.putInt(2).putInt(801).putInt(-2);
    main.putInt(1).putInt(1663).putInt(5).putInt(16384);
    main.putInt(1).putInt(2).putInt(5).putInt(16390).putInt(1);
    main.putInt(2);
    main.putInt(-2 & 0xFF).putInt(5).putInt(16391).putInt(0);
    main.putInt(3).putInt(5).putInt(16392).putInt(0);
    main.putInt(800).put("gid".getBytes(java.nio.charset.StandardCharsets.UTF_8)).put((byte) 0);
    log.record(1, 0xB0, 0, CraftedLog.mainData(Arrays.copyOf(main.array(), main.position())));

    WalRecord.Commit commit = (WalRecord.Commit) readAll(log.pages(), 8192).getFirst();

    assertThat(commit.xid()).isZero();
    assertThat(commit.transaction()).isEqualTo(800);
    assertThat(commit.prepared()).isTrue();
    assertThat(commit.time()).isEqualTo(Instant.parse("2000-01-01T00:00:01.500Z"));
    assertThat(commit.subtransactions()).containsExactly(801L, 0xFFFF_FFFEL);
    assertThat(commit.droppedFiles()).containsExactly(new RelFile(1663, 5, 16384));
    assertThat(commit.droppedStats())
        .containsExactly(new DroppedStat(DroppedStat.RELATION, 5, 16390 + (1L << 32)));
    assertThat(commit.invalidatedRelations()).containsExactly(new RelationId(5, 16391));
    assertThat(commit.gid()).isEqualTo("gid");
  }

  @Test
  void a_visibility_map_page_is_not_taken_for_the_page_of_the_old_row() {
    ByteBuffer body = ByteBuffer.allocate(100).order(ByteOrder.LITTLE_ENDIAN);
    body.put((byte) 0).put((byte) 0).putShort((short) 0).putInt(1663).putInt(5).putInt(16384);
    body.putInt(77);
    body.put((byte) 1).put((byte) (0x80 | 2)).putShort((short) 0).putInt(3);
    body.put((byte) 255).put((byte) 14);
    body.putInt(0).putShort((short) 4).putShort((short) 0).putInt(0).putShort((short) 9);
    log.record(10, 0x40, 7, Arrays.copyOf(body.array(), body.position()));

    WalRecord.HeapUpdate update = (WalRecord.HeapUpdate) readAll(log.pages(), 8192).getFirst();

    assertThat(update.file()).isEqualTo(new RelFile(1663, 5, 16384));
    assertThat(update.oldTid()).isEqualTo(new Tid(77, 4));
    assertThat(update.newTid()).isEqualTo(new Tid(77, 9));
    assertThat(update.hot()).isTrue();
    assertThat(update.blocks()).extracting(BlockRef::fork).containsExactly(0, 2);
  }

  // ---- the end ---------------------------------------------------------------------------------

  @Test
  void zeros_after_the_last_record_are_the_end_and_tell_where_it_was() {
    log.record(100);

    assertThat(readAll(log.segments(), 8192)).hasSize(1);

    assertThat(reader.next()).isEqualTo(new Decoded.NeedsMore(log.position()));
    reader.finish(log.position());
  }

  @Test
  void recycled_pages_after_the_last_record_are_the_end() {
    log.record(100);
    byte[] segment = log.segments();
    ByteBuffer old = ByteBuffer.wrap(segment).order(ByteOrder.LITTLE_ENDIAN);
    old.putShort(CraftedLog.PAGE, (short) CraftedLog.MAGIC_18);
    old.putLong(CraftedLog.PAGE + 8, CraftedLog.START.position() - CraftedLog.SEGMENT + 8192);

    assertThat(readAll(segment, 8192)).hasSize(1);

    assertThat(reader.position()).isEqualTo(log.position());
  }

  @Test
  void a_record_cut_at_the_end_of_what_was_fed_needs_more() {
    log.record(1);
    Lsn cut = log.record(5000);
    byte[] pages = log.pages();
    reader.feed(pages, 0, 3000);

    assertThat(reader.next()).isInstanceOf(Decoded.Complete.class);
    assertThat(reader.next()).isEqualTo(new Decoded.NeedsMore(cut));
    reader.finish(CraftedLog.START.plus(3000));
    reader.feed(pages, 3000, pages.length - 3000);
    assertThat(reader.next()).isInstanceOf(Decoded.Complete.class);
  }

  @Test
  void zeros_before_the_next_segment_are_damage() {
    Lsn last = log.record(100);
    byte[] first = log.segments();
    Lsn end = log.position();
    assertThat(readAll(first, first.length)).hasSize(1);
    assertThat(last).isNotEqualTo(end);

    reader.feed(new byte[8], 0, 8);

    assertDamage(
        end,
        SEGMENT_3,
        "there are zeros at " + end + ", but the log goes on in segment " + SEGMENT_4);
  }

  @Test
  void zeros_before_the_position_the_log_is_known_to_reach_are_damage() {
    log.record(100);
    Lsn end = log.position();
    readAll(log.segments(), 8192);

    WalDamagedException damage =
        catchThrowableOfType(WalDamagedException.class, () -> reader.finish(end.plus(1)));

    assertThat(damage.why())
        .isEqualTo("there are zeros at " + end + ", but the log was recorded to " + end.plus(1));
  }

  @Test
  void a_record_wiped_from_the_middle_of_a_page_is_damage_at_once() {
    log.record(100);
    Lsn wiped = log.record(100);
    log.record(100);
    byte[] pages = log.pages();
    Arrays.fill(pages, offset(wiped), offset(wiped) + 132, (byte) 0);

    reader.feed(pages, 0, pages.length);

    assertThat(reader.next()).isInstanceOf(Decoded.Complete.class);
    assertDamage(
        wiped,
        SEGMENT_3,
        "there are zeros at " + wiped + ", but more log follows on the same page");
  }

  // ---- damage ----------------------------------------------------------------------------------

  @Test
  void a_flipped_byte_names_the_segment_the_position_and_the_way_out() {
    log.record(100);
    Lsn flipped = log.record(100);
    byte[] pages = log.pages();
    pages[offset(flipped) + 60] ^= 0x10;
    reader.feed(pages, 0, pages.length);
    reader.next();

    assertThatThrownBy(reader::next)
        .hasMessage(
            "cannot read WAL past %1$s in segment 000000010000000000000003: the checksum of the record at %1$s does not hold; next: fetch another copy of this segment (the archive, or a standby's pg_wal) and run again; a restore can reach any point before %1$s"
                .formatted(flipped))
        .isInstanceOfSatisfying(
            WalDamagedException.class,
            damage -> assertThat(damage.kind()).isEqualTo(Kind.DAMAGED_DATA));
    assertDamage(flipped, SEGMENT_3, "the checksum of the record at " + flipped + " does not hold");
  }

  @Test
  void any_flipped_bit_is_found() {
    for (int i = 0; i < 40; i++) {
      log.record(i * 13);
    }
    log.record(9000);
    log.record(3);
    byte[] good = log.pages();
    int records = readAll(good, good.length).size();
    int end = offset(log.position());
    for (int at = 0; at < end; at++) {
      byte[] bad = good.clone();
      bad[at] ^= (byte) (1 << at % 8);
      WalReader fresh = new WalReader(CraftedLog.START, CraftedLog.SEGMENT);
      fresh.feed(bad, 0, bad.length);
      int read = 0;
      boolean found = false;
      try {
        while (fresh.next() instanceof Decoded.Complete) {
          read++;
        }
        fresh.finish(log.position());
        found = fresh.position().isBefore(log.position());
      } catch (WalDamagedException e) {
        found = true;
      }
      if (read == records && !found) {
        assertThat(isIgnored(at)).as("a flip at %d changed nothing", at).isTrue();
      }
    }
  }

  /** Bytes that carry nothing: padding after records, and what a server ignores in page headers. */
  private boolean isIgnored(int at) {
    int inPage = at % CraftedLog.PAGE;
    boolean first = at < CraftedLog.PAGE;
    boolean pageHeader = inPage < (first ? 40 : 24);
    if (pageHeader) {
      return true; // flags, timeline, system identifier of the only segment: nothing to compare
      // with
    }
    return paddingAt(at);
  }

  private boolean paddingAt(int at) {
    WalReader fresh = new WalReader(CraftedLog.START, CraftedLog.SEGMENT);
    byte[] good = log.pages();
    fresh.feed(good, 0, good.length);
    while (fresh.next() instanceof Decoded.Complete complete) {
      int end = offset(complete.record().end());
      if (at < end) {
        return at >= end - 8 && (complete.record().length() & 7) != 0;
      }
    }
    return true;
  }

  @Test
  void a_missing_segment_is_damage() {
    log.record(100);
    log.switchSegment();
    log.record(100);
    log.switchSegment();
    log.record(100);
    byte[] segments = log.segments();
    reader.feed(segments, 0, CraftedLog.SEGMENT);
    while (reader.next() instanceof Decoded.Complete) {}
    reader.feed(segments, 2 * CraftedLog.SEGMENT, CraftedLog.SEGMENT);

    assertDamage(
        CraftedLog.START.plus(CraftedLog.SEGMENT),
        SEGMENT_4,
        "the page at 0/400000 says that it belongs at 0/500000: a segment is missing or misplaced");
  }

  @Test
  void a_page_with_the_address_of_another_is_damage() {
    log.record(100);
    log.record(9000);
    byte[] pages = log.pages();
    pages[CraftedLog.PAGE + 9] += (byte) 0x40;
    reader.feed(pages, 0, pages.length);
    reader.next();

    assertDamage(
        CraftedLog.START.plus(168),
        SEGMENT_3,
        "the page at 0/302000 says that it belongs at 0/306000: a segment is missing or misplaced");
  }

  @Test
  void a_wrong_link_to_the_previous_record_is_damage() {
    Lsn first = log.record(100);
    Lsn second = log.recordAfter(first.position() - 8);
    byte[] pages = log.pages();
    reader.feed(pages, 0, pages.length);
    reader.next();

    assertDamage(
        second,
        SEGMENT_3,
        "the record at %s follows one at %s, but %s was read before it"
            .formatted(second, new Lsn(first.position() - 8), first));
  }

  @Test
  void a_page_that_does_not_continue_its_record_is_damage() {
    log.record(1);
    Lsn begun = log.record(9000);
    byte[] pages = log.pages();
    pages[CraftedLog.PAGE + 2] = 0;
    reader.feed(pages, 0, pages.length);
    reader.next();

    assertThat(damage())
        .extracting(WalDamagedException::at, WalDamagedException::segment)
        .containsExactly(begun, SEGMENT_3);
  }

  @Test
  void a_garbage_length_is_refused_before_memory_is_taken() {
    log.record(1);
    Lsn garbage = log.record(9000);
    byte[] pages = log.pages();
    ByteBuffer.wrap(pages).order(ByteOrder.LITTLE_ENDIAN).putInt(offset(garbage), 900 << 20);
    reader.feed(pages, 0, pages.length);
    reader.next();

    assertThat(damage().at()).isEqualTo(garbage); // the next page disagrees about what is missing
  }

  @Test
  void a_length_no_record_can_have_is_damage() {
    Lsn record = log.record(100);
    byte[] pages = log.pages();
    ByteBuffer.wrap(pages).order(ByteOrder.LITTLE_ENDIAN).putInt(offset(record), 23);
    reader.feed(pages, 0, pages.length);

    assertDamage(record, SEGMENT_3, "the record at " + record + " claims 23 bytes");
  }

  @Test
  void a_segment_of_another_cluster_is_damage() {
    log.record(100);
    log.switchSegment();
    log.record(100);
    byte[] segments = log.segments();
    segments[CraftedLog.SEGMENT + 24]++;
    reader.feed(segments, 0, segments.length);
    reader.next();
    reader.next();

    assertDamage(
        CraftedLog.START.plus(CraftedLog.SEGMENT),
        SEGMENT_4,
        "it belongs to the cluster with system identifier 4712, the log before it to 4711");
  }

  @Test
  void a_version_nobody_knows_is_told_by_its_magic() {
    CraftedLog other = new CraftedLog(0xD101);
    other.record(1);
    byte[] pages = other.pages();
    reader.feed(pages, 0, pages.length);

    assertThat(damage().why())
        .isEqualTo(
            "the page at 0/300000 has the magic D101, which no PostgreSQL from 14 to 18 writes");
  }

  @Test
  void a_record_whose_parts_do_not_add_up_is_damage_even_when_its_checksum_holds() {
    Lsn record = log.record(0, 0x20, 7, new byte[] {(byte) 255, 9, 1});
    byte[] pages = log.pages();
    reader.feed(pages, 0, pages.length);

    assertDamage(
        record,
        SEGMENT_3,
        "the record at "
            + record
            + " has a checksum that holds, but 9 bytes of data are announced where 1 are left");
  }

  // ---- small things ----------------------------------------------------------------------------

  private List<WalRecord> readAll(byte[] bytes, int piece) {
    List<WalRecord> records = new ArrayList<>();
    for (int at = 0; at < bytes.length; at += piece) {
      // A copy that is spoilt afterwards: the reader must not refer to it any more.
      byte[] fed = Arrays.copyOfRange(bytes, at, Math.min(bytes.length, at + piece));
      reader.feed(fed, 0, fed.length);
      while (reader.next() instanceof Decoded.Complete complete) {
        records.add(complete.record());
      }
      Arrays.fill(fed, (byte) 0x55);
    }
    return records;
  }

  private void assertDamage(Lsn at, String segment, String found) {
    assertThat(damage())
        .extracting(WalDamagedException::at, WalDamagedException::segment, WalDamagedException::why)
        .containsExactly(at, segment, found);
  }

  private WalDamagedException damage() {
    return catchThrowableOfType(WalDamagedException.class, reader::next);
  }

  private static int offset(Lsn lsn) {
    return (int) lsn.minus(CraftedLog.START);
  }
}
