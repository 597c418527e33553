package dev.holdfast.damage;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.row.TableName;
import java.util.List;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What is taken from a message that anybody may have written. */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class OriginTest {
  private static final TableName USERS = new TableName("public", "users");

  @Test
  void several_messages_add_up() {
    Origin first =
        of(
            """
            {"user": "ann", "application": "api", "database": "shop", "statement": "UPDATE 1",
             "rule": "json-keys-lost", "outcome": "permitted", "permit": 7, "tables": [
              {"schema": "public", "table": "users", "column": "data", "rows": 2, "keysBefore": 3,
               "exact": true, "keys": ["b", "a"]}]}
            """);
    Origin second =
        of(
            """
            {"user": "bob", "database": "shop", "statement": "UPDATE 2", "rule": "json-keys-lost",
             "tables": [
              {"schema": "public", "table": "users", "column": "data", "rows": 1000,
               "keysBefore": 5, "exact": false, "keys": ["c", "a"]},
              {"schema": "public", "table": "users", "column": "more", "rows": 1, "keysBefore": 9,
               "exact": true, "keys": ["z"]}]}
            """);

    Origin both = first.and(second).and(second);

    assertThat(both.user()).isEqualTo("bob");
    assertThat(both.application()).as("not taken back").isEqualTo("api");
    assertThat(both.statement()).isEqualTo("UPDATE 1");
    assertThat(both.moreStatements()).as("in a row it counts once").isEqualTo(1);
    assertThat(both.permit()).isEqualTo(7);
    assertThat(both.lossesOf("shop", USERS))
        .containsExactly(
            new JsonLoss("data", List.of("a", "b", "c"), 5, 2002, false),
            new JsonLoss("more", List.of("z"), 9, 2, true));
    assertThat(both.lossesOf("other", USERS)).isEmpty();
    assertThat(first.with(second).user()).as("a part does not overrule").isEqualTo("ann");
    assertThat(first.with(second).statement()).isEqualTo("UPDATE 1");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "no JSON",
        "[]",
        "null",
        "{\"user\": 7, \"statement\": [], \"permit\": \"7\", \"tables\": {}}",
        "{\"rule\": \"json-keys-lost\", \"permit\": -1, \"tables\": [null, 7, [], {}]}",
        "{\"rule\": \"json-keys-lost\", \"permit\": 1e400, \"tables\": [{\"schema\": \"public\","
            + " \"table\": \"users\", \"column\": \"data\", \"rows\": 99999999999999999999,"
            + " \"keys\": [\"a\"]}]}",
        "{\"rule\": \"json-keys-lost\", \"tables\": [{\"schema\": \"public\", \"table\": \"users\","
            + " \"column\": \"data\", \"rows\": 1, \"keys\": [1, null]}]}",
        "{\"rule\": \"mass-delete\", \"tables\": [{\"schema\": \"public\", \"table\": \"users\","
            + " \"rows\": 5}]}",
        "{\"rule\": \"mass-delete\", \"tables\": [{\"schema\": \"public\", \"table\": \"users\","
            + " \"column\": \"data\", \"rows\": 5, \"keys\": [\"a\"]}]}",
        "{\"rule\": \"json-keys-lost\", \"tables\": {\"x\": {\"schema\": \"public\", \"table\": \"users\","
            + " \"column\": \"data\", \"rows\": 1, \"keys\": [\"a\"]}}}",
        "{\"user\": \"ann\"} and more",
        "{\"user\": \"ann\"",
      })
  void what_is_malformed_tells_nothing(String message) {
    assertThat(of(message)).isEqualTo(Origin.UNKNOWN);
  }

  @Test
  void what_is_malformed_costs_nothing_but_itself() {
    Origin origin =
        of(
            """
            {"user": 7, "application": "api", "database": "shop", "rule": "json-keys-lost",
             "tables": [null, {"schema": "public", "table": "users", "column": "data", "rows": 2,
              "keysBefore": "3", "exact": 1, "keys": [1, null, "a", {}]}]}
            """);

    assertThat(origin.user()).isNull();
    assertThat(origin.application()).isEqualTo("api");
    assertThat(origin.lossesOf("shop", USERS))
        .containsExactly(new JsonLoss("data", List.of("a"), 0, 2, false));
  }

  @Test
  void what_is_too_long_or_no_text_can_be_kept_in_a_summary() {
    Origin origin =
        of(
            """
            {"user": "\\ud800", "statement": "%s", "database": "shop", "rule": "json-keys-lost",
             "tables": [{"schema": "public", "table": "users", "column": "data", "rows": 1,
              "keysBefore": 99999999999, "keys": [%s"\\udc00"]}]}
            """
                .formatted(
                    "\ud83d\ude00".repeat(20_000),
                    "\"%s\", ".formatted("k".repeat(70_000)).repeat(2)));

    assertThat(origin.user()).isEqualTo("?");
    assertThat(origin.statement()).hasSizeLessThanOrEqualTo(4000).endsWith("…");
    assertThat(origin.lossesOf("shop", USERS))
        .singleElement()
        .satisfies(loss -> {
          assertThat(loss.keys()).hasSize(2).contains("?");
          assertThat(loss.keys()).allMatch(key -> key.length() <= 200);
          assertThat(loss.exact()).isFalse();
        });
  }

  private static Origin of(String message) {
    return Origin.of(message.getBytes(UTF_8));
  }
}
