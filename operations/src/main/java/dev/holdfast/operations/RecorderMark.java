package dev.holdfast.operations;

import dev.holdfast.failure.OperatorException;
import dev.holdfast.guard.LiveMark;
import dev.holdfast.postgres.Databases;
import dev.holdfast.postgres.PostgresUrl;
import java.sql.Connection;
import java.sql.SQLException;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * While WAL is recorded, tells the guard of each database once a minute that this is the server it
 * is recorded from. Where that fails nobody is told: without a mark the guard is no weaker. Who
 * else wants to look at the server as often is lent a connection.
 */
final class RecorderMark {
  private static final Logger LOG = LoggerFactory.getLogger(RecorderMark.class);
  private static final Duration RENEWING = Duration.ofMinutes(1);

  /** A guard may be put in while we record; to connect everywhere each minute is not free. */
  private static final int ROUNDS_WITHOUT = 5;

  private final PostgresUrl recorder;
  private final Consumer<Connection> beside;
  private final CountDownLatch ending = new CountDownLatch(1);

  /** Databases without a guard, or without the right to tell it, and when to look again. */
  private final Map<String, Integer> without = new HashMap<>();

  /**
   * @param beside is lent a connection of the recorder's once a minute, for what takes no time;
   *     throws nothing
   */
  RecorderMark(PostgresUrl recorder, Consumer<Connection> beside) {
    this.recorder = recorder;
    this.beside = beside;
  }

  void begin() {
    Thread.ofVirtual().name("record-mark").start(this::run);
  }

  /** Does not wait: one mark more harms nobody. */
  void end() {
    ending.countDown();
  }

  private void run() {
    try {
      for (int round = 0; ; round++) {
        lend();
        renew(round);
        if (ending.await(RENEWING.toSeconds(), TimeUnit.SECONDS)) {
          return;
        }
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private void lend() {
    try (Connection connection = recorder.open()) {
      beside.accept(connection);
    } catch (SQLException | OperatorException e) {
      LOG.debug("cannot lend a connection", e); // the receiver says that the server is away
    }
  }

  private void renew(int round) {
    try {
      for (String database : Databases.open(recorder)) {
        if (ending.getCount() > 0 && without.getOrDefault(database, 0) <= round) {
          try (Connection connection = recorder.withDatabase(database).open()) {
            if (!LiveMark.renew(connection)) {
              without.put(database, round + ROUNDS_WITHOUT);
            }
          } catch (SQLException | OperatorException e) {
            LOG.debug("cannot renew the mark in {}", database, e);
            without.put(database, round + ROUNDS_WITHOUT);
          }
        }
      }
    } catch (OperatorException e) {
      LOG.debug("cannot renew marks", e); // the receiver says that the server is away
    }
  }
}
