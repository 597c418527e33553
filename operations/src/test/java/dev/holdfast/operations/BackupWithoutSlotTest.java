package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.testkit.TestServer;
import java.nio.file.Files;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What a server removes while a base backup of it is taken is missing from it for ever. */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class BackupWithoutSlotTest {
  private static final String SLOTS =
      "SELECT concat_ws(' ', slot_type, temporary, active) FROM pg_replication_slots";

  private static Protect.Request withoutSlot(TestServer server) {
    return new Protect.Request(
        "acme", server.url("postgres"), "staging", server.url("postgres"), false, false, 1);
  }

  /** Does something as soon as files are copied. */
  private static Progress copying(Runnable deed) {
    return new Progress() {
      @Override
      public Phase begin(String name, long total, Unit unit) {
        deed.run();
        return Progress.SILENT.begin(name, total, unit);
      }

      @Override
      public void say(String line) {}
    };
  }

  @ParameterizedTest
  @ValueSource(ints = {14, 18})
  void the_server_keeps_what_is_to_be_sent_and_nothing_is_left_behind(int major) {
    try (TestServer server = TestServer.start(major)) {
      String repository = server.folder().resolve("repository").toString();
      List<String> seen = new CopyOnWriteArrayList<>();
      new Protect(repository)
          .run(withoutSlot(server), copying(() -> seen.addAll(server.query(SLOTS))));
      assertThat(seen).contains("physical t t");
      assertThat(server.query(SLOTS)).doesNotContain("physical t t");
    }
  }

  @Test
  void a_server_without_slots_is_backed_up_all_the_same() {
    // Whether its checkpoint removes what the backup needs is a matter of milliseconds: then it is
    // taken again.
    try (TestServer server = TestServer.start(18, Map.of("max_replication_slots", "0"))) {
      String repository = server.folder().resolve("repository").toString();
      ProtectResult result = new Protect(repository).run(withoutSlot(server), Progress.SILENT);
      assertThat(
              new Verify(repository)
                  .run(new Verify.Request("acme", 100, 1), Progress.SILENT)
                  .problems())
          .isEmpty();
      assertThat(result.base().bytes()).isPositive();
    }
  }

  @Test
  void what_was_lost_once_is_taken_again() {
    try (TestServer server = TestServer.start(18, Map.of("max_replication_slots", "0"))) {
      String repository = server.folder().resolve("repository").toString();
      AtomicBoolean lost = new AtomicBoolean();
      List<String> said = new CopyOnWriteArrayList<>();
      Progress once =
          new Progress() {
            @Override
            public Phase begin(String name, long total, Unit unit) {
              if (!lost.getAndSet(true)) {
                lose(server);
              }
              return Progress.SILENT.begin(name, total, unit);
            }

            @Override
            public void say(String line) {
              said.add(line);
            }
          };
      ProtectResult result = new Protect(repository).run(withoutSlot(server), once);
      assertThat(result.base().bytes()).isPositive();
      assertThat(said).anyMatch(line -> line.startsWith("the base backup is taken again: "));
    }
  }

  @Test
  @Timeout(value = 180, unit = TimeUnit.SECONDS) // it is given up soon, not after ten minutes
  void what_was_removed_before_it_was_sent_is_not_waited_for() {
    try (TestServer server = TestServer.start(18, Map.of("max_replication_slots", "0"))) {
      String repository = server.folder().resolve("repository").toString();
      Progress losing = copying(() -> lose(server));
      assertThatThrownBy(() -> new Protect(repository).run(withoutSlot(server), losing))
          .isInstanceOfSatisfying(
              OperatorException.class,
              failure -> {
                assertThat(failure.kind()).isEqualTo(Kind.FAILED);
                assertThat(failure.next()).contains("removed that WAL before it was sent");
              });
    }
  }

  /** Keeps the receiver away until the server has removed all the WAL that it has now. */
  private static void lose(TestServer server) {
    List<String> before = segments(server);
    do {
      server.execute(
          "SELECT pg_terminate_backend(pid) FROM pg_stat_replication",
          "SELECT pg_logical_emit_message(true, 'test', repeat('x', 1000000)), pg_switch_wal()",
          "SELECT pg_logical_emit_message(true, 'test', repeat('x', 1000000)), pg_switch_wal()",
          "CHECKPOINT");
    } while (segments(server).stream().anyMatch(before::contains));
  }

  private static List<String> segments(TestServer server) {
    try (var files = Files.list(server.server().data().resolve("pg_wal"))) {
      String now = server.value("SELECT pg_walfile_name(pg_current_wal_lsn())");
      return files
          .map(file -> file.getFileName().toString())
          .filter(name -> name.length() == 24 && name.compareTo(now) <= 0)
          .toList();
    } catch (java.io.IOException e) {
      throw new java.io.UncheckedIOException(e);
    }
  }
}
