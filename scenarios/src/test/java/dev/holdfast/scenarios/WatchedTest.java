package dev.holdfast.scenarios;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.operations.Progress;
import dev.holdfast.operations.Watch;
import dev.holdfast.operations.WatchLimits;
import dev.holdfast.operations.WatchReport;
import dev.holdfast.operations.WatchReport.WatchFinding;
import dev.holdfast.scenarios.GuardedDatabase.Guarded;
import dev.holdfast.testkit.TestServer;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.assertj.core.api.InstanceOfAssertFactories;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * What {@code holdfast watch} says of incident B's code (src/test/node/phone-endpoint.mjs), as its
 * authors would have read it after their tests.
 */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
final class WatchedTest {
  private static final int USERS = 30;
  private static final int CALLS = 20;

  private TestServer server;
  private int databases;

  @BeforeAll
  void start() {
    NodeClients.install();
    server = TestServer.start(17);
  }

  @AfterAll
  void stop() {
    server.close();
  }

  @ParameterizedTest
  @ValueSource(strings = {"JSON", "JSONB"})
  void the_endpoint_that_replaced_the_document_is_an_error_with_the_lost_keys(String type) {
    WatchReport report = watch("changePhone", type, WatchLimits.USUAL);

    assertThat(report.findings())
        .singleElement(InstanceOfAssertFactories.type(WatchFinding.class))
        .satisfies(finding -> {
          assertThat(finding.rule()).isEqualTo("json-keys-lost");
          assertThat(finding.level()).isEqualTo("error");
          assertThat(finding.message())
              .isEqualTo(
                  "20 updates of users.data, 3 of 4 keys lost in each: address, country, postal");
          assertThat(finding.statement()).startsWith("UPDATE \"users\" SET \"data\"=");
        });
    assertThat(Watch.exitCode(report)).isEqualTo(4);
  }

  @ParameterizedTest
  @ValueSource(strings = {"JSON", "JSONB"})
  void the_wrong_cure_is_said_to_hit_the_same_row_each_time(String type) {
    WatchReport report = watch("changePhoneOfTheFirst", type, WatchLimits.USUAL);

    assertThat(report.findings())
        .singleElement(InstanceOfAssertFactories.type(WatchFinding.class))
        .satisfies(finding -> {
          assertThat(finding.rule()).isEqualTo("same-row");
          assertThat(finding.level()).isEqualTo("warning");
          assertThat(finding.message())
              .startsWith("20 calls, 20 updates, 1 distinct row of users:");
        });
    assertThat(Watch.exitCode(report)).isZero();
    assertThat(Watch.exitCode(watch("changePhoneOfTheFirst", type, STRICT))).isEqualTo(4);
  }

  private static final WatchLimits STRICT =
      new WatchLimits(
          WatchLimits.USUAL.keysMin(),
          WatchLimits.USUAL.keysLostShare(),
          WatchLimits.USUAL.sameRowCalls(),
          WatchLimits.USUAL.massRows(),
          WatchLimits.USUAL.massShare(),
          true);

  private WatchReport watch(String endpoint, String type, WatchLimits limits) {
    GuardedDatabase database = GuardedDatabase.create(server, "shop_" + databases++, Guarded.NOT);
    // The tests' own users, who are there before: not what is looked for.
    run(database, "register", Map.of("type", type, "users", USERS), limits);
    List<Map<String, Object>> calls =
        IntStream.range(0, CALLS)
            .map(call -> USERS - call)
            .mapToObj(id -> Map.<String, Object>of("id", id, "phone", "+47" + id))
            .toList();
    return run(database, endpoint, Map.of("type", type, "calls", calls), limits);
  }

  private static WatchReport run(
      GuardedDatabase database, String act, Map<String, ?> parameters, WatchLimits limits) {
    WatchReport report =
        Watch.of(database.address().url())
            .run(
                new Watch.Request(
                    NodeClients.command("phone-endpoint", act, parameters), true, false, limits),
                Progress.SILENT);
    assertThat(report.commandExitCode()).isZero();
    assertThat(report.complete()).isTrue();
    return report;
  }
}
