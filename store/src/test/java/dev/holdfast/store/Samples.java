package dev.holdfast.store;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.holdfast.store.objects.ObjectStore;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Instant;
import java.util.Arrays;
import java.util.Map;
import java.util.Random;

/** A small cluster, its WAL and a base backup, the same for every test that needs some. */
final class Samples {
  static final int SEGMENT_BYTES = 1 << 20;
  static final String LABEL = "20261121T013957Z-full";
  static final String SEGMENT_3 = "000000010000000000000003";
  static final String SEGMENT_4 = "000000010000000000000004";
  static final byte[] HISTORY = "1\t0/3000000\tno recovery target\n".getBytes(UTF_8);

  static final byte[] SUMMARY = "0/3000028 742 +5 public.users\n".repeat(40).getBytes(UTF_8);
  static final byte[] BLOCKS = pages(new Random(8), 3000);

  /** A catalog snapshot as an engine could store it. */
  record Snapshot(String lsn, Map<Long, String> tables) {}

  private Samples() {}

  static ClusterDocument cluster(String name, String systemIdentifier) {
    return new ClusterDocument(
        name,
        "postgresql",
        systemIdentifier,
        18,
        "production",
        SEGMENT_BYTES,
        "postgresql://recorder@db.example/shop",
        null,
        Instant.parse("2026-11-21T01:39:57Z"),
        Map.of("max_connections", "100", "archive_mode", "off"));
  }

  static BaseManifest manifest(String label) {
    return new BaseManifest(
        label,
        "full",
        null,
        1,
        0x3000028L,
        0xFFFFFFFF_00000100L,
        Instant.parse("2026-11-21T01:39:57Z"),
        Instant.parse("2026-11-21T01:40:12.123456Z"),
        18,
        "7443211234567890123",
        SEGMENT_BYTES,
        "START WAL LOCATION: 0/3000028 (file 000000010000000000000003)\n",
        null,
        Map.of("max_connections", "100"),
        0,
        0);
  }

  /** Bytes like a table's pages: some repetition, some noise, some zeros. */
  static byte[] pages(Random random, int length) {
    byte[] bytes = new byte[length];
    for (int from = 0; from < length; from += 512) {
      int to = Math.min(length, from + 512);
      switch (random.nextInt(3)) {
        case 0 -> Arrays.fill(bytes, from, to, (byte) random.nextInt());
        case 1 -> {
          byte[] noise = new byte[to - from];
          random.nextBytes(noise);
          System.arraycopy(noise, 0, bytes, from, noise.length);
        }
        default -> {}
      }
    }
    return bytes;
  }

  static byte[] segment(long seed) {
    return pages(new Random(seed), SEGMENT_BYTES);
  }

  static void write(BaseWriter base, String path, byte[] content) {
    try {
      base.file(path, content.length, new ByteArrayInputStream(content));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Small files, one that fills several parts, holes, an empty file, an empty directory. */
  static BaseManifest takeBase(BaseStore bases, ObjectStore objects, String folder) {
    var random = new Random(7);
    if (!bases.exists(LABEL)) { // of an attempt cut off: a real one has another second's label
      objects.list(folder).forEach(left -> objects.delete(left.name()));
    }
    bases.begin(LABEL).close();
    try (var base = new BaseWriter(objects, folder, LABEL, 600_000)) {
      write(base, "global/pg_control", pages(random, 8192));
      write(base, "base/5/1259", pages(random, 40_000));
      write(base, "base/5/2600", pages(random, 3_500_001));
      write(base, "base/5/zeros", new byte[2_500_000]);
      write(base, "base/5/empty", new byte[0]);
      base.directory("pg_notify");
      return base.publish(manifest(LABEL));
    }
  }

  /** One of everything. */
  static void fill(ObjectStore objects) {
    fill(objects, Repository.Creation.UNENCRYPTED, KeySources.ofProcess());
  }

  /** One of everything, in a repository made so. */
  static void fill(ObjectStore objects, Repository.Creation creation, KeySources keys) {
    Repository repository = Repository.create(objects, creation, keys);
    ClusterStore acme = repository.register(cluster("acme", "7443211234567890123"));
    acme.wal().put(SEGMENT_3, segment(3));
    acme.wal().putPartial(SEGMENT_4, segment(4), 300_000);
    acme.wal().putHistory(2, HISTORY);
    acme.summaries().put(SEGMENT_3, SUMMARY, BLOCKS);
    acme.putCatalog("0000000003000028", new Snapshot("0/3000028", Map.of(16384L, "public.users")));
    acme.putDocument("proofs", "20261121T020000Z", Map.of("result", "proven"));
    takeBase(acme.bases(), repository.objects(), "clusters/acme/bases/" + LABEL + "/");
  }
}
