package dev.holdfast.compare;

import static org.assertj.core.api.Assertions.assertThat;

import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;

/** The descent, on tables in memory that count what is read of them. */
class RowComparisonTest {
  private static final long SEED = Long.getLong("tests.seed", 20261122L);

  /** Two tables of numbered keys with a number each. */
  private static final class Tables implements RowSides {
    private final Map<Long, Long> a;
    private final Map<Long, Long> b;
    private long rowsRead;
    private int sumsTaken;

    private Tables(Map<Long, Long> a, Map<Long, Long> b) {
      this.a = a;
      this.b = b;
    }

    private static boolean selects(Selection selection, long key) {
      return switch (selection) {
        case Selection.Everything _ -> true;
        case Selection.InRange in ->
            in.range().low().longValueExact() <= key && key <= in.range().high().longValueExact();
        case Selection.InParts in ->
            in.parts().contains((int) (hash(key) & (in.split().parts() - 1)));
      };
    }

    private static long hash(long key) {
      return (key * 0x9E3779B97F4A7C15L) >>> 7;
    }

    private static PartSums sums(Map<Long, Long> table, Selection selection, Split split) {
      PartSums sums = new PartSums(split.parts());
      table.forEach((key, value) -> {
        if (selects(selection, key)) {
          int part =
              switch (split) {
                case Split.ByHash hashes -> (int) (hash(key) & (hashes.parts() - 1));
                case Split.ByRange ranges -> {
                  int at = 0;
                  while (ranges.ranges().get(at).high().longValueExact() < key) {
                    at++;
                  }
                  yield at;
                }
              };
          sums.add(part, 1, hash(31 * key + value), hash(key ^ (value << 20)));
        }
      });
      return sums;
    }

    @Override
    public Both<PartSums> sums(Selection selection, Split split) {
      sumsTaken++;
      return new Both<>(sums(a, selection, split), sums(b, selection, split));
    }

    private Iterator<DigestedRow> rows(Map<Long, Long> table, Selection selection) {
      return table.entrySet().stream()
          .filter(row -> selects(selection, row.getKey()))
          .peek(_ -> rowsRead++)
          .map(row ->
              new DigestedRow(
                  hash(row.getKey()), row.getKey().toString(), row.getValue(), 0, 1, ""))
          .sorted(Comparator.comparingLong(DigestedRow::order).thenComparing(DigestedRow::identity))
          .toList()
          .iterator();
    }

    @Override
    public Rows rows(Selection selection) {
      Both<Iterator<DigestedRow>> both = new Both<>(rows(a, selection), rows(b, selection));
      return new Rows() {
        @Override
        public Both<Iterator<DigestedRow>> both() {
          return both;
        }

        @Override
        public void close() {}
      };
    }
  }

  private static Set<String> found(Tables tables, Split split) {
    Set<String> found = new TreeSet<>();
    boolean finished =
        new RowComparison(
                tables,
                difference -> {
                  DigestedRow row = difference.a() == null ? difference.b() : difference.a();
                  return found.add(difference.change() + " " + (row == null ? "" : row.identity()));
                })
            .compare(split)
            .finished();
    assertThat(finished).isTrue();
    return found;
  }

  @Test
  void whatever_differs_is_found_once_by_range_and_by_hash() {
    Random random = new Random(SEED);
    for (int round = 0; round < 40; round++) {
      Map<Long, Long> a = new TreeMap<>();
      Map<Long, Long> b = new TreeMap<>();
      Set<String> expected = new TreeSet<>();
      long spread = 1L << random.nextInt(1, 60);
      for (int i = 0; i < 300; i++) {
        long key = random.nextLong(-spread, spread);
        int kind = a.containsKey(key) || b.containsKey(key) ? 3 : random.nextInt(20);
        switch (kind) {
          case 0 -> {
            a.put(key, 1L);
            expected.add("ONLY_IN_A " + key);
          }
          case 1 -> {
            b.put(key, 1L);
            expected.add("ONLY_IN_B " + key);
          }
          case 2 -> {
            a.put(key, 1L);
            b.put(key, 2L);
            expected.add("DIFFERENT " + key);
          }
          case 3 -> {}
          default -> {
            a.put(key, 5L);
            b.put(key, 5L);
          }
        }
      }
      KeyRange range = new KeyRange(BigInteger.valueOf(-spread), BigInteger.valueOf(spread));
      assertThat(found(new Tables(a, b), new Split.ByRange(range.split(16))))
          .as("seed %d, round %d", SEED, round)
          .isEqualTo(expected);
      assertThat(found(new Tables(a, b), new Split.ByHash(16)))
          .as("seed %d, round %d", SEED, round)
          .isEqualTo(expected);
    }
  }

  @Test
  void equal_tables_are_summed_once_and_no_row_is_read() {
    Map<Long, Long> rows = new TreeMap<>();
    for (long key = 0; key < 1000; key++) {
      rows.put(key, key);
    }
    Tables tables = new Tables(rows, new TreeMap<>(rows));
    assertThat(found(tables, new Split.ByHash(64))).isEmpty();
    assertThat(tables.sumsTaken).isEqualTo(1);
    assertThat(tables.rowsRead).isZero();
  }

  @Test
  void one_row_far_away_does_not_make_all_others_one_range() {
    Map<Long, Long> a = new TreeMap<>();
    for (long key = 0; key < 100_000; key++) {
      a.put(key, key);
    }
    a.put(1L << 61, 1L);
    Map<Long, Long> b = new TreeMap<>(a);
    b.put(777L, 0L);
    Tables tables = new Tables(a, b);
    KeyRange range = new KeyRange(BigInteger.ZERO, BigInteger.ONE.shiftLeft(61));
    assertThat(found(tables, new Split.ByRange(range.split(16)))).containsExactly("DIFFERENT 777");
    assertThat(tables.rowsRead).isLessThan(2 * 20_001);
  }

  @Test
  void the_sink_ends_it() {
    Map<Long, Long> a = new TreeMap<>();
    for (long key = 0; key < 50; key++) {
      a.put(key, key);
    }
    List<RowDifference> found = new ArrayList<>();
    RowComparison.Outcome outcome =
        new RowComparison(
                new Tables(a, Map.of()),
                difference -> {
                  found.add(difference);
                  return found.size() < 3;
                })
            .compare(new Split.ByHash(4));
    assertThat(found).hasSize(3);
    assertThat(outcome).isEqualTo(new RowComparison.Outcome(50, 0, false));
  }

  @Test
  void ranges_are_split_without_a_gap_and_without_an_overlap() {
    for (long size : new long[] {1, 2, 15, 16, 17, 1000}) {
      KeyRange range = new KeyRange(BigInteger.valueOf(-5), BigInteger.valueOf(-6 + size));
      List<KeyRange> parts = range.split(16);
      assertThat(parts).hasSizeBetween((int) Math.min(9, size), (int) Math.min(16, size));
      assertThat(parts.getFirst().low()).isEqualTo(range.low());
      assertThat(parts.getLast().high()).isEqualTo(range.high());
      assertThat(parts.getLast().size()).isLessThanOrEqualTo(parts.getFirst().size());
      for (int at = 1; at < parts.size(); at++) {
        assertThat(parts.get(at).low()).isEqualTo(parts.get(at - 1).high().add(BigInteger.ONE));
        assertThat(parts.get(at - 1).size()).as("one width").isEqualTo(parts.getFirst().size());
      }
    }
  }
}
