package dev.holdfast.wal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.github.luben.zstd.Zstd;
import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.testkit.TestServer;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Random;
import net.jpountz.lz4.LZ4Factory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class PageImageTest {
  private static final int PAGE = 8192;

  /** pd_lsn and pd_checksum: the copy is made before they are set. */
  private static final int NOT_IN_THE_COPY = 10;

  @ParameterizedTest
  @CsvSource({
    "14,on",
    "15,pglz",
    "16,pglz",
    "17,pglz",
    "18,pglz",
    "14,off",
    "15,off",
    "18,off",
    "installed,lz4",
    "installed,zstd",
    "installed,pglz"
  })
  void a_page_restored_from_its_image_is_the_page_the_server_has(String major, String compression)
      throws IOException {
    PostgresBinaries binaries =
        major.equals("installed")
            ? PostgresBinaries.installed(15)
                .orElseThrow(() -> new AssertionError("install Debian's postgresql-15"))
            : PostgresBinaries.embedded(Integer.parseInt(major));
    Map<String, String> settings = Map.of("wal_compression", compression, "autovacuum", "off");
    try (TestServer server = TestServer.start(binaries, settings, List.of())) {
      server.execute(
          "CREATE EXTENSION pageinspect",
          "CREATE TABLE t (id int PRIMARY KEY, even text, random text) WITH (fillfactor = 80)",
          "INSERT INTO t SELECT g, repeat('ab', g % 60), md5(g::text) FROM generate_series(1, 4000)"
              + " g",
          "SELECT count(*) FROM t",
          "CHECKPOINT");
      Lsn from = RawLog.end(server);
      server.execute(
          "UPDATE t SET even = 'x' WHERE ctid IN (SELECT min(ctid) FROM t"
              + " GROUP BY (ctid::text::point)[0])");
      Lsn to = RawLog.end(server);
      RelFile file = file(server, "t");
      Map<Long, byte[]> restored = new HashMap<>();
      List<Integer> stored = new ArrayList<>();
      RawLog.read(
          server,
          from,
          to,
          record -> {
            for (int index = 0; index < record.blocks(); index++) {
              if (record.hasImage(index)
                  && record.file(index).equals(file)
                  && record.fork(index) == BlockRef.MAIN) {
                restored.put(record.block(index), record.page(index));
                stored.add(record.imageLength(index));
              }
            }
          });

      assertThat(restored).hasSizeGreaterThan(30);
      restored.forEach((block, page) -> {
        byte[] theirs =
            HexFormat.of()
                .parseHex(
                    server.value("SELECT encode(get_raw_page('t', 'main', " + block + "), 'hex')"));
        assertThat(Arrays.copyOfRange(page, NOT_IN_THE_COPY, PAGE))
            .as("block %d", block)
            .isEqualTo(Arrays.copyOfRange(theirs, NOT_IN_THE_COPY, PAGE));
      });
      double average = stored.stream().mapToInt(Integer::intValue).average().orElseThrow();
      assertThat(average)
          .satisfies(bytes -> {
            if (compression.equals("off")) {
              assertThat(bytes).isGreaterThan(6000);
            } else {
              assertThat(bytes).isLessThan(6000);
            }
          });
      mutated(restored.values(), compression);
    }
  }

  /** Nothing but the page comes of a copy whose bytes were changed, or a refusal. */
  private static void mutated(Iterable<byte[]> pages, String compression) {
    if (!compression.equals("zstd")) {
      return; // the others are mutated below, from blocks of our own
    }
    long seed = Long.getLong("tests.seed", System.nanoTime());
    System.out.println("tests.seed=" + seed);
    Random random = new Random(seed);
    for (byte[] page : pages) {
      byte[] packed = Zstd.compress(page, 1 + random.nextInt(19));
      hostile(
          random, packed, 200, (bytes, output) -> ZstdFrame.unpack(bytes, 0, bytes.length, output));
    }
  }

  private interface Unpacking {
    void unpack(byte[] bytes, byte[] output);
  }

  /** Answers how many mutants were taken for good. */
  private static int hostile(Random random, byte[] packed, int mutants, Unpacking unpacking) {
    int taken = 0;
    for (int mutant = 0; mutant < mutants; mutant++) {
      byte[] bytes = packed.clone();
      for (int change = random.nextInt(4); change >= 0; change--) {
        int at = random.nextInt(Math.min(bytes.length, random.nextBoolean() ? 40 : 1 << 16));
        switch (random.nextInt(3)) {
          case 0 -> bytes[at] ^= (byte) (1 << random.nextInt(8));
          case 1 -> bytes[at] = (byte) random.nextInt();
          default -> bytes = Arrays.copyOf(bytes, 1 + random.nextInt(bytes.length));
        }
      }
      try {
        unpacking.unpack(bytes, new byte[PAGE]);
        taken++;
      } catch (MalformedRecordException e) {
        assertThat(e.found()).isNotEmpty();
      }
    }
    return taken;
  }

  @Test
  void what_zstd_packs_is_unpacked_at_every_level_and_size() {
    long seed = Long.getLong("tests.seed", System.nanoTime());
    System.out.println("tests.seed=" + seed);
    Random random = new Random(seed);
    for (int round = 0; round < 6000; round++) {
      byte[] page = page(random, 1 + random.nextInt(round % 5 == 0 ? 32768 : PAGE));
      byte[] packed = Zstd.compress(page, random.nextInt(-5, 23));
      byte[] output = new byte[page.length];
      ZstdFrame.unpack(packed, 0, packed.length, output);
      assertThat(output).as("seed %d, round %d", seed, round).isEqualTo(page);
    }
  }

  @Test
  void what_is_not_a_packed_page_is_refused_and_never_breaks_the_reader() {
    long seed = Long.getLong("tests.seed", System.nanoTime());
    System.out.println("tests.seed=" + seed);
    Random random = new Random(seed);
    int taken = 0;
    for (int round = 0; round < 300; round++) {
      byte[] page = page(random, PAGE);
      byte[] zstd = Zstd.compress(page, random.nextInt(1, 20));
      taken +=
          hostile(random, zstd, 500, (bytes, out) -> ZstdFrame.unpack(bytes, 0, bytes.length, out));
      byte[] noise = new byte[1 + random.nextInt(600)];
      random.nextBytes(noise);
      taken +=
          hostile(random, noise, 500, (bytes, out) -> Lz4Block.unpack(bytes, 0, bytes.length, out));
      taken +=
          hostile(random, noise, 500, (bytes, out) -> Pglz.unpack(bytes, 0, bytes.length, out));
    }
    System.out.println("mutants that unpacked to something: " + taken);
  }

  @Test
  void an_lz4_block_gives_its_page_and_nothing_shorter_or_cut() {
    Random random = new Random(1);
    byte[] page = page(random, PAGE);
    byte[] block = LZ4Factory.safeInstance().fastCompressor().compress(page);
    byte[] output = new byte[PAGE];
    Lz4Block.unpack(block, 0, block.length, output);
    assertThat(output).isEqualTo(page);
    assertThatThrownBy(() -> Lz4Block.unpack(block, 0, block.length, new byte[PAGE - 1]))
        .isInstanceOf(MalformedRecordException.class)
        .hasMessageStartingWith("its LZ4 image");
    assertThatThrownBy(() -> Lz4Block.unpack(block, 0, block.length / 2, output))
        .isInstanceOf(MalformedRecordException.class);
    assertThat(
            hostile(
                random, block, 5000, (bytes, out) -> Lz4Block.unpack(bytes, 0, bytes.length, out)))
        .isLessThan(5000);
  }

  @Test
  void a_hole_larger_than_the_page_is_damage() {
    assertThatThrownBy(
            () -> PageImage.restore(WalVersion.V18, new byte[9000], 0, 8100, 0x03, 8099, 93, PAGE))
        .hasMessage("its image has 8100 bytes where 8099 are missing");
    assertThatThrownBy(
            () -> PageImage.restore(WalVersion.V18, new byte[9000], 0, 8100, 0x03, 8101, 92, PAGE))
        .hasMessage("it leaves out 92 bytes at byte 8101 of a page");
    assertThatThrownBy(
            () -> PageImage.restore(WalVersion.V18, new byte[9000], 0, 900, 0x03, 0, -708, PAGE))
        .hasMessage("it leaves out -708 bytes at byte 0 of a page");
    assertThatThrownBy(
            () -> PageImage.restore(WalVersion.V18, new byte[9000], 0, 900, 0x0F, 0, 10, PAGE))
        .hasMessage("its image is packed in more than one way: 0C");
  }

  private static byte[] page(Random random, int size) {
    byte[] page = new byte[size];
    int kind = random.nextInt(5);
    int at = 0;
    while (at < size) {
      int length = Math.min(size - at, 1 + random.nextInt(1 + random.nextInt(400)));
      if (kind == 0 || random.nextInt(6) == 0) {
        for (int index = 0; index < length; index++) {
          page[at + index] = (byte) random.nextInt();
        }
      } else if (kind == 1) {
        Arrays.fill(page, at, at + length, (byte) random.nextInt(3));
      } else if (kind == 2 || at == 0) {
        for (int index = 0; index < length; index++) {
          page[at + index] = (byte) ('a' + (int) Math.abs(random.nextGaussian() * 4));
        }
      } else {
        int from = random.nextInt(at);
        for (int index = 0; index < length; index++) {
          page[at + index] = page[from + index % (at - from)];
        }
      }
      at += length;
    }
    return page;
  }

  private static RelFile file(TestServer server, String table) {
    String[] parts =
        server
            .query(
                "SELECT 1663, d.oid, pg_relation_filenode('"
                    + table
                    + "') FROM pg_database d WHERE datname = current_database()")
            .getFirst()
            .split("\\|", -1);
    return new RelFile(
        Long.parseLong(parts[0]), Long.parseLong(parts[1]), Long.parseLong(parts[2]));
  }
}
