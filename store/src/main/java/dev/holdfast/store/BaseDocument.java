package dev.holdfast.store;

import java.time.Instant;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * {@code manifest.json} of a base backup; LSNs and checksums in hexadecimal, as people read them.
 */
record BaseDocument(
    String label,
    String kind,
    @Nullable String parent,
    int timeline,
    String startLsn,
    String stopLsn,
    Instant startedAt,
    Instant finishedAt,
    int major,
    String systemIdentifier,
    int walSegmentSize,
    String backupLabel,
    @Nullable String tablespaceMap,
    Map<String, String> settings,
    long bytes,
    long storedBytes,
    @Nullable Long heldBytes,
    @Nullable Integer pageChecksums,
    Files files,
    List<StoredPart> parts) {

  /** The list of files: how many entries, and the checksum of the list. */
  record Files(int count, String crc32c) {}

  /** One part as it stands in the document. */
  record StoredPart(String name, long storedBytes, String contentsCrc32c) {}

  /** One part. */
  record Part(String name, long storedBytes, int contentsChecksum) {}

  static BaseDocument of(BaseManifest m, int fileCount, int filesChecksum, List<Part> parts) {
    HexFormat hex = HexFormat.of();
    return new BaseDocument(
        m.label(),
        m.kind(),
        m.parent(),
        m.timeline(),
        hex.withUpperCase().toHexDigits(m.startLsn()),
        hex.withUpperCase().toHexDigits(m.stopLsn()),
        m.startedAt(),
        m.finishedAt(),
        m.major(),
        m.systemIdentifier(),
        m.walSegmentSize(),
        m.backupLabel(),
        m.tablespaceMap(),
        m.settings(),
        m.bytes(),
        m.storedBytes(),
        m.heldBytes(),
        m.pageChecksums(),
        new Files(fileCount, hex.toHexDigits(filesChecksum)),
        parts.stream()
            .map(part ->
                new StoredPart(
                    part.name(), part.storedBytes(), hex.toHexDigits(part.contentsChecksum())))
            .toList());
  }

  BaseManifest manifest() {
    return new BaseManifest(
        label,
        kind,
        parent,
        timeline,
        HexFormat.fromHexDigitsToLong(startLsn),
        HexFormat.fromHexDigitsToLong(stopLsn),
        startedAt,
        finishedAt,
        major,
        systemIdentifier,
        walSegmentSize,
        backupLabel,
        tablespaceMap,
        settings,
        bytes,
        storedBytes,
        heldBytes == null ? bytes : heldBytes,
        pageChecksums);
  }

  int filesChecksum() {
    return HexFormat.fromHexDigits(files.crc32c());
  }

  List<Part> partList() {
    return parts.stream()
        .map(part ->
            new Part(
                part.name(), part.storedBytes(), HexFormat.fromHexDigits(part.contentsCrc32c())))
        .toList();
  }
}
