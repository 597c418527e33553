package dev.holdfast.operations;

import java.time.Instant;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Who uses a cluster, as its recorder saw it, one sample a minute.
 *
 * @param state {@code sampled}; {@code blind}: the recorder's role may not see other sessions;
 *     {@code unknown}: nobody sampled yet
 * @param since when the first sample was taken; null when none was
 * @param sampledAt the newest one that is kept, which may be some minutes old
 * @param watchedSeconds time between samples so far; what happened while nothing recorded is not in
 *     it
 * @param clients each that is remembered, the usual ones first
 */
public record ClusterClients(
    String state,
    @Nullable Instant since,
    @Nullable Instant sampledAt,
    double watchedSeconds,
    List<Client> clients) {
  static final String SAMPLED = "sampled";
  static final String BLIND = "blind";
  static final String UNKNOWN = "unknown";

  static final String CONNECTED = "connected";
  static final String VANISHED = "vanished";
  static final String AWAY = "away";

  /**
   * All connections to one database as one role under one name.
   *
   * @param application as clients name it, with {@code *} for what differs between processes; empty
   *     when they do not
   * @param newestName as it was given last
   * @param usual there in 10 samples or more, over a day or more and three times its longest
   *     absence
   * @param state in the newest sample: {@code connected}; {@code vanished}: a usual one, away for
   *     more than 10 minutes and twice its longest absence; {@code away}
   * @param samples in which it was seen
   * @param days of UTC on which it was seen
   * @param longestAbsenceSeconds between two times it was seen, while somebody sampled; what lies
   *     back counts for less
   * @param superuser whether its role is one; null when that is not known
   * @param databaseOwner whether its role owns the database, by itself or through a membership;
   *     null when that is not known
   * @param tablesOwned tables in the database that its role owns, likewise; null when that is not
   *     known
   * @param networks where it came from, newest last
   */
  public record Client(
      String database,
      String role,
      String application,
      String newestName,
      boolean usual,
      String state,
      Instant firstSeen,
      Instant lastSeen,
      long samples,
      int days,
      double longestAbsenceSeconds,
      @Nullable Boolean superuser,
      @Nullable Boolean databaseOwner,
      @Nullable Long tablesOwned,
      List<Network> networks) {
    /** Copies the list. */
    public Client {
      networks = List.copyOf(networks);
    }
  }

  /**
   * Where a client came from.
   *
   * @param network {@code 10.0.3.0/24}, {@code 2001:db8:0:1::/64}, or {@code local}: a Unix socket
   *     or the loopback
   * @param newestAddress null for a Unix socket
   */
  public record Network(String network, @Nullable String newestAddress, Instant lastSeen) {}

  /** Copies the list. */
  public ClusterClients {
    clients = List.copyOf(clients);
  }

  static ClusterClients unknown() {
    return new ClusterClients(UNKNOWN, null, null, 0, List.of());
  }
}
