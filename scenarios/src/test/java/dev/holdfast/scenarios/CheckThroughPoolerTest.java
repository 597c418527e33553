package dev.holdfast.scenarios;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.operations.Asker;
import dev.holdfast.operations.Check;
import dev.holdfast.operations.CheckResult;
import dev.holdfast.operations.CheckResult.Verdict;
import dev.holdfast.operations.Expectation;
import dev.holdfast.operations.LogEntry;
import dev.holdfast.operations.Progress;
import dev.holdfast.operations.Protect;
import dev.holdfast.operations.Record;
import dev.holdfast.operations.RecordOptions;
import dev.holdfast.testkit.TestServer;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** An application knows its database by the pooler's address. */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class CheckThroughPoolerTest {
  private static final Expectation PRODUCTION = Expectation.to("acme/production");

  @TempDir Path folder;

  @Test
  void behind_a_pooler_the_database_is_itself_and_another_one_is_another() {
    try (TestServer server =
        TestServer.start(17, Map.of("max_slot_wal_keep_size", "1GB", "wal_level", "replica"))) {
      server.execute("CREATE DATABASE shop", "CREATE DATABASE fresh");
      server.executeIn("shop", "CREATE TABLE users (id int)", "INSERT INTO users VALUES (1)");
      String repository = folder.resolve("repository").toString();
      new Protect(repository, new Protect.NewRepository(false, null))
          .run(
              new Protect.Request(
                  "acme", server.url("shop"), "production", server.url("shop"), true, true, 1),
              Progress.SILENT);
      Record recorder = new Record(repository, "acme", RecordOptions.DEFAULT.withFlushSeconds(0.1));
      CompletableFuture<Void> recording =
          CompletableFuture.runAsync(
              () -> recorder.run(Listening.SILENT), Thread::startVirtualThread);
      try (PgBouncer pooler = PgBouncer.before(server.server().port(), "postgres")) {
        String direct = ":" + server.server().port() + "/";
        String pooled = ":" + pooler.port() + "/";
        // The recorder connects a moment later; until then nobody can say more.
        await(() -> check(repository, server.url("shop")).verdict() == Verdict.SAME);
        CheckResult behind = check(repository, server.url("shop").replace(direct, pooled));
        assertThat(behind.verdict()).as(behind.toString()).isEqualTo(Verdict.SAME);
        assertThat(behind.notedIn()).containsExactly("database", "repository");
        CheckResult fresh = check(repository, server.url("fresh").replace(direct, pooled));
        assertThat(fresh.verdict()).isEqualTo(Verdict.EMPTY);
        assertThat(fresh.expected()).isFalse();
      } finally {
        recorder.stop();
        recording.orTimeout(60, TimeUnit.SECONDS).join();
      }
    }
  }

  private static CheckResult check(String repository, String url) {
    return new Check(repository, new Asker("billing", "web-1", null)).of(url, null, PRODUCTION);
  }

  private interface Condition {
    boolean holds();
  }

  private static void await(Condition condition) {
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
    while (!condition.holds()) {
      assertThat(System.nanoTime()).isLessThan(deadline);
    }
  }

  private enum Listening implements Record.Listener {
    SILENT;

    @Override
    public void destructive(LogEntry entry) {}

    @Override
    public void say(String line) {}
  }
}
