package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.failure.OperatorException;
import dev.holdfast.row.TableName;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
class GivenTableTest {
  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      quoteCharacter = '\'',
      value = {
        // given; database; schema; table
        "users; shop; public; users",
        "users; shop; app; users",
        "Users; shop; public; users",
        "Users; shop; public; Users",
        "app.users; shop; app; users",
        "APP.Users; shop; app; users",
        "shop.app.users; shop; app; users",
        "Shop.app.users; ; app; users",
        "\"Users\"; shop; public; Users",
        "\"a.b\".\"c,\"\"d\"; shop; a.b; 'c,\"d'",
      })
  void a_name_means_what_it_says(String given, String database, String schema, String table) {
    assertThat(GivenTable.parse(given).getFirst().means(database, new TableName(schema, table)))
        .isTrue();
  }

  @ParameterizedTest
  @CsvSource({
    "user, shop, public, users",
    "\"Users\", shop, public, users",
    "\"users\", shop, public, Users",
    "users, shop, public, Users",
    "app.users, shop, public, users",
    "other.app.users, shop, app, users",
    "\"app.users\", shop, app, users",
  })
  void and_nothing_else(String given, String database, String schema, String table) {
    assertThat(GivenTable.parse(given).getFirst().means(database, new TableName(schema, table)))
        .isFalse();
  }

  @Test
  void several_stand_with_commas_between() {
    assertThat(GivenTable.parse("users, app.orders,\"a,b\""))
        .extracting(GivenTable::text)
        .containsExactly("users", "app.orders", "\"a,b\"");
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "a,", ",a", "a..b", "a.b.c.d", "\"a", "\"a\"b", "\"\"", " "})
  void what_is_no_list_of_names_is_refused(String text) {
    assertThatThrownBy(() -> GivenTable.parse(text))
        .isInstanceOf(OperatorException.class)
        .hasMessageContaining("DATABASE.SCHEMA.TABLE");
  }
}
