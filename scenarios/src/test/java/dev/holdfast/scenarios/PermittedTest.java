package dev.holdfast.scenarios;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.scenarios.GuardedDatabase.Guarded;
import dev.holdfast.testkit.TestServer;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Migrations that are meant to destroy, each with a permit, which is good for one of them. */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
final class PermittedTest {
  private TestServer server;
  private NodeClients node;
  private @Nullable PgBouncer pooler;
  private int databases;

  @BeforeAll
  void start() {
    server = TestServer.start(17);
    node = NodeClients.start();
  }

  @AfterAll
  void stop() {
    if (pooler != null) {
      pooler.close();
    }
    node.close();
    server.close();
  }

  @Test
  void knex_rolls_all_back_on_a_connection_that_is_opened_with_the_permit_of_a_run() {
    runOnce(
        node.client(
            "knex",
            Act.of(
                "migrate:rollback --all",
                "table public.users",
                "table public.orders",
                "3 rows of public.knex_migrations")),
        "drop-table",
        "drop-column");
  }

  @Test
  void flyway_cleans_on_a_connection_that_is_opened_with_the_permit_of_a_run() {
    runOnce(new FlywayClient(), "drop-table");
  }

  /** The first act of the client, twice. */
  private void runOnce(Client client, String... rules) {
    GuardedDatabase database = worked(client);
    Contents before = database.contents();
    Act act = client.acts().getFirst();
    Address opened = database.address().openedWith(database.permit(true, rules));

    assertThat(client.commit(act, opened)).isEqualTo(new Outcome.Done());

    assertThat(before.lossesTo(database.contents()))
        .containsExactlyInAnyOrderElementsOf(act.losses());
    assertThat(client.ordinary(database.address())).isEqualTo(new Outcome.Done());
    database.analyze();
    Contents again = database.contents();
    assertRefused(client.commit(act, opened), "is bound to the session that used it first");
    assertThat(database.contents().tables()).isEqualTo(again.tables());
  }

  @ParameterizedTest
  @ValueSource(strings = {"pg", "sequelize"})
  void a_transaction_says_the_permit_and_drops_one_table(String client) {
    GuardedDatabase database = worked(node.client(client));
    migrateOnce(client, database, database.address());
  }

  @ParameterizedTest
  @ValueSource(strings = {"pg", "sequelize"})
  void behind_a_pooler_in_transaction_mode_nothing_else_is_needed(String client) {
    GuardedDatabase database = worked(node.client(client));
    Address behind = database.address().behind(pooler().port());
    migrateOnce(client, database, behind);
    // Nobody's permit is left in a session that the pooler hands on.
    assertRefused(PsqlClient.psql(behind.url(), List.of("BEGIN; DROP TABLE users; COMMIT")), null);
  }

  /** What SET without LOCAL leaves in a session, the pooler hands to whoever comes next. */
  @Test
  void a_permit_that_another_client_left_in_a_pooled_session_is_not_taken() {
    GuardedDatabase database = worked(node.client("pg"));
    Address behind = database.address().behind(pooler().port());
    String permit = database.permit(false, "drop-table");

    assertThat(PsqlClient.psql(behind.url(), List.of("SET holdfast.permit = '" + permit + "'")))
        .isEqualTo(new Outcome.Done());

    assertRefused(
        PsqlClient.psql(behind.url(), List.of("DROP TABLE orders")),
        "was not set inside this transaction");
    assertThat(migrate("pg", behind, permit, "orders")).isEqualTo(new Outcome.Done());
  }

  private PgBouncer pooler() {
    if (pooler == null) {
      pooler = PgBouncer.before(server.server().port(), "shop");
    }
    return pooler;
  }

  private void migrateOnce(String client, GuardedDatabase database, Address address) {
    Contents before = database.contents();
    String permit = database.permit(false, "drop-table");

    assertThat(migrate(client, address, permit, "orders")).isEqualTo(new Outcome.Done());

    Contents after = database.contents();
    assertThat(before.lossesTo(after)).containsExactly("table public.orders");
    assertRefused(migrate(client, address, permit, "users"), "was used already");
    assertThat(database.contents()).isEqualTo(after);
  }

  private Outcome migrate(String client, Address address, String permit, String table) {
    return node.run(
        client, "migration with a permit", address, Map.of("permit", permit, "table", table));
  }

  /**
   * @param whyNot null when no permit is to be seen
   */
  private static void assertRefused(Outcome outcome, @Nullable String whyNot) {
    assertThat(outcome)
        .isInstanceOfSatisfying(
            Outcome.Failed.class,
            refused -> {
              assertThat(refused.sqlState()).as(refused.shown()).isEqualTo("HF001");
              if (whyNot == null) {
                assertThat(refused.hint()).doesNotContain("The permit shown");
              } else {
                assertThat(refused.hint())
                    .startsWith("The permit shown does not do: ")
                    .contains(whyNot);
              }
            });
  }

  private GuardedDatabase worked(Client client) {
    GuardedDatabase database =
        GuardedDatabase.create(server, "shop_" + databases++, Guarded.PRODUCTION);
    assertThat(client.ordinary(database.address())).isEqualTo(new Outcome.Done());
    database.analyze();
    return database;
  }
}
