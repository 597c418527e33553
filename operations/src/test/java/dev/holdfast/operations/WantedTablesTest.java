package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.failure.OperatorException;
import dev.holdfast.postgres.Catalog;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

class WantedTablesTest {
  private static final Catalog CATALOG =
      new Catalog(
          "0/3000000",
          Instant.EPOCH,
          18,
          List.of(
              database(
                  5,
                  "shop",
                  List.of(
                      relation(16400, "public", "users", "r"),
                      relation(16401, "public", "Users", "r"),
                      relation(16402, "billing", "invoices", "p"),
                      relation(16403, "public", "odd, \"na.me", "r"),
                      relation(16404, "public", "active_users", "v"),
                      relation(16405, "public", "users_pkey", "i"),
                      relation(16406, "public", "orders", "r"))),
              database(
                  16390,
                  "Archive",
                  List.of(
                      relation(16400, "public", "orders", "r"),
                      relation(16410, "public", "old_orders", "r")))),
          null,
          null);

  private static WantedTables find(String names, @Nullable String database) {
    return WantedTables.find("cannot", CATALOG, GivenTable.parse(names), database);
  }

  @Test
  void names_are_taken_as_spelled_else_as_sql_folds_them() {
    assertThat(find("users", null).byOid()).containsOnlyKeys(16400L);
    assertThat(find("Users", null).byOid()).containsOnlyKeys(16401L);
    assertThat(find("USERS, Billing.INVOICES", null).byOid()).containsOnlyKeys(16400L, 16402L);
    assertThat(find("public.\"Users\"", null).byOid()).containsOnlyKeys(16401L);
    assertThat(find("\"odd, \"\"na.me\",shop.public.users", null).byOid())
        .containsOnlyKeys(16403L, 16400L);
    assertThat(find("\"Archive\".public.orders", null).database()).isEqualTo("Archive");
    assertThat(find("SHOP.public.orders", null).database()).isEqualTo("shop");
  }

  @Test
  void the_database_is_the_only_one_that_has_them_all_or_the_one_that_is_named() {
    assertThat(find("orders, users", null).databaseOid()).isEqualTo(5);
    assertThat(find("orders, old_orders", null).databaseOid()).isEqualTo(16390);
    assertThat(find("orders", "Archive").databaseOid()).isEqualTo(16390);
    assertThatThrownBy(() -> find("orders", null))
        .isInstanceOf(OperatorException.class)
        .hasMessageContaining("they are in more than one database: shop, Archive")
        .hasMessageContaining("--database");
    assertThatThrownBy(() -> find("users, old_orders", null))
        .hasMessageContaining("not all in one database");
    assertThatThrownBy(() -> find("users", "shopp"))
        .hasMessageContaining("there is no database \"shopp\"")
        .hasMessageContaining("shop, Archive");
  }

  @Test
  void an_unknown_name_is_told_with_those_like_it() {
    assertThatThrownBy(() -> find("user", "shop"))
        .isInstanceOf(OperatorException.class)
        .hasMessageContaining("there is no table user")
        .hasMessageContaining("did you mean public.users or public.\"Users\" or");
    assertThatThrownBy(() -> find("invoices", null))
        .hasMessageContaining("did you mean shop.billing.invoices?");
    assertThatThrownBy(() -> find("\"USERS\"", null)).hasMessageContaining("did you mean");
    assertThatThrownBy(() -> find("users_pkey", null)).hasMessageContaining("no table users_pkey");
    assertThatThrownBy(() -> find("active_users", null))
        .hasMessageContaining("active_users is a view")
        .hasMessageContaining("name the tables that hold the rows");
  }

  private static Catalog.Database database(
      long oid, String name, List<Catalog.Relation> relations) {
    return new Catalog.Database(
        oid, name, 1663, true, new ArrayList<>(relations), List.of(), null, null);
  }

  private static Catalog.Relation relation(long oid, String schema, String name, String kind) {
    return new Catalog.Relation(
        oid, schema, name, kind, oid, 1663, "p", 0, 1, 8192, List.of(), List.of(), null, null,
        null);
  }
}
