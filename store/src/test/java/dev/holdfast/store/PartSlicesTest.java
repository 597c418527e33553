package dev.holdfast.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
@Timeout(60)
final class PartSlicesTest {
  @RepeatedTest(20)
  void every_frame_and_hole_is_dealt_out_once() throws Exception {
    Random random = new Random();
    List<BaseDocument.Part> parts = new ArrayList<>();
    for (int i = 0; i < random.nextInt(6); i++) {
      parts.add(new BaseDocument.Part("part-" + i, random.nextInt(200), 0));
    }
    PartSlices slices = new PartSlices(parts, PartSlicesTest::contents);
    List<String> dealt = Collections.synchronizedList(new ArrayList<>());

    BaseReader.inThreads(
        1 + random.nextInt(4),
        _ -> {
          try (PartSlices.Worker worker = slices.worker()) {
            for (PartSlices.Slice slice = worker.next(); slice != null; slice = worker.next()) {
              String part = slice.part().name();
              slice.frames().forEach(frame -> dealt.add(part + " frame " + frame.position()));
              slice.holes().forEach(hole -> dealt.add(part + " hole " + hole.offset()));
            }
          }
        });

    List<String> expected = new ArrayList<>();
    for (BaseDocument.Part part : parts) {
      TableOfContents contents = contents(part);
      contents.frames().forEach(frame -> expected.add(part.name() + " frame " + frame.position()));
      contents.holes().forEach(hole -> expected.add(part.name() + " hole " + hole.offset()));
    }
    assertThat(dealt).containsExactlyInAnyOrderElementsOf(expected);
  }

  @Test
  void who_has_nothing_left_helps_with_the_rest_of_a_large_part() throws Exception {
    PartSlices slices =
        new PartSlices(
            List.of(new BaseDocument.Part("large", 10 * PartSlices.FRAMES, 0)),
            PartSlicesTest::contents);
    Set<Thread> busy = Collections.synchronizedSet(new HashSet<>());
    CountDownLatch both = new CountDownLatch(2);
    BaseReader.inThreads(
        2,
        _ -> {
          try (PartSlices.Worker worker = slices.worker()) {
            for (PartSlices.Slice slice = worker.next(); slice != null; slice = worker.next()) {
              if (busy.add(Thread.currentThread())) {
                both.countDown();
                await(both); // until the other one has something to do as well
              }
            }
          }
        });
    assertThat(busy).hasSize(2);
  }

  @Test
  void nobody_waits_for_a_thread_that_failed() {
    CountDownLatch waits = new CountDownLatch(1);
    PartSlices slices =
        new PartSlices(
            List.of(new BaseDocument.Part("damaged", 1, 0)),
            part -> {
              await(waits);
              throw new DamagedObjectException(part.name(), "it does not hold");
            });
    assertThatThrownBy(() ->
            BaseReader.inThreads(
                2,
                _ -> {
                  try (PartSlices.Worker worker = slices.worker()) {
                    waits.countDown();
                    worker.next();
                  }
                }))
        .hasMessageContaining("it does not hold");
  }

  private static TableOfContents contents(BaseDocument.Part part) {
    List<TableOfContents.Frame> frames = new ArrayList<>();
    for (int i = 0; i < part.storedBytes(); i++) {
      frames.add(new TableOfContents.Frame(i, 1, 1, 0, List.of()));
    }
    return new TableOfContents(
        frames,
        part.storedBytes() % 2 == 0 ? List.of() : List.of(new TableOfContents.Hole("f", 7, 1)));
  }

  private static void await(CountDownLatch latch) {
    try {
      latch.await();
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }
}
