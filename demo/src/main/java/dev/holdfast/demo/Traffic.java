package dev.holdfast.demo;

import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.SQLException;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;

/**
 * Ordinary clients, each with books of its own: what the server told it was committed. The books
 * are the truth that the database is checked against.
 */
final class Traffic implements AutoCloseable {
  /**
   * Users from here on are written to by ordinary traffic; those before belong to the accidents.
   */
  static final int FIRST_ORDINARY_USER = 100_001;

  private static final long PAUSE_NANOS = 2_000_000L;
  private static final long BEGUN_MAX_NANOS = 30_000_000_000L;

  private final String jdbc;
  private final Thread elsewhere;
  private final Thread application;
  private volatile boolean running = true;

  /** Acknowledged inserts into telemetry.pings. */
  final AtomicLong pings = new AtomicLong();

  /** Errors that traffic on the other schema met; there must be none. */
  final AtomicLong pingErrors = new AtomicLong();

  /** The longest any write to the other schema took. */
  final AtomicLong pingNanosMax = new AtomicLong();

  /** Acknowledged inserts into public.audit_logs. */
  final AtomicLong audits = new AtomicLong();

  /** The last acknowledged value of users.last_seen, by user. */
  final Map<Long, Long> lastSeen = new ConcurrentHashMap<>();

  /** Users whose last write has no answer: it may or may not have been committed. */
  final Map<Long, Long> unanswered = new ConcurrentHashMap<>();

  /** When the application last failed, and when it first worked again; 0 for never. */
  final AtomicLong firstFailure = new AtomicLong();

  final AtomicLong backAgain = new AtomicLong();

  Traffic(String jdbc) {
    this.jdbc = jdbc;
    this.elsewhere = Thread.ofVirtual().name("traffic-elsewhere").start(this::pingElsewhere);
    this.application = Thread.ofVirtual().name("traffic-application").start(this::useApplication);
  }

  private void pingElsewhere() {
    long sequence = 0;
    while (running) {
      try (Connection connection = connect("metrics");
          PreparedStatement insert =
              connection.prepareStatement(
                  "INSERT INTO telemetry.pings (client, sequence) VALUES (1, ?)")) {
        while (running) {
          long begun = System.nanoTime();
          insert.setLong(1, ++sequence);
          insert.executeUpdate();
          pings.incrementAndGet();
          pingNanosMax.accumulateAndGet(System.nanoTime() - begun, Math::max);
          LockSupport.parkNanos(PAUSE_NANOS);
        }
      } catch (SQLException e) {
        pingErrors.incrementAndGet();
        LockSupport.parkNanos(PAUSE_NANOS);
      }
    }
  }

  private void useApplication() {
    long sequence = 0;
    while (running) {
      try (Connection connection = connect("api");
          PreparedStatement audit =
              connection.prepareStatement(
                  "INSERT INTO public.audit_logs (client, sequence) VALUES (1, ?)");
          PreparedStatement seen =
              connection.prepareStatement("UPDATE public.users SET last_seen = ? WHERE id = ?")) {
        while (running) {
          sequence++;
          long user = FIRST_ORDINARY_USER + sequence * 31 % (Company.USERS - FIRST_ORDINARY_USER);
          audit.setLong(1, sequence);
          audit.executeUpdate();
          audits.incrementAndGet();
          unanswered.put(user, sequence);
          seen.setLong(1, sequence);
          seen.setLong(2, user);
          seen.executeUpdate();
          lastSeen.put(user, sequence);
          unanswered.remove(user);
          if (firstFailure.get() != 0) {
            backAgain.compareAndSet(0, System.nanoTime());
          }
          LockSupport.parkNanos(PAUSE_NANOS);
        }
      } catch (SQLException e) {
        // The application is down: this is what its users see. It goes on trying.
        firstFailure.compareAndSet(0, System.nanoTime());
        LockSupport.parkNanos(5 * PAUSE_NANOS);
      }
    }
  }

  private Connection connect(String application) throws SQLException {
    return DriverManager.getConnection(
        jdbc + (jdbc.contains("?") ? "&" : "?") + "ApplicationName=" + application);
  }

  /** Waits until both clients have written something, or cannot. */
  void awaitBegun() {
    long deadline = System.nanoTime() + BEGUN_MAX_NANOS;
    while ((pings.get() == 0 || audits.get() == 0) && System.nanoTime() < deadline) {
      LockSupport.parkNanos(PAUSE_NANOS);
    }
  }

  /** Stops the clients; their books are closed when this returns. */
  @Override
  public void close() {
    running = false;
    try {
      elsewhere.join();
      application.join();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
