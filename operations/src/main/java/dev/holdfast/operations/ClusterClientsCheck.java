package dev.holdfast.operations;

import dev.holdfast.failure.OperatorException;
import dev.holdfast.postgres.PostgresUrl;
import dev.holdfast.postgres.RoleRights;
import dev.holdfast.store.ClusterDocument;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.Repository;
import java.sql.Connection;
import java.sql.SQLException;
import java.time.Duration;
import java.time.Instant;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Puts together who uses a cluster: what its recorder saw, and, over the recorder's connection,
 * what these roles may do. Bounded in time; what was not seen is unknown.
 */
final class ClusterClientsCheck {
  private static final Logger LOG = LoggerFactory.getLogger(ClusterClientsCheck.class);
  private static final Duration DATABASES_MAX = Duration.ofSeconds(10);

  private final Repository repository;
  private final ClusterStore cluster;

  ClusterClientsCheck(Repository repository, ClusterStore cluster) {
    this.repository = repository;
    this.cluster = cluster;
  }

  /**
   * @param answers whether the server that is recorded answered just now
   * @param recording whether a recorder is connected to it
   */
  ClusterClients run(
      PostgresUrl recorder, boolean answers, boolean recording, Instant now, List<Advice> advice) {
    ClientsDocument known = cluster.clients(ClientsDocument.class);
    if (known == null) {
      return ClusterClients.unknown();
    }
    ClusterDocument document = cluster.document();
    String name = document.name();
    String environment = document.environment();
    advice.addAll(ClientAdvice.presence(name, environment, recorder.user(), known, recording, now));
    Rights rights = answers ? rights(recorder, known) : Rights.UNKNOWN;
    List<ClusterClients.Client> clients =
        known.clients().stream()
            .map(client -> client(known, client, rights))
            .sorted(
                Comparator.comparing((ClusterClients.Client client) -> !client.usual())
                    .thenComparing(ClusterClients.Client::database)
                    .thenComparing(ClusterClients.Client::application)
                    .thenComparing(ClusterClients.Client::role))
            .toList();
    advice.addAll(ClientAdvice.rights(name, clients));
    advice.addAll(ClientAdvice.places(name, environment, known, elsewhere(document)));
    return new ClusterClients(
        known.blindSince() == null ? ClusterClients.SAMPLED : ClusterClients.BLIND,
        known.since(),
        known.sampledAt(),
        known.watchedSeconds(),
        clients);
  }

  private static ClusterClients.Client client(
      ClientsDocument known, ClientsDocument.Client client, Rights rights) {
    RoleRights.@Nullable Rights may = rights.byRole.get(client.role());
    Map<String, Long> owners = rights.ownersByDatabase.get(client.database());
    return new ClusterClients.Client(
        client.database(),
        client.role(),
        client.application(),
        client.newestName(),
        client.isUsual(),
        known.isConnected(client)
            ? ClusterClients.CONNECTED
            : known.isVanished(client) ? ClusterClients.VANISHED : ClusterClients.AWAY,
        client.firstSeen(),
        client.lastSeen(),
        client.samples(),
        client.days(),
        client.longestAbsenceSeconds(),
        may == null ? null : may.superuser(),
        may == null ? null : may.databases().contains(client.database()),
        owners == null ? null : owners.getOrDefault(client.role(), 0L),
        client.networks().stream()
            .map(network ->
                new ClusterClients.Network(
                    network.network(), network.newestAddress(), network.lastSeen()))
            .toList());
  }

  // ---- what they may do ------------------------------------------------------------------------

  private record Rights(
      Map<String, RoleRights.Rights> byRole, Map<String, Map<String, Long>> ownersByDatabase) {
    static final Rights UNKNOWN = new Rights(Map.of(), Map.of());
  }

  private static Rights rights(PostgresUrl recorder, ClientsDocument known) {
    Map<String, Set<String>> usual = new TreeMap<>();
    var roles = new TreeSet<String>();
    for (ClientsDocument.Client client : known.clients()) {
      if (client.isUsual() && !known.isPast(client)) {
        usual.computeIfAbsent(client.database(), _ -> new TreeSet<>()).add(client.role());
        roles.add(client.role());
      }
    }
    if (roles.isEmpty()) {
      return Rights.UNKNOWN;
    }
    long until = System.nanoTime() + DATABASES_MAX.toNanos();
    Map<String, RoleRights.Rights> byRole;
    try (Connection connection = recorder.open()) {
      byRole = RoleRights.of(connection, roles);
    } catch (SQLException | OperatorException e) {
      LOG.debug("cannot see what clients' roles may do", e); // status says that it does not answer
      return Rights.UNKNOWN;
    }
    Map<String, Map<String, Long>> owners = new TreeMap<>();
    usual.forEach((database, used) -> {
      if (System.nanoTime() > until) {
        return;
      }
      try (Connection connection = recorder.withDatabase(database).open()) {
        owners.put(database, RoleRights.tablesOwned(connection, used));
      } catch (SQLException | OperatorException e) {
        LOG.debug("cannot see who owns tables of {}", database, e); // told with its guard
      }
    });
    return new Rights(byRole, owners);
  }

  // ---- other environments ----------------------------------------------------------------------

  /** From where clusters of another environment in the same repository are used, and by whom. */
  private Map<String, String> elsewhere(ClusterDocument here) {
    Map<String, String> networks = new HashMap<>();
    for (String name : repository.clusterNames()) {
      if (name.equals(here.name())) {
        continue;
      }
      try {
        ClusterStore other = repository.cluster(name);
        ClientsDocument known = other.clients(ClientsDocument.class);
        String environment = other.document().environment();
        if (known == null || environment.equals(here.environment())) {
          continue;
        }
        for (ClientsDocument.Client client : known.clients()) {
          for (ClientsDocument.Network network : client.networks()) {
            if (!network.network().equals(ClientFolding.LOCAL) && !known.isPast(client)) {
              networks.put(network.network(), name + " (" + environment + ")");
            }
          }
        }
      } catch (OperatorException e) {
        LOG.debug("cannot see who uses {}", name, e); // asked for itself, status says why
      }
    }
    return networks;
  }
}
