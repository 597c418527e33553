package dev.holdfast.wal;

import dev.holdfast.testkit.TestServer;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.zip.GZIPInputStream;
import java.util.zip.GZIPOutputStream;

/**
 * Real log to be damaged: what a server of each major version wrote under {@link MixedWorkload},
 * cut down to one record of each sort and to the pages with the most sorts on them.
 *
 * @param version the version that wrote it
 * @param records whole records, their 24-byte headers included
 * @param runs neighbouring pages
 */
record FuzzSeeds(WalVersion version, List<byte[]> records, List<Run> runs) {
  static final int PAGE = 8192;

  private static final int RUN_PAGES = 2;
  private static final int RUNS = 5;
  private static final int RECORD_MAX = 1500;
  private static final int RECORDS_TOTAL_MAX = 60_000;

  /** Pages as they follow each other in the log, the first one at {@code lsn}. */
  @SuppressWarnings("ArrayRecordComponent") // never compared
  record Run(long lsn, byte[] pages) {}

  static FuzzSeeds load(WalVersion version) {
    try (InputStream file =
            Objects.requireNonNull(
                FuzzSeeds.class.getResourceAsStream("fuzz-seeds/" + version.major() + ".gz"));
        DataInputStream in = new DataInputStream(new GZIPInputStream(file))) {
      List<byte[]> records = new ArrayList<>();
      for (int left = in.readInt(); left > 0; left--) {
        records.add(in.readNBytes(in.readInt()));
      }
      List<Run> runs = new ArrayList<>();
      for (int left = in.readInt(); left > 0; left--) {
        runs.add(new Run(in.readLong(), in.readNBytes(in.readInt())));
      }
      return new FuzzSeeds(version, List.copyOf(records), List.copyOf(runs));
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
  }

  /**
   * Writes the seeds anew.
   *
   * @param arguments the folder of the resources: src/test/resources/dev/holdfast/wal/fuzz-seeds
   */
  public static void main(String[] arguments) throws Exception {
    for (WalVersion version : WalVersion.values()) {
      byte[] seeds = generate(version);
      Files.write(Path.of(arguments[0], version.major() + ".gz"), seeds);
      System.out.printf("PostgreSQL %d: %,d bytes%n", version.major(), seeds.length);
    }
  }

  private static byte[] generate(WalVersion version) throws Exception {
    Map<String, String> settings = new TreeMap<>(MixedWorkload.SETTINGS);
    settings.put("wal_level", "logical");
    try (TestServer server = TestServer.start(version.major(), settings)) {
      Lsn from = Lsn.parse(server.value("SELECT pg_current_wal_insert_lsn()"));
      new MixedWorkload(server).write(4);
      Lsn to = Lsn.parse(server.value("SELECT pg_current_wal_flush_lsn()"));
      return cutDown(new LiveLog(server, from, to), to);
    }
  }

  private static byte[] cutDown(LiveLog log, Lsn to) throws IOException {
    List<byte[]> files = new ArrayList<>();
    for (Path file : log.files()) {
      files.add(Files.readAllBytes(file));
    }
    long start = log.start().position();
    Map<String, byte[]> bySort = new TreeMap<>();
    Map<Long, Set<String>> sortsOnPage = new HashMap<>();
    for (WalRecord record : log.decode(to, 1 << 20)) {
      long at = record.lsn().position();
      String sort = sort(record);
      sortsOnPage.computeIfAbsent(at / PAGE * PAGE, _ -> new HashSet<>()).add(sort);
      boolean whole = at % PAGE + record.length() <= PAGE;
      byte[] known = bySort.get(sort);
      if (whole
          && record.length() <= RECORD_MAX
          && (known == null || record.length() < known.length)) {
        byte[] bytes = new byte[record.length()];
        byte[] file = files.get((int) ((at - start) / files.getFirst().length));
        System.arraycopy(
            file, (int) ((at - start) % files.getFirst().length), bytes, 0, bytes.length);
        bySort.put(sort, bytes);
      }
    }
    ByteArrayOutputStream compressed = new ByteArrayOutputStream();
    try (DataOutputStream out = new DataOutputStream(new GZIPOutputStream(compressed))) {
      List<byte[]> kept = new ArrayList<>();
      int total = 0;
      for (byte[] record : bySort.values()) {
        total += record.length;
        if (total <= RECORDS_TOTAL_MAX) {
          kept.add(record);
        }
      }
      System.out.printf("%d sorts, %,d bytes%n", bySort.size(), total);
      out.writeInt(kept.size());
      for (byte[] record : kept) {
        out.writeInt(record.length);
        out.write(record);
      }
      List<Long> pages = bestPages(sortsOnPage, start, files.getFirst().length);
      out.writeInt(pages.size());
      for (long page : pages) {
        out.writeLong(page);
        out.writeInt(RUN_PAGES * PAGE);
        out.write(
            files.get((int) ((page - start) / files.getFirst().length)),
            (int) ((page - start) % files.getFirst().length),
            RUN_PAGES * PAGE);
      }
    }
    return compressed.toByteArray();
  }

  /** The first page of a segment, and those that add the most sorts to what others have. */
  private static List<Long> bestPages(Map<Long, Set<String>> sortsOnPage, long start, int size) {
    List<Long> best = new ArrayList<>(List.of(start));
    Set<String> covered = new HashSet<>();
    while (best.size() < RUNS) {
      long page =
          sortsOnPage.keySet().stream()
              .filter(candidate -> candidate % size <= size - RUN_PAGES * PAGE)
              .max((a, b) ->
                  Long.compare(added(sortsOnPage, covered, a), added(sortsOnPage, covered, b)))
              .orElseThrow();
      best.add(page);
      covered.addAll(sortsOnPage.get(page));
      covered.addAll(sortsOnPage.getOrDefault(page + PAGE, Set.of()));
    }
    return best;
  }

  private static long added(Map<Long, Set<String>> sortsOnPage, Set<String> covered, long page) {
    Set<String> sorts = new HashSet<>(sortsOnPage.getOrDefault(page, Set.of()));
    sorts.addAll(sortsOnPage.getOrDefault(page + PAGE, Set.of()));
    sorts.removeAll(covered);
    return sorts.size();
  }

  /** Records of one sort go the same ways through the decoder, mostly. */
  private static String sort(WalRecord record) {
    StringBuilder sort = new StringBuilder("%d/%02X".formatted(record.rmgr(), record.info()));
    for (BlockRef block : record.blocks()) {
      sort.append(block.hasImage() ? " image" : " page").append(block.dataLength() > 0 ? "+" : "-");
      if (record.blocks().indexOf(block) == 2) {
        break;
      }
    }
    switch (record) {
      case WalRecord.Commit r ->
          sort.append(" %X %b".formatted(r.flags(), r.droppedFiles().size() > 1));
      case WalRecord.Abort r -> sort.append(" %X".formatted(r.flags()));
      case WalRecord.Prepare r ->
          sort.append(" %b %b".formatted(r.droppedFiles().isEmpty(), r.abortFiles().isEmpty()));
      default -> {}
    }
    return sort.toString();
  }
}
