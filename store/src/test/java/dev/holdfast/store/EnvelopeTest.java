package dev.holdfast.store;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.store.objects.ObjectName;
import java.nio.ByteBuffer;
import java.util.Arrays;
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

  @Test
  void what_a_stretch_was_made_of_is_not_compressed_again() {
    byte[] content = Samples.pages(new Random(7), 4 << 20);
    byte[] other = Samples.pages(new Random(8), 4 << 20);
    Envelope.Frames frames = new Envelope.Frames();
    Envelope.Wrapped wrapped = new Envelope.Wrapped();
    // From the middle of the first piece on: two whole ones, and the beginning of one.
    Envelope.wrapStretch(
        "a",
        content,
        new Envelope.StretchHeader(1 << 19, 2_900_000, 0),
        Repository.Creation.USUAL_LEVEL,
        frames,
        wrapped);

    assertThat(whole(content, frames)).isEqualTo(content);
    // Who gives other bytes gets those of before: they were taken as they are.
    assertThatThrownBy(() -> whole(other, frames)).isInstanceOf(DamagedObjectException.class);
    frames.keepBefore((1 << 19) + (1 << 20));
    assertThatThrownBy(() -> whole(other, frames)).isInstanceOf(DamagedObjectException.class);
    frames.keepBefore((1 << 19) + (1 << 20) - 1);
    assertThat(whole(other, frames)).isEqualTo(other);
  }

  private static byte[] whole(byte[] content, Envelope.Frames frames) {
    Envelope.Wrapped wrapped = new Envelope.Wrapped();
    Envelope.wrap(
        NAME,
        Envelope.CATALOG,
        content,
        content.length,
        Repository.Creation.USUAL_LEVEL,
        frames,
        wrapped);
    return Envelope.unwrap(
        NAME, Envelope.CATALOG, Arrays.copyOf(wrapped.bytes(), wrapped.length()));
  }
}
