package dev.holdfast.damage;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.damage.TableDamage.Action;
import dev.holdfast.row.TableName;
import dev.holdfast.wal.Lsn;
import java.time.Instant;
import java.util.List;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class SeverityTest {
  @ParameterizedTest
  @CsvSource({
    // action, inserted, updated, deleted, before, severity, destructive
    "CHANGED, 1000000, 0, 0, 10, LOW, false",
    "CHANGED, 0, 99, 0, -1, LOW, false",
    "CHANGED, 0, 100, 0, -1, LOW, true",
    "CHANGED, 0, 0, 1, -1, LOW, true",
    "CHANGED, 0, 0, 99, 99, LOW, true",
    "CHANGED, 0, 0, 100, -1, MEDIUM, true",
    "CHANGED, 0, 999, 0, 1000000, LOW, true",
    "CHANGED, 0, 1000, 0, 1000000, MEDIUM, true",
    "CHANGED, 0, 9999, 0, 1000000, MEDIUM, true",
    "CHANGED, 0, 10000, 0, 1000000, HIGH, true",
    "CHANGED, 0, 50, 50, 200, HIGH, true",
    "CHANGED, 0, 0, 89, 100, LOW, true",
    "CHANGED, 0, 0, 180, 200, CRITICAL, true",
    "CHANGED, 0, 0, 179, 200, HIGH, true",
    "CHANGED, 0, 200, 0, 200, HIGH, true",
    "CHANGED, 0, 0, 100000, 100000000, CRITICAL, true",
    "DROPPED, 0, 0, 0, 1, CRITICAL, true",
    "DROPPED, 0, 0, 0, -1, CRITICAL, true",
    "DROPPED, 0, 0, 0, 0, MEDIUM, true",
    "TRUNCATED, 0, 0, 0, 1, CRITICAL, true",
  })
  void one_table_decides(
      Action action,
      long inserted,
      long updated,
      long deleted,
      long before,
      Severity severity,
      boolean destructive) {
    TableDamage table = table(action, inserted, updated, deleted, before);

    assertThat(Severity.of(List.of(table))).isEqualTo(severity);
    assertThat(transaction(table).isDestructive()).isEqualTo(destructive);
  }

  @Test
  void the_worst_table_decides() {
    TableDamage small = table(Action.CHANGED, 1, 0, 0, 5);
    TableDamage dropped = table(Action.DROPPED, 0, 0, 0, 5);

    assertThat(Severity.of(List.of(small, dropped, small))).isEqualTo(Severity.CRITICAL);
    assertThat(transaction(small, dropped).isDestructive()).isTrue();
  }

  @Test
  void a_dropped_column_is_destructive_and_worse_when_the_table_may_hold_rows() {
    TableDamage held = without("note", 5);
    TableDamage unknown = without("note", -1);
    TableDamage empty = without("note", 0);

    assertThat(Severity.of(List.of(held))).isEqualTo(Severity.HIGH);
    assertThat(Severity.of(List.of(unknown))).isEqualTo(Severity.HIGH);
    assertThat(Severity.of(List.of(empty))).isEqualTo(Severity.MEDIUM);
    assertThat(transaction(empty).isDestructive()).isTrue();
  }

  private static TableDamage without(String column, long before) {
    return new TableDamage(
        "shop",
        new TableName("public", "t"),
        1,
        Action.CHANGED,
        0,
        0,
        0,
        before,
        List.of(),
        List.of(column));
  }

  private static TableDamage table(
      Action action, long inserted, long updated, long deleted, long before) {
    return new TableDamage(
        "shop",
        new TableName("public", "t"),
        1,
        action,
        inserted,
        updated,
        deleted,
        before,
        List.of(),
        List.of());
  }

  private static TransactionDamage transaction(TableDamage... tables) {
    return new TransactionDamage(
        7,
        List.of(),
        new Lsn(1),
        new Lsn(2),
        new Lsn(3),
        new Lsn(2),
        Instant.EPOCH,
        Severity.of(List.of(tables)),
        null,
        null,
        null,
        null,
        0,
        null,
        List.of(),
        List.of(),
        false,
        List.of(tables));
  }
}
