package dev.holdfast.damage;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.row.TableName;
import dev.holdfast.wal.Lsn;
import java.time.Instant;
import java.util.Base64;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;

/** Summaries outlive the log they were made of, and the program that made them. */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class SegmentSummaryTest {
  private static final Instant AT = Instant.parse("2026-11-21T04:56:27Z");

  /** Written before the guard told anything. */
  private static final String VERSION_1 =
      "AQAAAAABAAAAAAAAAAIAAAAAAAAAAgAAAAAAAAAAAAABAAAAAAEAAQAAAAAAAQABAAAAAABrASR7AAAAAAAA"
          + "AABrASR7AAAAAAAAAAAAAAAAAAAAAAAAAAABAAACvQAAAAEAAAK+AAAAAAEAABAAAAAAAQABAAAAAAABAAGA"
          + "AAAAAAEAAQAAAAAAawEkewAAAAAACENSSVRJQ0FMAQADYW5uAQADYXBpAAAAAAACAARzaG9wAAZwdWJsaWMA"
          + "BXVzZXJzAABAEAAHQ0hBTkdFRAAAAAAAAAABAAAAAAAAAAIAAAAAAAAAAwAAAAAAAAAEAAAAAAEABG5vdGUA"
          + "BHNob3AABnB1YmxpYwAGb3JkZXJzAABAGgAHRFJPUFBFRAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
          + "AAAyAAAAAAAAAAAAAA==";

  @Test
  void a_summary_of_the_first_format_is_read() {
    SegmentSummary old = SegmentSummary.decode(Base64.getDecoder().decode(VERSION_1));

    assertThat(old).isEqualTo(summary(transaction(null, 0, null, List.of(), List.of(), List.of())));
  }

  @Test
  void what_the_guard_told_is_kept() {
    SegmentSummary summary =
        summary(
            transaction(
                "UPDATE users SET data = $1",
                3,
                12L,
                List.of("the guard was weakened: a trigger"),
                List.of("the guard's rule truncate was set to off"),
                List.of(
                    new JsonLoss("data", List.of("address", "postal"), 4, 20, true),
                    new JsonLoss("plain", List.of("a"), 1, 1000, false))));

    assertThat(SegmentSummary.decode(summary.encode())).isEqualTo(summary);
  }

  private static SegmentSummary summary(TransactionDamage damage) {
    return new SegmentSummary(
        new Lsn(0x1000000),
        new Lsn(0x2000000),
        new Lsn(0x2000000),
        1,
        new Lsn(0x1000100),
        new Lsn(0x1000100),
        AT,
        AT,
        0,
        false,
        List.of(),
        List.of(damage),
        false,
        List.of());
  }

  private static TransactionDamage transaction(
      @Nullable String statement,
      long moreStatements,
      @Nullable Long permit,
      List<String> notes,
      List<String> settings,
      List<JsonLoss> losses) {
    return new TransactionDamage(
        701,
        List.of(702L),
        new Lsn(0x1000010),
        new Lsn(0x1000100),
        new Lsn(0x1000180),
        new Lsn(0x1000100),
        AT,
        Severity.CRITICAL,
        "ann",
        "api",
        null,
        statement,
        moreStatements,
        permit,
        notes,
        settings,
        false,
        List.of(
            new TableDamage(
                "shop",
                new TableName("public", "users"),
                16400,
                TableDamage.Action.CHANGED,
                1,
                2,
                3,
                4,
                losses,
                List.of("note")),
            new TableDamage(
                "shop",
                new TableName("public", "orders"),
                16410,
                TableDamage.Action.DROPPED,
                0,
                0,
                0,
                50,
                List.of(),
                List.of())));
  }
}
