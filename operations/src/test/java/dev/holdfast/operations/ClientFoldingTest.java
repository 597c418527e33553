package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class ClientFoldingTest {
  @ParameterizedTest
  @CsvSource({
    "api, api",
    "app - 1234, app - *",
    "api - 10.0.0.7:52188, api - *",
    "api - [fe80::1:2]:52188, api - *",
    "worker17, worker*",
    "worker-17, worker-*",
    "api-7f9c6d5b8-x2x4z, api-*",
    "job 0f8fad5b-d9cb-469f-a165-70867728950e, job *",
    "build deadbeef12, build *",
    "PostgreSQL JDBC Driver, PostgreSQL JDBC Driver",
    "psql, psql",
    "42, *",
  })
  void what_differs_from_process_to_process_is_one_name(String given, String folded) {
    assertThat(ClientFolding.application(given)).isEqualTo(folded);
  }

  @Test
  void a_name_is_one_short_line_whatever_was_given() {
    assertThat(ClientFolding.name("a\n\u001b[31mb\u202e c")).isEqualTo("a [31mb c");
    assertThat(ClientFolding.name("x".repeat(500))).hasSize(63);
    assertThat(ClientFolding.application("")).isEmpty();
  }

  @ParameterizedTest
  @CsvSource({
    "10.0.3.17, 10.0.3.0/24, 10.0.0.0/16",
    "::ffff:10.0.3.17, 10.0.3.0/24, 10.0.0.0/16",
    "2001:db8:0:1::5, 2001:db8:0:1::/64, 2001:db8:0::/48",
    "2001:db8::5, 2001:db8:0:0::/64, 2001:db8:0::/48",
    "fe80::1%eth0, fe80:0:0:0::/64, fe80:0:0::/48",
    "127.0.0.1, local, local",
    "::1, local, local",
    ", local, local",
  })
  void an_address_is_told_by_its_network(String address, String network, String site) {
    assertThat(ClientFolding.network(address)).isEqualTo(network);
    assertThat(ClientFolding.site(network)).isEqualTo(site);
  }

  @Test
  void programs_that_people_sit_before_are_known() {
    assertThat(ClientFolding.isTool("psql")).isTrue();
    assertThat(ClientFolding.isTool("DBeaver * - SQLEditor")).isTrue();
    assertThat(ClientFolding.isTool("api")).isFalse();
  }
}
