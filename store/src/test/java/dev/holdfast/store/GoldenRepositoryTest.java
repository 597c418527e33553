package dev.holdfast.store;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.store.local.LocalObjectStore;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;

/**
 * Repositories as earlier releases wrote them, byte by byte: they stay readable. {@code
 * -Dtests.golden.write=true} writes those of this release anew; they are changed for no other
 * reason than a format version that was never released.
 */
final class GoldenRepositoryTest {
  private static final Path FOLDER = Path.of("src/test/resources/repositories");
  private static final String PASSPHRASE = "correct horse battery staple";

  @TempDir private Path temporary;

  private KeySources keys(String repository) {
    KeySources none = KeySources.of(Map.of("XDG_CONFIG_HOME", temporary.toString()));
    return repository.endsWith("-encrypted") ? none.withPassphrase(PASSPHRASE, "the test") : none;
  }

  @ParameterizedTest
  @ValueSource(strings = {"1-unencrypted", "1-encrypted"})
  void what_was_written_then_is_read_now(String repository) throws IOException {
    Path place = FOLDER.resolve(repository);
    var objects = new LocalObjectStore(place);
    if (Boolean.getBoolean("tests.golden.write")) {
      write(objects, repository);
    }
    Repository opened = Repository.open(objects, keys(repository));
    assertThat(opened.verify()).isEmpty();
    ClusterStore acme = opened.cluster("acme");
    assertThat(acme.document()).isEqualTo(Samples.cluster("acme", "7443211234567890123"));
    assertThat(acme.wal().read(Samples.SEGMENT_3)).isEqualTo(segment(3));
    assertThat(acme.wal().read(Samples.SEGMENT_4)).isEqualTo(Arrays.copyOf(segment(4), 70_000));
    assertThat(acme.wal().readHistory(2)).isEqualTo(Samples.HISTORY);
    assertThat(acme.summaries().read(Samples.SEGMENT_3)).isEqualTo(Samples.SUMMARY);
    assertThat(acme.summaries().readBlocks(Samples.SEGMENT_3)).isEqualTo(new byte[] {1, 2, 3});
    assertThat(acme.catalog("0000000003000028", JsonNode.class).toString())
        .isEqualTo("{\"16384\":\"public.users\"}");
    assertThat(acme.document("proofs", "20261121T020000Z", JsonNode.class).toString())
        .isEqualTo("{\"result\":\"proven\"}");
    Path restored = temporary.resolve("restored");
    acme.bases().open(Samples.LABEL).restore(restored, 1, _ -> {});
    assertThat(Files.readAllBytes(restored.resolve("global/pg_control"))).isEqualTo(control());
    assertThat(Files.readAllBytes(restored.resolve("base/5/2600"))).isEqualTo(relation());
    assertThat(Files.size(restored.resolve("base/5/zeros"))).isEqualTo(1_500_000);
    assertThat(Files.isDirectory(restored.resolve("pg_notify"))).isTrue();
  }

  private void write(LocalObjectStore objects, String repository) {
    Repository made =
        Repository.create(
            objects,
            repository.endsWith("-encrypted")
                ? Repository.Creation.USUAL
                : Repository.Creation.UNENCRYPTED,
            keys(repository));
    ClusterStore acme = made.register(Samples.cluster("acme", "7443211234567890123"));
    acme.wal().put(Samples.SEGMENT_3, segment(3));
    acme.wal().putPartial(Samples.SEGMENT_4, segment(4), 70_000);
    acme.wal().putHistory(2, Samples.HISTORY);
    acme.summaries().put(Samples.SEGMENT_3, Samples.SUMMARY, new byte[] {1, 2, 3});
    acme.putCatalog("0000000003000028", Map.of("16384", "public.users"));
    acme.putDocument("proofs", "20261121T020000Z", Map.of("result", "proven"));
    try (BaseWriter base = acme.bases().begin(Samples.LABEL)) {
      Samples.write(base, "global/pg_control", control());
      Samples.write(base, "base/5/2600", relation());
      Samples.write(base, "base/5/zeros", new byte[1_500_000]);
      base.directory("pg_notify");
      base.publish(Samples.manifest(Samples.LABEL));
    }
  }

  /** Compresses well: fixtures are small. */
  private static byte[] segment(int number) {
    byte[] line = ("record of segment " + number + "\n").getBytes(UTF_8);
    byte[] segment = new byte[Samples.SEGMENT_BYTES];
    for (int i = 0; i < segment.length; i++) {
      segment[i] = (byte) (line[i % line.length] + i / 4096);
    }
    return segment;
  }

  private static byte[] control() {
    return Arrays.copyOf(segment(1), 8192);
  }

  private static byte[] relation() {
    return Arrays.copyOf(segment(2), 1_000_001);
  }
}
