package dev.holdfast.bench;

import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.SQLException;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;

/**
 * A client that inserts one small row after the other into one table and times each: the longest
 * wait is what everybody else has felt.
 */
final class Writes implements AutoCloseable {
  private static final long PAUSE_NANOS = 2_000_000L;

  private final Production production;
  private final String sql;
  private final AtomicLong longest = new AtomicLong();
  private final AtomicLong written = new AtomicLong();
  private final AtomicLong failed = new AtomicLong();
  private final Thread thread;
  private volatile boolean running = true;

  /**
   * @param sql an INSERT without parameters
   */
  Writes(Production production, String sql) {
    this.production = production;
    this.sql = sql;
    this.thread = Thread.ofPlatform().name("writes").daemon().start(this::write);
  }

  private void write() {
    try (Connection connection = production.connect();
        PreparedStatement insert = connection.prepareStatement(sql)) {
      while (running) {
        long begun = System.nanoTime();
        insert.executeUpdate();
        longest.accumulateAndGet(System.nanoTime() - begun, Math::max);
        written.incrementAndGet();
        LockSupport.parkNanos(PAUSE_NANOS);
      }
    } catch (SQLException e) {
      System.out.println("  a write failed: " + e.getMessage());
      failed.incrementAndGet();
    }
  }

  /** The longest wait in milliseconds since the last time this was asked. */
  double longestMillis() {
    if (failed.get() > 0 || written.getAndSet(0) == 0) {
      throw new IllegalStateException("writes did not go on: " + sql);
    }
    return longest.getAndSet(0) / 1e6;
  }

  /** Begins anew. */
  void forget() {
    longest.set(0);
    written.set(0);
  }

  @Override
  public void close() {
    running = false;
    try {
      thread.join();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
