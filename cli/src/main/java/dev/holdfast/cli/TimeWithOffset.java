package dev.holdfast.cli;

import java.time.DateTimeException;
import java.time.Instant;
import java.time.LocalDateTime;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** A time that says its offset. One without is refused: on a bad day nobody guesses the zone. */
final class TimeWithOffset implements ITypeConverter<Instant> {
  @Override
  public Instant convert(String text) {
    String normal = text.strip().replace(' ', 'T');
    try {
      return OffsetDateTime.parse(normal).toInstant();
    } catch (DateTimeException e) {
      try {
        Instant asUtc = LocalDateTime.parse(normal).toInstant(ZoneOffset.UTC);
        throw new TypeConversionException(
            "\"" + text + "\" has no offset; in UTC it would be " + asUtc);
      } catch (DateTimeException notEvenLocal) {
        throw new TypeConversionException(
            "\"" + text + "\" is not a time; one looks like 2026-11-21T04:56:27Z");
      }
    }
  }
}
