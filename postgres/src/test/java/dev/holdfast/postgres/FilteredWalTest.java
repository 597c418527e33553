package dev.holdfast.postgres;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.testkit.TestServer;
import dev.holdfast.wal.ExcludedFiles;
import dev.holdfast.wal.FilteredLog;
import dev.holdfast.wal.FilteredSegment;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RelFile;
import dev.holdfast.wal.SegmentName;
import dev.holdfast.wal.WalDamagedException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** A server's log of 1 MiB segments, with a database copied and a tablespace created in it. */
@Timeout(120)
class FilteredWalTest {
  private static final int SEGMENT = 1 << 20;

  private static final Map<String, byte[]> recorded = new TreeMap<>();
  private static List<String> route = List.of();
  private static ExcludedFiles excluded = ExcludedFiles.of(List.of());
  private static Lsn beforeTablespace = Lsn.NONE;
  private static Lsn end = Lsn.NONE;

  @BeforeAll
  static void write() throws IOException {
    try (TestServer server =
        TestServer.start(
            PostgresBinaries.embedded(15),
            Map.of("wal_keep_size", "1GB"),
            List.of("--wal-segsize=1"))) {
      server.execute(
          "CREATE DATABASE source",
          "CREATE TABLE kept (id int PRIMARY KEY, t text)",
          "CREATE TABLE unwanted (id int PRIMARY KEY, t text)");
      server.executeIn("source", "CREATE TABLE unwanted (id int PRIMARY KEY, t text)");
      excluded =
          ExcludedFiles.of(
              List.of(file(server, "postgres", "unwanted"), file(server, "source", "unwanted")));
      Lsn from = position(server);
      String rows = " SELECT g, repeat('x', 1000) FROM generate_series(1, 3000) g";
      server.execute("INSERT INTO unwanted" + rows, "INSERT INTO kept" + rows);
      server.execute("CREATE DATABASE copy TEMPLATE source STRATEGY file_copy");
      server.executeIn("copy", "INSERT INTO unwanted" + rows);
      server.execute("INSERT INTO unwanted SELECT 3000 + id, t FROM unwanted");
      beforeTablespace = position(server);
      Path space = Files.createDirectory(server.folder().resolve("space"));
      Files.setPosixFilePermissions(space, PosixFilePermissions.fromString("rwxrwxrwx"));
      server.execute("CREATE TABLESPACE space LOCATION '" + space + "'");
      server.execute("DELETE FROM unwanted");
      end = position(server);
      server.execute("SELECT pg_switch_wal()");
      SegmentName name = SegmentName.containing(from, 1, SEGMENT);
      while (name.start().isBefore(end)) {
        recorded.put(
            name.toString(),
            Files.readAllBytes(server.server().data().resolve("pg_wal").resolve(name.toString())));
        name = name.next();
      }
      route = List.copyOf(recorded.keySet());
    }
  }

  private static Lsn position(TestServer server) {
    return Lsn.parse(server.value("SELECT pg_current_wal_insert_lsn()"));
  }

  private static RelFile file(TestServer server, String database, String table) {
    return new RelFile(
        1663,
        Long.parseLong(
            server.value("SELECT oid FROM pg_database WHERE datname = '" + database + "'")),
        Long.parseLong(
            server.queryIn(database, "SELECT pg_relation_filenode('" + table + "')").getFirst()));
  }

  private static ReplayHazards hazards(Lsn target) {
    Lsn first = SegmentName.parse(route.getFirst(), SEGMENT).start();
    return new ReplayHazards("cannot fork acme", first, SEGMENT, first, target);
  }

  private static FilteredWal open(Lsn target, int threads) {
    return new FilteredWal(
        route, SEGMENT, name -> bytes(name).clone(), excluded, hazards(target), _ -> {}, threads);
  }

  private static byte[] bytes(String name) {
    return Objects.requireNonNull(recorded.get(name));
  }

  /** One after the other, on this thread. */
  private static Map<String, byte[]> expected() {
    FilteredLog log = new FilteredLog(excluded, _ -> {});
    Map<String, byte[]> filtered = new TreeMap<>();
    for (String name : route) {
      byte[] copy = bytes(name).clone();
      filtered.put(name, copy);
      log.add(new FilteredSegment(SegmentName.parse(name, SEGMENT), copy));
    }
    log.finish();
    return filtered;
  }

  private static void assertSame(
      String name, byte @Nullable [] actual, Map<String, byte[]> expected) {
    assertThat(Arrays.equals(actual, expected.get(name))).as(name).isTrue();
  }

  @Test
  void segments_come_filtered_in_order_for_any_number_of_threads() {
    Map<String, byte[]> expected = expected();
    assertThat(route).hasSizeGreaterThan(12);
    for (int threads = 1; threads <= 3; threads++) {
      try (FilteredWal wal = open(beforeTablespace, threads)) {
        for (String name : route) {
          assertSame(name, wal.read(name), expected);
        }
        assertThat(wal.excluded().files()).as("a copy came to them").hasSize(3);
      }
    }
    assertThat(Arrays.equals(expected.get(route.get(2)), bytes(route.get(2)))).isFalse();
  }

  @Test
  void a_server_that_starts_again_or_leaves_some_out_gets_the_same_bytes() {
    Map<String, byte[]> expected = expected();
    try (FilteredWal wal = open(beforeTablespace, 2)) {
      for (int[] stretch : new int[][] {{4, 9}, {0, 3}, {2, 12}, {7, 8}, {0, route.size()}}) {
        for (String name : route.subList(stretch[0], stretch[1])) {
          assertSame(name, wal.read(name), expected);
        }
      }
      assertThat(wal.read("00000002.history")).isNull();
      assertThat(wal.read("000000020000000000000001")).isNull();
    }
  }

  @Test
  void no_more_segments_are_read_ahead_than_memory_is_meant_for() {
    int size = 64 << 20;
    List<String> names = new ArrayList<>();
    SegmentName name = SegmentName.parse("000000010000000000000001", size);
    for (int i = 0; i < 10; i++, name = name.next()) {
      names.add(name.toString());
    }
    AtomicInteger reads = new AtomicInteger();
    ReplayHazards hazards =
        new ReplayHazards("", new Lsn(size), size, new Lsn(size), new Lsn(size));
    try (FilteredWal wal =
        new FilteredWal(
            names,
            size,
            _ -> {
              reads.incrementAndGet();
              return new byte[8192];
            },
            excluded,
            hazards,
            _ -> {},
            4)) {
      assertThat(wal.read(names.getFirst())).hasSize(8192);
      assertThat(reads.get()).as("this one and the next").isEqualTo(2);
    }
  }

  @Test
  void what_must_not_be_replayed_is_refused_though_it_was_read_ahead() {
    try (FilteredWal wal = open(end, 2)) {
      assertThatThrownBy(() -> route.forEach(wal::read))
          .isInstanceOf(OperatorException.class)
          .hasMessageContaining("a tablespace is created")
          .extracting(e -> ((OperatorException) e).kind())
          .isEqualTo(Kind.REFUSED);
    }
  }

  @Test
  void damage_before_the_target_is_told_by_its_position_and_behind_it_is_no_matter() {
    String hurt = route.get(5);
    FilteredWal.Recorded damaged =
        name -> {
          byte[] copy = bytes(name).clone();
          if (name.equals(hurt)) {
            copy[SEGMENT / 2] ^= 1;
          }
          return copy;
        };
    Lsn start = SegmentName.parse(hurt, SEGMENT).start();
    try (FilteredWal wal =
        new FilteredWal(route, SEGMENT, damaged, excluded, hazards(beforeTablespace), _ -> {}, 2)) {
      assertThatThrownBy(() -> route.forEach(wal::read))
          .isInstanceOf(WalDamagedException.class)
          .extracting(e -> ((WalDamagedException) e).at())
          .satisfies(at -> assertThat(at.minus(start)).isBetween(0L, SEGMENT / 2L));
    }
    try (FilteredWal wal =
        new FilteredWal(route, SEGMENT, damaged, excluded, hazards(start), _ -> {}, 2)) {
      route.forEach(name -> assertThat(wal.read(name)).hasSize(SEGMENT));
    }
  }
}
