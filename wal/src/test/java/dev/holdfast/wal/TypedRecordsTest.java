package dev.holdfast.wal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.time.Instant;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Records that take a crash, a promotion or a billion transactions to be written, and those that no
 * server writes. What a server can be brought to write is held against PostgreSQL's own reader in
 * {@link OracleTest}.
 */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class TypedRecordsTest {
  @ParameterizedTest
  @EnumSource(WalVersion.class)
  void the_end_of_recovery_says_the_level_from_17_on(WalVersion version) {
    ByteBuffer data = data(24).putLong(1_000_000).putInt(2).putInt(1);
    if (version.major() >= 17) {
      data.putInt(2).putInt(0);
    }

    var end = (WalRecord.EndOfRecovery) decode(version, 0, 0x90, data);

    assertThat(end.time()).isEqualTo(Instant.parse("2000-01-01T00:00:01Z"));
    assertThat(end.timeline()).isEqualTo(2);
    assertThat(end.previousTimeline()).isEqualTo(1);
    assertThat(end.walLevel()).isEqualTo(version.major() >= 17 ? 2 : -1);
  }

  @ParameterizedTest
  @EnumSource(WalVersion.class)
  void status_logs_are_cut_at_a_page_of_64_bits_from_17_on(WalVersion version) {
    var clog =
        (WalRecord.StatusTruncate) decode(version, 3, 0x10, page(version).putInt(9).putInt(5));
    var times = (WalRecord.StatusTruncate) decode(version, 18, 0x10, page(version).putInt(9));
    var zero = (WalRecord.StatusPageZero) decode(version, 6, 0x10, page(version));

    assertThat(clog.log()).isEqualTo(StatusLog.TRANSACTIONS);
    assertThat(clog.page()).isEqualTo(77);
    assertThat(clog.oldestXid()).isEqualTo(9);
    assertThat(clog.database()).isEqualTo(5);
    assertThat(times.log()).isEqualTo(StatusLog.COMMIT_TIMESTAMPS);
    assertThat(times.page()).isEqualTo(77);
    assertThat(times.oldestXid()).isEqualTo(9);
    assertThat(zero.log()).isEqualTo(StatusLog.MULTIXACT_MEMBERS);
    assertThat(zero.page()).isEqualTo(77);
  }

  @ParameterizedTest
  @EnumSource(WalVersion.class)
  void multixacts_are_forgotten_by_ranges(WalVersion version) {
    var cut =
        (WalRecord.MultiXactTruncate)
            decode(version, 6, 0x30, data(20).putInt(5).putInt(1).putInt(2).putInt(3).putInt(-1));

    assertThat(cut.oldestDatabase()).isEqualTo(5);
    assertThat(cut.firstOffset()).isEqualTo(1);
    assertThat(cut.endOffset()).isEqualTo(2);
    assertThat(cut.firstMember()).isEqualTo(3);
    assertThat(cut.endMember()).isEqualTo(0xFFFF_FFFFL);
  }

  @ParameterizedTest
  @CsvSource({
    "0,C0", "0,F0", "1,70", "2,30", "3,20", "4,30", "5,20", "6,40", "7,10", "8,30", "11,00",
    "15,10", "18,20", "19,20", "20,00", "21,10"
  })
  void an_opcode_nobody_knew_is_a_record_like_any_other(int rmgr, String opcode) {
    for (WalVersion version : WalVersion.values()) {
      assertThat(decode(version, rmgr, Integer.parseInt(opcode, 16), data(1)))
          .isInstanceOf(WalRecord.Other.class);
    }
  }

  @ParameterizedTest
  @EnumSource(WalVersion.class)
  void a_relation_map_counts_only_with_its_checksum(WalVersion version) {
    int max = version.major() >= 16 ? 64 : 62;
    ByteBuffer data = data(12 + 8 + max * 8 + 8);
    data.putInt(5).putInt(1663).putInt(8 + max * 8 + 4);
    data.putInt(0x592717).putInt(1).putInt(1259).putInt(16_500);
    data.position(12 + 8 + max * 8);
    CRC32C crc = new CRC32C();
    crc.update(data.slice(12, 8 + max * 8));
    data.putInt((int) crc.getValue());

    var map = (WalRecord.RelationMap) decode(version, 7, 0x00, data);

    assertThat(map.mappings()).containsExactly(new WalRecord.RelationMap.Mapping(1259, 16_500));
    data.putInt(20, 1260);
    assertThatThrownBy(() -> decode(version, 7, 0x00, data))
        .isInstanceOf(WalDamagedException.class)
        .hasMessageContaining("the checksum of the relation map does not");
    data.putInt(16, max + 1);
    assertThatThrownBy(() -> decode(version, 7, 0x00, data))
        .isInstanceOf(WalDamagedException.class)
        .hasMessageContaining("has %d entries".formatted(max + 1));
  }

  @ParameterizedTest
  @EnumSource(WalVersion.class)
  void a_checkpoint_in_no_year_is_damage(WalVersion version) {
    ByteBuffer data = data(88).putLong(64, Long.MAX_VALUE).position(88);

    assertThatThrownBy(() -> decode(version, 0, 0x00, data))
        .isInstanceOf(WalDamagedException.class)
        .hasMessageContaining("9223372036854775807 seconds");
  }

  private static ByteBuffer page(WalVersion version) {
    return version.major() >= 17 ? data(16).putLong(77) : data(12).putInt(77);
  }

  private static ByteBuffer data(int length) {
    return ByteBuffer.allocate(length).order(ByteOrder.LITTLE_ENDIAN);
  }

  private static WalRecord decode(WalVersion version, int rmgr, int info, ByteBuffer data) {
    CraftedLog log = new CraftedLog(version.magic());
    byte[] main = new byte[data.position() == 0 ? data.capacity() : data.position()];
    data.get(0, main);
    log.record(rmgr, info, 7, CraftedLog.mainData(main));
    byte[] pages = log.pages();
    WalReader reader = new WalReader(CraftedLog.START);
    reader.feed(pages, 0, pages.length);
    return ((Decoded.Complete) reader.next()).record();
  }
}
