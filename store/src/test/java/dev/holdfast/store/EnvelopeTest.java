package dev.holdfast.store;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.store.objects.ObjectName;
import java.nio.ByteBuffer;
import java.util.HexFormat;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class EnvelopeTest {
  private static final String NAME = "clusters/acme/wal/00000002/00000002.history";

  /** FORMAT.md in bytes: who changes these writes another format version. */
  @Test
  void the_header_is_as_the_format_says() {
    byte[] content = "123456789".getBytes(UTF_8);
    byte[] wrapped = Envelope.wrap(NAME, Envelope.TIMELINE_HISTORY, content, content.length);
    ByteBuffer header = ByteBuffer.wrap(wrapped, 0, 40);
    assertThat(HexFormat.of().formatHex(wrapped, 0, 16))
        .isEqualTo("484f4c4446415354" + "0001" + "05" + "01" + "00" + "000000");
    assertThat(header.getLong(16)).isEqualTo(9);
    assertThat(header.getLong(24)).isEqualTo(wrapped.length - 40);
    // The check value of CRC-32C in every catalogue of checksums.
    assertThat(header.getInt(32)).isEqualTo(0xE3069283);
    assertThat(header.getInt(36)).isEqualTo(Envelope.boundChecksum(NAME, wrapped, 0, 36));
    assertThat(HexFormat.of().formatHex(wrapped, 40, 44)).as("zstd's magic").isEqualTo("28b52ffd");
  }

  @Test
  void a_bound_name_is_the_name_below_the_cluster() {
    assertThat(ObjectName.bound(NAME)).isEqualTo("wal/00000002/00000002.history");
    assertThat(ObjectName.bound("holdfast.json")).isEqualTo("holdfast.json");
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 << 20})
  void content_of_any_length_comes_back(int length) {
    byte[] content = Samples.pages(new Random(length), length);
    byte[] wrapped = Envelope.wrap(NAME, Envelope.CATALOG, content, length);
    assertThat(Envelope.unwrap(NAME, Envelope.CATALOG, wrapped)).isEqualTo(content);
  }
}
