package dev.holdfast.operations;

import dev.holdfast.wal.Lsn;
import java.time.Instant;
import org.jspecify.annotations.Nullable;

/**
 * Something about recording itself that somebody should hear of.
 *
 * @param alarm what it is about: {@code gap}, {@code baseBackup}, {@code slot}, {@code repository},
 *     {@code synchronous}, {@code archive}, {@code client}: one that used to be connected is gone
 * @param level {@code critical}, {@code warning}, or {@code note}: all is well (again)
 * @param at when it was noticed
 * @param what the fact
 * @param next what to do about it
 * @param fromLsn where lost WAL begins; null when none is meant
 * @param toLsn just past lost WAL; null when none is meant
 */
public record RecordingAlarm(
    String alarm,
    String level,
    Instant at,
    String what,
    String next,
    @Nullable String fromLsn,
    @Nullable String toLsn) {
  static RecordingAlarm of(String alarm, String level, String what, String next) {
    return new RecordingAlarm(alarm, level, Instant.now(), what, next, null, null);
  }

  static RecordingAlarm gap(Lsn from, Lsn to, String what, String next) {
    return new RecordingAlarm(
        "gap", "critical", Instant.now(), what, next, from.toString(), to.toString());
  }
}
