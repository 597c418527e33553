package dev.holdfast.postgres;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.testkit.TestServer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.sql.Connection;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class PostgresUrlTest {
  @TempDir Path home;

  private PostgresUrl parse(String text) {
    return PostgresUrl.parse(text, Map.of(), home);
  }

  @Test
  void a_uri_names_hosts_database_user_and_parameters() {
    PostgresUrl url =
        parse(
            "postgresql://app%40x:p%3Aw%2F@h1:5433,[::1]:6000,h3/shop%20db"
                + "?sslmode=require&target_session_attrs=read-write&connect_timeout=3");
    assertThat(url.hosts())
        .containsExactly(
            new PostgresUrl.Host("h1", 5433),
            new PostgresUrl.Host("::1", 6000),
            new PostgresUrl.Host("h3", 5432));
    assertThat(url.user()).isEqualTo("app@x");
    assertThat(url.database()).isEqualTo("shop db");
    assertThat(url.withoutPassword())
        .isEqualTo(
            "postgresql://app%40x@h1:5433,[::1]:6000,h3:5432/shop%20db"
                + "?connect_timeout=3&sslmode=require&target_session_attrs=read-write");
    assertThat(parse(url.withoutPassword()).withoutPassword()).isEqualTo(url.withoutPassword());
  }

  @Test
  void keywords_and_values_say_the_same() {
    PostgresUrl url =
        parse(
            "host=h1,h2 port = 5433 dbname='two words' user=a\\'b password='it''s'"
                .replace("''s", "\\'s"));
    assertThat(url.hosts())
        .containsExactly(new PostgresUrl.Host("h1", 5433), new PostgresUrl.Host("h2", 5433));
    assertThat(url.database()).isEqualTo("two words");
    assertThat(url.user()).isEqualTo("a'b");
  }

  @Test
  void the_environment_and_a_service_fill_what_the_text_leaves_open() throws Exception {
    Files.writeString(
        home.resolve(".pg_service.conf"),
        "# ours\n[other]\nhost=nowhere\n[shop]\nhost=db1\nport=6543\ndbname=shop\nuser=app\n");
    PostgresUrl url =
        PostgresUrl.parse(
            "user=me",
            Map.of("PGSERVICE", "shop", "PGDATABASE", "x", "PGSSLMODE", "disable"),
            home);
    assertThat(url.withoutPassword()).isEqualTo("postgresql://me@db1:6543/shop?sslmode=disable");
    assertThat(PostgresUrl.parse("", Map.of("PGHOST", "h", "PGUSER", "u"), home).withoutPassword())
        .isEqualTo("postgresql://u@h:5432/u");
    assertThatThrownBy(() -> PostgresUrl.parse("service=gone", Map.of(), home))
        .isInstanceOfSatisfying(
            OperatorException.class,
            e -> {
              assertThat(e.kind()).isEqualTo(Kind.USAGE);
              assertThat(e.why()).startsWith("there is no section [gone] in ");
            });
  }

  @Test
  void no_text_form_shows_a_password() {
    for (String text :
        new String[] {
          "postgresql://u:s3cret@h/d",
          "postgresql://h/d?password=s3cret&user=u&sslpassword=s3cret",
          "host=h user=u password=s3cret dbname=d"
        }) {
      PostgresUrl url = parse(text);
      assertThat(url.redacted()).isEqualTo("postgresql://u:***@h:5432/d");
      assertThat(url).hasToString(url.redacted());
      assertThat(url.withoutPassword()).isEqualTo("postgresql://u@h:5432/d");
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          mysql://h/d                          | "mysql://" is not PostgreSQL's
          jdbc:postgresql://h/d                | this is a JDBC URL
          shop                                 | it is neither a URI nor keywords and values
          postgresql://h:70000/d               | what follows the host is not a port
          postgresql://u:s3cret/x@h/d          | what follows the host is not a port
          postgresql://[::1/d                  | a "]" is missing after the IPv6 address
          postgresql://h/d?sslmode=yes         | sslmode cannot be "yes"
          postgresql://h/d?connect_timeout=soon| connect_timeout cannot be "soon"
          postgresql://h/d?pool=3              | it has a parameter "pool" that PostgreSQL does not know
          postgresql://h/d?sslmode             | a parameter after "?" is not of the form name=value
          postgresql://u:p%zz@h/d              | a "%" is not followed by two hexadecimal digits
          postgresql://h1:1,h2:2,h3/d?port=1,2 | 3 hosts and 2 ports
          host=h s3cret                        | keywords and values do not alternate
          host=h password='open                | a closing ' is missing after password=
          postgresql://%2Fvar%2Frun/d          | host "/var/run" is a Unix socket, which Holdfast does not speak
          """,
      quoteCharacter = '`')
  void what_is_written_wrongly_is_a_usage_failure(String text, String why) {
    assertThatThrownBy(() -> parse(text))
        .isInstanceOfSatisfying(
            OperatorException.class,
            e -> {
              assertThat(e.kind()).isEqualTo(Kind.USAGE);
              assertThat(e.why()).isEqualTo(why);
              assertThat(e.next()).isNotBlank();
              assertThat(e.getMessage()).doesNotContain("s3cret");
            });
  }

  @Test
  void what_keeps_us_out_is_told_apart() throws Exception {
    try (TestServer server =
        TestServer.start(
            18,
            Map.of(
                "max_connections",
                "5",
                "superuser_reserved_connections",
                "0",
                "reserved_connections",
                "0",
                "max_wal_senders",
                "1"))) {
      server.execute(
          "CREATE ROLE app LOGIN PASSWORD 'right'",
          "CREATE ROLE sleeper NOLOGIN",
          "CREATE DATABASE closed ALLOW_CONNECTIONS false",
          "CREATE DATABASE strict",
          "REVOKE CONNECT ON DATABASE strict FROM PUBLIC");
      Path hba = server.server().data().resolve("pg_hba.conf");
      Files.writeString(
          hba,
          """
          host all postgres 127.0.0.1/32 trust
          host strict app 127.0.0.1/32 trust
          host all sleeper 127.0.0.1/32 trust
          host postgres,nowhere app 127.0.0.1/32 scram-sha-256
          """);
      server.execute("SELECT pg_reload_conf()");
      String host = "127.0.0.1:" + server.server().port();

      assertRefused(
          "postgresql://app:wrong@" + host + "/postgres",
          false,
          "the server refuses the password of user \"app\"");
      assertRefused(
          "postgresql://app@" + host + "/postgres",
          false,
          "the server asks for a password and none is known");
      assertRefused(
          "postgresql://postgres@" + host + "/nowhere",
          false,
          "database \"nowhere\" does not exist on this server");
      assertRefused(
          "postgresql://postgres@" + host + "/closed",
          false,
          "database \"closed\" is not currently accepting connections");
      assertRefused(
          "postgresql://app@" + host + "/strict",
          false,
          "permission denied for database \"strict\"");
      assertRefused(
          "postgresql://app@" + host + "/template1",
          false,
          "no pg_hba.conf entry for host \"127.0.0.1\", user \"app\", database \"template1\", no"
              + " encryption");
      assertRefused(
          "postgresql://sleeper@" + host + "/postgres",
          false,
          "role \"sleeper\" is not permitted to log in");
      assertRefused(
          "postgresql://postgres@" + host + "/postgres?sslmode=require",
          false,
          "no TLS connection: The server does not support SSL.");
      assertRefused(
          "postgresql://postgres@127.0.0.1:1/postgres",
          true,
          "nothing answers there (connection refused)");
      assertRefused(
          "postgresql://postgres@no-such-host.invalid/postgres",
          true,
          "the host name cannot be resolved");

      Connection[] all = new Connection[5];
      for (int i = 0; i < all.length; i++) {
        all[i] = server.connect();
      }
      assertRefused(
          "postgresql://postgres@" + host + "/postgres",
          true,
          "all of the server's connections are in use (sorry, too many clients already)");
      for (Connection connection : all) {
        connection.close();
      }

      Files.writeString(home.resolve(".pgpass"), "other:*:*:*:x\n127.0.0.1:*:postgres:app:right\n");
      Files.setPosixFilePermissions(
          home.resolve(".pgpass"), PosixFilePermissions.fromString("rw-------"));
      parse("postgresql://app@" + host + "/postgres").open().close();
      Files.setPosixFilePermissions(
          home.resolve(".pgpass"), PosixFilePermissions.fromString("rw-r--r--"));
      assertRefused(
          "postgresql://app@" + host + "/postgres",
          false,
          "the server asks for a password and none is known");
      PostgresUrl.parse(
              "postgresql://app@" + host + "/postgres", Map.of("PGPASSWORD", "right"), home)
          .open()
          .close();
    }
  }

  @Test
  void a_saved_password_is_found_again_and_readable_by_its_owner_only() throws Exception {
    Credentials credentials = Credentials.of(Map.of(), home);
    credentials.save("h:1", 5432, "holdfast", "old");
    credentials.save("h:1", 5432, "holdfast", "p:w\\d");
    credentials.save("other", 5432, "holdfast", "x");
    assertThat(credentials.file()).isEqualTo(home.resolve(".config/holdfast/pgpass"));
    assertThat(Files.getPosixFilePermissions(credentials.file()))
        .isEqualTo(PosixFilePermissions.fromString("rw-------"));
    assertThat(Files.readAllLines(credentials.file())).hasSize(2);
    assertThat(credentials.find("h:1", 5432, "any", "holdfast")).contains("p:w\\d");
    assertThat(credentials.find("h:1", 5433, "any", "holdfast")).isEmpty();
  }

  private void assertRefused(String url, boolean temporary, String why) {
    assertThatThrownBy(() -> parse(url).open().close())
        .isInstanceOfSatisfying(
            DatabaseUnreachableException.class,
            e -> {
              assertThat(e.why()).isEqualTo(why);
              assertThat(e.temporary()).isEqualTo(temporary);
              assertThat(e.what()).startsWith("cannot connect to postgresql://");
              assertThat(e.next()).isNotBlank();
              assertThat(e.getMessage()).doesNotContain("wrong");
            });
  }
}
