package dev.holdfast.postgres;

import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Looks at all of a restored cluster: its catalogs and files, its heaps and B-trees by amcheck, and
 * every value of every table. Writes into the copy: amcheck is made there.
 */
public final class DrillChecks {
  /** Told how far a check is. */
  public interface Listener {
    /**
     * So many of the bytes to be looked at are done; 0 begins a check.
     *
     * @param check its name
     */
    void checked(String check, long bytes, long total);
  }

  /** Something to look at, by one connection to its database. */
  interface Task {
    /** How much work it is, in bytes. */
    long bytes();

    /** Of which database and relation. */
    String what();

    /**
     * Looks.
     *
     * @throws SQLException when the server could not do it: {@link DamageSign} tells what that
     *     means
     */
    void run(Connection connection, CheckFindings findings) throws SQLException;

    /** Whether an error of the class {@code internal_error} may come from users' own code. */
    default boolean runsForeignCode() {
      return false;
    }
  }

  private final Drill drill;
  private final Listener listener;
  private final List<String> databases = new ArrayList<>();

  private DrillChecks(Drill drill, Listener listener) {
    this.drill = drill;
    this.listener = listener;
  }

  /** Runs all of them; each says what it could not look at. */
  public static List<Check> run(Drill drill, Listener listener) {
    return new DrillChecks(drill, listener).run();
  }

  private List<Check> run() {
    List<Check> checks = new ArrayList<>();
    checks.add(reach());
    checks.add(each("catalogs", CatalogConsistency::tasks));
    checks.add(each("heaps", Amcheck::heaps));
    checks.add(each("indexes", Amcheck::indexes));
    checks.add(each("rows", FullRead::tasks));
    return checks;
  }

  /** Every database that allows connections lets us in. */
  private Check reach() {
    CheckFindings findings = new CheckFindings("databases");
    List<String> names = new ArrayList<>();
    try (Connection connection = drill.connect();
        Statement statement = connection.createStatement();
        ResultSet rows =
            statement.executeQuery(
                "SELECT datname FROM pg_catalog.pg_database"
                    + " WHERE datallowconn AND datconnlimit <> -2 ORDER BY oid")) {
      while (rows.next()) {
        names.add(rows.getString(1));
      }
    } catch (SQLException e) {
      told(findings, "the list of databases", e, false);
    }
    for (String name : names) {
      findings.looked(1);
      try (Connection connection = drill.connect(name);
          Statement statement = connection.createStatement()) {
        quietEventTriggers(statement);
        databases.add(name);
      } catch (SQLException e) {
        String locale = RecoveryFailure.missingLocale(String.valueOf(e.getMessage())).orElse(null);
        if (locale != null) {
          findings.undecided(
              "database " + name,
              "it cannot be opened on this machine: it lacks the locale "
                  + locale
                  + "; "
                  + RecoveryFailure.missingLocaleRemedy(locale));
        } else {
          told(findings, "database " + name, e, false);
        }
      }
    }
    return findings.end();
  }

  /** In the copy no trigger is to run when amcheck is made: it may do anything. */
  private static void quietEventTriggers(Statement statement) throws SQLException {
    List<String> names = new ArrayList<>();
    try (ResultSet rows =
        statement.executeQuery(
            "SELECT evtname FROM pg_catalog.pg_event_trigger WHERE evtenabled <> 'D'")) {
      while (rows.next()) {
        names.add(rows.getString(1));
      }
    }
    for (String name : names) {
      statement.execute(
          "ALTER EVENT TRIGGER " + statement.enquoteIdentifier(name, true) + " DISABLE");
    }
  }

  /** Finds what a check has to look at in a database. */
  private interface Finder {
    List<Task> tasks(Connection connection, String database, CheckFindings findings)
        throws SQLException;
  }

  private Check each(String name, Finder finder) {
    CheckFindings findings = new CheckFindings(name);
    List<List<Task>> tasks = new ArrayList<>();
    long total = 0;
    for (String database : databases) {
      List<Task> found = List.of();
      try (Connection connection = drill.connect(database)) {
        found = finder.tasks(connection, database, findings);
      } catch (SQLException e) {
        told(findings, "database " + database, e, false);
      }
      tasks.add(found);
      total += found.stream().mapToLong(Task::bytes).sum();
    }
    AtomicLong done = new AtomicLong();
    listener.checked(name, 0, total);
    for (int at = 0; at < tasks.size(); at++) {
      runAll(databases.get(at), new ConcurrentLinkedQueue<>(tasks.get(at)), findings, done, total);
    }
    return findings.end();
  }

  private void runAll(
      String database, Queue<Task> tasks, CheckFindings findings, AtomicLong done, long total) {
    int threads = Math.min(drill.threads(), tasks.size());
    List<Future<?>> workers = new ArrayList<>();
    try (ExecutorService executor = Executors.newVirtualThreadPerTaskExecutor()) {
      for (int thread = 0; thread < threads; thread++) {
        workers.add(executor.submit(() -> work(database, tasks, findings, done, total)));
      }
      for (Future<?> worker : workers) {
        worker.get();
      }
    } catch (ExecutionException e) {
      throw new IllegalStateException("a check of " + database + " came to no end", e.getCause());
    } catch (InterruptedException e) {
      throw StartedServer.interrupted("stopped while checking database " + database, e);
    }
  }

  private void work(
      String database, Queue<Task> tasks, CheckFindings findings, AtomicLong done, long total) {
    for (Task task = tasks.poll(); task != null; ) {
      try (Connection connection = drill.connect(database)) {
        while (task != null) {
          Task current = task;
          task = tasks.poll();
          try {
            findings.looked(1);
            current.run(connection, findings);
          } catch (SQLException e) {
            told(findings, current.what(), e, current.runsForeignCode());
            if (DamageSign.isLostConnection(e)) {
              break; // on to a new one, if there still is a server
            }
          } finally {
            listener.checked(findings.name(), done.addAndGet(current.bytes()), total);
          }
        }
      } catch (SQLException e) {
        if (task != null) {
          findings.undecided(task.what(), "not checked: " + ConnectFailures.firstLine(e));
          task = tasks.poll();
        }
      }
    }
  }

  private void told(CheckFindings findings, String what, SQLException e, boolean foreignCode) {
    String message = ConnectFailures.firstLine(e);
    String fault = DamageSign.isLostConnection(e) ? drill.fault() : "";
    if (!fault.isEmpty()) {
      findings.damaged(what, fault);
    } else if (DamageSign.isIn(e) && !(foreignCode && "XX000".equals(e.getSQLState()))) {
      findings.damaged(what, message);
    } else {
      findings.undecided(what, "not checked: " + message);
    }
  }
}
