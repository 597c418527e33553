package dev.holdfast.scenarios;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.scenarios.GuardedDatabase.Guarded;
import dev.holdfast.testkit.TestServer;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * An endpoint that was meant to change a phone number, and whose update replaced the JSON document
 * that the number was a key of. The code is its authors' (src/test/node/phone-endpoint.mjs).
 */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
final class IncidentBTest {
  private static final int USERS = 30;
  private static final int CALLS = 20;

  /** Documents of which a key besides the phone number is gone. */
  private static final String STRIPPED =
      "SELECT count(*) FROM users WHERE (SELECT count(*) FROM jsonb_object_keys(data::jsonb)) < 4";

  private static final String NEW_NUMBERS =
      "SELECT count(*) FROM users WHERE data->>'phone' LIKE '+47%'";

  private static final String OWN_NUMBERS =
      "SELECT count(*) FROM users WHERE data->>'phone' = '+47' || id";

  private final Map<Integer, TestServer> servers = new HashMap<>();
  private final NodeClients node = NodeClients.start();
  private int databases;

  /** Where the document is kept: Sequelize's type of it, on a major version of PostgreSQL. */
  record Column(int major, String type) {}

  static Stream<Column> columns() {
    return MeetsTheGuard.majors()
        .flatMap(major -> Stream.of(new Column(major, "JSON"), new Column(major, "JSONB")));
  }

  @ParameterizedTest
  @MethodSource("columns")
  void without_a_guard_every_call_strips_a_user_of_the_other_keys(Column column) {
    GuardedDatabase database = withUsers(column, Guarded.NOT);

    assertThat(changePhones("changePhone", column, database)).isEqualTo(new Outcome.Done());

    assertThat(value(database, STRIPPED)).isEqualTo(CALLS);
    assertThat(value(database, NEW_NUMBERS)).isEqualTo(CALLS);
  }

  @ParameterizedTest
  @MethodSource("columns")
  void enforced_the_first_call_is_refused_and_the_keys_are_named(Column column) {
    GuardedDatabase database = withUsers(column, Guarded.PRODUCTION);
    Contents before = database.contents();

    Outcome outcome = changePhones("changePhone", column, database);

    assertThat(outcome)
        .isInstanceOfSatisfying(
            Outcome.Failed.class,
            refused -> {
              assertThat(refused.sqlState()).isEqualTo("HF001");
              assertThat(refused.message()).contains("is shop/production;", "public.users.data");
              assertThat(refused.message() + refused.detail())
                  .contains("address", "country", "postal");
              assertThat(refused.message() + refused.detail()).doesNotContain("phone");
              assertThat(refused.hint()).contains("holdfast guard permit");
            });
    assertThat(database.contents()).isEqualTo(before);
  }

  @ParameterizedTest
  @MethodSource("columns")
  void observed_it_passes_and_the_observation_names_table_column_and_keys(Column column) {
    GuardedDatabase database = withUsers(column, Guarded.PRODUCTION_AS_INSTALLED);

    assertThat(changePhones("changePhone", column, database)).isEqualTo(new Outcome.Done());

    assertThat(value(database, STRIPPED)).isEqualTo(CALLS);
    assertThat(database.observations("json-keys-lost"))
        .isNotEmpty()
        .allSatisfy(observation ->
            assertThat(observation)
                .contains("users", "data", "address", "country", "postal", "api"));
  }

  @ParameterizedTest
  @MethodSource("columns")
  void development_lets_it_pass(Column column) {
    GuardedDatabase database = withUsers(column, Guarded.DEVELOPMENT);

    assertThat(changePhones("changePhone", column, database)).isEqualTo(new Outcome.Done());

    assertThat(value(database, STRIPPED)).isEqualTo(CALLS);
  }

  /** It strips nothing: that one row takes all calls is what {@code holdfast watch} shows. */
  @ParameterizedTest
  @MethodSource("columns")
  void the_wrong_cure_passes_and_changes_the_first_user_alone(Column column) {
    GuardedDatabase database = withUsers(column, Guarded.PRODUCTION);

    assertThat(changePhones("changePhoneOfTheFirst", column, database))
        .isEqualTo(new Outcome.Done());

    assertThat(value(database, STRIPPED)).isZero();
    assertThat(value(database, NEW_NUMBERS)).isEqualTo(1);
  }

  /** As bad, and in the rows it touches hard to tell from right: nobody gets their own number. */
  @ParameterizedTest
  @MethodSource("columns")
  void without_an_order_the_wrong_cure_gives_the_numbers_to_others(Column column) {
    GuardedDatabase database = withUsers(column, Guarded.PRODUCTION);

    assertThat(changePhones("changePhoneOfAnyone", column, database)).isEqualTo(new Outcome.Done());

    assertThat(value(database, STRIPPED)).isZero();
    assertThat(value(database, NEW_NUMBERS)).isEqualTo(CALLS);
    assertThat(value(database, OWN_NUMBERS)).isZero();
  }

  private GuardedDatabase withUsers(Column column, Guarded guarded) {
    TestServer server = servers.computeIfAbsent(column.major, TestServer::start);
    GuardedDatabase database = GuardedDatabase.create(server, "shop_" + databases++, guarded);
    assertThat(
            node.run(
                "phone-endpoint",
                "register",
                database.address(),
                Map.of("type", column.type, "users", USERS)))
        .isEqualTo(new Outcome.Done());
    assertThat(value(database, STRIPPED)).isZero();
    return database;
  }

  private Outcome changePhones(String endpoint, Column column, GuardedDatabase database) {
    List<Map<String, Object>> calls =
        IntStream.range(0, CALLS)
            .map(call -> USERS - call)
            .mapToObj(id -> Map.<String, Object>of("id", id, "phone", "+47" + id))
            .toList();
    return node.run(
        "phone-endpoint",
        endpoint,
        database.address(),
        Map.of("type", column.type, "calls", calls));
  }

  private static long value(GuardedDatabase database, String sql) {
    return Long.parseLong(database.query(sql).getFirst().getFirst());
  }

  @AfterAll
  void stop() {
    node.close();
    servers.values().forEach(TestServer::close);
  }
}
