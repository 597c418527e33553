package dev.holdfast.operations;

import dev.holdfast.postgres.ConnectedClients;
import java.time.Duration;
import java.time.Instant;
import java.time.LocalDate;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Who uses a cluster, as samples while recording showed it; kept in the repository. A value: each
 * sample makes a new one. Bounded whatever clients call themselves.
 *
 * <p>Absence is counted in time that was watched: what happened while nobody sampled is nobody's
 * absence.
 *
 * @param since when the first sample was taken
 * @param sampledAt the newest one
 * @param blindSince since when the recorder's role may not see other sessions; null: it may
 * @param watchedSeconds between samples, so far
 * @param clients each that was seen and is not forgotten yet
 */
record ClientsDocument(
    Instant since,
    Instant sampledAt,
    @Nullable Instant blindSince,
    double watchedSeconds,
    List<Client> clients) {
  /** What stands for the names past the limit of one role. */
  static final String OTHERS = "(other names)";

  static final int CLIENTS_MAX = 200;
  static final int NAMES_MAX = 20;
  static final int NETWORKS_MAX = 6;

  /** Samples further apart have not watched what was between them. */
  private static final Duration WATCHED_MAX = Duration.ofMinutes(3);

  /** Less is a pool that breathes, or a restart. */
  private static final Duration ABSENCE_MIN = Duration.ofSeconds(150);

  private static final Duration VANISHED_MIN = Duration.ofMinutes(10);
  private static final int VANISHED_ABSENCES = 2;

  /** Who has been away for longer has moved on, and is not told of any more. */
  private static final Duration VANISHED_MAX = Duration.ofDays(14);

  private static final long USUAL_SAMPLES_MIN = 10;
  private static final Duration USUAL_MIN = Duration.ofDays(1);
  private static final int USUAL_ABSENCES = 3;

  /** One long absence of the past must not hide a new one for ever. */
  private static final Duration ABSENCE_HALVED = Duration.ofDays(7);

  private static final Duration REMEMBERED = Duration.ofDays(90);
  private static final Duration REMEMBERED_CHANCE = Duration.ofDays(14);

  /**
   * One client: all connections to a database as one role under one (folded) name.
   *
   * @param newestName its application_name as it was given last
   * @param days of UTC on which it was seen
   * @param longestAbsenceSeconds between two times it was seen; older ones count for less
   * @param seenAtWatchedSeconds {@link ClientsDocument#watchedSeconds} when it was last seen
   * @param networks where it came from, newest last
   */
  record Client(
      String database,
      String role,
      String application,
      String newestName,
      Instant firstSeen,
      Instant lastSeen,
      long samples,
      int days,
      double longestAbsenceSeconds,
      double seenAtWatchedSeconds,
      List<Network> networks) {
    Client {
      networks = List.copyOf(networks);
    }

    /** There often enough and for long enough that it would be missed. */
    boolean isUsual() {
      double span = Duration.between(firstSeen, lastSeen).toSeconds();
      return samples >= USUAL_SAMPLES_MIN
          && span >= USUAL_MIN.toSeconds()
          && span >= USUAL_ABSENCES * longestAbsenceSeconds;
    }

    private String key() {
      return ClientsDocument.key(database, role, application);
    }
  }

  /**
   * Where a client came from.
   *
   * @param network as {@link ClientFolding#network} has it
   * @param newestAddress null for a Unix socket
   */
  record Network(
      String network,
      @Nullable String newestAddress,
      Instant firstSeen,
      Instant lastSeen,
      long samples) {}

  ClientsDocument {
    clients = List.copyOf(clients);
  }

  /** Nobody was seen yet. */
  static ClientsDocument begun(Instant at) {
    return new ClientsDocument(at, at, null, 0, List.of());
  }

  /** Whether it is connected, as far as the newest sample tells. */
  boolean isConnected(Client client) {
    return blindSince == null && client.lastSeen().equals(sampledAt);
  }

  /** Whether a usual one has been away for longer than it uses to be. */
  boolean isVanished(Client client) {
    double away = watchedSeconds - client.seenAtWatchedSeconds();
    return client.isUsual()
        && !ClientFolding.isTool(client.application())
        && away > VANISHED_MIN.toSeconds()
        && away > VANISHED_ABSENCES * client.longestAbsenceSeconds()
        && !isPast(client);
  }

  /** Whether it has been away for so long that nobody needs to hear of it. */
  boolean isPast(Client client) {
    return Duration.between(client.lastSeen(), sampledAt).compareTo(VANISHED_MAX) > 0;
  }

  @Nullable Client find(Client other) {
    return clients.stream().filter(each -> each.key().equals(other.key())).findFirst().orElse(null);
  }

  /** Whether the other one has the same clients in the same networks. */
  boolean knowsAllOf(ClientsDocument other) {
    return places().containsAll(other.places());
  }

  private Set<String> places() {
    var places = new HashSet<String>();
    for (Client client : clients) {
      client.networks().forEach(network -> places.add(client.key() + '\n' + network.network()));
    }
    return places;
  }

  /** The same when a sample could not be seen into. */
  ClientsDocument blindAt(Instant at) {
    return new ClientsDocument(
        since, at, blindSince == null ? at : blindSince, watchedSeconds, clients);
  }

  /** With one more sample. */
  ClientsDocument with(Instant at, List<ConnectedClients.Session> sessions) {
    Duration step = Duration.between(sampledAt, at);
    boolean watching = blindSince == null && !step.isNegative() && step.compareTo(WATCHED_MAX) <= 0;
    double watched = watchedSeconds + (watching ? step.toMillis() / 1e3 : 0);
    var known = new LinkedHashMap<String, Client>();
    clients.forEach(client -> known.put(client.key(), client));
    var seen = new LinkedHashMap<String, Client>();
    var names = new HashMap<String, Integer>();
    clients.forEach(
        client -> names.merge(key(client.database(), client.role(), ""), 1, Integer::sum));
    for (ConnectedClients.Session session : sessions) {
      String database = ClientFolding.name(session.database());
      String role = ClientFolding.name(session.role());
      String application = ClientFolding.application(session.application());
      String key = key(database, role, application);
      if (!known.containsKey(key) && !seen.containsKey(key)) {
        if (names.merge(key(database, role, ""), 1, Integer::sum) > NAMES_MAX) {
          application = OTHERS;
          key = key(database, role, application);
        }
      }
      Client before = seen.containsKey(key) ? seen.get(key) : known.get(key);
      boolean again = seen.containsKey(key);
      Client now =
          before == null
              ? new Client(database, role, application, "", at, at, 0, 0, 0, watched, List.of())
              : before;
      String name = ClientFolding.name(session.application());
      seen.put(key, seenAgain(now, again, at, watched, name, session.address()));
    }
    known.putAll(seen);
    return new ClientsDocument(since, at, null, watched, kept(known, seen.keySet(), at));
  }

  private static Client seenAgain(
      Client before,
      boolean inThisSample,
      Instant at,
      double watched,
      String name,
      @Nullable String address) {
    List<Network> networks = networks(before, at, address);
    if (inThisSample) {
      return new Client(
          before.database,
          before.role,
          before.application,
          name,
          before.firstSeen,
          at,
          before.samples,
          before.days,
          before.longestAbsenceSeconds,
          watched,
          networks);
    }
    double away = watched - before.seenAtWatchedSeconds;
    double longest =
        away > ABSENCE_MIN.toSeconds()
            ? Math.max(before.longestAbsenceSeconds, away)
            : before.longestAbsenceSeconds * Math.pow(0.5, away / ABSENCE_HALVED.toSeconds());
    boolean newDay = before.samples == 0 || !day(before.lastSeen).equals(day(at));
    return new Client(
        before.database,
        before.role,
        before.application,
        name,
        before.firstSeen,
        at,
        before.samples + 1,
        before.days + (newDay ? 1 : 0),
        longest,
        watched,
        networks);
  }

  private static LocalDate day(Instant at) {
    return at.atOffset(ZoneOffset.UTC).toLocalDate();
  }

  private static List<Network> networks(Client before, Instant at, @Nullable String address) {
    String place = ClientFolding.network(address);
    List<Network> networks = new ArrayList<>(before.networks);
    Network known =
        networks.stream().filter(each -> each.network.equals(place)).findFirst().orElse(null);
    networks.remove(known);
    boolean counted = known != null && known.lastSeen.equals(at);
    networks.add(
        new Network(
            place,
            address == null ? null : ClientFolding.name(address),
            known == null ? at : known.firstSeen,
            at,
            known == null ? 1 : known.samples + (counted ? 0 : 1)));
    return networks.size() <= NETWORKS_MAX
        ? networks
        : networks.subList(networks.size() - NETWORKS_MAX, networks.size());
  }

  /** Without those nobody would miss, so many that the rest has room. */
  private static List<Client> kept(Map<String, Client> all, Set<String> seen, Instant at) {
    List<Client> kept = new ArrayList<>();
    all.forEach((key, client) -> {
      Duration away = Duration.between(client.lastSeen, at);
      Duration remembered = client.isUsual() ? REMEMBERED : REMEMBERED_CHANCE;
      if (seen.contains(key) || away.compareTo(remembered) <= 0) {
        kept.add(client);
      }
    });
    if (kept.size() > CLIENTS_MAX) {
      // The least missed last: chance visitors, of those the ones away longest, then the newest.
      var worth =
          Comparator.comparing(Client::isUsual)
              .thenComparing(Client::lastSeen)
              .thenComparing(Client::samples)
              .reversed();
      var best = new LinkedHashSet<>(kept.stream().sorted(worth).limit(CLIENTS_MAX).toList());
      kept.removeIf(client -> !best.contains(client));
    }
    return kept;
  }

  private static String key(String database, String role, String application) {
    return database + '\n' + role + '\n' + application;
  }
}
