package dev.holdfast.damage;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.fail;

import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.testkit.TestServer;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RawRecord;
import dev.holdfast.wal.SegmentName;
import dev.holdfast.wal.WalReader;
import dev.holdfast.wal.WalRecord;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.TreeMap;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class SegmentScanTest {
  private static final int SEGMENT = 1 << 20;

  private final List<TransactionDamage> told = new ArrayList<>();

  /** One segment's summary as bytes, and its changed blocks. */
  private record Summarised(SegmentSummary summary, List<Byte> blocks) {}

  @ParameterizedTest
  @ValueSource(ints = {14, 15, 18})
  void summaries_say_what_a_scan_of_everything_says_wherever_they_are_begun(int major)
      throws Exception {
    try (TestServer server =
        TestServer.start(
            PostgresBinaries.embedded(major),
            Map.of("max_prepared_transactions", "10", "autovacuum", "off", "wal_keep_size", "1GB"),
            List.of("--wal-segsize=1"))) {
      server.execute(
          "CREATE TABLE t (id int PRIMARY KEY, v int, filler text)",
          "CREATE TABLE long (a int)",
          "CREATE TABLE later (id int)",
          "INSERT INTO later SELECT generate_series(1, 100)",
          "INSERT INTO t SELECT g, 0, repeat('x', 100) FROM generate_series(1, 3000) g");
      RecordedNames names = new RecordedNames();
      names.record(server);
      SegmentName first = SegmentName.containing(ServerLog.end(server), 1, SEGMENT).next();
      server.execute("SELECT pg_switch_wal()");
      history(server);
      server.execute("SELECT pg_switch_wal()", "CHECKPOINT");
      SegmentName end = SegmentName.containing(ServerLog.end(server), 1, SEGMENT);

      Map<Long, Summarised> whole = summarise(server, names, first, first, end);

      List<TransactionDamage> expected = new ArrayList<>();
      DamageScan scan =
          new DamageScan(
              names,
              damage -> {
                if (damage.isDestructive()) {
                  expected.add(damage);
                }
              });
      long[] commits = new long[1];
      ServerLog.read(
          server,
          first,
          record -> {
            scan.accept(record);
            if (record.decode() instanceof WalRecord.Commit) {
              commits[0]++;
            }
          });
      assertThat(told).isEqualTo(expected).hasSizeGreaterThan(20);
      List<TransactionDamage> kept = new ArrayList<>();
      whole.values().forEach(one -> kept.addAll(one.summary.destructive()));
      assertThat(kept).isEqualTo(expected);
      assertThat(whole.values().stream().mapToLong(one -> one.summary.commits()).sum())
          .isEqualTo(commits[0]);
      assertThat(
              whole.values().stream()
                  .flatMap(one -> one.summary.restorePoints().stream())
                  .map(SegmentSummary.RestorePoint::name))
          .containsExactly("before the bad afternoon");
      assertThat(whole.values())
          .anyMatch(one -> one.summary.openSince().isBefore(one.summary.from()));

      for (SegmentName begin = first.next(); begin.number() < end.number(); begin = begin.next()) {
        Lsn since = Objects.requireNonNull(whole.get(begin.number() - 1)).summary.openSince();
        SegmentName from = SegmentName.containing(since, 1, SEGMENT);
        SegmentName to = begin.next().number() < end.number() ? begin.next().next() : begin.next();

        Map<Long, Summarised> again = summarise(server, names, from, begin, to);

        again.forEach((number, one) -> {
          assertThat(one).isEqualTo(whole.get(number));
        });
      }
      for (int threads = 1; threads <= 3; threads++) {
        assertThat(onThreads(server, names, first, end, threads)).isEqualTo(whole);
      }
      hostile(whole.values().stream().map(Summarised::summary).toList());
    }
  }

  /** Begun after the rows came, a scan must not believe the catalog that saw the table empty. */
  @ParameterizedTest
  @ValueSource(ints = {14, 17})
  void a_table_filled_segments_before_is_not_taken_for_empty(int major) throws Exception {
    try (TestServer server =
        TestServer.start(
            PostgresBinaries.embedded(major),
            Map.of("autovacuum", "off", "wal_keep_size", "1GB"),
            List.of("--wal-segsize=1"))) {
      server.execute("CREATE TABLE emptied (a int)", "CREATE TABLE gone (a int)");
      RecordedNames names = new RecordedNames();
      names.record(server);
      SegmentName first = SegmentName.containing(ServerLog.end(server), 1, SEGMENT);
      server.execute(
          "INSERT INTO emptied SELECT generate_series(1, 500)",
          "INSERT INTO gone SELECT generate_series(1, 500)",
          "SELECT pg_switch_wal()",
          "SELECT pg_logical_emit_message(true, 'test', 'between')",
          "SELECT pg_switch_wal()");
      SegmentName late = SegmentName.containing(ServerLog.end(server), 1, SEGMENT);
      server.execute("TRUNCATE emptied", "DROP TABLE gone", "SELECT pg_switch_wal()", "CHECKPOINT");
      SegmentName end = SegmentName.containing(ServerLog.end(server), 1, SEGMENT);

      summarise(server, names, first, first, end);
      List<String> whole = told.stream().map(SegmentScanTest::text).toList();
      summarise(server, names, late, late, end);
      List<String> begunLate = told.stream().map(SegmentScanTest::text).toList();

      assertThat(whole)
          .containsExactly("CRITICAL public.emptied TRUNCATED", "CRITICAL public.gone DROPPED");
      assertThat(begunLate).isEqualTo(whole);
    }
  }

  private static String text(TransactionDamage damage) {
    TableDamage table = damage.tables().getFirst();
    return damage.severity() + " " + table.table() + " " + table.action();
  }

  private static void history(TestServer server) throws Exception {
    try (Connection open = server.connect();
        Statement slow = open.createStatement()) {
      open.setAutoCommit(false);
      slow.execute("INSERT INTO long SELECT generate_series(1, 500)");
      for (int i = 0; i < 8; i++) {
        server.execute(
            "UPDATE t SET v = v + 1 WHERE id <= " + 400 * (i + 1),
            "DELETE FROM t WHERE id BETWEEN " + (100 * i + 1) + " AND " + (100 * i + 90),
            "BEGIN; DELETE FROM t WHERE id = "
                + (100 * i + 95)
                + "; SAVEPOINT a;"
                + " DELETE FROM long; ROLLBACK TO a; SAVEPOINT b;"
                + " DELETE FROM t WHERE id = "
                + (100 * i + 96)
                + "; RELEASE b; COMMIT",
            "BEGIN; DELETE FROM later WHERE id = " + (i + 1) + "; PREPARE TRANSACTION 'p" + i + "'",
            "CREATE TABLE made_" + i + " AS SELECT * FROM t",
            "INSERT INTO made_" + i + " SELECT * FROM t");
        slow.execute("DELETE FROM long WHERE a = " + (i + 1));
        if (i >= 4) {
          server.execute(
              "COMMIT PREPARED 'p" + (i - 4) + "'",
              "TRUNCATE made_" + i,
              "DROP TABLE made_" + (i - 4));
        }
        if (i == 6) {
          server.execute("ALTER TABLE t DROP filler, DROP v", "ALTER TABLE t ADD v int");
        }
        if (i == 5) {
          server.execute("SELECT pg_create_restore_point('before the bad afternoon')");
        }
      }
      open.commit();
    }
  }

  private Map<Long, Summarised> summarise(
      TestServer server, RecordedNames names, SegmentName from, SegmentName begin, SegmentName end)
      throws IOException {
    told.clear();
    SegmentScan scan = new SegmentScan(names, told::add);
    Map<Long, Summarised> found = new TreeMap<>();
    read(
        server,
        from,
        end,
        new Sink() {
          @Override
          public void record(RawRecord record) {
            scan.accept(record);
          }

          @Override
          public void segmentRead(SegmentName segment, Lsn readTo) {
            byte[] blocks = scan.changedBlocks();
            SegmentSummary summary = scan.cut(segment.start(), segment.end(), readTo);
            if (segment.number() >= begin.number()) {
              assertThat(SegmentSummary.decode(summary.encode())).isEqualTo(summary);
              found.put(segment.number(), new Summarised(summary, boxed(blocks)));
            } else {
              told.clear();
            }
          }
        });
    return found;
  }

  /** Dealt out two segments at a time: most begin in the middle of transactions. */
  private static Map<Long, Summarised> onThreads(
      TestServer server, RecordedNames names, SegmentName first, SegmentName end, int threads) {
    Path folder = server.server().data().resolve("pg_wal");
    List<SegmentName> all = new ArrayList<>();
    for (SegmentName name = first; name.number() < end.number(); name = name.next()) {
      all.add(name);
    }
    SegmentSummaries.Segments segments =
        new SegmentSummaries.Segments() {
          @Override
          public int count() {
            return all.size();
          }

          @Override
          public SegmentName name(int index) {
            return all.get(index);
          }

          @Override
          public void feed(int index, WalReader reader, Runnable poll) {
            try {
              byte[] bytes = Files.readAllBytes(folder.resolve(all.get(index).toString()));
              reader.feed(bytes, 0, bytes.length);
              poll.run();
            } catch (IOException e) {
              throw new UncheckedIOException(e);
            }
          }
        };
    Map<Long, Summarised> found = new TreeMap<>();
    new SegmentSummaries(segments, names, threads, 2)
        .make(
            0,
            first.start(),
            () -> true,
            (index, summary, blocks) ->
                found.put(all.get(index).number(), new Summarised(summary, boxed(blocks))));
    return found;
  }

  private static List<Byte> boxed(byte[] bytes) {
    List<Byte> boxed = new ArrayList<>();
    for (byte one : bytes) {
      boxed.add(one);
    }
    return boxed;
  }

  private interface Sink {
    void record(RawRecord record);

    void segmentRead(SegmentName segment, Lsn readTo);
  }

  private static void read(TestServer server, SegmentName from, SegmentName end, Sink sink)
      throws IOException {
    Path folder = server.server().data().resolve("pg_wal");
    WalReader reader = new WalReader(from.start(), SEGMENT);
    for (SegmentName segment = from; segment.number() < end.number(); segment = segment.next()) {
      byte[] bytes = Files.readAllBytes(folder.resolve(segment.toString()));
      reader.feed(bytes, 0, bytes.length);
      for (RawRecord record = reader.poll(); record != null; record = reader.poll()) {
        sink.record(record);
      }
      sink.segmentRead(segment, reader.position());
    }
  }

  private static void hostile(List<SegmentSummary> summaries) {
    Random random = new Random(1);
    for (SegmentSummary summary : summaries) {
      byte[] good = summary.encode();
      for (int i = 0; i < 300; i++) {
        byte[] bad = Arrays.copyOf(good, 1 + random.nextInt(good.length));
        bad[random.nextInt(bad.length)] ^= (byte) (1 << random.nextInt(8));
        try {
          SegmentSummary.decode(bad);
        } catch (IllegalArgumentException e) {
          assertThat(e).isNotNull(); // the only way to fail
        } catch (RuntimeException e) {
          fail("a damaged summary", e);
        }
      }
    }
  }
}
