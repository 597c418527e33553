package dev.holdfast.wal;

/** A record's checksum holds but its parts do not add up. The reader adds where. */
final class MalformedRecordException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  MalformedRecordException(String found) {
    super(found);
  }

  String found() {
    return String.valueOf(getMessage());
  }
}
