package dev.holdfast.postgres;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.zip.CRC32C;

/** {@code global/pg_control} ("catalog/pg_control.h", PostgreSQL 18). */
final class ControlFile {
  private static final int CRC_AT_MIN = 200;
  private static final int CRC_AT_MAX = 508; // the struct never grows past a sector

  private ControlFile() {}

  /**
   * Whether its checksum holds: a copy taken while the server was writing it may be torn. The
   * checksum stands after the last field, whose place differs between versions; the chance that a
   * torn file passes at any of the places is below 10⁻⁷.
   */
  static boolean holds(byte[] content) {
    if (content.length < CRC_AT_MAX + Integer.BYTES) {
      return false;
    }
    ByteBuffer ints = ByteBuffer.wrap(content).order(ByteOrder.LITTLE_ENDIAN);
    CRC32C crc = new CRC32C();
    crc.update(content, 0, CRC_AT_MIN);
    for (int at = CRC_AT_MIN; at <= CRC_AT_MAX; at += Integer.BYTES) {
      if ((int) crc.getValue() == ints.getInt(at)) {
        return true;
      }
      crc.update(content, at, Integer.BYTES);
    }
    return false;
  }

  /** The system identifier: its first field. */
  static String systemIdentifier(byte[] content) {
    return Long.toUnsignedString(
        ByteBuffer.wrap(content).order(ByteOrder.LITTLE_ENDIAN).getLong(0));
  }
}
