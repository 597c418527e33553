package dev.holdfast.postgres;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.server.PostgresServer;
import dev.holdfast.server.Processes;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.Repository;
import dev.holdfast.store.StoredSegment;
import dev.holdfast.testkit.TestServer;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.SegmentName;
import java.io.ByteArrayOutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.BooleanSupplier;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class WalReceiverTest {
  private static final Duration HOUR = Duration.ofHours(1);
  private static final String WRITE_SOME =
      "INSERT INTO noise SELECT md5(i::text) FROM generate_series(1, 20000) AS i";

  @ParameterizedTest
  @ValueSource(ints = {14, 15, 16, 17, 18})
  void every_byte_is_as_the_server_wrote_it_and_is_heard_once(int major) throws Exception {
    try (Recorded recorded = new Recorded(started(major))) {
      ByteArrayOutputStream heard = new ByteArrayOutputStream();
      List<Lsn> first = new ArrayList<>();
      try (Recorded.Recording recording =
          new Recorded.Recording(
              recorded.recorder,
              recorded.store(),
              WalReceiver.Options.DEFAULT,
              (_, from, bytes, offset, length) -> {
                if (first.isEmpty()) {
                  first.add(from);
                }
                assertThat(from).isEqualTo(first.getFirst().plus(heard.size()));
                heard.write(bytes, offset, length);
              })) {
        for (int i = 0; i < 12; i++) {
          recorded.server.execute(WRITE_SOME);
        }
        recorded.server.execute("SELECT pg_switch_wal()", WRITE_SOME);
        recording.await(recorded.written());
        assertThat(WalReceiver.isActive(recorded.recorder, "acme")).isTrue();
        assertThat(WalReceiver.isActive(recorded.recorder, "other")).isFalse();
      }
      assertSameAsServer(recorded);
      ByteArrayOutputStream stored = new ByteArrayOutputStream();
      for (StoredSegment segment : recorded.store().wal().list()) {
        stored.writeBytes(recorded.store().wal().read(segment.name()));
      }
      assertThat(recorded.store().wal().list()).hasSizeGreaterThan(2);
      assertThat(heard.toByteArray()).isEqualTo(stored.toByteArray());
      assertThat(first.getFirst().position() % recorded.store().document().walSegmentSize())
          .isZero();
    }
  }

  @ParameterizedTest
  @EnumSource(PostgresServer.Stop.class)
  void a_restarted_server_leaves_no_gap(PostgresServer.Stop how) throws Exception {
    try (Recorded recorded = new Recorded(started(18))) {
      List<String> events = new ArrayList<>();
      try (Recorded.Recording recording =
          new Recorded.Recording(
              recorded.recorder,
              recorded.store(),
              WalReceiver.Options.DEFAULT,
              new WalReceiver.Listener() {
                @Override
                public void durable(int timeline, Lsn from, byte[] bytes, int offset, int length) {}

                @Override
                public void connected(int timeline, Lsn from) {
                  events.add("connected");
                }

                @Override
                public void disconnected(OperatorException why, Duration pause) {
                  events.add("disconnected");
                }
              })) {
        recorded.server.execute(WRITE_SOME);
        recording.await(recorded.written());
        recorded.server.execute(WRITE_SOME);
        recorded.server.restart(how);
        recorded.server.execute(WRITE_SOME, WRITE_SOME, WRITE_SOME, WRITE_SOME, WRITE_SOME);
        recording.await(recorded.written());
      }
      assertThat(events).startsWith("connected", "disconnected").endsWith("connected");
      assertSameAsServer(recorded);
    }
  }

  @Test
  void a_killed_receiver_is_continued_without_a_gap() throws Exception {
    try (Recorded recorded = new Recorded(started(16))) {
      for (int run = 0; run < 3; run++) {
        Process killed =
            new ProcessBuilder(
                    ProcessHandle.current().info().command().orElseThrow(),
                    "-cp",
                    System.getProperty("java.class.path"),
                    "--enable-native-access=ALL-UNNAMED",
                    Receiving.class.getName(),
                    recorded.server.url("postgres"),
                    recorded.repository)
                .redirectError(ProcessBuilder.Redirect.DISCARD)
                .start();
        try (var lines = killed.inputReader()) {
          lines.readLine(); // something was stored
          for (int i = 0; i < 4; i++) {
            recorded.server.execute(WRITE_SOME);
          }
        } finally {
          killed.destroyForcibly().waitFor();
        }
        recorded.server.execute(WRITE_SOME);
      }
      try (Recorded.Recording recording =
          new Recorded.Recording(recorded.recorder, recorded.store())) {
        recording.await(recorded.written());
      }
      assertSameAsServer(recorded);
    }
  }

  /** Records until it is killed. */
  static final class Receiving {
    public static void main(String[] arguments) {
      new WalReceiver(
              PostgresUrl.parse(arguments[0]),
              Repository.open(arguments[1]).cluster("acme"),
              WalReceiver.Options.DEFAULT.withFlushInterval(Duration.ofMillis(50)),
              (_, _, _, _, _) -> System.out.println("stored"))
          .run();
    }
  }

  @Test
  void a_server_that_was_promoted_is_followed_to_its_new_timeline() throws Exception {
    try (Recorded recorded = new Recorded(started(17))) {
      TestServer server = recorded.server;
      server.execute(WRITE_SOME);
      try (Recorded.Recording recording =
          new Recorded.Recording(recorded.recorder, recorded.store())) {
        recording.await(recorded.written());
      }
      server.execute(WRITE_SOME);
      server.stop(PostgresServer.Stop.FAST);
      Files.createFile(server.server().data().resolve("recovery.signal"));
      Files.writeString(
          server.server().data().resolve("postgresql.auto.conf"), "restore_command = 'false'\n");
      server.startAgain();
      awaitPromoted(server);
      server.execute(WRITE_SOME, WRITE_SOME);
      Recorded.Recording recording = new Recorded.Recording(recorded.recorder, recorded.store());
      try (recording) {
        recording.await(recorded.written());
        long deadline = System.nanoTime() + Duration.ofSeconds(30).toNanos();
        while (recording.receiver.timeline() < 2 && System.nanoTime() < deadline) {
          Thread.sleep(20); // the last position of timeline 1 is near: wait for the switch itself
        }
        recording.await(recorded.written());
      }
      assertThat(recording.receiver.timeline()).isEqualTo(2);
      assertThat(recorded.store().wal().readHistory(2)).isNotNull();
      List<String> names = recorded.store().wal().list().stream().map(StoredSegment::name).toList();
      assertThat(names)
          .anyMatch(n -> n.startsWith("00000001"))
          .anyMatch(n -> n.startsWith("00000002"));
      assertSameAsServer(recorded);
    }
  }

  /**
   * A standby that lagged was promoted: of the timeline before more is recorded than it has. Told
   * that position, it would let commits go that are nowhere.
   */
  @Test
  void what_the_timeline_before_had_more_is_not_acknowledged_to_a_promoted_server()
      throws Exception {
    try (Recorded recorded = new Recorded(started(18))) {
      TestServer server = recorded.server;
      Path data = server.server().data();
      Path lagging = data.resolveSibling("lagging");
      server.execute(WRITE_SOME);
      try (Recorded.Recording recording =
          new Recorded.Recording(recorded.recorder, recorded.store())) {
        recording.await(recorded.written());
      }
      server.stop(PostgresServer.Stop.FAST);
      Processes.run(List.of("cp", "-a", data.toString(), lagging.toString()));
      server.startAgain();
      server.execute(WRITE_SOME, "SELECT pg_switch_wal()", WRITE_SOME, "SELECT pg_switch_wal()");
      server.execute(WRITE_SOME);
      Lsn ahead = recorded.written();
      try (Recorded.Recording recording =
          new Recorded.Recording(recorded.recorder, recorded.store())) {
        recording.await(ahead);
      }
      server.stop(PostgresServer.Stop.FAST);
      Processes.run(List.of("rm", "-rf", data.toString()));
      Files.move(lagging, data);
      Files.createFile(data.resolve("recovery.signal"));
      Files.writeString(data.resolve("postgresql.auto.conf"), "restore_command = 'false'\n");
      server.startAgain();
      awaitPromoted(server);
      assertThat(recorded.written()).isLessThan(ahead);

      CountDownLatch stored = new CountDownLatch(1);
      CountDownLatch looked = new CountDownLatch(1);
      try (Recorded.Recording recording =
          new Recorded.Recording(
              recorded.recorder,
              recorded.store(),
              WalReceiver.Options.DEFAULT.synchronously(),
              (timeline, _, _, _, _) -> {
                if (timeline == 2) {
                  stored.countDown();
                  await(looked); // nothing is acknowledged meanwhile
                }
              })) {
        assertThat(stored.await(60, TimeUnit.SECONDS)).isTrue();
        Thread.sleep(500); // what was acknowledged before is on its way, should anything have been
        assertThat(
                server.query(
                    "SELECT flush_lsn FROM pg_stat_replication WHERE flush_lsn >"
                        + " pg_current_wal_lsn()"))
            .isEmpty();
        looked.countDown();
        recording.await(recorded.written());
      } finally {
        looked.countDown();
      }
    }
  }

  private static void await(CountDownLatch latch) {
    try {
      latch.await(60, TimeUnit.SECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  @Test
  void a_slot_moves_only_with_what_is_durable() throws Exception {
    try (Recorded recorded = new Recorded(started(18))) {
      String slot = ReplicationSlot.nameFor("acme");
      assertThat(ReplicationSlot.nameFor("Big-Shop.1")).isEqualTo("holdfast_big_shop_1");
      ReplicationSlot.create(recorded.recorder, slot);
      ReplicationSlot.create(recorded.recorder, slot);
      try (Recorded.Recording recording =
          new Recorded.Recording(
              recorded.recorder,
              recorded.store(),
              WalReceiver.Options.DEFAULT.withSlot(slot),
              (_, _, _, _, _) -> {})) {
        recorded.server.execute(WRITE_SOME);
        recording.await(recorded.written());
        long deadline = System.nanoTime() + Duration.ofSeconds(10).toNanos();
        Lsn restart = Lsn.NONE;
        while (restart.isBefore(recorded.written()) && System.nanoTime() < deadline) {
          restart =
              Lsn.parse(recorded.server.value("SELECT restart_lsn FROM pg_replication_slots"));
          assertThat(restart).isLessThanOrEqualTo(recording.receiver.storedThrough());
          Thread.sleep(20); // the acknowledgement is on its way
        }
        assertThat(restart).isGreaterThanOrEqualTo(recorded.written());
        assertThatThrownBy(() -> ReplicationSlot.drop(recorded.recorder, slot))
            .isInstanceOf(OperatorException.class)
            .hasMessageContaining("stop the recorder that is using it");
      }
      long deadline = System.nanoTime() + Duration.ofSeconds(10).toNanos();
      while (WalReceiver.isActive(recorded.recorder, "acme") && System.nanoTime() < deadline) {
        Thread.sleep(20); // the walsender is ending
      }
      ReplicationSlot.drop(recorded.recorder, slot);
      assertThat(recorded.server.query("SELECT 1 FROM pg_replication_slots")).isEmpty();
    }
  }

  /** With an hour until a flush is due, only complete segments are written. */
  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void a_segment_that_is_being_written_is_not_told_and_not_acknowledged(boolean synchronous)
      throws Exception {
    try (Recorded recorded = new Recorded(started(17))) {
      ClusterStore store = recorded.store();
      AtomicReference<Lsn> heard = new AtomicReference<>(Lsn.NONE);
      WalReceiver.Options options = WalReceiver.Options.DEFAULT.withFlushInterval(HOUR);
      try (Recorded.Recording recording =
          new Recorded.Recording(
              recorded.recorder,
              store,
              synchronous ? options.synchronously() : options,
              (_, from, _, _, length) -> heard.set(from.plus(length)))) {
        recorded.server.execute(WRITE_SOME, "SELECT pg_switch_wal()", WRITE_SOME);
        recording.await(segmentStart(recorded));
        synchronized (store.wal()) { // whatever it writes now has to wait for us
          Lsn reached = recorded.written();
          recorded.server.execute(
              "SELECT pg_switch_wal()", WRITE_SOME, "SELECT pg_switch_wal()", WRITE_SOME);
          awaitUntil(() -> recording.receiver.waiting().compareTo(Duration.ofSeconds(1)) > 0);
          assertThat(recording.receiver.storedThrough()).isLessThanOrEqualTo(reached);
          assertThat(heard.get()).isLessThanOrEqualTo(reached);
          assertThat(
                  recorded.server.value(
                      "SELECT count(*) FROM pg_stat_replication WHERE flush_lsn > '"
                          + reached
                          + "'"))
              .isEqualTo("0");
        }
        recording.await(segmentStart(recorded));
      }
      assertSameAsServer(recorded);
    }
  }

  @Test
  void what_follows_a_segment_waits_until_that_is_durable_and_told() throws Exception {
    try (Recorded recorded = new Recorded(started(18))) {
      int segmentSize = recorded.store().document().walSegmentSize();
      CountDownLatch entered = new CountDownLatch(1);
      CountDownLatch let = new CountDownLatch(1);
      AtomicBoolean telling = new AtomicBoolean();
      AtomicBoolean atOnce = new AtomicBoolean();
      try (Recorded.Recording recording =
          new Recorded.Recording(
              recorded.recorder,
              recorded.store(),
              WalReceiver.Options.DEFAULT,
              (_, from, _, _, length) -> {
                if (!telling.compareAndSet(false, true)) {
                  atOnce.set(true);
                  return;
                }
                if (from.plus(length).position() % segmentSize == 0) {
                  entered.countDown();
                  uninterrupted(let);
                }
                telling.set(false);
              })) {
        try {
          recorded.server.execute(WRITE_SOME, "SELECT pg_switch_wal()", WRITE_SOME);
          assertThat(entered.await(60, TimeUnit.SECONDS)).isTrue();
          recorded.server.execute(WRITE_SOME);
          // A flush is due each tenth of a second: ten of them would have come in between.
          awaitUntil(() -> recording.receiver.waiting().compareTo(Duration.ofSeconds(1)) > 0);
          assertThat(recording.receiver.storedThrough().position() % segmentSize).isZero();
        } finally {
          let.countDown();
        }
        recording.await(recorded.written());
      }
      assertThat(atOnce).isFalse();
      assertSameAsServer(recorded);
    }
  }

  @Test
  void a_complete_segment_that_cannot_be_stored_ends_the_receiver_with_the_reason()
      throws Exception {
    try (Recorded recorded = new Recorded(started(16))) {
      ClusterStore store = recorded.store();
      Recorded.Recording recording =
          new Recorded.Recording(
              recorded.recorder,
              store,
              WalReceiver.Options.DEFAULT.withFlushInterval(HOUR),
              (_, _, _, _, _) -> {});
      recorded.server.execute(WRITE_SOME, "SELECT pg_switch_wal()", WRITE_SOME);
      recording.await(segmentStart(recorded));
      int segmentSize = store.document().walSegmentSize();
      SegmentName next = SegmentName.containing(recorded.written(), 1, segmentSize).next();
      store.wal().put(next.toString(), new byte[segmentSize]); // another log's
      for (int i = 0; i < 4; i++) {
        recorded.server.execute("SELECT pg_switch_wal()", WRITE_SOME);
      }
      assertThat(recording.failure())
          .isInstanceOfSatisfying(
              OperatorException.class,
              e -> {
                assertThat(e.kind()).isEqualTo(Kind.REFUSED);
                assertThat(e.what()).startsWith("cannot store " + next);
              });
      assertThat(recording.receiver.storedThrough()).isEqualTo(next.start());
    }
  }

  /** All complete segments are before it. */
  private static Lsn segmentStart(Recorded recorded) {
    return SegmentName.containing(
            recorded.written(), 1, recorded.store().document().walSegmentSize())
        .start();
  }

  private static void awaitUntil(BooleanSupplier condition) throws InterruptedException {
    long deadline = System.nanoTime() + Duration.ofSeconds(60).toNanos();
    while (!condition.getAsBoolean()) {
      assertThat(System.nanoTime()).as("in time").isLessThan(deadline);
      Thread.sleep(20); // the receiver is seen by looking
    }
  }

  private static void uninterrupted(CountDownLatch latch) {
    try {
      latch.await();
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }

  @Test
  void wal_that_is_gone_is_said_with_the_way_out() throws Exception {
    try (Recorded recorded =
        new Recorded(
            TestServer.start(18, Map.of("max_wal_size", "32MB", "min_wal_size", "32MB")))) {
      recorded.server.execute("CREATE TABLE noise (t text)");
      Lsn reached;
      try (Recorded.Recording recording =
          new Recorded.Recording(recorded.recorder, recorded.store())) {
        recording.await(recorded.written());
        reached = recording.receiver.storedThrough();
      }
      for (int i = 0; i < 4; i++) {
        recorded.server.execute(WRITE_SOME, WRITE_SOME, WRITE_SOME, "SELECT pg_switch_wal()");
        recorded.server.execute("CHECKPOINT");
      }
      Recorded.Recording recording = new Recorded.Recording(recorded.recorder, recorded.store());
      assertThat(recording.failure())
          .isInstanceOfSatisfying(
              OperatorException.class,
              e -> {
                assertThat(e.kind()).isEqualTo(Kind.FAILED);
                assertThat(e.what()).isEqualTo("cannot go on recording acme");
                assertThat(e.why())
                    .startsWith("the server no longer has the WAL after " + reached)
                    .contains("has already been removed");
                assertThat(e.next()).startsWith("take a new base backup: holdfast backup acme");
              });
      try (Recorded.Recording anew =
          new Recorded.Recording(
              recorded.recorder,
              recorded.store(),
              WalReceiver.Options.DEFAULT.healing(),
              (_, _, _, _, _) -> {})) {
        anew.await(recorded.written());
      }
    }
  }

  @Test
  void another_cluster_under_the_same_url_is_refused() throws Exception {
    try (Recorded recorded = new Recorded(started(18));
        TestServer other = TestServer.start(18)) {
      Recorded.Recording recording =
          new Recorded.Recording(PostgresUrl.parse(other.url("postgres")), recorded.store());
      assertThat(recording.failure())
          .isInstanceOfSatisfying(
              OperatorException.class,
              e -> {
                assertThat(e.kind()).isEqualTo(Kind.REFUSED);
                assertThat(e.why()).contains("is another cluster");
              });
      assertThat(recorded.store().wal().list()).isEmpty();
    }
  }

  @Test
  void a_missing_slot_ends_the_receiver_with_its_name() throws Exception {
    try (Recorded recorded = new Recorded(started(18))) {
      Recorded.Recording recording =
          new Recorded.Recording(
              recorded.recorder,
              recorded.store(),
              WalReceiver.Options.DEFAULT.withSlot("holdfast_gone"),
              (_, _, _, _, _) -> {});
      assertThat(recording.failure())
          .isInstanceOf(OperatorException.class)
          .hasMessageContaining("replication slot \"holdfast_gone\" does not exist");
    }
  }

  private static TestServer started(int major) {
    TestServer server = TestServer.start(major, Map.of("wal_keep_size", "1GB"));
    server.execute("CREATE TABLE noise (t text)");
    return server;
  }

  private static void awaitPromoted(TestServer server) throws InterruptedException {
    while (server.value("SELECT pg_is_in_recovery()").equals("t")) {
      Thread.sleep(20); // recovery ends by itself
    }
  }

  /** All that is stored, without a gap, against the server's own files. */
  private static void assertSameAsServer(Recorded recorded) throws Exception {
    int segmentSize = recorded.store().document().walSegmentSize();
    SegmentName previous = null;
    for (StoredSegment segment : recorded.store().wal().list()) {
      SegmentName name = SegmentName.parse(segment.name(), segmentSize);
      if (previous != null && previous.timeline() == name.timeline()) {
        assertThat(name).isEqualTo(previous.next());
      }
      previous = name;
      Path file = recorded.server.server().data().resolve("pg_wal").resolve(segment.name());
      if (!Files.exists(file)) {
        file = file.resolveSibling(segment.name() + ".partial"); // renamed by a promotion
      }
      byte[] stored = recorded.store().wal().read(segment.name());
      assertThat(stored).hasSize((int) segment.bytes());
      assertThat(Arrays.equals(stored, Arrays.copyOf(Files.readAllBytes(file), stored.length)))
          .as(segment.name())
          .isTrue();
    }
    assertThat(previous).isNotNull();
  }
}
