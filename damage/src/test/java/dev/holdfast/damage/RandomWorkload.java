package dev.holdfast.damage;

import dev.holdfast.server.PostgresServer;
import dev.holdfast.testkit.TestServer;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.TreeSet;

/**
 * Several clients at once, each in a transaction of random statements, savepoints and ends. One
 * thread plays them all, so the same seed gives the same statements in the same order.
 */
final class RandomWorkload {
  private static final int SESSIONS = 4;
  private static final int PREPARED_MAX = 3;

  private record Prepared(String gid, int slot, Ledger ledger) {}

  private final TestServer server;
  private final Random random;
  private final Books books;
  private final RandomStatements statements;
  private final List<Session> sessions = new ArrayList<>();
  private final List<Prepared> prepared = new ArrayList<>();
  private final TreeSet<Integer> freeSlots = new TreeSet<>();
  private int begun;
  private int gids;

  RandomWorkload(TestServer server, int major, long seed, boolean mixed, Books books) {
    this.server = server;
    this.books = books;
    random = new Random(seed);
    statements = new RandomStatements(random, major, mixed, books);
    for (int slot = 0; slot < WorkloadTables.SLOTS; slot++) {
      freeSlots.add(slot);
    }
  }

  /** Runs this many transactions; in between the server crashes once. */
  void run(int transactions) throws SQLException {
    connect();
    boolean crashed = false;
    while (begun < transactions) {
      if (!crashed && begun > transactions / 4) {
        crash();
        crashed = true;
      }
      step(sessions.get(random.nextInt(SESSIONS)));
    }
    for (Session session : sessions) {
      if (!session.isIdle()) {
        end(session);
      }
    }
    while (!prepared.isEmpty()) {
      resolve(sessions.getFirst());
    }
    for (Session session : sessions) {
      session.close();
    }
  }

  private void connect() throws SQLException {
    for (int i = 0; i < SESSIONS; i++) {
      Session session = new Session(server.connect());
      // What an asynchronous commit leaves in memory, the next synchronous one writes out.
      session.execute("SET synchronous_commit = " + (i == 0 ? "off" : "on"));
      sessions.add(session);
    }
  }

  /** Open transactions vanish without a trace; prepared ones stay. */
  private void crash() throws SQLException {
    server.execute("SELECT pg_current_xact_id()"); // flushes what went before
    server.restart(PostgresServer.Stop.IMMEDIATE);
    for (Session session : sessions) {
      if (!session.isIdle()) {
        freeSlots.add(session.slot);
      }
    }
    sessions.clear();
    books.statisticsLost();
    connect();
  }

  private void step(Session session) throws SQLException {
    if (!session.isIdle()) {
      if (session.toGo-- > 0) {
        statementOrSavepoint(session);
      } else {
        end(session);
      }
      return;
    }
    int dice = random.nextInt(100);
    if (dice < 5) {
      maintain(session);
    } else if (dice < 15 && !prepared.isEmpty()) {
      resolve(session);
    } else {
      begin(session);
    }
  }

  private void begin(Session session) throws SQLException {
    begun++;
    session.slot = takeSlot();
    session.toGo = 1 + random.nextInt(8);
    session.begin(new Ledger(books));
    session.execute(random.nextInt(5) == 0 ? "BEGIN ISOLATION LEVEL REPEATABLE READ" : "BEGIN");
    if (random.nextBoolean()) {
      session.ledger().xid = session.number("SELECT pg_current_xact_id()::text::bigint");
    }
  }

  private int takeSlot() {
    List<Integer> free = List.copyOf(freeSlots);
    int slot = free.get(random.nextInt(free.size()));
    freeSlots.remove(slot);
    return slot;
  }

  private void statementOrSavepoint(Session session) throws SQLException {
    Ledger ledger = session.ledger();
    int open = ledger.savepoints();
    switch (random.nextInt(14)) {
      case 0, 1 -> {
        ledger.savepoint();
        session.execute("SAVEPOINT s" + ledger.savepoints());
      }
      case 2 -> {
        if (open > 0) {
          int savepoint = 1 + random.nextInt(open);
          session.execute("ROLLBACK TO s" + savepoint);
          ledger.rollbackTo(savepoint);
        }
      }
      case 3 -> {
        if (open > 0) {
          int savepoint = 1 + random.nextInt(open);
          session.execute("RELEASE s" + savepoint);
          ledger.release(savepoint);
        }
      }
      default -> statements.run(session);
    }
  }

  private void end(Session session) throws SQLException {
    Ledger ledger = session.ledger();
    ledger.xid =
        session.number("SELECT coalesce(pg_current_xact_id_if_assigned()::text::bigint, 0)");
    int dice = random.nextInt(100);
    if (dice < 15) {
      session.execute("ROLLBACK");
      books.rollback(ledger);
      freeSlots.add(session.slot);
    } else if (dice < 30 && session.preparable && prepared.size() < PREPARED_MAX) {
      String gid = "g" + ++gids;
      session.execute("PREPARE TRANSACTION '" + gid + "'");
      prepared.add(new Prepared(gid, session.slot, ledger));
    } else {
      session.execute("COMMIT");
      books.commit(ledger, false);
      freeSlots.add(session.slot);
    }
    session.end();
  }

  private void resolve(Session session) throws SQLException {
    Prepared one = prepared.remove(random.nextInt(prepared.size()));
    if (random.nextInt(3) > 0) {
      session.execute("COMMIT PREPARED '" + one.gid() + "'");
      books.commit(one.ledger(), true);
    } else {
      session.execute("ROLLBACK PREPARED '" + one.gid() + "'");
      books.rollback(one.ledger());
    }
    freeSlots.add(one.slot());
  }

  /** What an administrator does: none of it is damage. */
  private void maintain(Session session) throws SQLException {
    int slot = takeSlot(); // nobody else may be in its tables meanwhile
    session.execute(
        switch (random.nextInt(10)) {
          case 0, 1 -> // cutting a table that others are in would wait for them
              "VACUUM (TRUNCATE false) "
                  + List.of("plain", "wide", "keyed", "orders", "account", "entry")
                      .get(random.nextInt(6));
          case 2 -> "VACUUM (FREEZE) own_" + slot;
          case 3 -> "VACUUM FULL own_" + slot;
          case 4 -> "CLUSTER own_%1$d USING own_%1$d_pkey".formatted(slot);
          case 5 -> "REINDEX TABLE own_" + slot;
          case 6 -> "VACUUM FULL tree_" + slot;
          case 7 -> "ANALYZE own_" + slot;
          case 8 -> "CHECKPOINT";
          default -> "SELECT pg_switch_wal()";
        });
    freeSlots.add(slot);
  }
}
