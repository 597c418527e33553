package dev.holdfast.store;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.Repository.Creation;
import dev.holdfast.store.objects.CrashingObjectStore;
import dev.holdfast.store.objects.MemoryObjectStore;
import dev.holdfast.store.objects.ObjectStore;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Who can open an encrypted repository, and who cannot. */
final class EncryptedRepositoryTest {
  private static final String MARKER = "Zq7-marker-of-a-customer-9fK2";

  private final MemoryObjectStore disk = new MemoryObjectStore();
  @TempDir private Path home;

  private KeySources keys() {
    return KeySources.of(Map.of("XDG_CONFIG_HOME", home.toString()));
  }

  private KeySources passphrase(String text) {
    return keys().withPassphrase(text, "HOLDFAST_PASSPHRASE");
  }

  /** A service that turns the bytes over. */
  private static final class Service implements KeyCommand {
    private final byte mask;

    Service(int mask) {
      this.mask = (byte) mask;
    }

    @Override
    public String name() {
      return "kms";
    }

    @Override
    public byte[] wrap(byte[] key) {
      byte[] turned = key.clone();
      for (int i = 0; i < turned.length; i++) {
        turned[i] ^= mask;
      }
      return turned;
    }

    @Override
    public byte[] unwrap(byte[] wrapped) {
      return wrap(wrapped);
    }
  }

  @Test
  void told_nothing_it_makes_a_key_of_its_own_that_only_its_owner_reads() throws IOException {
    Repository made = Repository.create(disk, Creation.USUAL, keys());
    Path file = home.resolve("holdfast/keys/" + made.id() + ".key");
    assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(file)))
        .isEqualTo("rw-------");
    String line =
        Files.readAllLines(file).stream().filter(each -> !each.startsWith("#")).toList().getFirst();
    assertThat(line).matches("holdfast-key-1-([0-9a-f]{8}-){8}[0-9a-f]{8}");
    assertThat(Files.readString(file)).contains("# Holdfast key of repository " + made.id());
    assertThat(made.keyInfo()).isEqualTo(new Repository.KeyInfo("generatedKey", file.toString()));
    assertThat(Repository.open(disk, keys()).id()).isEqualTo(made.id());
    assertThat(Repository.open(disk, passphrase(line)).id()).as("typed in").isEqualTo(made.id());
    for (ObjectStore.StoredObject object : disk.list("")) {
      assertThat(text(object.name())).doesNotContain(line.substring(15, 40));
    }
  }

  @Test
  void without_any_key_it_says_where_it_looked_and_which_repository_it_is() {
    Repository made = Repository.create(disk, Creation.USUAL, keys());
    var elsewhere = KeySources.of(Map.of("XDG_CONFIG_HOME", home.resolve("new").toString()));
    String file = home.resolve("new/holdfast/keys/" + made.id() + ".key").toString();
    assertThatThrownBy(() -> Repository.open(disk, elsewhere))
        .hasMessage(
            "cannot open the repository memory: it is encrypted, and no key was found for repository "
                + made.id()
                + ": not by --passphrase-file or --key-command, not in HOLDFAST_PASSPHRASE_FILE,"
                + " HOLDFAST_PASSPHRASE or HOLDFAST_KEY_COMMAND, not by passphraseFile or keyCommand"
                + " in holdfast.yaml, not in "
                + file
                + "; next: fetch the copy of its key (the key that Holdfast made with it,"
                + " holdfast-key-1-…) and name it with --passphrase-file FILE, or put it at "
                + file
                + "; without the key nobody can read this repository, Holdfast's makers included")
        .extracting(failure -> ((OperatorException) failure).kind())
        .isEqualTo(Kind.USAGE);
  }

  @Test
  void a_wrong_passphrase_opens_nothing_harms_nothing_and_is_not_repeated() {
    Repository.create(disk, Creation.USUAL, passphrase("correct horse battery staple"));
    List<byte[]> before = bytes();
    for (KeySources wrong :
        List.of(
            passphrase("incorrect horse"),
            passphrase("correct horse battery staplf"),
            passphrase(Passphrase.generate().text()),
            keys().withCommand(new Service(0x55), "--key-command"))) {
      assertThatThrownBy(() -> Repository.open(disk, wrong))
          .hasMessageContaining("does not open repository")
          .hasMessageContaining("which takes a passphrase")
          .hasMessageNotContaining("horse")
          .extracting(failure -> ((OperatorException) failure).kind())
          .isEqualTo(Kind.USAGE);
      assertThatThrownBy(() ->
              new Verification(disk, wrong)
                  .run(null, new Verification.Reading(0, 0, 1), Verification.Listener.SILENT))
          .as("no damage, a wrong key")
          .hasMessageContaining("does not open repository");
    }
    assertThat(bytes()).usingRecursiveComparison().isEqualTo(before);
    Repository.open(disk, passphrase("correct horse battery staple"));
  }

  @Test
  void a_key_with_a_slip_of_the_pen_is_told_from_a_wrong_one() {
    String key = Passphrase.generate().text();
    char wrong = key.charAt(20) == '0' ? '1' : '0';
    assertThatThrownBy(
            () -> Passphrase.parse(key.substring(0, 20) + wrong + key.substring(21), "x"))
        .hasMessageContaining("was not copied exactly");
    assertThatThrownBy(() -> Passphrase.parse("two\nlines\n", "x")).hasMessageContaining("2 lines");
    assertThatThrownBy(() -> Passphrase.parse("\n", "x")).hasMessageContaining("it is empty");
    assertThat(Passphrase.parse("a passphrase\r\n", "x"))
        .isEqualTo(Passphrase.parse("a passphrase", "y"));
    assertThatThrownBy(() -> Repository.create(disk, Creation.USUAL, passphrase("short")))
        .hasMessageContaining("fewer than 8 characters");
    assertThat(disk.list("")).isEmpty();
  }

  @Test
  void a_key_service_opens_it_and_one_that_cannot_unwrap_is_refused_before_anything_is_stored() {
    var broken =
        new KeyCommand() {
          @Override
          public String name() {
            return "broken";
          }

          @Override
          public byte[] wrap(byte[] key) {
            return new byte[] {1};
          }

          @Override
          public byte[] unwrap(byte[] wrapped) {
            return new byte[32];
          }
        };
    assertThatThrownBy(
            () -> Repository.create(disk, Creation.USUAL, keys().withCommand(broken, "test")))
        .hasMessageContaining("did not give back the bytes that went in");
    assertThat(disk.list("")).isEmpty();
    Repository.create(disk, Creation.USUAL, keys().withCommand(new Service(0x55), "test"));
    Repository.open(disk, keys().withCommand(new Service(0x55), "test"));
    assertThatThrownBy(() -> Repository.open(disk, keys().withCommand(new Service(0x54), "test")))
        .hasMessageContaining("which takes a key command");
  }

  @Test
  void another_passphrase_opens_everything_and_the_old_one_nothing() {
    KeySources old = passphrase("correct horse battery staple");
    Samples.fill(disk, Creation.USUAL, old);
    List<String> sealed = disk.list("clusters/").stream().map(each -> text(each.name())).toList();
    KeySources changed = keys().withCommand(new Service(0x33), "test");
    Repository.open(disk, old).changeKey(changed);
    assertThat(disk.list("clusters/").stream().map(each -> text(each.name())).toList())
        .as("nothing but the document is written anew")
        .isEqualTo(sealed);
    Repository opened = Repository.open(disk, changed);
    assertThat(opened.verify()).isEmpty();
    assertThat(opened.cluster("acme").wal().read(Samples.SEGMENT_3)).isEqualTo(Samples.segment(3));
    assertThatThrownBy(() -> Repository.open(disk, old))
        .hasMessageContaining("which takes a key command");
  }

  @Test
  void a_change_cut_off_between_its_two_writes_leaves_the_old_key_and_is_found() {
    KeySources old = passphrase("correct horse battery staple");
    Samples.fill(disk, Creation.USUAL, old);
    byte[] document = disk.get("holdfast.json");
    Repository.open(disk, old).changeKey(passphrase("another one altogether"));
    disk.replace("holdfast.json", document);
    assertThat(Repository.open(disk, old).verify())
        .extracting(Problem::found)
        .containsExactly(
            "it does not hold the keys of holdfast.json: a change of the key was interrupted");
    Repository.open(disk, old).changeKey(passphrase("another one altogether"));
    assertThat(Repository.open(disk, passphrase("another one altogether")).verify()).isEmpty();
  }

  @Test
  void an_exported_key_opens_it_and_never_overwrites_a_file() throws IOException {
    Repository made = Repository.create(disk, Creation.USUAL, keys());
    Path copy = home.resolve("copy.key");
    made.exportKey(copy);
    var elsewhere =
        KeySources.of(Map.of("XDG_CONFIG_HOME", home.resolve("new").toString()))
            .withPassphraseFile(copy, "--passphrase-file");
    assertThat(Repository.open(disk, elsewhere).id()).isEqualTo(made.id());
    assertThatThrownBy(() -> made.exportKey(copy))
        .hasMessageContaining("there is such a file already")
        .extracting(failure -> ((OperatorException) failure).kind())
        .isEqualTo(Kind.REFUSED);
    assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(copy)))
        .isEqualTo("rw-------");
  }

  @Test
  void a_repository_that_says_it_is_not_encrypted_is_not_believed_by_who_has_its_key() {
    Repository made = Repository.create(disk, Creation.USUAL, keys());
    var forged = new Repository.Document(made.id(), java.time.Instant.now(), 1, null);
    disk.replace("holdfast.json", JsonDocument.wrap("holdfast.json", "repository", forged));
    String says = "a key was given, and the repository says that it is not encrypted";
    assertThatThrownBy(() -> Repository.open(disk, keys())).hasMessageContaining(says);
    assertThatThrownBy(() -> Repository.open(disk, passphrase("correct horse")))
        .hasMessageContaining(says);
  }

  @Test
  void nothing_of_a_database_can_be_seen_in_any_stored_byte() {
    // Compressed fast, zstd copies such words as they are: the control shows them.
    var plain = new MemoryObjectStore();
    store(Repository.create(plain, new Creation(false, -7), keys()));
    assertThat(found(plain)).hasSize(8);
    store(Repository.create(disk, new Creation(true, -7), keys()));
    assertThat(disk.list("")).hasSize(plain.list("").size() + 1); // holdfast.copy.json
    assertThat(found(disk)).isEmpty();
  }

  private static List<String> found(MemoryObjectStore disk) {
    var found = new ArrayList<String>();
    for (ObjectStore.StoredObject object : disk.list("")) {
      if (new String(disk.get(object.name()), ISO_8859_1).contains(MARKER)) {
        found.add(object.name());
      }
    }
    return found;
  }

  /** Writes one of each kind of object, with a word in it. */
  private static void store(Repository repository) {
    byte[] marker = MARKER.getBytes(UTF_8);
    ClusterDocument sample = Samples.cluster("acme", "7443211234567890123");
    ClusterStore acme =
        repository.register(
            new ClusterDocument(
                sample.name(),
                sample.engine(),
                sample.systemIdentifier(),
                sample.major(),
                sample.environment(),
                sample.walSegmentSize(),
                sample.url(),
                null,
                sample.protectedAt(),
                Map.of("setting", MARKER)));
    byte[] segment = Arrays.copyOf(marker, Samples.SEGMENT_BYTES);
    acme.wal().put(Samples.SEGMENT_3, segment);
    acme.wal().putPartial(Samples.SEGMENT_4, segment, 1000);
    acme.wal().putHistory(2, marker);
    acme.summaries().put(Samples.SEGMENT_3, marker, new byte[] {1});
    acme.putCatalog("0000000003000028", Map.of("table", MARKER));
    acme.putDocument("proofs", "20261121T020000Z", Map.of("result", MARKER));
    try (BaseWriter base = acme.bases().begin(Samples.LABEL)) {
      Samples.write(base, "base/5/1259", marker);
      base.publish(Samples.manifest(Samples.LABEL));
    }
  }

  @Test
  void a_crash_at_any_write_of_its_creation_or_of_a_change_of_its_key_leaves_one_that_opens() {
    KeySources changed = passphrase("correct horse battery staple");
    for (int crashAt = 1; crashAt <= 2; crashAt++) {
      for (boolean lands : new boolean[] {false, true}) {
        var place = new MemoryObjectStore();
        var creating = new CrashingObjectStore(place, crashAt, lands);
        assertThatThrownBy(() -> Repository.create(creating, Creation.USUAL, keys()))
            .isInstanceOf(CrashingObjectStore.PowerLost.class);
        if (place.exists("holdfast.json")) {
          assertThat(Repository.open(place, keys()).verify())
              .extracting(Problem::object)
              .containsExactlyElementsOf(
                  place.exists("holdfast.copy.json") ? List.of() : List.of("holdfast.copy.json"));
        } else {
          Repository.create(place, Creation.USUAL, keys());
        }
        Repository.open(place, keys()).register(Samples.cluster("acme", "1"));
        assertThat(place.exists("holdfast.copy.json")).as("put back").isTrue();

        var changing = new CrashingObjectStore(place, crashAt, lands);
        assertThatThrownBy(() -> Repository.open(changing, keys()).changeKey(changed))
            .isInstanceOf(CrashingObjectStore.PowerLost.class);
        KeySources current = crashAt == 2 && lands ? changed : keys();
        Repository.open(place, current).changeKey(changed);
        assertThat(Repository.open(place, changed).verify()).isEmpty();
      }
    }
  }

  @Test
  void the_level_of_compression_is_the_repository_s_own() {
    byte[] text = "pages of a catalog, much alike; ".repeat(30_000).getBytes(UTF_8);
    byte[] segment = Samples.segment(3);
    System.arraycopy(text, 0, segment, 0, text.length);
    var sizes = new ArrayList<Long>();
    for (int level : new int[] {-7, 1, 19}) {
      var each = new MemoryObjectStore();
      Repository made = Repository.create(each, new Creation(false, level), keys());
      Repository opened = Repository.open(each, keys());
      assertThat(opened.compressionLevel()).isEqualTo(level);
      made.register(Samples.cluster("acme", "1"));
      opened.cluster("acme").wal().put(Samples.SEGMENT_3, segment);
      sizes.add(each.list("clusters/acme/wal/").getFirst().bytes());
    }
    assertThat(sizes).doesNotHaveDuplicates();
    assertThatThrownBy(() -> new Creation(true, 22)).hasMessageContaining("-7 (fast) to 19");
  }

  private List<byte[]> bytes() {
    return disk.list("").stream().map(object -> disk.get(object.name())).toList();
  }

  private String text(String name) {
    return new String(disk.get(name), ISO_8859_1);
  }
}
