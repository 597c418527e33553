package dev.holdfast.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.local.LocalObjectStore;
import dev.holdfast.store.objects.MemoryObjectStore;
import dev.holdfast.store.objects.ObjectStore;
import dev.holdfast.store.s3.S3ObjectStore;
import dev.holdfast.testkit.S3Server;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** One holder at a time, whatever becomes of it; two machines are two clocks here. */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class LeaseTest {
  private static final String FOLDER = "clusters/acme/leases/record/";
  private static final Duration TERM = Duration.ofSeconds(30);
  private static final int RACERS = 8;

  @TempDir private Path home;

  private final MemoryObjectStore objects = new MemoryObjectStore();

  /** A machine, with clocks of its own. */
  private static final class Machine {
    private final AtomicLong nanos;
    private final Duration wrong;

    Machine(long startNanos, Duration wrong) {
      this.nanos = new AtomicLong(startNanos);
      this.wrong = wrong;
    }

    LeaseCandidate candidate(ObjectStore objects, String purpose) {
      InstantSource clock =
          () -> Instant.parse("2026-11-22T03:00:00Z").plus(wrong).plusNanos(nanos.get());
      return new LeaseCandidate(
          new LeaseFolder(objects, FOLDER), "record", purpose, TERM, nanos::get, clock);
    }

    void passes(Duration time) {
      nanos.addAndGet(time.toNanos());
    }
  }

  private final Machine one = new Machine(0, Duration.ZERO);

  /** Its clock is years off, and its ticks began elsewhere. */
  private final Machine other = new Machine(Long.MAX_VALUE - 1000, Duration.ofDays(-2000));

  private static Lease taken(LeaseCandidate candidate) {
    return Objects.requireNonNull(candidate.ask().lease());
  }

  private static void refused(LeaseCandidate candidate) {
    LeaseCandidate.Answer answer = candidate.ask();
    assertThat(answer.lease()).isNull();
    assertThat(answer.holder()).isNotNull();
  }

  @Test
  void one_that_is_renewed_stays_its_holders_and_who_asks_is_told_whose_it_is() {
    Lease held = taken(one.candidate(objects, "holdfast record acme"));
    LeaseCandidate waiting = other.candidate(objects, "another");
    for (int i = 0; i < 100; i++) {
      LeaseCandidate.Answer answer = waiting.ask();
      assertThat(answer.lease()).isNull();
      assertThat(answer.holder()).isNotNull();
      assertThat(Objects.requireNonNull(answer.holder()).holder().purpose())
          .isEqualTo("holdfast record acme");
      assertThat(Objects.requireNonNull(answer.holder()).holder().pid())
          .isEqualTo(ProcessHandle.current().pid());
      one.passes(Duration.ofSeconds(10));
      other.passes(Duration.ofSeconds(10));
      held.renew();
    }
    held.check();
    assertThat(objects.children(FOLDER)).hasSizeLessThan(12);
    assertThatThrownBy(() -> waiting.take("record acme too"))
        .isInstanceOfSatisfying(
            OperatorException.class,
            e -> {
              assertThat(e.kind()).isEqualTo(Kind.REFUSED);
              assertThat(e.why()).contains("holdfast record acme does (").contains("process ");
            });
  }

  @Test
  void silence_is_measured_by_who_watches_from_when_it_was_first_seen() {
    Lease held = taken(one.candidate(objects, "first"));
    LeaseCandidate waiting = other.candidate(objects, "second");
    refused(waiting); // what the first one's clock says is 2000 days in its future
    other.passes(TERM);
    refused(waiting); // its clock may be slower
    other.passes(TERM.dividedBy(9));
    Lease next = taken(waiting);
    assertThat(next.document().holder().purpose()).isEqualTo("second");
    one.passes(TERM); // it was stopped all the time
    assertThatThrownBy(held::check)
        .isInstanceOf(LeaseLostException.class)
        .hasMessageContaining("first has to stop");
    assertThat(held.isLost()).isTrue();
    next.check();
  }

  @Test
  void a_machine_that_was_suspended_asks_though_its_ticks_stood_still() {
    AtomicLong wall = new AtomicLong();
    Lease held =
        taken(
            new LeaseCandidate(
                new LeaseFolder(objects, FOLDER),
                "record",
                "suspended",
                TERM,
                () -> 0,
                () -> Instant.EPOCH.plusNanos(wall.get())));
    LeaseCandidate waiting = other.candidate(objects, "second");
    refused(waiting);
    other.passes(TERM.multipliedBy(2));
    taken(waiting);
    wall.addAndGet(TERM.toNanos());
    assertThatThrownBy(held::check).isInstanceOf(LeaseLostException.class);
  }

  @Test
  void who_slept_while_others_went_far_on_changes_nothing_when_it_wakes() {
    Lease slept = taken(one.candidate(objects, "slept"));
    LeaseCandidate waiting = other.candidate(objects, "second");
    refused(waiting);
    other.passes(TERM.multipliedBy(2));
    Lease next = taken(waiting);
    for (int i = 0; i < 3 * LeaseFolder.KEPT; i++) {
      next.renew(); // the number that the sleeper will put is free again
    }
    ObjectStore fenced = new FencedObjects(objects, slept);
    one.passes(TERM);
    objects.put("kept", new byte[] {1});
    assertThatThrownBy(() -> fenced.replace("kept", new byte[] {2}))
        .isInstanceOf(LeaseLostException.class);
    assertThatThrownBy(() -> fenced.put("new", new byte[] {2}))
        .isInstanceOf(LeaseLostException.class);
    assertThatThrownBy(() -> fenced.delete("kept")).isInstanceOf(LeaseLostException.class);
    assertThatThrownBy(() -> fenced.create("new")).isInstanceOf(LeaseLostException.class);
    assertThat(objects.get("kept")).containsExactly(1);
    assertThat(objects.exists("new")).isFalse();
    next.renew();
    next.check();
  }

  @Test
  void an_object_begun_under_the_lease_does_not_appear_after_it_was_lost() {
    Lease held = taken(one.candidate(objects, "first"));
    try (var writer = new FencedObjects(objects, held).create("long")) {
      writer.write(new byte[9], 0, 9);
      LeaseCandidate waiting = other.candidate(objects, "second");
      refused(waiting);
      other.passes(TERM.multipliedBy(2));
      taken(waiting);
      one.passes(TERM.multipliedBy(2));
      assertThatThrownBy(writer::commit).isInstanceOf(LeaseLostException.class);
    }
    assertThat(objects.exists("long")).isFalse();
  }

  @Test
  void a_holder_cut_off_for_long_goes_on_when_nobody_has_taken_its_place() {
    Lease held = taken(one.candidate(objects, "first"));
    one.passes(Duration.ofHours(3));
    held.check();
    refused(other.candidate(objects, "second"));
  }

  @Test
  void what_was_given_back_or_whose_process_is_gone_is_taken_at_once() {
    Lease held = taken(one.candidate(objects, "first"));
    held.close();
    assertThatThrownBy(held::check).isInstanceOf(LeaseLostException.class);
    Lease second = taken(other.candidate(objects, "second"));
    LocalProcess.forget(second.document().holder()); // as a crash does
    taken(one.candidate(objects, "third"));
  }

  @Test
  void a_process_of_this_machine_that_is_gone_is_told_from_one_that_is_there() throws Exception {
    LeaseDocument.Holder mine = LocalProcess.holder("mine");
    assertThat(LocalProcess.isGone(mine)).isFalse();
    Process sleeping = new ProcessBuilder("sleep", "100").start();
    try {
      LeaseDocument.Holder there = withPid(mine, sleeping.pid(), mine.startTicks());
      assertThat(LocalProcess.isGone(there)).as("its number has another process now").isTrue();
      assertThat(LocalProcess.isGone(withPid(mine, sleeping.pid(), null))).isFalse();
    } finally {
      sleeping.destroyForcibly().waitFor(10, TimeUnit.SECONDS);
    }
    assertThat(LocalProcess.isGone(withPid(mine, sleeping.pid(), mine.startTicks()))).isTrue();
    assertThat(
            LocalProcess.isGone(
                new LeaseDocument.Holder(
                    "t", "elsewhere", sleeping.pid(), "another boot", 1L, "theirs")))
        .as("of other machines nothing is known")
        .isFalse();
    LocalProcess.forget(mine);
    assertThat(LocalProcess.isGone(mine)).isTrue();
  }

  private static LeaseDocument.Holder withPid(
      LeaseDocument.Holder of, long pid, @org.jspecify.annotations.Nullable Long ticks) {
    return new LeaseDocument.Holder("t", of.host(), pid, of.machine(), ticks, "theirs");
  }

  @Test
  void a_renewal_that_landed_though_its_answer_was_lost_is_ours() {
    AtomicInteger puts = new AtomicInteger();
    ObjectStore losing =
        (ObjectStore)
            Proxy.newProxyInstance(
                ObjectStore.class.getClassLoader(),
                new Class<?>[] {ObjectStore.class},
                (_, method, arguments) -> {
                  try {
                    Object answer = method.invoke(objects, arguments);
                    if (method.getName().equals("put") && puts.incrementAndGet() == 2) {
                      throw new OperatorException(
                          Kind.REPOSITORY_UNREACHABLE, "cannot write", "broken off", "again");
                    }
                    return answer;
                  } catch (InvocationTargetException e) {
                    throw e.getCause();
                  }
                });
    Lease held = taken(one.candidate(losing, "first"));
    assertThatThrownBy(held::renew).hasMessageContaining("cannot write");
    held.renew();
    held.check();
    refused(other.candidate(objects, "second"));
  }

  @Test
  void a_renewal_that_takes_long_holds_no_write_up_within_the_term() throws Exception {
    var renewing = new CountDownLatch(1);
    var answered = new CountDownLatch(1);
    var slow = new AtomicBoolean();
    ObjectStore storage =
        new MemoryObjectStore() {
          @Override
          public void put(String name, byte[] bytes) {
            if (slow.get() && name.startsWith(FOLDER)) {
              renewing.countDown();
              try {
                answered.await();
              } catch (InterruptedException e) {
                throw new IllegalStateException(e);
              }
            }
            super.put(name, bytes);
          }
        };
    Lease held = taken(one.candidate(storage, "first"));
    ObjectStore fenced = new FencedObjects(storage, held);
    slow.set(true);
    CompletableFuture<Void> renewal =
        CompletableFuture.runAsync(held::renew, Thread::startVirtualThread);
    CompletableFuture<Void> late;
    try {
      assertThat(renewing.await(60, TimeUnit.SECONDS)).isTrue();
      one.passes(TERM.minusSeconds(1));
      CompletableFuture.runAsync(
              () -> {
                fenced.put("wal", new byte[] {1});
                assertThat(held.isHeld()).isTrue();
                assertThat(held.isLost()).isFalse();
                assertThat(held.document().released()).isFalse();
              },
              Thread::startVirtualThread)
          .get(60, TimeUnit.SECONDS);
      one.passes(Duration.ofSeconds(1));
      assertThat(held.isHeld()).isFalse();
      late =
          CompletableFuture.runAsync(
              () -> fenced.put("late", new byte[] {1}), Thread::startVirtualThread);
      assertThat(late.isDone()).as("the term is over, and nobody knows yet").isFalse();
      assertThat(storage.exists("late")).isFalse();
    } finally {
      answered.countDown();
    }
    renewal.get(60, TimeUnit.SECONDS);
    late.get(60, TimeUnit.SECONDS);
    assertThat(storage.exists("wal")).isTrue();
    assertThat(storage.exists("late")).isTrue();
  }

  /** Keeps what was to be removed while told to. */
  private static final class Hoarding extends MemoryObjectStore {
    private boolean now = true;

    @Override
    public void delete(String name) {
      if (now) {
        throw new OperatorException(
            Kind.REPOSITORY_UNREACHABLE, "cannot delete " + name, "not allowed", "allow it");
      }
      super.delete(name);
    }
  }

  @Test
  void old_states_that_cannot_be_removed_cost_nobody_the_lease_and_go_later() {
    Hoarding storage = new Hoarding();
    for (int i = 0; i < 2 * LeaseFolder.CLEANED_MAX; i++) {
      taken(one.candidate(storage, "again and again")).close();
    }
    assertThat(storage.children(FOLDER)).hasSize(4 * LeaseFolder.CLEANED_MAX);
    storage.now = false;
    Lease held = taken(one.candidate(storage, "at last"));
    assertThat(storage.children(FOLDER)).hasSize(3 * LeaseFolder.CLEANED_MAX + 1);
    for (int i = 0; i < 3; i++) {
      held.renew();
    }
    assertThat(storage.children(FOLDER)).hasSize(LeaseFolder.KEPT);
    assertThat(storage.children(FOLDER).getLast())
        .isEqualTo("%012d.json".formatted(4 * LeaseFolder.CLEANED_MAX + 4));
    storage.now = true;
    held.renew();
    held.check();
    refused(other.candidate(storage, "second"));
  }

  @Test
  void one_that_starts_again_and_again_leaves_no_heap_of_states() {
    for (int i = 0; i < 50; i++) {
      taken(one.candidate(objects, "again and again")).close();
    }
    assertThat(objects.children(FOLDER)).hasSizeLessThan(LeaseFolder.KEPT + 2);
  }

  @Test
  void a_state_that_does_not_hold_blocks_nobody_for_ever() {
    taken(one.candidate(objects, "first"));
    objects.replace(FOLDER + "000000000001.json", new byte[] {1, 2, 3});
    LeaseCandidate waiting = other.candidate(objects, "second");
    assertThat(waiting.ask().lease()).isNull();
    other.passes(Duration.ofMinutes(1));
    taken(waiting);
  }

  @Test
  void of_many_that_take_it_at_once_in_a_directory_one_has_it() {
    race(new LocalObjectStore(home.resolve("repository")));
  }

  @Test
  void of_many_that_take_it_at_once_in_a_bucket_one_has_it() {
    try (S3Server server = S3Server.start("acme-backups");
        S3Server.Environment _ = S3Server.environment(server.endpoint())) {
      race(S3ObjectStore.open("s3://acme-backups/leases"));
    }
  }

  /** Again and again: each holder gives it back, or falls silent. */
  private void race(ObjectStore store) {
    for (int round = 0; round < 10; round++) {
      List<LeaseCandidate> racers = new ArrayList<>();
      for (int i = 0; i < RACERS; i++) {
        racers.add(one.candidate(store, "racer " + i));
      }
      racers.forEach(LeaseCandidate::ask);
      one.passes(TERM.multipliedBy(2));
      CountDownLatch start = new CountDownLatch(1);
      List<CompletableFuture<LeaseCandidate.Answer>> answers =
          racers.stream()
              .map(racer ->
                  CompletableFuture.supplyAsync(
                      () -> {
                        try {
                          start.await();
                        } catch (InterruptedException e) {
                          throw new IllegalStateException(e);
                        }
                        return racer.ask();
                      },
                      Thread::startVirtualThread))
              .toList();
      start.countDown();
      List<Lease> holders =
          answers.stream()
              .map(each -> each.orTimeout(60, TimeUnit.SECONDS).join().lease())
              .filter(Objects::nonNull)
              .toList();
      assertThat(holders).as("round %d", round).hasSize(1);
      if (round % 2 == 0) {
        holders.getFirst().close();
      }
    }
  }
}
