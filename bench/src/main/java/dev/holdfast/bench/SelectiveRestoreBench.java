package dev.holdfast.bench;

import dev.holdfast.store.BaseManifest;
import dev.holdfast.store.BaseReader;
import dev.holdfast.store.BaseStore;
import dev.holdfast.store.BaseWriter;
import dev.holdfast.store.ClusterDocument;
import dev.holdfast.store.Repository;
import dev.holdfast.store.Restoration;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.Arrays;
import java.util.Comparator;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;

/**
 * Seconds to restore 50 MB out of base backups of growing size, the rest as holes or left out: they
 * should hardly grow. The first base backup holds nothing but the 50 MB.
 */
public final class SelectiveRestoreBench {
  private static final long WANTED = 50L << 20;
  private static final int FILE = 1 << 30;
  private static final int THREADS = 2;

  private SelectiveRestoreBench() {}

  /**
   * Prints one line for each size.
   *
   * @param arguments gigabytes of the largest base backup (default 4) and rounds (default 5)
   */
  public static void main(String[] arguments) throws IOException {
    int gigabytes = arguments.length > 0 ? Integer.parseInt(arguments[0]) : 4;
    int rounds = arguments.length > 1 ? Integer.parseInt(arguments[1]) : 5;
    Path folder = Files.createTempDirectory("holdfast-bench");
    try {
      BaseStore bases = store(folder.resolve("repository"));
      for (int size = 0; size <= gigabytes; size = size == 0 ? 1 : size * 2) {
        String label = "2026112%dT000000Z-full".formatted(size % 10);
        write(bases, label, size);
        measure(bases.open(label), folder, size, rounds);
      }
    } finally {
      remove(folder);
    }
  }

  private static void measure(BaseReader base, Path folder, int gigabytes, int rounds)
      throws IOException {
    double[] holes = new double[rounds];
    double[] leftOut = new double[rounds];
    for (int round = -1; round < rounds; round++) { // the first one warms up
      double hole = restore(base, folder.resolve("restored"), Restoration.HOLE);
      double left = restore(base, folder.resolve("restored"), Restoration.LEFT_OUT);
      if (round >= 0) {
        holes[round] = hole;
        leftOut[round] = left;
      }
    }
    Arrays.sort(holes);
    Arrays.sort(leftOut);
    System.out.printf(
        Locale.ROOT,
        "50 MB of %d GB: rest as holes %.3f s (%.3f to %.3f), left out %.3f s (%.3f to %.3f)%n",
        gigabytes,
        holes[rounds / 2],
        holes[0],
        holes[rounds - 1],
        leftOut[rounds / 2],
        leftOut[0],
        leftOut[rounds - 1]);
  }

  private static double restore(BaseReader base, Path directory, Restoration rest)
      throws IOException {
    long start = System.nanoTime();
    base.restore(
        directory, path -> path.endsWith("/16384") ? Restoration.WHOLE : rest, THREADS, _ -> {});
    double seconds = (System.nanoTime() - start) / 1e9;
    remove(directory);
    return seconds;
  }

  private static BaseStore store(Path repository) {
    return Repository.create(repository.toString())
        .register(
            new ClusterDocument(
                "bench",
                "postgresql",
                "1",
                18,
                "development",
                16 << 20,
                "postgresql://db.example/shop",
                null,
                Instant.now(),
                Map.of()))
        .bases();
  }

  private static void write(BaseStore bases, String label, int gigabytes) throws IOException {
    try (BaseWriter base = bases.begin(label)) {
      base.file("base/5/16384", WANTED, new Pages(WANTED));
      for (int file = 0; file < gigabytes; file++) {
        base.file("base/5/" + (16400 + file), FILE, new Pages(FILE));
      }
      base.publish(
          new BaseManifest(
              label,
              "full",
              null,
              1,
              40,
              80,
              Instant.now(),
              Instant.now(),
              18,
              "1",
              16 << 20,
              "",
              null,
              Map.of(),
              0,
              0));
    }
  }

  /** Pages that compress to about half. */
  private static final class Pages extends InputStream {
    private final Random random = new Random(1);
    private final byte[] page = new byte[8192];
    private final byte[] noise = new byte[4096];
    private long left;

    private Pages(long length) {
      left = length;
      Arrays.fill(page, (byte) 'x');
    }

    @Override
    public int read() {
      throw new UnsupportedOperationException(); // the writer reads whole buffers, never a byte
    }

    @Override
    public int read(byte[] bytes, int offset, int length) {
      if (left == 0) {
        return -1;
      }
      int now = (int) Math.min(left, Math.min(length, page.length));
      random.nextBytes(noise);
      System.arraycopy(noise, 0, page, 0, noise.length);
      System.arraycopy(page, 0, bytes, offset, now);
      left -= now;
      return now;
    }
  }

  private static void remove(Path folder) throws IOException {
    try (Stream<Path> paths = Files.walk(folder)) {
      for (Path path : paths.sorted(Comparator.reverseOrder()).toList()) {
        Files.delete(path);
      }
    }
  }
}
