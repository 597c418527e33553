package dev.holdfast.operations;

import dev.holdfast.operations.ClientsDocument.Client;
import dev.holdfast.operations.ClientsDocument.Network;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Collectors;

/** What should be looked at about who uses a cluster. Quiet when there is nothing. */
final class ClientAdvice {
  private static final String PRODUCTION = "production";
  private static final String WARNING = "warning";
  private static final String NOTE = "note";
  private static final int NAMED = 3;

  /** Samples are kept every five minutes at the latest. */
  private static final Duration SAMPLED_MAX = Duration.ofMinutes(15);

  /** A place that was left long ago is no place of today. */
  private static final Duration PLACE_MAX = Duration.ofDays(30);

  private ClientAdvice() {}

  /** A client as people are told of it: {@code api (role shop, database shop)}. */
  static String named(Client client) {
    return "%s (role %s, database %s)"
        .formatted(application(client.application()), client.role(), client.database());
  }

  private static String application(String name) {
    return name.isEmpty() ? "an application without a name" : name;
  }

  /** That a usual client is gone. */
  static Advice vanished(String cluster, String environment, Client client) {
    return new Advice(
        WARNING,
        "a usual client of %s is gone: %s, last seen %s; it was here on %s, from %s"
            .formatted(
                cluster,
                named(client),
                client.lastSeen(),
                client.days() == 1 ? "1 day" : client.days() + " days",
                client.networks().stream().map(Network::network).collect(Collectors.joining(", "))),
        "nothing, if it was stopped on purpose; else ask where it runs which database it talks to:"
            + " holdfast check \"$DATABASE_URL\" --expect %s/%s".formatted(cluster, environment));
  }

  /** That usual clients are gone, that nobody can see them, or that nobody looks. */
  static List<Advice> presence(
      String cluster,
      String environment,
      String recorderRole,
      ClientsDocument known,
      boolean recording,
      Instant now) {
    List<Advice> advice = new ArrayList<>();
    if (known.blindSince() != null) {
      advice.add(
          new Advice(
              NOTE,
              "who is connected to %s is not known since %s: the role %s may not see the sessions of others"
                  .formatted(cluster, known.blindSince(), recorderRole),
              "as a superuser: GRANT pg_read_all_stats TO " + quoted(recorderRole)));
      return advice;
    }
    known.clients().stream()
        .filter(known::isVanished)
        .map(client -> vanished(cluster, environment, client))
        .forEach(advice::add);
    if (recording && Duration.between(known.sampledAt(), now).compareTo(SAMPLED_MAX) > 0) {
      advice.add(
          new Advice(
              NOTE,
              "who is connected to %s is not known since %s, although it is recorded"
                  .formatted(cluster, known.sampledAt()),
              "see what `holdfast record %s` says, and that it is of this version"
                  .formatted(cluster)));
    }
    return advice;
  }

  private static String quoted(String role) {
    return role.matches("[a-z_][a-z0-9_]*") ? role : '"' + role.replace("\"", "\"\"") + '"';
  }

  /** That usual clients may do more than an application should. */
  static List<Advice> rights(String cluster, List<ClusterClients.Client> clients) {
    List<Advice> advice = new ArrayList<>();
    List<ClusterClients.Client> usual =
        clients.stream().filter(ClusterClients.Client::usual).toList();
    List<ClusterClients.Client> superusers =
        usual.stream().filter(client -> Boolean.TRUE.equals(client.superuser())).toList();
    List<ClusterClients.Client> applications =
        superusers.stream().filter(client -> !ClientFolding.isTool(client.application())).toList();
    if (!superusers.isEmpty()) {
      List<ClusterClients.Client> told = applications.isEmpty() ? superusers : applications;
      advice.add(
          new Advice(
              applications.isEmpty() ? NOTE : WARNING,
              "%s as a superuser: %s; nothing is refused to it, and no guard holds"
                  .formatted(
                      applications.isEmpty()
                          ? "people use %s".formatted(cluster)
                          : "applications use %s".formatted(cluster),
                      named(told)),
              separate(cluster)));
    }
    List<ClusterClients.Client> owners =
        usual.stream()
            .filter(client -> !Boolean.TRUE.equals(client.superuser()))
            .filter(client -> !ClientFolding.isTool(client.application()))
            .filter(client ->
                Boolean.TRUE.equals(client.databaseOwner())
                    || (client.tablesOwned() != null && client.tablesOwned() > 0))
            .toList();
    if (!owners.isEmpty()) {
      advice.add(
          new Advice(
              NOTE,
              "applications use %s as an owner: %s; a mistake in them can drop what they own"
                  .formatted(cluster, named(owners)),
              separate(cluster)));
    }
    return advice;
  }

  private static String named(List<ClusterClients.Client> clients) {
    int more = clients.size() - NAMED;
    return clients.stream()
            .limit(NAMED)
            .map(client ->
                "%s (role %s, %s)"
                    .formatted(application(client.application()), client.role(), owns(client)))
            .collect(Collectors.joining(", "))
        + (more > 0 ? " and " + more + " more" : "");
  }

  private static String owns(ClusterClients.Client client) {
    if (Boolean.TRUE.equals(client.superuser())) {
      return "database " + client.database();
    }
    Long tables = client.tablesOwned();
    List<String> owned = new ArrayList<>();
    if (Boolean.TRUE.equals(client.databaseOwner())) {
      owned.add("the database " + client.database());
    }
    if (tables != null && tables > 0) {
      owned.add(
          (tables == 1 ? "1 table" : tables + " tables")
              + (owned.isEmpty() ? " of " + client.database() : ""));
    }
    return "owner of " + String.join(" and ", owned);
  }

  private static String separate(String cluster) {
    return "give applications a role that can read and write rows and nothing else: holdfast roles %s prints the SQL"
        .formatted(cluster);
  }

  /**
   * That one role is used from several places.
   *
   * @param elsewhere networks from where clusters of another environment are used, with what to
   *     call these: {@code acme-staging (staging)}
   */
  static List<Advice> places(
      String cluster, String environment, ClientsDocument known, Map<String, String> elsewhere) {
    Map<String, Map<String, Client>> byRole = new TreeMap<>();
    for (Client client : known.clients()) {
      for (Network network : client.networks()) {
        if (!network.network().equals(ClientFolding.LOCAL)
            && Duration.between(network.lastSeen(), known.sampledAt()).compareTo(PLACE_MAX) <= 0) {
          byRole
              .computeIfAbsent(client.role(), _ -> new TreeMap<>())
              .merge(
                  network.network(),
                  client,
                  (one, other) -> one.samples() >= other.samples() ? one : other);
        }
      }
    }
    List<Advice> advice = new ArrayList<>();
    byRole.forEach((role, networks) -> {
      boolean foreign =
          networks.size() > 1 && networks.keySet().stream().anyMatch(elsewhere::containsKey);
      var sites = new TreeSet<String>();
      networks.keySet().forEach(network -> sites.add(ClientFolding.site(network)));
      if (!foreign && sites.size() < 2) {
        return;
      }
      // What is strange first: the rest says only where production itself is.
      List<String> told =
          networks.entrySet().stream()
              .sorted(Comparator.comparing(each -> !elsewhere.containsKey(each.getKey())))
              .map(each ->
                  "%s (%s%s)"
                      .formatted(
                          each.getKey(),
                          application(each.getValue().application()),
                          elsewhere.containsKey(each.getKey())
                              ? "; from there " + elsewhere.get(each.getKey()) + " is used"
                              : ""))
              .toList();
      advice.add(
          new Advice(
              foreign && environment.equals(PRODUCTION) ? WARNING : NOTE,
              "the role %s of %s is used from several places: %s%s"
                  .formatted(
                      role,
                      cluster,
                      told.stream().limit(2 * NAMED).collect(Collectors.joining(", ")),
                      told.size() > 2 * NAMED ? " and " + (told.size() - 2 * NAMED) + " more" : ""),
              "nothing, if all of these are %s; else give each environment and each person a role and a password of their own (holdfast roles %s)"
                  .formatted(environment, cluster)));
    });
    return advice;
  }
}
