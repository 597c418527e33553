package dev.holdfast.wal;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Feeds the reader log that somebody damaged on purpose, and holds {@link FuzzProperty}.
 *
 * <p>{@code -Dholdfast.fuzz.inputs=N} says how many inputs, {@code -Dholdfast.fuzz.seed=S} which;
 * {@code -Dholdfast.fuzz.only=I} runs one of them.
 */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class FuzzTest {
  private static final long INPUTS = Long.getLong("holdfast.fuzz.inputs", 200_000);
  private static final long SEED =
      Long.getLong("holdfast.fuzz.seed", new SplittableRandom().nextLong());
  private static final long ONLY = Long.getLong("holdfast.fuzz.only", -1);
  private static final Duration STUCK = Duration.ofSeconds(60);

  @Test
  void nothing_an_enemy_writes_brings_the_reader_down() throws Exception {
    AtomicLong number = new AtomicLong();
    AtomicReference<@Nullable Throwable> failure = new AtomicReference<>();
    FuzzProperty property = new FuzzProperty();
    Thread worker = Thread.ofPlatform().daemon().start(() -> fuzz(property, number, failure));
    long seen = -1;
    while (!worker.join(STUCK)) { // an input takes microseconds
      long now = number.get();
      if (now == seen) {
        AssertionError stuck = new AssertionError(named(now) + " does not end");
        stuck.setStackTrace(worker.getStackTrace());
        throw stuck;
      }
      seen = now;
    }
    Throwable found = failure.get();
    if (found != null) {
      throw new AssertionError(named(number.get()), found);
    }
    System.out.printf(
        "damaged log of seed %d: %s %d%n", SEED, property.figures(), property.sink() & 1);
    assertThat(property.inputs()).isEqualTo(ONLY < 0 ? INPUTS : 1);
  }

  private static void fuzz(
      FuzzProperty property, AtomicLong number, AtomicReference<@Nullable Throwable> failure) {
    FuzzInput input = null;
    try {
      FuzzMutator mutator =
          new FuzzMutator(Arrays.stream(WalVersion.values()).map(FuzzSeeds::load).toList());
      long first = ONLY < 0 ? 0 : ONLY;
      long end = ONLY < 0 ? INPUTS : ONLY + 1;
      for (long i = first; i < end; i++) {
        number.set(i);
        input = mutator.input(new SplittableRandom(SEED + i).nextLong());
        property.check(input);
      }
    } catch (Throwable e) {
      failure.set(e);
      if (input != null) {
        keep(input);
      }
    }
  }

  private static String named(long number) {
    return "input %d of seed %d (-Dholdfast.fuzz.seed=%d -Dholdfast.fuzz.only=%d)"
        .formatted(number, SEED, SEED, number);
  }

  /** For the corpus: target/fuzz-found.bin. */
  private static void keep(FuzzInput input) {
    try (OutputStream out = Files.newOutputStream(Path.of("target", "fuzz-found.bin"))) {
      input.write(out);
    } catch (IOException e) {
      System.err.println("cannot keep the input: " + e.getMessage());
    }
  }

  @ParameterizedTest
  @MethodSource("corpus")
  void what_once_brought_it_down_does_so_no_more(Path file) throws IOException {
    try (InputStream in = new BufferedInputStream(Files.newInputStream(file))) {
      new FuzzProperty().check(FuzzInput.read(in));
    }
  }

  static List<Path> corpus() throws Exception {
    Path folder = Path.of(FuzzTest.class.getResource("fuzz-corpus").toURI());
    try (Stream<Path> files = Files.list(folder)) {
      return files.sorted().toList();
    }
  }

  @Test
  void the_same_seed_makes_the_same_input() {
    List<FuzzSeeds> seeds = Arrays.stream(WalVersion.values()).map(FuzzSeeds::load).toList();
    for (long seed = 0; seed < 200; seed++) {
      FuzzInput one = new FuzzMutator(seeds).input(seed);
      FuzzInput other = new FuzzMutator(seeds).input(seed);
      assertThat(one.pieces()).usingRecursiveComparison().isEqualTo(other.pieces());
    }
  }
}
