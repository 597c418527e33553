package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.testkit.TestServer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Names of tables, out of a repository; and WAL out of a repository. */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
class WalNamesTest {
  private static ProtectedServer recorded;
  private static Path wal;
  private static String xid;
  private static String from;

  @TempDir Path folder;

  private final List<WalNote> notes = new ArrayList<>();

  @BeforeAll
  static void record() throws Exception {
    recorded =
        ProtectedServer.start(
            17,
            "CREATE SCHEMA shop",
            "CREATE TABLE shop.orders (id int PRIMARY KEY, note text)",
            "CREATE TABLE public.users (id int PRIMARY KEY)",
            "INSERT INTO shop.orders SELECT g, 'n' FROM generate_series(1, 500) g",
            "INSERT INTO public.users VALUES (1)");
    TestServer server = recorded.server;
    from = server.value("SELECT pg_current_wal_insert_lsn()");
    xid =
        server.value(
            "WITH gone AS (DELETE FROM shop.orders WHERE id <= 20 RETURNING id)"
                + " SELECT pg_current_xact_id() FROM gone LIMIT 1");
    server.execute(
        "INSERT INTO public.users VALUES (2)",
        "UPDATE shop.orders SET note = (SELECT string_agg(md5(g::text), '')"
            + " FROM generate_series(1, 2000) g) WHERE id = 100");
    recorded.caughtUp();
    wal = WrittenWal.folder(server);
  }

  @AfterAll
  static void stop() {
    recorded.close();
  }

  private List<WalEntry> dump(
      WalFilter filter,
      @Nullable String repository,
      boolean required,
      @Nullable String cluster,
      Path... files) {
    List<WalEntry> entries = new ArrayList<>();
    notes.clear();
    new WalDump(new WalInput(List.of(files), repository, required, cluster))
        .run(filter, entries::add, notes::add);
    return entries;
  }

  private static WalFilter of(@Nullable String relation, @Nullable String transaction) {
    return new WalFilter(from, null, List.of(), relation, null, null, transaction, null);
  }

  @Test
  void files_find_their_cluster_by_its_system_identifier_and_name_their_tables() {
    List<WalEntry> deletes =
        dump(of(null, xid), recorded.repository, true, null, wal).stream()
            .filter(entry -> entry.info().equals("DELETE"))
            .toList();
    assertThat(deletes)
        .hasSize(20)
        .allSatisfy(entry -> {
          assertThat(entry.blocks().getFirst().table()).isEqualTo("shop.orders");
          assertThat(entry.blocks().getFirst().kind()).isEqualTo("table");
        });
  }

  @Test
  void a_table_stands_for_its_file_its_indexes_and_its_toast() {
    for (String name : List.of("shop.orders", "orders")) {
      List<WalEntry> entries = dump(of(name, null), recorded.repository, true, null, wal);
      assertThat(entries)
          .hasSizeGreaterThan(20)
          .allSatisfy(entry ->
              assertThat(entry.blocks())
                  .anySatisfy(block -> assertThat(block.table()).isEqualTo("shop.orders")));
      assertThat(entries.stream().flatMap(entry -> entry.blocks().stream()))
          .extracting(WalEntry.Block::kind)
          .contains("table", "toast")
          .doesNotContain("catalog");
    }
    assertThat(dump(of("users", null), recorded.repository, true, null, wal))
        .flatExtracting(WalEntry::blocks)
        .extracting(WalEntry.Block::kind)
        .contains("table", "index");
  }

  @Test
  void without_files_the_recorded_log_is_read_and_it_is_the_same() {
    List<WalEntry> files = dump(of(null, xid), recorded.repository, true, null, wal);
    assertThat(dump(of(null, xid), recorded.repository, true, null)).isEqualTo(files);
    assertThat(notes).singleElement().extracting(WalNote::kind).isEqualTo("end");
    assertThat(notes.getFirst().text()).startsWith("WAL is recorded to 0/");
    assertThat(dump(of(null, xid), recorded.repository, true, ProtectedServer.NAME))
        .isEqualTo(files);
    WalFilter three = new WalFilter(from, null, List.of(), null, null, null, xid, 3L);
    assertThat(dump(three, recorded.repository, true, null)).isEqualTo(files.subList(0, 3));
    List<WalStatistics> figures = new ArrayList<>();
    new WalStats(new WalInput(List.of(), recorded.repository, true, null))
        .run(of(null, xid), true, Progress.SILENT, figures::add, notes::add);
    assertThat(figures.getFirst().rows())
        .anySatisfy(row -> {
          assertThat(row.rmgr() + "/" + row.info()).isEqualTo("Heap/DELETE");
          assertThat(row.records()).isEqualTo(20);
        });
  }

  @Test
  void the_wrong_cluster_is_refused_and_an_unknown_one_lists_the_known() {
    try (TestServer other = TestServer.start(17)) {
      Path others = WrittenWal.folder(other);
      assertThatThrownBy(
              () -> dump(WalFilter.ALL, recorded.repository, true, ProtectedServer.NAME, others))
          .isInstanceOfSatisfying(
              OperatorException.class,
              refusal -> {
                assertThat(refusal.kind()).isEqualTo(Kind.USAGE);
                assertThat(refusal.why()).startsWith("it has the system identifier ");
              });
      assertThat(dump(WalFilter.ALL, recorded.repository, true, null, others))
          .isNotEmpty()
          .allSatisfy(entry -> assertThat(entry.blocks()).allMatch(block -> block.table() == null));
      assertThat(notes.getFirst().text()).startsWith("no table names: no cluster in ");
    }
    assertThatThrownBy(() -> dump(WalFilter.ALL, recorded.repository, true, "acmee", wal))
        .hasMessageContaining("registered are: acme");
    assertThatThrownBy(() -> dump(WalFilter.ALL, null, true, "acme", wal))
        .hasMessageContaining("no repository was given");
  }

  @Test
  void a_repository_nobody_asked_for_just_now_does_not_stop_the_reading_of_files() {
    String missing = folder.resolve("missing").toString();
    assertThat(dump(of(null, xid), missing, false, null, wal)).isNotEmpty();
    assertThat(notes.getFirst().kind()).isEqualTo("names");
    assertThatThrownBy(() -> dump(of(null, xid), missing, true, null, wal))
        .isInstanceOfSatisfying(
            OperatorException.class,
            refusal -> assertThat(refusal.kind()).isEqualTo(Kind.REPOSITORY_UNREACHABLE));
  }
}
