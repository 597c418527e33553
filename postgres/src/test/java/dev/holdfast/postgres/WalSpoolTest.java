package dev.holdfast.postgres;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.SegmentName;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Asks as PostgreSQL does: a shell runs the restore_command with %f and %p filled in. */
@Timeout(value = 60, unit = TimeUnit.SECONDS)
class WalSpoolTest {
  private static final int SEGMENT_BYTES = 1 << 20;

  @TempDir private Path temporary;

  private final Map<String, byte[]> recorded = Collections.synchronizedMap(new TreeMap<>());
  private final List<String> taken = Collections.synchronizedList(new ArrayList<>());

  @Test
  void segments_come_in_order_and_a_short_one_is_filled_up_with_zeros() throws Exception {
    List<String> route = record(20);
    recorded.put(route.getLast(), "short".getBytes(StandardCharsets.UTF_8));
    try (WalSpool spool = spool(route, recorded::get)) {
      for (String name : route.subList(0, 19)) {
        assertThat(restored(spool, name)).isEqualTo(recorded.get(name));
      }
      byte[] last = restored(spool, route.getLast());
      assertThat(last).hasSize(SEGMENT_BYTES).startsWith("short".getBytes(StandardCharsets.UTF_8));
      assertThat(last[5]).isZero();
      await(() -> taken.equals(route));
    }
  }

  @Test
  void no_more_segments_lie_ready_than_asked_for() throws Exception {
    List<String> route = record(50);
    try (WalSpool spool = spool(route, recorded::get)) {
      await(() -> ready().size() == 8);
      restored(spool, route.getFirst());
      await(() -> ready().contains(route.get(8)));
      assertThat(ready()).containsExactlyElementsOf(route.subList(1, 9));
    }
  }

  @Test
  void nothing_at_or_past_the_end_is_handed_out_not_even_first_of_all() throws Exception {
    List<String> route = record(3);
    Lsn first = SegmentName.parse(route.getFirst(), SEGMENT_BYTES).start();
    try (WalSpool spool = spool(route, first.plus(1000), recorded::get)) {
      await(() -> ready().contains(route.getFirst()));
      assertThat(ready()).containsExactly(route.getFirst());
      byte[] cut = restored(spool, route.getFirst());
      assertThat(Arrays.copyOf(cut, 1000)).containsOnly((byte) 1);
      assertThat(Arrays.copyOfRange(cut, 1000, SEGMENT_BYTES)).containsOnly((byte) 0);
      spool.feedTo(first.plus(SEGMENT_BYTES + 8L));
      byte[] next = restored(spool, route.get(1));
      assertThat(Arrays.copyOf(next, 8)).containsOnly((byte) 2);
      assertThat(Arrays.copyOfRange(next, 8, SEGMENT_BYTES)).containsOnly((byte) 0);
    }
  }

  @Test
  void what_was_never_recorded_is_answered_at_once_and_history_files_are_served() throws Exception {
    List<String> route = record(3);
    recorded.put("00000002.history", "1\t0/3000000\twhy\n".getBytes(StandardCharsets.UTF_8));
    try (WalSpool spool = spool(route, recorded::get)) {
      assertThat(exitCode(spool, "00000003.history")).isEqualTo(1);
      assertThat(exitCode(spool, "0000000100000000000000FF")).isEqualTo(1);
      assertThat(restored(spool, "00000002.history")).isEqualTo(recorded.get("00000002.history"));
      assertThat(restored(spool, route.getFirst())).hasSize(SEGMENT_BYTES);
    }
  }

  @Test
  void what_a_promotion_asks_for_is_answered_before_it_asks() throws Exception {
    List<String> route = record(3);
    try (WalSpool spool = spool(route, recorded::get)) {
      await(() -> Files.exists(folder().resolve("00000001.history.absent")));
      assertThat(folder().resolve("00000000.history.absent")).exists();
      assertThat(exitCode(spool, "00000001.history")).isEqualTo(1);
      assertThat(exitCode(spool, "00000001.history")).isEqualTo(1); // asked again
    }
  }

  @Test
  void a_server_that_starts_again_gets_the_same_segments_again() throws Exception {
    List<String> route = record(30);
    try (WalSpool spool = spool(route, recorded::get)) {
      for (int round = 0; round < 3; round++) {
        for (String name : route.subList(round, 15)) {
          assertThat(restored(spool, name)).isEqualTo(recorded.get(name));
        }
      }
    }
  }

  @Test
  void a_server_that_skips_segments_gets_the_one_it_wants() throws Exception {
    List<String> route = record(40);
    try (WalSpool spool = spool(route, recorded::get)) {
      assertThat(restored(spool, route.get(0))).isEqualTo(recorded.get(route.get(0)));
      assertThat(restored(spool, route.get(25))).isEqualTo(recorded.get(route.get(25)));
      assertThat(restored(spool, route.get(26))).isEqualTo(recorded.get(route.get(26)));
      await(() -> ready().equals(route.subList(27, 35)));
    }
  }

  @Test
  void a_repository_that_fails_makes_the_server_give_up_and_the_failure_is_kept() throws Exception {
    List<String> route = record(20);
    IllegalStateException broken = new IllegalStateException("the repository is gone");
    try (WalSpool spool =
        spool(
            route,
            name -> {
              if (name.equals(route.get(2))) {
                throw broken;
              }
              return recorded.get(name);
            })) {
      restored(spool, route.get(0));
      restored(spool, route.get(1));
      // Above 125: PostgreSQL must not take it for the end of the log.
      assertThat(exitCode(spool, route.get(2))).isEqualTo(255);
      assertThat(spool.failure()).isSameAs(broken);
    }
  }

  @Test
  void a_script_that_waits_when_the_folder_goes_away_ends() throws Exception {
    List<String> route = record(1);
    CountDownLatch asked = new CountDownLatch(1);
    WalSpool spool =
        spool(
            route,
            name -> {
              if (name.endsWith(".history")) {
                try {
                  asked.await(); // a repository that takes its time
                } catch (InterruptedException e) {
                  Thread.currentThread().interrupt();
                }
              }
              return recorded.get(name);
            });
    Process waiting = script(spool, "00000002.history");
    await(() -> Files.exists(folder().resolve("00000002.history.wanted")));
    try (Stream<Path> files = Files.list(folder())) {
      for (Path file : files.toList()) {
        Files.delete(file);
      }
    }
    Files.delete(folder());
    assertThat(waiting.waitFor()).isEqualTo(255);
    asked.countDown();
    spool.close();
  }

  private Path folder() {
    // A name that a shell and a %-format both trip over when it is not quoted.
    return temporary.resolve("it's 100%f $HOME");
  }

  private WalSpool spool(List<String> route, WalSpool.Source source) {
    return spool(route, WalSpool.UNBOUNDED, source);
  }

  private WalSpool spool(List<String> route, Lsn end, WalSpool.Source source) {
    return new WalSpool(folder(), route, SEGMENT_BYTES, 8, end, source, _ -> {}, taken::add);
  }

  private List<String> record(int segments) {
    List<String> names = new ArrayList<>();
    for (int number = 1; number <= segments; number++) {
      String name = "%024X".formatted(number);
      byte[] bytes = new byte[SEGMENT_BYTES];
      Arrays.fill(bytes, (byte) number);
      recorded.put(name, bytes);
      names.add(name);
    }
    return names;
  }

  private List<String> ready() throws IOException {
    try (Stream<Path> files = Files.list(folder())) {
      return files
          .map(file -> file.getFileName().toString())
          .filter(name -> name.matches("[0-9A-F]{24}"))
          .sorted()
          .toList();
    }
  }

  private byte[] restored(WalSpool spool, String name) throws Exception {
    assertThat(exitCode(spool, name)).as(name).isZero();
    Path target = temporary.resolve("RECOVERYXLOG");
    byte[] bytes = Files.readAllBytes(target);
    Files.delete(target);
    return bytes;
  }

  private int exitCode(WalSpool spool, String name) throws Exception {
    return script(spool, name).waitFor();
  }

  private Process script(WalSpool spool, String name) throws IOException {
    // As replace_percent_placeholders() does ("common/percentrepl.h", PostgreSQL 18).
    String command =
        spool
            .restoreCommand()
            .replace("%%", "\0")
            .replace("%f", name)
            .replace("%p", temporary.resolve("RECOVERYXLOG").toString())
            .replace("\0", "%");
    return new ProcessBuilder("sh", "-c", command).inheritIO().start();
  }

  private interface Condition {
    boolean holds() throws Exception;
  }

  private static void await(Condition condition) throws Exception {
    long deadline = System.nanoTime() + Duration.ofSeconds(20).toNanos();
    while (!condition.holds()) {
      assertThat(System.nanoTime()).as("time is up").isLessThan(deadline);
      Thread.sleep(5); // the spool's thread looks at a folder: there is nothing to wait on
    }
  }
}
