package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.server.PostgresServer;
import dev.holdfast.testkit.TestServer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Files as operators have them: whole, cut, renamed, compressed, of two timelines, of no WAL. */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
class WalFilesTest {
  private static final int SEGMENT = 1 << 20;

  /** As many of the last ones as the tests need: each of them copies all. */
  private static final int SEGMENTS = 12;

  private static final String ANOTHER_COPY =
      "fetch another copy of this segment (the archive, or a standby's pg_wal) and run again";

  @TempDir static Path original;

  /** Every segment of the server, the last one followed by nothing. */
  private static List<String> names;

  private static List<WalEntry> all;

  @TempDir Path folder;

  private final List<WalNote> notes = new ArrayList<>();
  private final List<WalEntry> told = new ArrayList<>();

  @BeforeAll
  static void write() throws Exception {
    try (TestServer server =
        TestServer.start(
            PostgresBinaries.embedded(18), WrittenWal.SETTINGS, WrittenWal.SMALL_SEGMENTS)) {
      WrittenWal.write(server);
      server.stop(PostgresServer.Stop.FAST);
      try (Stream<Path> files = Files.list(WrittenWal.folder(server))) {
        for (Path file : files.filter(Files::isRegularFile).toList()) {
          Files.copy(file, original.resolve(file.getFileName().toString()));
        }
      }
    }
    List<WalNote> notes = new ArrayList<>();
    new WalDump(new WalInput(List.of(original), null, false, null))
        .run(WalFilter.ALL, _ -> true, notes::add);
    assertThat(notes).singleElement().extracting(WalNote::kind).isEqualTo("end");
    String last = notes.getFirst().text().replaceFirst(".*/", "");
    try (Stream<Path> files = Files.list(original)) {
      names =
          files
              .map(file -> file.getFileName().toString())
              .filter(name -> name.matches("[0-9A-F]{24}") && name.compareTo(last) <= 0)
              .sorted()
              .toList();
    }
    names = names.subList(names.size() - SEGMENTS, names.size());
    all = new ArrayList<>();
    new WalDump(new WalInput(names.stream().map(original::resolve).toList(), null, false, null))
        .run(WalFilter.ALL, all::add, _ -> {});
  }

  @BeforeEach
  void copy() throws IOException {
    for (String name : names) {
      Files.copy(original.resolve(name), folder.resolve(name));
    }
  }

  private @Nullable OperatorException dump(WalFilter filter, Path... files) {
    notes.clear();
    told.clear();
    try {
      new WalDump(new WalInput(List.of(files), null, false, null))
          .run(filter, told::add, notes::add);
      return null;
    } catch (OperatorException e) {
      return e;
    }
  }

  private OperatorException refused(Path... files) {
    return refused(WalFilter.ALL, files);
  }

  private OperatorException refused(WalFilter filter, Path... files) {
    OperatorException refusal = dump(filter, files);
    if (refusal == null) {
      throw new AssertionError("read without an error; notes: " + notes);
    }
    return refusal;
  }

  private Path file(int index) {
    return folder.resolve(names.get(index));
  }

  /** Start of a segment as an LSN, which for the first 4 GB is one number. */
  private static String start(int index) {
    return "0/%X".formatted(Long.parseLong(names.get(index).substring(16), 16) * SEGMENT);
  }

  private static boolean isBefore(WalEntry entry, int segment) {
    return Long.parseLong(entry.lsn().substring(2), 16)
        < Long.parseLong(start(segment).substring(2), 16);
  }

  private List<WalEntry> before(int segment) {
    return all.stream().filter(entry -> isBefore(entry, segment)).toList();
  }

  /** The last record before a segment may go on in it: without it that one cannot be read. */
  private void assertToldAllBefore(int segment) {
    List<WalEntry> wanted = before(segment);
    assertThat(told).hasSizeBetween(wanted.size() - 1, wanted.size());
    assertThat(wanted).startsWith(told.toArray(WalEntry[]::new));
  }

  @Test
  void segments_in_any_order_read_as_their_directory_does() {
    List<Path> files = new ArrayList<>(names.stream().map(folder::resolve).toList());
    java.util.Collections.shuffle(files, new java.util.Random(7));
    assertThat(dump(WalFilter.ALL, files.toArray(Path[]::new))).isNull();
    assertThat(told).isEqualTo(all);
    assertThat(notes).singleElement().extracting(WalNote::kind).isEqualTo("end");
    assertThat(dump(WalFilter.ALL, folder, file(3))).as("one of them twice").isNull();
    assertThat(told).isEqualTo(all);
  }

  @Test
  void a_data_directory_stands_for_its_pg_wal_and_what_is_no_segment_is_left_alone()
      throws IOException {
    Path data = folder.resolve("data");
    Files.createDirectories(data.resolve("pg_wal/archive_status"));
    Files.writeString(data.resolve("PG_VERSION"), "18\n");
    for (String name : names) {
      Files.copy(file(names.indexOf(name)), data.resolve("pg_wal").resolve(name));
    }
    Files.writeString(data.resolve("pg_wal/00000002.history"), "1\t0/3000000\tno\n");
    Files.writeString(data.resolve("pg_wal/" + names.get(2) + ".00000028.backup"), "START");
    assertThat(dump(WalFilter.ALL, data)).isNull();
    assertThat(told).isEqualTo(all);
  }

  @Test
  void one_segment_is_read_to_its_end_and_the_record_that_goes_on_is_named() {
    assertThat(dump(WalFilter.ALL, file(2))).isNull();
    assertThat(told).isNotEmpty().allMatch(entry -> isBefore(entry, 3) && !isBefore(entry, 2));
    assertThat(notes.getFirst().text())
        .matches(
            "read to 0/[0-9A-F]+(, the end of "
                + file(2)
                + "|; the record there goes on in segment "
                + names.get(3)
                + ", which is not among the files)");
  }

  @Test
  void a_hole_begins_a_new_stretch_and_is_told() throws IOException {
    Files.delete(file(3));
    Files.delete(file(4));
    Files.delete(file(7));
    assertThat(dump(WalFilter.ALL, folder)).isNull();
    assertThat(notes).extracting(WalNote::kind).containsExactly("gap", "gap", "end");
    assertThat(notes.get(0).text())
        .isEqualTo(
            "2 segments from %s are missing: reading goes on at %s"
                .formatted(names.get(3), start(5)));
    assertThat(notes.get(1).text())
        .isEqualTo(
            "segment %s is missing: reading goes on at %s".formatted(names.get(7), start(8)));
    assertThat(all).containsAll(told);
    assertThat(told).noneMatch(entry -> isBefore(entry, 5) && !isBefore(entry, 3));
    assertThat(told).contains(all.getLast());
  }

  @Test
  void a_cut_segment_is_told_after_everything_before_the_cut() throws IOException {
    byte[] bytes = Files.readAllBytes(file(4));
    Files.write(file(4), Arrays.copyOf(bytes, 100_000));
    for (Path[] files : new Path[][] {{folder}, {file(3), file(4)}}) {
      OperatorException refusal = refused(files);
      assertThat(refusal.kind()).isEqualTo(Kind.DAMAGED_DATA);
      assertThat(refusal.what()).matches("cannot read WAL past 0/[0-9A-F]+ in " + file(4));
      assertThat(refusal.why())
          .isEqualTo("it has 100000 bytes where a segment has 1048576: the rest of it is missing");
      assertThat(refusal.next()).isEqualTo(ANOTHER_COPY);
      assertThat(told.getLast()).matches(entry -> !isBefore(entry, 4), "of the cut segment");
      assertThat(notes).isEmpty();
    }
  }

  @Test
  void an_empty_file_is_told_after_everything_before_it() throws IOException {
    Files.write(file(4), new byte[0]);
    OperatorException refusal = refused(folder);
    assertThat(refusal.kind()).isEqualTo(Kind.DAMAGED_DATA);
    assertThat(refusal.why()).isEqualTo("it is empty");
    assertToldAllBefore(4);
    assertThat(refused(file(4)).getMessage())
        .isEqualTo("cannot read " + file(4) + ": it is empty; next: " + ANOTHER_COPY);
  }

  @Test
  void a_partial_segment_may_be_short_when_it_is_the_last() throws IOException {
    Path partial = folder.resolve(names.get(4) + ".partial");
    Files.write(partial, Arrays.copyOf(Files.readAllBytes(file(4)), 100_000));
    assertThat(dump(WalFilter.ALL, file(3), partial)).isNull();
    assertThat(notes)
        .singleElement()
        .extracting(WalNote::text)
        .asString()
        .matches("read to 0/[0-9A-F]+, the end of " + partial);
    assertThat(told).anyMatch(entry -> !isBefore(entry, 4));
    assertThat(dump(WalFilter.ALL, folder)).as("the whole one is there too").isNull();
    assertThat(told).isEqualTo(all);
    Files.delete(file(4));
    assertThat(refused(folder).why()).contains("the rest of it is missing");
  }

  @Test
  void a_renamed_segment_is_told_with_the_place_it_belongs_to() throws IOException {
    Files.move(file(5), file(4), java.nio.file.StandardCopyOption.REPLACE_EXISTING);
    OperatorException refusal = refused(folder);
    assertThat(refusal.kind()).isEqualTo(Kind.DAMAGED_DATA);
    assertThat(refusal.what()).endsWith(" in " + file(4));
    assertThat(refusal.why())
        .isEqualTo(
            "the page at %s says that it belongs at %s: a segment is missing or misplaced"
                .formatted(start(4), start(5)));
    assertThat(refusal.next()).startsWith("check that the file is the segment its name says");
    assertToldAllBefore(4);
    assertThat(refused(file(4)).why()).isEqualTo(refusal.why());
  }

  @Test
  void an_older_segment_in_the_place_of_a_newer_one_is_no_end_of_the_log() throws IOException {
    Files.copy(file(2), file(5), java.nio.file.StandardCopyOption.REPLACE_EXISTING);
    OperatorException refusal = refused(folder);
    assertThat(refusal.kind()).isEqualTo(Kind.DAMAGED_DATA);
    assertThat(refusal.what()).endsWith(" in " + file(5));
    assertToldAllBefore(5);
  }

  @Test
  void segments_kept_for_reuse_follow_the_end_of_a_log() throws IOException {
    Path first = file(names.size() - 1);
    long number = Long.parseLong(names.getLast().substring(16), 16);
    String prefix = names.getLast().substring(0, 16);
    for (int i = 1; i <= 3; i++) {
      Files.copy(file(i), folder.resolve(prefix + "%08X".formatted(number + i)));
    }
    Files.write(folder.resolve(prefix + "%08X".formatted(number + 4)), new byte[SEGMENT]);
    assertThat(dump(WalFilter.ALL, folder)).isNull();
    assertThat(told).isEqualTo(all);
    assertThat(notes)
        .singleElement()
        .extracting(WalNote::text)
        .asString()
        .matches("the log ends at 0/[0-9A-F]+ in " + first);
  }

  @Test
  void zeros_before_more_log_are_damage() throws IOException {
    byte[] bytes = Files.readAllBytes(file(4));
    Arrays.fill(bytes, 300_000 / 8192 * 8192, bytes.length, (byte) 0);
    Files.write(file(4), bytes);
    OperatorException refusal = refused(folder);
    assertThat(refusal.kind()).isEqualTo(Kind.DAMAGED_DATA);
    assertThat(refusal.what()).endsWith(" in " + file(4));
    assertThat(refusal.why()).contains("but the log was recorded to " + start(5));
    assertThat(told.getLast()).matches(entry -> !isBefore(entry, 4) && isBefore(entry, 5));
    assertThat(dump(WalFilter.ALL, file(4))).as("alone, they look like the end").isNull();
    assertThat(notes.getFirst().text()).startsWith("the log ends at ");
  }

  @Test
  void a_flipped_byte_is_told_with_its_record_and_its_file() throws IOException {
    WalEntry hit =
        all.stream().filter(entry -> !isBefore(entry, 5)).skip(20).findFirst().orElseThrow();
    int at = (int) (Long.parseLong(hit.lsn().substring(2), 16) % SEGMENT);
    byte[] bytes = Files.readAllBytes(file(5));
    bytes[at + 24] ^= 1;
    Files.write(file(5), bytes);
    OperatorException refusal = refused(folder);
    assertThat(refusal.kind()).isEqualTo(Kind.DAMAGED_DATA);
    assertThat(refusal.what())
        .isEqualTo("cannot read WAL past %s in %s".formatted(hit.lsn(), file(5)));
    assertThat(refusal.why())
        .isEqualTo("the checksum of the record at %s does not hold".formatted(hit.lsn()));
    assertThat(told).isEqualTo(all.subList(0, all.indexOf(hit)));
    assertThat(refusal.next())
        .isEqualTo(
            "fetch another copy of this segment (the archive, or a standby's pg_wal) and run again;"
                + " a restore can reach any point before "
                + hit.lsn());
    assertThat(refused(file(5)).next())
        .endsWith("; if a server is writing this file just now, run the same command again");
  }

  @Test
  void a_file_that_is_no_wal_is_told_by_its_magic() throws IOException {
    Files.writeString(file(4), "This is no segment.".repeat(60_000));
    OperatorException refusal = refused(file(4));
    assertThat(refusal.kind()).isEqualTo(Kind.DAMAGED_DATA);
    assertThat(refusal.what()).isEqualTo("cannot read " + file(4));
    assertThat(refusal.why())
        .contains("has the magic 6854, which no PostgreSQL from 14 to 18 writes");
    assertThat(refusal.next()).startsWith("check that the file is the segment its name says");
  }

  @Test
  void compressed_segments_are_refused_with_what_to_run_first() throws IOException {
    Path gz = folder.resolve(names.get(4) + ".gz");
    Files.move(file(4), gz);
    for (Path given : List.of(folder, gz)) {
      OperatorException refusal = refused(given);
      assertThat(refusal.getMessage())
          .isEqualTo(
              "cannot read %s: it is compressed; next: decompress it into another folder first and"
                      .formatted(gz)
                  + " read that: gzip -dc '%s' > wal/%s".formatted(gz, names.get(4)));
      assertThat(refusal.kind()).isEqualTo(Kind.USAGE);
    }
    Files.move(gz, folder.resolve(names.get(4) + "-0123456789abcdef.zst"));
    Files.move(file(5), folder.resolve(names.get(5) + ".lz4"));
    assertThat(refused(folder).what()).endsWith(".zst and 1 more like it");
    Files.write(file(6), new byte[] {0x04, 0x22, 0x4D, 0x18, 0x64, 0x40});
    OperatorException byContent = refused(file(6));
    assertThat(byContent.kind()).isEqualTo(Kind.USAGE);
    assertThat(byContent.next()).contains("lz4 -dc '" + file(6) + "'");
  }

  @Test
  void the_newest_timeline_wins_where_two_have_a_segment() throws IOException {
    // Up to the switch both hold the same; after it the older one is no history of this cluster.
    String second = "00000002" + names.get(5).substring(8);
    Files.copy(file(5), folder.resolve(second));
    Files.writeString(file(5), "older");
    Files.writeString(file(6), "older");
    OperatorException stopped = dump(WalFilter.ALL, folder);
    assertThat(stopped).isNull();
    assertToldAllBefore(6);
  }

  @Test
  void files_of_two_clusters_are_refused() throws IOException {
    try (TestServer other =
        TestServer.start(PostgresBinaries.embedded(18), Map.of(), WrittenWal.SMALL_SEGMENTS)) {
      other.execute("SELECT pg_switch_wal()", "CREATE TABLE t (n int)", "SELECT pg_switch_wal()");
      String name = other.value("SELECT pg_walfile_name(pg_current_wal_lsn() - 1)");
      Path theirs = WrittenWal.folder(other).resolve(name);
      // With a hole between them: without one, the reader itself would see it.
      Path ours = name.compareTo(names.get(2)) > 0 ? file(0) : file(names.size() - 1);
      OperatorException refusal = refused(ours, theirs);
      assertThat(refusal.kind()).isEqualTo(Kind.USAGE);
      assertThat(refusal.why()).contains("it belongs to the cluster with system identifier ");
    }
  }

  @Test
  void what_is_not_there_or_no_segment_is_wrong_usage() throws IOException {
    Path missing = folder.resolve("000000010000000000000099");
    assertThat(refused(missing).getMessage())
        .isEqualTo(
            "cannot read %s: there is no such file; next: name WAL segments, or a directory of them"
                .formatted(missing));
    Path odd = folder.resolve("copy.wal");
    Files.copy(file(3), odd);
    assertThat(refused(odd).why()).startsWith("it is not named like a WAL segment");
    Path nothing = Files.createDirectory(folder.resolve("nothing"));
    assertThat(refused(nothing).getMessage()).startsWith("there is no WAL in " + nothing);
    Files.writeString(nothing.resolve("holdfast.json"), "{}");
    assertThat(refused(nothing).next())
        .isEqualTo("read what it recorded with --repository " + nothing + " --cluster NAME");
    Path copy = Files.createDirectory(folder.resolve("copy"));
    Files.copy(file(3), copy.resolve(names.get(3)));
    assertThat(refused(folder, copy).what())
        .isEqualTo("cannot read segment " + names.get(3) + " twice");
    for (Path[] files : new Path[][] {{missing}, {odd}, {folder, copy}}) {
      assertThat(refused(files).kind()).isEqualTo(Kind.USAGE);
    }
  }

  @Test
  void filters_that_mean_nothing_are_wrong_usage() {
    assertUsage(
        new WalFilter("0/3000148", "0/3000000", List.of(), null, null, null, null, null),
        "--to is where reading stops");
    assertUsage(
        new WalFilter("3000148", null, List.of(), null, null, null, null, null),
        "\"3000148\" is not an LSN; one looks like 16/3002D50");
    assertUsage(
        new WalFilter(null, null, List.of("Heap", "Heep"), null, null, null, null, null),
        "those of PostgreSQL are XLOG, Transaction, Storage");
    assertUsage(
        new WalFilter(null, null, List.of(), null, "fms", null, null, null), "main, fsm, vm, init");
    assertUsage(
        new WalFilter(null, null, List.of(), null, null, 7L, null, null), "of one relation");
    assertUsage(
        new WalFilter(null, null, List.of(), "1663/5/4294967296", null, null, null, null),
        "from 0 to 4294967295");
    assertUsage(
        new WalFilter(null, null, List.of(), null, null, null, "-1", null), "from 0 to 4294967295");
    assertUsage(new WalFilter(null, null, List.of(), null, null, null, null, 0L), "--limit is 0");
    assertUsage(
        new WalFilter(null, null, List.of(), "public.account", null, null, null, null),
        "WAL knows relations by number, and no repository says this one's");
  }

  private void assertUsage(WalFilter filter, String why) {
    OperatorException refusal = refused(filter, folder);
    assertThat(refusal.kind()).isEqualTo(Kind.USAGE);
    assertThat(refusal.why()).contains(why);
    assertThat(told).isEmpty();
  }

  @Test
  void asking_beyond_the_files_says_what_they_hold() {
    assertThat(dump(new WalFilter("7/0", null, List.of(), null, null, null, null, null), folder))
        .isNull();
    assertThat(told).isEmpty();
    assertThat(notes.getFirst().text()).startsWith("the files hold " + start(0) + " to ");
  }

  @Test
  void figures_of_a_damaged_log_are_those_of_what_could_be_read() throws IOException {
    Files.write(file(4), new byte[0]);
    List<WalStatistics> figures = new ArrayList<>();
    assertThatThrownBy(() ->
            new WalStats(new WalInput(List.of(folder), null, false, null))
                .run(WalFilter.ALL, false, Progress.SILENT, figures::add, notes::add))
        .isInstanceOf(OperatorException.class);
    dump(WalFilter.ALL, folder);
    assertThat(figures)
        .singleElement()
        .satisfies(statistics -> {
          assertThat(statistics.total().records()).isEqualTo(told.size());
          assertThat(statistics.from()).isEqualTo(told.getFirst().lsn());
        });
  }
}
