package dev.holdfast.store;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.objects.MemoryObjectStore;
import dev.holdfast.store.objects.ObjectStore;
import dev.holdfast.store.objects.ObjectStoreContract;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

class DamageTest {
  private static final String WAL = "clusters/acme/wal/00000001/";
  private static final String SUMMARIES = "clusters/acme/summaries/00000001/";
  private static final String BASE = "clusters/acme/bases/" + Samples.LABEL + "/";

  final MemoryObjectStore disk = new MemoryObjectStore();
  @TempDir Path temporary;
  private Map<String, String> intact = Map.of();
  private int restores;

  /** How the repository is made. */
  Repository.Creation creation() {
    return Repository.Creation.UNENCRYPTED;
  }

  KeySources keys() {
    return KeySources.of(Map.of("XDG_CONFIG_HOME", temporary.toString()));
  }

  private KeySources otherKeys() {
    return KeySources.of(Map.of("XDG_CONFIG_HOME", temporary.resolve("other").toString()));
  }

  @BeforeEach
  void fill() {
    Samples.fill(disk, creation(), keys());
    assertThat(Repository.open(disk, keys()).verify()).isEmpty();
    intact = content(temporary.resolve("intact"));
  }

  @Test
  void a_flipped_byte_in_any_object_is_found_and_names_the_object() {
    long seed = Long.getLong("tests.seed", System.nanoTime());
    var random = new Random(seed);
    for (ObjectStore.StoredObject object : disk.list("")) {
      byte[] good = disk.get(object.name());
      for (int i = 0; i < 40; i++) {
        // The first bytes and the last ones by rule, others by chance.
        int at =
            i < 10 ? i * 4 : i < 20 ? good.length - 1 - (i - 10) * 4 : random.nextInt(good.length);
        byte[] bad = good.clone();
        bad[at] ^= (byte) (1 << random.nextInt(8));
        disk.replace(object.name(), bad);
        assertFound(
            object.name(), "byte %d of %s flipped, seed %d".formatted(at, object.name(), seed));
      }
      disk.replace(object.name(), good);
    }
    assertThat(Repository.open(disk, keys()).verify()).isEmpty();
  }

  @Test
  void a_truncated_object_is_found_and_named() {
    for (ObjectStore.StoredObject object : disk.list("")) {
      byte[] good = disk.get(object.name());
      for (int length : new int[] {0, 1, 39, 40, 41, good.length / 2, good.length - 1}) {
        if (length < good.length) {
          disk.replace(object.name(), Arrays.copyOf(good, length));
          assertFound(object.name(), object.name() + " cut to " + length);
        }
      }
      disk.replace(object.name(), Arrays.copyOf(good, good.length + 1));
      assertFound(object.name(), object.name() + " with a byte too many");
      disk.replace(object.name(), good);
    }
  }

  @Test
  void an_object_under_another_name_is_found() {
    byte[] third = disk.get(WAL + Samples.SEGMENT_3);
    disk.put(WAL + "000000010000000000000005", third);
    assertThat(Repository.open(disk, keys()).verify())
        .extracting(Problem::object)
        .containsExactly(WAL + "000000010000000000000005");
    disk.delete(WAL + "000000010000000000000005");
    byte[] first = disk.get(BASE + "part-0001");
    disk.replace(BASE + "part-0001", disk.get(BASE + "part-0002"));
    disk.replace(BASE + "part-0002", first);
    assertThat(Repository.open(disk, keys()).verify()).isNotEmpty();
  }

  @Test
  void a_part_of_another_base_backup_is_found() {
    var other = new MemoryObjectStore();
    Repository repository = Repository.create(other, creation(), otherKeys());
    BaseStore bases = repository.register(Samples.cluster("acme", "7443211234567890123")).bases();
    try (BaseWriter base = bases.begin(Samples.LABEL)) {
      Samples.write(base, "global/pg_control", new byte[] {1, 2, 3});
      base.publish(Samples.manifest(Samples.LABEL));
    }
    disk.replace(BASE + "part-0001", other.get(BASE + "part-0001"));
    assertThat(Repository.open(disk, keys()).verify())
        .extracting(Problem::object)
        .containsExactly(BASE + "part-0001");
  }

  @Test
  void a_missing_part_is_found_and_named() {
    disk.delete(BASE + "part-0002");
    assertThat(Repository.open(disk, keys()).verify())
        .containsExactly(
            new Problem(
                Problem.Subject.BASE,
                Samples.LABEL,
                BASE + "part-0002",
                true,
                "it is missing, and the manifest names it",
                "put a good copy of this object in its place if the repository has one elsewhere;"
                    + " or use another base backup, and take a new one"));
  }

  @Test
  void a_whole_cluster_can_be_moved_under_another_folder() {
    for (ObjectStore.StoredObject object : disk.list("clusters/acme/")) {
      disk.put(object.name().replace("clusters/acme/", "clusters/moved/"), disk.get(object.name()));
    }
    assertThat(Repository.open(disk, keys()).verify()).isEmpty();
  }

  @Test
  void a_flipped_byte_in_a_segment_names_it_and_the_way_out() {
    String name = WAL + Samples.SEGMENT_3;
    byte[] bytes = disk.get(name);
    bytes[35] ^= 1;
    disk.replace(name, bytes);
    assertThatThrownBy(() -> acme().wal().read(Samples.SEGMENT_3))
        .isInstanceOf(OperatorException.class)
        .hasMessageMatching(
            "cannot read "
                + name
                + ": its header has checksum [0-9a-f]{8} where [0-9a-f]{8} is recorded: damaged, or"
                + " moved under another name; next: put a good copy of this object in its place if"
                + " the repository has one elsewhere \\(or delete the object and record the segment"
                + " again while the server still has it\\); a restore can reach any point before"
                + " this segment, or start from a base backup after it")
        .extracting(e -> ((OperatorException) e).kind())
        .isEqualTo(Kind.DAMAGED_DATA);
  }

  @Test
  void a_flipped_byte_in_a_summary_names_it_and_the_way_out() {
    String name = SUMMARIES + Samples.SEGMENT_3;
    byte[] bytes = disk.get(name);
    bytes[35] ^= 1;
    disk.replace(name, bytes);
    assertThatThrownBy(() -> acme().summaries().read(Samples.SEGMENT_3))
        .isInstanceOf(DamagedObjectException.class)
        .hasMessageMatching(
            "cannot read "
                + name
                + ": its header has checksum [0-9a-f]{8} where [0-9a-f]{8} is recorded: damaged, or"
                + " moved under another name; next: put a good copy of this object in its place if"
                + " the repository has one elsewhere; or delete it, and it is made again from the"
                + " WAL if that is still recorded")
        .extracting(e -> ((OperatorException) e).kind())
        .isEqualTo(Kind.DAMAGED_DATA);
  }

  @Test
  void a_summary_and_its_blocks_cannot_be_taken_for_each_other() {
    String name = SUMMARIES + Samples.SEGMENT_3;
    byte[] summary = disk.get(name);
    disk.replace(name, disk.get(name + ".blocks"));
    disk.replace(name + ".blocks", summary);
    assertThat(Repository.open(disk, keys()).verify())
        .extracting(Problem::object)
        .containsExactly(name, name + ".blocks");
  }

  @Test
  void missing_blocks_of_a_summary_are_found_and_named() {
    String name = SUMMARIES + Samples.SEGMENT_3 + ".blocks";
    disk.delete(name);
    assertThat(Repository.open(disk, keys()).verify())
        .containsExactly(
            new Problem(
                Problem.Subject.SUMMARY,
                Samples.SEGMENT_3,
                name,
                true,
                "it is missing, and the summary is there",
                "put a good copy of this object in its place if the repository has one elsewhere;"
                    + " or delete it, and it is made again from the WAL if that is still recorded"));
  }

  @Test
  void a_damaged_complete_segment_is_not_taken_for_the_same_one() {
    String name = WAL + Samples.SEGMENT_3;
    byte[] bytes = disk.get(name);
    bytes[bytes.length / 2] ^= 1;
    disk.replace(name, bytes);
    assertThatThrownBy(() -> acme().wal().put(Samples.SEGMENT_3, Samples.segment(3)))
        .isInstanceOf(DamagedObjectException.class);
  }

  @Test
  void an_edited_document_is_found() {
    String name = "clusters/acme/cluster.json";
    String text = new String(disk.get(name), UTF_8);
    disk.replace(name, ObjectStoreContract.bytes(text.replace("production", "development")));
    assertThatThrownBy(() -> acme())
        .hasMessageContaining("damaged, edited, or moved under another name");
  }

  @Test
  void a_newer_format_is_refused_with_both_versions() {
    disk.replace(
        "holdfast.json", JsonDocument.wrap("holdfast.json", "repository", 2, "{\"later\" : true}"));
    assertThatThrownBy(() -> Repository.open(disk, keys()))
        .hasMessage(
            "cannot read holdfast.json: it has repository format version 2, and this Holdfast reads"
                + " version 1; next: use the Holdfast release that wrote it, or a newer one")
        .extracting(e -> ((OperatorException) e).kind())
        .isEqualTo(Kind.REFUSED);
  }

  @Test
  void a_binary_object_of_a_newer_format_is_refused_with_both_versions() {
    String name = WAL + Samples.SEGMENT_3;
    byte[] bytes = disk.get(name);
    bytes[9] = 7;
    ByteBuffer.wrap(bytes).putInt(36, Envelope.boundChecksum(name, bytes, 0, 36));
    disk.replace(name, bytes);
    assertThatThrownBy(() -> acme().wal().read(Samples.SEGMENT_3))
        .hasMessageContaining(
            "it has repository format version 7, and this Holdfast reads version 1")
        .extracting(e -> ((OperatorException) e).kind())
        .isEqualTo(Kind.REFUSED);
  }

  @Test
  void a_document_of_another_kind_is_found() {
    disk.replace("holdfast.json", JsonDocument.wrap("holdfast.json", "cluster", Map.of("id", "x")));
    assertThatThrownBy(() -> Repository.open(disk, keys()))
        .hasMessageContaining("it is a document \"cluster\" where \"repository\" is expected");
  }

  @Test
  void a_damaged_manifest_takes_nothing_from_the_other_base_backups() {
    String second = "20261122T013957Z-full";
    try (BaseWriter base = acme().bases().begin(second)) {
      Samples.write(base, "global/pg_control", new byte[] {1, 2, 3});
      base.publish(Samples.manifest(second));
    }
    byte[] bytes = disk.get(BASE + "manifest.json");
    bytes[bytes.length / 2] ^= 1;
    disk.replace(BASE + "manifest.json", bytes);
    assertThat(acme().bases().list()).extracting(BaseManifest::label).containsExactly(second);
    assertThat(acme().bases().listing().damaged())
        .extracting(Problem::item)
        .containsExactly(Samples.LABEL);
    acme().bases().open(second).restore(temporary.resolve("second"), 1, _ -> {});
    assertThatThrownBy(() -> acme().bases().open(Samples.LABEL))
        .isInstanceOf(DamagedObjectException.class);

    disk.delete("clusters/acme/bases/" + second + "/manifest.json");
    assertThatThrownBy(() -> acme().bases().list())
        .as("with nothing left that could be used, it says why")
        .hasMessageStartingWith("cannot read " + BASE + "manifest.json");
  }

  @Test
  void without_reading_contents_everything_but_them_is_checked() {
    for (ObjectStore.StoredObject object : disk.list("")) {
      byte[] good = disk.get(object.name());
      disk.replace(object.name(), Arrays.copyOf(good, good.length - 1));
      assertThat(structure()).as(object.name()).hasSize(1);
      assertThat(structure().getFirst().object()).isEqualTo(object.name());
      disk.replace(object.name(), good);
    }
    byte[] segment = disk.get(WAL + Samples.SEGMENT_3);
    segment[segment.length / 2] ^= 1;
    disk.replace(WAL + Samples.SEGMENT_3, segment);
    assertThat(structure()).as("content, which is not asked for").isEmpty();
    assertThat(everything()).extracting(Problem::object).containsExactly(WAL + Samples.SEGMENT_3);
  }

  @Test
  void a_missing_object_that_another_one_needs_is_named_and_nothing_else() {
    for (String object :
        List.of(
            "holdfast.json",
            "clusters/acme/cluster.json",
            BASE + "files",
            BASE + "part-0001",
            SUMMARIES + Samples.SEGMENT_3 + ".blocks")) {
      byte[] good = disk.get(object);
      disk.delete(object);
      assertThat(structure()).as(object).hasSize(1);
      assertThat(structure().getFirst().object()).isEqualTo(object);
      assertThat(structure().getFirst().missing()).as(object).isTrue();
      disk.put(object, good);
    }
  }

  @Test
  void what_is_unfinished_or_not_ours_is_a_note_and_no_damage() {
    byte[] part = disk.get(BASE + "part-0001");
    disk.put("clusters/acme/bases/20261123T000000Z-full/part-0001", part);
    disk.put(WAL + Samples.SEGMENT_3 + ".partial", new byte[] {1});
    disk.put(WAL + "notes.txt", new byte[] {1});
    disk.put("clusters/acme/readme.txt", new byte[] {1});
    disk.put(BASE + "part-9999", part);
    disk.put(SUMMARIES + Samples.SEGMENT_4 + ".blocks", new byte[] {1});
    Verification.Checked checked =
        new Verification(disk, keys())
            .run("acme", new Verification.Reading(1, 0, 2), Verification.Listener.SILENT)
            .clusters()
            .getFirst();
    assertThat(checked.problems()).isEmpty();
    assertThat(checked.notes())
        .extracting(Problem::object)
        .containsExactly(
            "clusters/acme/bases/20261121T013957Z-full/part-9999",
            "clusters/acme/bases/20261123T000000Z-full",
            "clusters/acme/readme.txt",
            SUMMARIES + Samples.SEGMENT_4 + ".blocks",
            WAL + Samples.SEGMENT_3 + ".partial",
            WAL + "notes.txt");
  }

  @Test
  void a_share_is_chosen_by_its_seed_and_by_and_by_everything_is_read() {
    String segment = WAL + Samples.SEGMENT_3;
    byte[] bytes = disk.get(segment);
    bytes[bytes.length / 2] ^= 1;
    disk.replace(segment, bytes);
    int found = 0;
    for (long seed = 0; seed < 40; seed++) {
      var reading = new Verification.Reading(0.3, seed, 2);
      Verification.Checked checked = check(reading);
      assertThat(check(reading).problems()).isEqualTo(checked.problems());
      assertThat(checked.contentBytesRead())
          .isBetween((long) (checked.contentBytes() * 0.3), checked.contentBytes() * 9 / 10);
      found += checked.problems().size();
    }
    assertThat(found).as("of 40 runs").isBetween(5, 39);
  }

  private Verification.Checked check(Verification.Reading reading) {
    return new Verification(disk, keys())
        .run(null, reading, Verification.Listener.SILENT)
        .clusters()
        .getFirst();
  }

  private List<Problem> structure() {
    return new Verification(disk, keys())
        .run(null, new Verification.Reading(0, 0, 2), Verification.Listener.SILENT)
        .all();
  }

  private List<Problem> everything() {
    return new Verification(disk, keys())
        .run(null, new Verification.Reading(1, 0, 2), Verification.Listener.SILENT)
        .all();
  }

  private ClusterStore acme() {
    return Repository.open(disk, keys()).cluster("acme");
  }

  /**
   * zstd has header bits that do not change what comes out (the window's size); a flip there may go
   * unnoticed only because every byte of content is still right.
   */
  private void assertFound(String object, String how) {
    List<Problem> problems = everything();
    if (problems.isEmpty()) {
      assertThat(content(temporary.resolve("flip-" + restores++))).as(how).isEqualTo(intact);
    } else {
      assertThat(problems).as(how).extracting(Problem::object).contains(object);
    }
  }

  /** Everything the repository holds, as it comes out. */
  private Map<String, String> content(Path restored) {
    var content = new TreeMap<String, String>();
    WalStore wal = acme().wal();
    wal.list().forEach(s -> content.put(s.name(), Arrays.hashCode(wal.read(s.name())) + " " + s));
    SummaryStore summaries = acme().summaries();
    for (String segment : summaries.list()) {
      content.put("summary " + segment, Arrays.toString(summaries.read(segment)));
      content.put("blocks " + segment, Arrays.toString(summaries.readBlocks(segment)));
    }
    content.put("history", new String(Objects.requireNonNull(wal.readHistory(2)), UTF_8));
    for (String lsn : acme().catalogs()) {
      content.put(lsn, acme().catalog(lsn, JsonNode.class).toString());
    }
    acme().bases().open(Samples.LABEL).restore(restored, 1, _ -> {});
    try (Stream<Path> files = Files.walk(restored)) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        content.put(
            restored.relativize(file).toString(),
            String.valueOf(Arrays.hashCode(Files.readAllBytes(file))));
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return content;
  }
}
