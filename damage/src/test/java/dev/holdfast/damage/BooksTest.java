package dev.holdfast.damage;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.testkit.TestServer;
import dev.holdfast.wal.Lsn;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Holds what the scan reports against books kept by clients that know what they did. {@code
 * -Dholdfast.books.seed=N} runs other statements, {@code -Dholdfast.books.transactions=N} more;
 * {@code -Dholdfast.books.mixed=false} keeps transactions from emptying and rewriting several
 * tables at once, and from changing their rows before and after; {@code -Dholdfast.books.shown=N}
 * shows more differences.
 */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class BooksTest {
  private static final long SEED = Long.getLong("holdfast.books.seed", 20_261_121);
  private static final int TRANSACTIONS = Integer.getInteger("holdfast.books.transactions", 2_000);
  private static final boolean MIXED =
      Boolean.parseBoolean(System.getProperty("holdfast.books.mixed", "true"));
  private static final int DIFFERENCES_SHOWN = Integer.getInteger("holdfast.books.shown", 5);

  @ParameterizedTest
  @ValueSource(ints = {14, 15, 16, 17, 18})
  void every_committed_transaction_is_reported_as_its_client_booked_it(int major) throws Exception {
    String run =
        "PostgreSQL %d, -Dholdfast.books.seed=%d -Dholdfast.books.transactions=%d"
            .formatted(major, SEED, TRANSACTIONS);
    System.out.println("Books: " + run);
    try (TestServer server = TestServer.start(major, settings(major))) {
      WorkloadTables.create(server);
      RecordedNames names = new RecordedNames();
      Lsn start = ServerLog.begin(server);
      names.record(server);
      Books books = new Books();
      try {
        new RandomWorkload(server, major, SEED, MIXED, books).run(TRANSACTIONS);
      } catch (Exception e) {
        throw new AssertionError(run, e);
      }
      names.record(server);
      assertStatisticsAgree(server, books, run);

      List<TransactionDamage> reported = new ArrayList<>();
      DamageScan scan = new DamageScan(names, reported::add);
      ServerLog.read(server, start, scan::accept);

      assertThat(differences(books, reported)).as(run).isEmpty();
      List<Long> order = books.committed.stream().map(Books.Committed::xid).toList();
      assertThat(
              reported.stream().map(TransactionDamage::xid).filter(new HashSet<>(order)::contains))
          .as(run + ": transactions in the order of their commits")
          .containsExactlyElementsOf(order);
      assertThat(order.size()).as(run).isGreaterThan(TRANSACTIONS / 2);
    }
  }

  private static Map<String, String> settings(int major) {
    return Map.of(
        "wal_level", (major + SEED) % 2 == 0 ? "replica" : "logical",
        "max_prepared_transactions", "10",
        "autovacuum", "off",
        "wal_keep_size", "16GB",
        "checkpoint_timeout", "1h");
  }

  // ---- the log ---------------------------------------------------------------------------------

  private static String differences(Books books, List<TransactionDamage> reported) {
    Map<Long, Books.Committed> booked = new TreeMap<>();
    books.committed.forEach(one -> booked.put(one.xid(), one));
    Map<Long, Map<String, String>> found = new TreeMap<>();
    for (TransactionDamage damage : reported) {
      Map<String, String> tables = tables(damage, books);
      if (!tables.isEmpty()) {
        tables.put("prepared", String.valueOf(damage.prepared()));
        found.put(damage.xid(), tables);
      }
    }
    List<String> differences = new ArrayList<>();
    booked.forEach((xid, one) -> {
      Map<String, String> expected = new TreeMap<>(one.tables());
      expected.put("prepared", String.valueOf(one.prepared()));
      Map<String, String> tables = found.remove(xid);
      if (tables == null) {
        differences.add(difference(one, expected, Map.of()));
      } else if (!expected.equals(tables)) {
        differences.add(difference(one, without(expected, tables), without(tables, expected)));
      }
    });
    found.forEach((xid, tables) -> differences.add(xid + " reported, never booked: " + tables));
    return differences.isEmpty()
        ? ""
        : differences.size()
            + " differences, the first of them:\n"
            + differences.stream().limit(DIFFERENCES_SHOWN).collect(Collectors.joining("\n"));
  }

  private static String difference(
      Books.Committed one, Map<String, String> booked, Map<String, String> reported) {
    return "transaction %d\n  booked   %s\n  reported %s\n  after    %s"
        .formatted(
            one.xid(), booked, reported, String.join("\n           ", one.ledger().statements));
  }

  /** The entries that are not the same in the other map. */
  private static Map<String, String> without(Map<String, String> map, Map<String, String> other) {
    Map<String, String> rest = new TreeMap<>(map);
    rest.entrySet().removeAll(other.entrySet());
    return rest;
  }

  private static Map<String, String> tables(TransactionDamage damage, Books books) {
    Map<String, String> tables = new TreeMap<>();
    for (TableDamage table : damage.tables()) {
      String name = table.table().table();
      if (table.table().schema().equals(TableDamage.UNKNOWN_SCHEMA)) {
        name = books.tableOfFile.getOrDefault(name, name);
      }
      // A table made in the transaction is nobody's loss: with its name known it may be told.
      if (books.creators.getOrDefault(name, 0L) != damage.xid()) {
        tables.merge(
            name,
            Tally.text(
                table.action(), table.rowsInserted(), table.rowsUpdated(), table.rowsDeleted()),
            (first, second) -> first + " and again " + second);
      }
    }
    return tables;
  }

  // ---- the statistics --------------------------------------------------------------------------

  /**
   * The books are right by the server's own count too. That counts what was rolled back, and a row
   * that moved to another partition as deleted here and inserted there. Left out are tables that
   * TRUNCATE empties: it makes the server forget what the transaction did to them before.
   */
  private static void assertStatisticsAgree(TestServer server, Books books, String run)
      throws InterruptedException {
    Map<String, String> booked = new TreeMap<>();
    WorkloadTables.STEADY.forEach(table -> booked.put(table, books.statistics(table)));
    Map<String, String> counted = Map.of();
    for (int attempt = 0; attempt < 100; attempt++) {
      counted = statistics(server);
      if (counted.equals(booked)) {
        return;
      }
      Thread.sleep(100); // 14 hands its counts to another process, which takes its time
    }
    assertThat(counted).as(run + ": pg_stat_all_tables").isEqualTo(booked);
  }

  private static Map<String, String> statistics(TestServer server) {
    Map<String, String> counted = new TreeMap<>();
    for (String line :
        server.query(
            "SELECT relname, n_tup_ins, n_tup_upd, n_tup_del FROM pg_stat_all_tables WHERE"
                + " schemaname = 'public'")) {
      String[] column = line.split("\\|", -1);
      if (WorkloadTables.STEADY.contains(column[0])) {
        counted.put(column[0], "+" + column[1] + " ~" + column[2] + " -" + column[3]);
      }
    }
    return counted;
  }
}
