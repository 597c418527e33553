package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.guard.WatchSchema;
import dev.holdfast.operations.WatchReport.WatchFinding;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;

class WatchTallyTest {
  private static final String BY_ID = "UPDATE users SET data = $1 WHERE id = $2";

  private final WatchTally tally =
      new WatchTally(
          WatchLimits.USUAL,
          Map.of(7L, new WatchSchema.Table(7, "public", "users", Map.of(1, "id", 2, "data"))));

  /** One call that hit one row. */
  private void update(String statement, String was, String is, String value, int there) {
    tally.add(
        """
        {"operation": "update", "schema": "public", "table": "users", "oid": 7, "rows": 1, "there": %d,
         "ids": [["%s", "%s", "%s"]], "columns": [], "xid": "9", "statement": "%s"}
        """
            .formatted(there, was, is, value, statement));
  }

  private void lost(String statement, int had, int lost, int times, String keys) {
    tally.add(
        """
        {"operation": "update", "schema": "public", "table": "users", "oid": 7, "rows": %3$d, "there": 1000,
         "ids": [], "statement": "%4$s", "columns": [{"column": "data", "rows": %3$d, "hadMin": %1$d,
         "hadMax": %1$d, "lostMin": %2$d, "lostMax": %2$d, "keys": [%5$s], "shapes": [[%1$d, %2$d, %3$d]]}]}
        """
            .formatted(had, lost, times, statement, keys));
  }

  private List<String> messages() {
    return tally.findings().stream()
        .map(f -> f.level() + " " + f.rule() + ": " + f.message())
        .toList();
  }

  @Test
  void one_row_hit_by_five_calls_with_other_values_is_a_finding() {
    for (int call = 0; call < 20; call++) {
      update(BY_ID, "a", "a", "v" + call, 2);
    }
    assertThat(messages())
        .containsExactly(
            "warning same-row: 20 calls, 20 updates, 1 distinct row of users: with different values it"
                + " always hit the same one");
  }

  @Test
  void the_same_values_another_row_a_table_of_one_row_and_few_calls_are_none() {
    for (int call = 0; call < 20; call++) {
      update(BY_ID, "a", "a", "same", 2);
      update("UPDATE settings SET n = n + 1", "b", "b", "v" + call, 2);
      update("UPDATE one SET v = $1", "c", "c", "v" + call, 1);
      update(
          "UPDATE users SET b = $1", call == 7 ? "d" : "e", call == 7 ? "d" : "e", "v" + call, 2);
    }
    for (int call = 0; call < 4; call++) {
      update("UPDATE few SET v = $1", "f", "f", "v" + call, 2);
    }
    assertThat(messages()).isEmpty();
  }

  @Test
  void a_row_without_a_key_is_one_row_whatever_it_becomes() {
    for (int call = 0; call < 6; call++) {
      update(BY_ID, "h" + call, "h" + (call + 1), "v" + call, 2);
    }
    assertThat(tally.statements(Set.of()).getFirst().distinctRows()).isEqualTo(1);
    assertThat(messages()).hasSize(1);
  }

  @Test
  void lost_keys_are_summed_over_the_statements_of_a_column_and_named() {
    lost("UPDATE users SET data = $1 WHERE id = $2", 4, 3, 15, "\"address\", \"country\"");
    lost("UPDATE users SET data = $1, seen = now() WHERE id = $2", 4, 3, 5, "\"postal\"");
    assertThat(messages())
        .containsExactly(
            "error json-keys-lost: 20 updates of users.data, 3 of 4 keys lost in each: address, country,"
                + " postal");
    lost("UPDATE users SET data = $1 WHERE id = $2", 6, 3, 1, "\"x\"");
    assertThat(messages().getFirst()).contains("21 updates of users.data, 3 of 4 to 6 keys lost");
  }

  @Test
  void few_keys_or_a_small_part_of_many_may_go() {
    lost("UPDATE a SET data = $1", 2, 2, 9, "\"x\"");
    lost("UPDATE b SET data = $1", 9, 4, 9, "\"y\"");
    assertThat(messages()).isEmpty();
    assertThat(tally.statements(Set.of()))
        .allSatisfy(statement -> assertThat(statement.keysLost()).hasSize(1));
  }

  @Test
  void what_was_rolled_back_is_told_with_the_calls() {
    update(BY_ID, "a", "a", "v", 2);
    assertThat(tally.xids()).containsExactly("9");
    assertThat(tally.statements(Set.of("9")).getFirst().callsRolledBack()).isEqualTo(1);
    assertThat(tally.statements(Set.of()).getFirst().callsRolledBack()).isZero();
  }

  @Test
  void only_what_was_there_before_is_missed_when_it_is_dropped() {
    tally.add(
        """
        {"operation": "drop", "statement": "DROP TABLE users, mine", "xid": "9", "objects": [
          {"kind": "table", "schema": "public", "name": "users", "column": null, "oid": 7},
          {"kind": "table", "schema": "public", "name": "mine", "column": null, "oid": 8}]}
        """);
    assertThat(tally.findings())
        .containsExactly(
            new WatchFinding(
                "drop-table",
                "warning",
                "public",
                "users",
                null,
                "table users dropped, which was there before",
                "DROP TABLE users, mine"));
    assertThat(tally.dropped(Set.of("9"))).hasSize(2).allMatch(WatchReport.Dropped::rolledBack);
  }
}
