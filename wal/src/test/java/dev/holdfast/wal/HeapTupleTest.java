package dev.holdfast.wal;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.testkit.TestServer;
import java.io.IOException;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class HeapTupleTest {
  @ParameterizedTest
  @CsvSource({
    "14,replica,on,on", "15,replica,off,off", "16,replica,on,off", "17,replica,on,on",
    "18,replica,off,on", "18,replica,on,off", "14,logical,off,on", "18,logical,on,on"
  })
  void every_row_version_written_is_the_one_on_the_page(
      int major, String walLevel, String compression, String fullPageWrites) throws IOException {
    Map<String, String> settings =
        Map.of(
            "wal_level", walLevel,
            "wal_compression", compression,
            "full_page_writes", fullPageWrites,
            "autovacuum", "off");
    try (TestServer server = TestServer.start(major, settings)) {
      server.execute("CREATE EXTENSION pageinspect");
      Lsn from = RawLog.end(server);
      server.execute(
          "CREATE TABLE t (id int PRIMARY KEY, a text, b text)",
          "INSERT INTO t SELECT g, 'left ' || g, 'right ' || g FROM generate_series(1, 300) g",
          "CREATE TABLE many AS SELECT g AS x, repeat('y', g % 9) FROM generate_series(1, 900) g",
          "CREATE TABLE copied (LIKE t)");
      for (int round = 0; round < 4; round++) {
        server.execute(
            round % 2 == 0 ? "CHECKPOINT" : "SELECT 1",
            "UPDATE t SET a = a || '+' WHERE id % 4 = " + round,
            "UPDATE t SET b = NULL WHERE id % 9 = " + round,
            "UPDATE t SET id = id + 1000 WHERE id % 13 = " + round,
            "INSERT INTO t VALUES (" + (5000 + round) + ", NULL, 'b')",
            "CREATE TABLE made_" + round + " (a int, b text, c int)",
            "ALTER TABLE made_" + round + " DROP COLUMN b",
            "ALTER TABLE t RENAME TO t_",
            "ALTER TABLE t_ RENAME TO t",
            "GRANT SELECT ON t TO PUBLIC",
            "TRUNCATE many",
            "ANALYZE");
      }
      Lsn to = RawLog.end(server);

      Map<RelFile, Map<Long, HeapTuple>> rows = new HashMap<>();
      RawLog.read(server, from, to, record -> follow(record, rows));

      assertThat(compared(server, "t", rows, true)).isGreaterThan(300);
      assertThat(compared(server, "pg_class", rows, false)).isGreaterThan(10);
      assertThat(compared(server, "pg_attribute", rows, false)).isGreaterThan(50);
    }
  }

  private static void follow(RawRecord record, Map<RelFile, Map<Long, HeapTuple>> rows) {
    switch (record.rowChange()) {
      case INSERT, INPLACE -> put(record, 0, record.newTuple(null), rows);
      case UPDATE -> {
        HeapTuple old = rows.getOrDefault(record.file(0), Map.of()).get(record.oldTid());
        if (old == null) {
          old = record.oldTuple();
        }
        put(record, 0, record.newTuple(old), rows);
      }
      case MULTI_INSERT -> {
        List<@Nullable HeapTuple> tuples = record.newTuples();
        for (int row = 0; row < tuples.size(); row++) {
          put(record, row, tuples.get(row), rows);
        }
      }
      case NONE, CONFIRM, DELETE, LOCK -> {}
    }
  }

  private static void put(
      RawRecord record,
      int row,
      @Nullable HeapTuple tuple,
      Map<RelFile, Map<Long, HeapTuple>> rows) {
    rows.computeIfAbsent(record.file(0), _ -> new HashMap<>())
        .put(record.newTid(row), Objects.requireNonNull(tuple, "a row that is nowhere"));
  }

  /** Holds what was followed against pageinspect; answers how many rows it knew. */
  private static int compared(
      TestServer server, String table, Map<RelFile, Map<Long, HeapTuple>> rows, boolean all) {
    String database =
        server.value("SELECT oid FROM pg_database WHERE datname = current_database()");
    RelFile file =
        new RelFile(
            1663,
            Long.parseLong(database),
            Long.parseLong(server.value("SELECT pg_relation_filenode('" + table + "')")));
    Map<Long, HeapTuple> known = rows.getOrDefault(file, Map.of());
    int compared = 0;
    for (String line :
        server.query(
            "SELECT b, lp, encode(t_data, 'hex') FROM generate_series(0, pg_relation_size('"
                + table
                + "') / 8192 - 1) b, heap_page_items(get_raw_page('"
                + table
                + "', b::int)) WHERE lp_flags = 1")) {
      String[] item = line.split("\\|", -1);
      HeapTuple ours =
          known.get(new Tid(Long.parseLong(item[0]), Integer.parseInt(item[1])).pack());
      if (ours == null) {
        assertThat(all).as("%s (%s,%s) is not known", table, item[0], item[1]).isFalse();
        continue;
      }
      byte[] theirs = HexFormat.of().parseHex(item[2]);
      if (all) {
        assertThat(ours.isWhole()).isTrue();
      }
      assertThat(ours.length()).hasValue(theirs.length);
      for (int at = 0; at < theirs.length; at++) {
        if (ours.isWhole() || ours.u8(at).isPresent()) {
          assertThat(ours.u8(at))
              .as("byte %d of %s (%s,%s)", at, table, item[0], item[1])
              .hasValue(theirs[at] & 0xFF);
        }
      }
      compared++;
    }
    return compared;
  }

  @Test
  void what_the_record_leaves_out_comes_from_the_row_before_as_far_as_that_is_known() {
    byte[] fresh = {9, 8};
    HeapTuple unknown = HeapTuple.changed(null, 4, 6, fresh, 0, 2);
    assertThat(unknown.length()).hasValue(12);
    assertThat(unknown.u32(0)).isEmpty();
    assertThat(unknown.u8(4)).hasValue(9);
    assertThat(unknown.u8(5)).hasValue(8);
    assertThat(unknown.u32(4)).isEmpty();
    assertThat(unknown.i16(4)).hasValue(0x0809);

    HeapTuple half = HeapTuple.partly(12, true).u32(0, 77).u32(8, 99).build();
    HeapTuple next = HeapTuple.changed(half, 4, 6, fresh, 0, 2);
    assertThat(next.u32(0)).hasValue(77);
    assertThat(next.u32(8)).hasValue(99);
    assertThat(next.u8(6)).isEmpty();

    HeapTuple endless = HeapTuple.partly(12, false).u32(0, 77).u32(8, 99).build();
    HeapTuple guessed = HeapTuple.changed(endless, 4, 6, fresh, 0, 2);
    assertThat(guessed.u32(0)).hasValue(77);
    assertThat(guessed.u32(8)).as("where the row before ended is not known").isEmpty();
  }

  @Test
  void a_name_whose_end_is_not_known_is_no_name() {
    assertThat(HeapTuple.partly(68, true).name(4, "accounts").build().name(4))
        .isEqualTo("accounts");
    assertThat(HeapTuple.partly(68, true).u32(4, 0x61616161).build().name(4)).isNull();
    assertThat(HeapTuple.partly(68, true).u32(4, 0x00616161).build().name(4)).isEqualTo("aaa");
    assertThat(HeapTuple.partly(60, true).build().name(4)).isNull();
  }
}
