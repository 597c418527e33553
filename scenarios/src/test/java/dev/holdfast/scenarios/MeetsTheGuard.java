package dev.holdfast.scenarios;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.scenarios.GuardedDatabase.Guarded;
import dev.holdfast.testkit.Majors;
import dev.holdfast.testkit.TestServer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * What the guard promises to every client, on PostgreSQL 17, and on others with {@code
 * -Dholdfast.scenarios.majors=14,15,16,17,18}. That an act really destroys is shown first: else its
 * refusal would prove nothing.
 */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
abstract class MeetsTheGuard {
  private static final List<Integer> MAJORS = Majors.of("holdfast.scenarios.majors", "17");

  private static final Pattern TABLE = Pattern.compile("\\w+\\.\\w+");

  private final Map<Integer, TestServer> servers = new HashMap<>();
  private final List<Work> works = new ArrayList<>();
  private final Map<Work, Worked> productions = new HashMap<>();
  private int databases;

  /** The clients, whose acts are tried one by one. */
  abstract List<Client> clients();

  /** The way of a client to a database. */
  Address address(GuardedDatabase database) {
    return database.address();
  }

  /** A client on a major version of PostgreSQL. */
  record Work(int major, Client client) {
    @Override
    public String toString() {
      return client.name() + " on " + major;
    }
  }

  /** One act of it. */
  record Deed(Work work, Act act) {
    @Override
    public String toString() {
      return work.client.name() + " " + act.name() + " on " + work.major;
    }
  }

  Stream<Work> works() {
    if (works.isEmpty()) {
      List<Client> clients = clients();
      MAJORS.forEach(major -> clients.forEach(client -> works.add(new Work(major, client))));
    }
    return works.stream();
  }

  Stream<Deed> deeds() {
    return works().flatMap(work -> work.client.acts().stream().map(act -> new Deed(work, act)));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("works")
  void ordinary_work_passes_on_production_without_a_permit(Work work) {
    Worked production = production(work);

    assertThat(production.outcome).isEqualTo(new Outcome.Done());
    assertThat(production.database.contents().rows("public.users")).isEqualTo(Client.PEOPLE);
    assertThat(production.database.contents().rows("public.orders")).isEqualTo(Client.ORDERS);
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("deeds")
  void an_act_destroys_where_no_guard_is(Deed deed) {
    destroys(deed, Guarded.NOT);
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("deeds")
  void an_act_goes_through_unhindered_on_development(Deed deed) {
    destroys(deed, Guarded.DEVELOPMENT);
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("deeds")
  void an_act_is_refused_on_production_and_nothing_is_lost(Deed deed) {
    Worked production = production(deed.work);
    assertThat(production.outcome).isEqualTo(new Outcome.Done());
    Contents before = production.database.contents();

    Outcome outcome = deed.work.client.commit(deed.act, production.address);

    Contents after = production.database.contents();
    assertThat(after.tables()).as("what is there after %s", outcome).isEqualTo(before.tables());
    if (!deed.act.dropsForeignKeysFirst()) {
      assertThat(after.constraints()).isEqualTo(before.constraints());
    }
    assertThat(outcome).isInstanceOf(Outcome.Failed.class);
    Outcome.Failed refused = (Outcome.Failed) outcome;
    assertThat(refused.sqlState()).as(refused.shown()).isEqualTo(deed.act.sqlState());
    assertThat(refused.shown()).contains(refused.message());
    if (deed.act.isRefusedByTheGuard()) {
      assertThat(refused.message()).contains("is shop/production;").containsPattern(lost(deed.act));
      assertThat(refused.hint()).contains("holdfast guard permit shop --allow");
    }
  }

  /** Of the tables that would lose something, the one that is come to first. */
  private static Pattern lost(Act act) {
    return Pattern.compile(
        act.losses().stream()
            .flatMap(loss -> TABLE.matcher(loss).results())
            .map(found -> Pattern.quote(found.group()))
            .collect(Collectors.joining("|")));
  }

  private void destroys(Deed deed, Guarded guarded) {
    Worked worked = work(deed.work, guarded);
    assertThat(worked.outcome).isEqualTo(new Outcome.Done());
    Contents before = worked.database.contents();

    Outcome outcome = deed.work.client.commit(deed.act, worked.address);

    assertThat(outcome).isEqualTo(new Outcome.Done());
    assertThat(before.lossesTo(worked.database.contents()))
        .containsExactlyInAnyOrderElementsOf(deed.act.losses());
  }

  /** A database in which a client has done its ordinary work, and how that went. */
  private record Worked(GuardedDatabase database, Address address, Outcome outcome) {}

  /** One for all acts of a client: each is to leave it as it was. */
  private Worked production(Work work) {
    return productions.computeIfAbsent(work, _ -> work(work, Guarded.PRODUCTION));
  }

  private Worked work(Work work, Guarded guarded) {
    GuardedDatabase database = empty(work.major, guarded);
    Address address = address(database);
    Outcome outcome = work.client.ordinary(address);
    database.analyze();
    return new Worked(database, address, outcome);
  }

  /** A database without tables. */
  GuardedDatabase empty(int major, Guarded guarded) {
    TestServer server = servers.computeIfAbsent(major, TestServer::start);
    return GuardedDatabase.create(server, "shop_" + databases++, guarded);
  }

  static Stream<Integer> majors() {
    return MAJORS.stream();
  }

  @AfterAll
  void stopServers() {
    servers.values().forEach(TestServer::close);
  }
}
