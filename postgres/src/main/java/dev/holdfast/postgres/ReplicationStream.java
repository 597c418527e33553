package dev.holdfast.postgres;

import dev.holdfast.wal.Lsn;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Instant;
import java.util.Set;
import java.util.UUID;
import org.jspecify.annotations.Nullable;
import org.postgresql.copy.CopyDual;
import org.postgresql.copy.CopyManager;
import org.postgresql.core.BaseConnection;

/**
 * A walsender's side of streaming replication (PostgreSQL 18 documentation, 54.4). pgjdbc's own
 * replication API knows no timelines.
 */
final class ReplicationStream implements AutoCloseable {
  /** What IDENTIFY_SYSTEM answers. */
  record Identity(String systemIdentifier, int timeline, Lsn flushed) {}

  /** What the server sends. */
  sealed interface Message {
    /** WAL from {@code start} on: what remains in the buffer; the server has it up to an end. */
    record Wal(Lsn start, Lsn end, ByteBuffer bytes) implements Message {}

    /** Nothing new; the server may want an answer. */
    record KeepAlive(Lsn end, boolean replyRequested) implements Message {}
  }

  private static final String UNDEFINED_FILE = "58P01";

  /** All are taken, and max_replication_slots = 0. */
  private static final Set<String> NO_SLOTS = Set.of("53400", "55000");

  /** A server that hangs must not keep the recorder from stopping. */
  private static final int GOODBYE_MILLIS_MAX = 5_000;

  /** What is asked before the stream is answered within this. */
  private static final int ANSWER_MILLIS_MAX = 30_000;

  /**
   * What began to arrive is there within this. Once a timeline has ended, which a standby's does
   * when it is promoted, pgjdbc waits for an answer that the server does not give before we end the
   * stream.
   */
  private static final int STALLED_MILLIS_MAX = 2_000;

  private static final long POSTGRES_EPOCH_MICROS = 946_684_800_000_000L;

  private final Connection connection;
  private @Nullable CopyDual copy;

  ReplicationStream(PostgresUrl url) throws SQLException {
    this.connection = url.openReplication();
    connection.setNetworkTimeout(Runnable::run, ANSWER_MILLIS_MAX);
  }

  Identity identify() throws SQLException {
    try (Statement statement = connection.createStatement();
        ResultSet row = statement.executeQuery("IDENTIFY_SYSTEM")) {
      row.next();
      return new Identity(row.getString(1), row.getInt(2), Lsn.parse(row.getString(3)));
    }
  }

  /** The content of a timeline's history file; null when the server has none. */
  byte @Nullable [] history(int timeline) throws SQLException {
    try (Statement statement = connection.createStatement();
        ResultSet row =
            statement.executeQuery("TIMELINE_HISTORY " + Integer.toUnsignedString(timeline))) {
      row.next();
      return row.getString(2).getBytes(StandardCharsets.UTF_8);
    } catch (SQLException e) {
      if (UNDEFINED_FILE.equals(e.getSQLState())) {
        return null;
      }
      throw e;
    }
  }

  /**
   * Makes a slot that keeps WAL from the last checkpoint on, as long as this connection lasts.
   *
   * @return its name; null when the server has none to give
   */
  @Nullable String reserve() throws SQLException {
    String name = "holdfast_" + UUID.randomUUID().toString().replace('-', '_');
    try (Statement statement = connection.createStatement()) {
      statement.execute("CREATE_REPLICATION_SLOT " + name + " TEMPORARY PHYSICAL RESERVE_WAL");
      return name;
    } catch (SQLException e) {
      if (NO_SLOTS.contains(String.valueOf(e.getSQLState()))) {
        return null;
      }
      throw e;
    }
  }

  void start(@Nullable String slot, Lsn from, int timeline) throws SQLException {
    String command =
        "START_REPLICATION "
            + (slot == null ? "" : "SLOT " + slot + " ")
            + "PHYSICAL "
            + from
            + " TIMELINE "
            + timeline;
    copy = new CopyManager(connection.unwrap(BaseConnection.class)).copyDual(command);
    connection.setNetworkTimeout(Runnable::run, STALLED_MILLIS_MAX);
  }

  /** The next message if one has arrived; null otherwise. */
  @Nullable Message poll() throws SQLException {
    byte[] bytes = streaming().readFromCopy(false);
    if (bytes == null) {
      return null;
    }
    ByteBuffer in = ByteBuffer.wrap(bytes);
    return switch (in.get()) {
      case 'w' -> {
        Lsn start = new Lsn(in.getLong());
        Lsn end = new Lsn(in.getLong());
        in.getLong(); // the server's clock
        yield new Message.Wal(start, end, in);
      }
      case 'k' -> {
        Lsn end = new Lsn(in.getLong());
        in.getLong(); // the server's clock
        yield new Message.KeepAlive(end, in.get() != 0);
      }
      default -> throw new IllegalStateException("unknown replication message " + bytes[0]);
    };
  }

  /** Whether the server has ended the stream. */
  boolean ended() {
    return !streaming().isActive();
  }

  /** Tells the server what we have, and what of it is durable: that it may forget. */
  void acknowledge(Lsn received, Lsn durable, boolean replyWanted) throws SQLException {
    ByteBuffer status = ByteBuffer.allocate(1 + 8 + 8 + 8 + 8 + 1);
    Instant now = Instant.now();
    long micros = now.getEpochSecond() * 1_000_000 + now.getNano() / 1000 - POSTGRES_EPOCH_MICROS;
    status
        .put((byte) 'r')
        .putLong(received.position())
        .putLong(durable.position())
        .putLong(0) // nothing is applied here
        .putLong(micros)
        .put((byte) (replyWanted ? 1 : 0));
    streaming().writeToCopy(status.array(), 0, status.capacity());
    streaming().flushCopy();
  }

  /** Ends the stream in peace, so that the server does not report a broken connection. */
  void end() throws SQLException {
    CopyDual running = copy;
    if (running != null && running.isActive()) {
      connection.setNetworkTimeout(Runnable::run, GOODBYE_MILLIS_MAX);
      running.endCopy();
    }
  }

  private CopyDual streaming() {
    if (copy == null) {
      throw new IllegalStateException("not started");
    }
    return copy;
  }

  @Override
  public void close() {
    try {
      // abort() rather than close(): close() would wait for a COPY that nobody will end.
      connection.abort(Runnable::run);
    } catch (SQLException _) {
      // The connection is gone, which is what was wanted.
    }
  }
}
