package dev.holdfast.wal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.server.PostgresServer;
import dev.holdfast.testkit.TestServer;
import java.io.IOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class ChangedBlocksTest {
  private static final int PAGE = 8192;
  private static final Pattern RELATION_FILE =
      Pattern.compile("(?:global|base/(\\d+))/(\\d+)(?:_(fsm|vm|init))?(?:\\.(\\d+))?");

  private record Summary(int timeline, Lsn from, Lsn to) {}

  private static final List<String> QUIET =
      List.of("quiet_delete", "quiet_update", "quiet_insert", "quiet_multi", "quiet_lock");

  /** PostgreSQL 17 and 18 summarise WAL themselves: an independent second opinion. */
  @ParameterizedTest
  @ValueSource(ints = {17, 18})
  void hold_every_block_that_the_server_s_own_summaries_hold(int major) throws Exception {
    Map<String, String> settings = new TreeMap<>(MixedWorkload.SETTINGS);
    settings.put("summarize_wal", "on");
    try (TestServer server = TestServer.start(major, settings)) {
      Lsn from = Lsn.parse(server.value("SELECT pg_current_wal_insert_lsn()"));
      new MixedWorkload(server).write(16);
      server.execute("CHECKPOINT");
      Lsn to = Lsn.parse(server.value("SELECT redo_lsn FROM pg_control_checkpoint()"));
      awaitSummaries(server, to);

      long theirs = 0;
      List<String> beyond = new ArrayList<>();
      try (Connection connection = server.connect();
          Statement sql = connection.createStatement()) {
        List<Summary> summaries = new ArrayList<>();
        try (ResultSet rows =
            sql.executeQuery(
                "SELECT tli, start_lsn::text, end_lsn::text FROM pg_available_wal_summaries()"
                    + " WHERE start_lsn >= '%s' AND end_lsn <= '%s' ORDER BY start_lsn"
                        .formatted(from, to))) {
          while (rows.next()) {
            summaries.add(
                new Summary(
                    rows.getInt(1), Lsn.parse(rows.getString(2)), Lsn.parse(rows.getString(3))));
          }
        }
        assertThat(summaries).isNotEmpty();
        for (Summary summary : summaries) {
          Lsn start = summary.from();
          Lsn end = summary.to();
          ChangedBlocks ours = between(server, start, end);
          Map<String, TreeSet<Long>> extra = new TreeMap<>();
          ours.forEach((file, fork, limit, blocks) -> {
            TreeSet<Long> all = new TreeSet<>();
            // What was cut off after it was changed, they forget.
            Arrays.stream(blocks).filter(block -> limit < 0 || block < limit).forEach(all::add);
            extra.put(file + " " + fork, all);
          });
          try (ResultSet rows =
              sql.executeQuery(
                  "SELECT reltablespace, reldatabase, relfilenode, relforknumber, relblocknumber,"
                      + " is_limit_block FROM pg_wal_summary_contents(%d, '%s', '%s')"
                          .formatted(summary.timeline(), start, end))) {
            while (rows.next()) {
              RelFile file = new RelFile(rows.getLong(1), rows.getLong(2), rows.getLong(3));
              int fork = rows.getInt(4);
              long block = rows.getLong(5);
              String what = file + " fork " + fork + " block " + block + " " + start + " " + end;
              if (rows.getBoolean(6)) {
                assertThat(ours.limit(file, fork)).as("limit " + what).isBetween(0L, block);
              } else {
                // What lies beyond a limit is new in any case.
                boolean holds =
                    ours.contains(file, fork, block)
                        || (ours.limit(file, fork) >= 0 && block >= ours.limit(file, fork));
                assertThat(holds).as(what).isTrue();
                extra.getOrDefault(file + " " + fork, new TreeSet<>()).remove(block);
                theirs++;
              }
            }
          }
          for (Map.Entry<String, TreeSet<Long>> one : extra.entrySet()) {
            if (!one.getKey().endsWith(" 2")) { // visibility maps: we know of more
              one.getValue().forEach(block -> beyond.add(one.getKey() + " " + block));
            }
          }
        }
      }
      System.out.printf(
          "PostgreSQL %d: %,d blocks of its own summaries, all ours%n", major, theirs);
      assertThat(theirs).isGreaterThan(1000);
      assertThat(beyond).as("blocks only we call changed, visibility maps aside").isEmpty();
    }
  }

  /** The proof that counts: the files themselves, before and after. */
  @ParameterizedTest
  @ValueSource(ints = {14, 15, 16, 17, 18})
  void name_every_page_that_differs_on_disk_afterwards(int major) throws Exception {
    Map<String, String> settings = new TreeMap<>(MixedWorkload.SETTINGS);
    settings.put("autovacuum", "off");
    try (TestServer server =
        TestServer.start(PostgresBinaries.embedded(major), settings, List.of("--data-checksums"))) {
      MixedWorkload workload = new MixedWorkload(server);
      workload.write(4);
      for (String table : QUIET) {
        server.execute(
            "CREATE TABLE " + table + " (a int)",
            "INSERT INTO " + table + " SELECT generate_series(1, 1000)");
      }
      server.execute("VACUUM");
      server.restart(PostgresServer.Stop.FAST);
      Map<String, byte[]> before = relationFiles(server);
      Lsn from = Lsn.parse(server.value("SELECT redo_lsn FROM pg_control_checkpoint()"));
      workload.write(4);
      server.execute(
          // What clears bits of a visibility map that nothing else names.
          "DELETE FROM quiet_delete WHERE a = 1",
          "UPDATE quiet_update SET a = 0 WHERE a = 1",
          "INSERT INTO quiet_insert VALUES (1001)",
          "INSERT INTO quiet_multi SELECT generate_series(1, 10)",
          "SELECT * FROM quiet_lock WHERE a = 1 FOR UPDATE",
          "DELETE FROM account WHERE id % 3 = 0",
          "VACUUM account");
      server.restart(PostgresServer.Stop.FAST);
      Map<String, byte[]> after = relationFiles(server);
      String unlogged =
          server.value(
              "SELECT coalesce(string_agg(relfilenode::text, ' '), '') FROM pg_class"
                  + " WHERE relpersistence <> 'p'");
      Lsn to = Lsn.parse(server.value("SELECT redo_lsn FROM pg_control_checkpoint()"));

      ChangedBlocks ours = between(server, from, to);

      long different = 0;
      long named = 0;
      for (Map.Entry<String, byte[]> file : after.entrySet()) {
        Matcher name = RELATION_FILE.matcher(file.getKey());
        assertThat(name.matches()).isTrue();
        if ("fsm".equals(name.group(3))
            || Arrays.asList(unlogged.split(" ")).contains(name.group(2))) {
          continue;
        }
        RelFile relation =
            new RelFile(
                name.group(1) == null ? 1664 : 1663,
                name.group(1) == null ? 0 : Long.parseLong(name.group(1)),
                Long.parseLong(name.group(2)));
        int fork =
            name.group(3) == null
                ? BlockRef.MAIN
                : name.group(3).equals("vm") ? BlockRef.VISIBILITY_MAP : BlockRef.INIT;
        byte[] old = before.getOrDefault(file.getKey(), new byte[0]);
        byte[] now = file.getValue();
        boolean newDatabase =
            ours.limit(new RelFile(1663, relation.database(), 0), BlockRef.MAIN) == 0;
        for (int at = 0; at < now.length; at += PAGE) {
          boolean same =
              at + PAGE <= old.length && Arrays.equals(now, at, at + PAGE, old, at, at + PAGE);
          boolean sameAsNone =
              fork == BlockRef.VISIBILITY_MAP && at >= old.length && hasNoBits(now, at);
          if (!same && !sameAsNone) {
            different++;
            long block = at / PAGE;
            long limit = ours.limit(relation, fork);
            assertThat(
                    newDatabase
                        || ours.contains(relation, fork, block)
                        || (limit >= 0 && block >= limit))
                .as(() ->
                    "%s block %d of %s differs, limit %d"
                        .formatted(
                            file.getKey(),
                            block,
                            server.value(
                                "SELECT oid::regclass FROM pg_class WHERE relfilenode = "
                                    + relation.number()),
                            limit))
                .isTrue();
          } else if (ours.contains(relation, fork, at / PAGE)) {
            named++;
          }
        }
      }
      System.out.printf(
          "PostgreSQL %d: %,d pages differ, all named; %,d named are the same%n",
          major, different, named);
      assertThat(different).isGreaterThan(500);
    }
  }

  @Test
  void survive_being_written_and_read_again() {
    for (long seed = 0; seed < 200; seed++) {
      ChangedBlocks blocks = random(new Random(seed));

      ChangedBlocks again = ChangedBlocks.decode(blocks.encode());

      assertThat(text(again)).as("seed %d", seed).isEqualTo(text(blocks));
      assertThat(again.encode()).isEqualTo(blocks.encode());
    }
  }

  @Test
  void add_up_to_the_same_as_one_of_the_whole() {
    ChangedBlocks first = random(new Random(1));
    ChangedBlocks second = random(new Random(2));
    ChangedBlocks sum = new ChangedBlocks();
    sum.add(first);
    sum.add(second);

    first.forEach((file, fork, limit, blocks) -> {
      for (long block : blocks) {
        assertThat(sum.contains(file, fork, block)).isTrue();
      }
    });
    ChangedBlocks other = new ChangedBlocks();
    other.add(second);
    other.add(first);
    assertThat(other.encode()).isEqualTo(sum.encode());
  }

  @Test
  void are_empty_again_when_cleared() {
    ChangedBlocks blocks = random(new Random(3));
    byte[] encoded = blocks.encode();
    blocks.clear();

    assertThat(blocks.isEmpty()).isTrue();
    blocks.add(ChangedBlocks.decode(encoded));
    assertThat(blocks.encode()).isEqualTo(encoded);
  }

  @Test
  void refuse_bytes_that_are_something_else() {
    byte[] good = random(new Random(4)).encode();
    Random random = new Random(5);
    for (int i = 0; i < 2000; i++) {
      byte[] bad = Arrays.copyOf(good, random.nextInt(good.length));
      for (int flips = random.nextInt(4); flips >= 0 && bad.length > 0; flips--) {
        bad[random.nextInt(bad.length)] ^= (byte) (1 << random.nextInt(8));
      }
      try {
        ChangedBlocks.decode(bad);
      } catch (IllegalArgumentException e) {
        assertThat(e).hasMessageContaining("changed blocks");
      }
    }
    assertThatThrownBy(() -> ChangedBlocks.decode(new byte[0]))
        .isInstanceOf(IllegalArgumentException.class);
  }

  private static ChangedBlocks random(Random random) {
    // By way of its bytes: there is no other way in but real records.
    java.io.ByteArrayOutputStream out = new java.io.ByteArrayOutputStream();
    out.write(1);
    for (int forks = random.nextInt(200); forks > 0; forks--) {
      varint(out, 1663 + random.nextInt(2));
      varint(out, random.nextInt(3));
      varint(out, random.nextLong(1L << 32));
      varint(out, List.of(0, 2, 3).get(random.nextInt(3)));
      varint(out, random.nextBoolean() ? 0 : random.nextLong(1L << 20));
      int blocks = random.nextInt(50);
      varint(out, blocks);
      for (; blocks > 0; blocks--) {
        varint(out, 1 + random.nextInt(random.nextBoolean() ? 3 : 100_000));
      }
    }
    return ChangedBlocks.decode(out.toByteArray());
  }

  private static void varint(java.io.ByteArrayOutputStream out, long value) {
    long rest = value;
    while (rest > 0x7F) {
      out.write((int) ((rest & 0x7F) | 0x80));
      rest >>>= 7;
    }
    out.write((int) rest);
  }

  private static String text(ChangedBlocks blocks) {
    StringBuilder text = new StringBuilder();
    blocks.forEach((file, fork, limit, changed) ->
        text.append(file)
            .append(' ')
            .append(fork)
            .append(' ')
            .append(limit)
            .append(' ')
            .append(Arrays.toString(changed))
            .append('\n'));
    return text.toString();
  }

  /** Of the records that start in [from, to). */
  private static ChangedBlocks between(TestServer server, Lsn from, Lsn to) throws IOException {
    ChangedBlocks blocks = new ChangedBlocks();
    LiveLog log = new LiveLog(server, from, to);
    WalReader reader = new WalReader(log.start());
    for (Path file : log.files()) {
      byte[] bytes = Files.readAllBytes(file);
      reader.feed(bytes, 0, bytes.length);
      for (RawRecord record = reader.poll(); record != null; record = reader.poll()) {
        if (record.lsn() >= to.position()) {
          return blocks;
        }
        if (record.lsn() >= from.position()) {
          blocks.accept(record);
        }
      }
    }
    return blocks;
  }

  /** A map page that a server made when it looked for bits and found none; nothing logs that. */
  private static boolean hasNoBits(byte[] pages, int page) {
    for (int at = page + 24; at < page + PAGE; at++) {
      if (pages[at] != 0) {
        return false;
      }
    }
    return true;
  }

  private static void awaitSummaries(TestServer server, Lsn to) throws InterruptedException {
    for (int attempt = 0; attempt < 600; attempt++) {
      String reached =
          server.value(
              "SELECT coalesce(max(end_lsn)::text, '0/0') FROM pg_available_wal_summaries()");
      if (!Lsn.parse(reached).isBefore(to)) {
        return;
      }
      Thread.sleep(50); // the server's summarizer works in its own time
    }
    throw new AssertionError("the server did not summarise its WAL");
  }

  private static Map<String, byte[]> relationFiles(TestServer server) throws IOException {
    Path data = server.server().data();
    Map<String, byte[]> files = new TreeMap<>();
    Files.walkFileTree(
        data,
        new SimpleFileVisitor<>() {
          @Override
          public FileVisitResult visitFile(Path file, BasicFileAttributes attributes)
              throws IOException {
            String name = data.relativize(file).toString();
            if (RELATION_FILE.matcher(name).matches()) {
              files.put(name, Files.readAllBytes(file));
            }
            return FileVisitResult.CONTINUE;
          }
        });
    return files;
  }
}
