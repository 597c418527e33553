package dev.holdfast.operations;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.postgres.PooledSession;
import dev.holdfast.postgres.PostgresUrl;
import dev.holdfast.postgres.SeparateRoles;
import dev.holdfast.store.ClusterDocument;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.Repository;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * Writes the SQL of separate roles for a database. Runs none of it: who may connect to production,
 * and as what, is decided by people.
 */
public final class Roles {
  private static final String APPLICATION = "holdfast:roles";
  private static final int NAME_BYTES_MAX = 63;
  private static final int BASE_MAX = 50;
  private static final int NAMED = 5;

  private final PostgresUrl url;
  private final @Nullable ClusterStore cluster;

  /**
   * What is wanted.
   *
   * @param database null: the one that the connection leads to
   * @param app what to call the role; null: after the database. Likewise the others
   * @param schemas the roles are for their tables; empty: all that the database has
   */
  public record Request(
      @Nullable String database,
      @Nullable String app,
      @Nullable String migrator,
      @Nullable String reader,
      List<String> schemas) {
    /** Copies the list. */
    public Request {
      schemas = List.copyOf(schemas);
    }
  }

  private Roles(PostgresUrl url, @Nullable ClusterStore cluster) {
    this.url = url;
    this.cluster = cluster;
  }

  /**
   * Of a database.
   *
   * @param nameOrUrl a protected cluster, or a connection, with which no repository is asked
   * @param repository where a name is looked up; asked only then
   */
  public static Roles of(String nameOrUrl, Supplier<String> repository) {
    if (OwnerConnection.isUrl(nameOrUrl)) {
      return new Roles(PostgresUrl.parse(nameOrUrl), null);
    }
    ClusterStore cluster = Repository.open(repository.get()).current(nameOrUrl);
    return new Roles(Connections.recorder(cluster.document(), null), cluster);
  }

  /**
   * Looks at the database where it can be reached, and writes.
   *
   * @throws OperatorException USAGE for names that no role can have
   */
  public RolesScript write(Request request) {
    String database = request.database() == null ? url.database() : request.database();
    String base = base(database);
    var names =
        new SeparateRoles.Names(
            checked(request.app(), base + "_app"),
            checked(request.migrator(), base + "_migrator"),
            checked(request.reader(), base + "_reader"));
    List<String> three = List.of(names.app(), names.migrator(), names.reader());
    String recorder = cluster == null ? null : url.user();
    if (Set.copyOf(three).size() < three.size() || (recorder != null && three.contains(recorder))) {
      throw new OperatorException(
          Kind.USAGE,
          "cannot separate roles that are the same",
          "the roles would be %s%s"
              .formatted(
                  String.join(", ", three),
                  recorder == null ? "" : "; the recorder's is " + recorder),
          "give three names: --app, --migrator, --reader");
    }
    SeparateRoles.@Nullable Seen seen = null;
    String whyNot = null;
    try {
      seen = look(database);
    } catch (OperatorException e) {
      whyNot = line(e.what() + ": " + e.why());
    } catch (SQLException e) {
      whyNot = line(String.valueOf(e.getMessage()));
    }
    List<String> schemas =
        !request.schemas().isEmpty()
            ? request.schemas()
            : seen != null ? seen.schemas() : List.of("public");
    List<String> owners =
        seen == null
            ? List.of()
            : seen.owners().stream()
                .filter(owner -> !owner.equals(recorder) && !owner.equals(names.migrator()))
                .toList();
    ClientsDocument known = cluster == null ? null : cluster.clients(ClientsDocument.class);
    Set<String> connecting = new TreeSet<>(owners);
    if (known != null) {
      known.clients().stream()
          .filter(client -> client.database().equals(database) && !known.isPast(client))
          .forEach(client -> connecting.add(client.role()));
    }
    if (recorder != null) {
      connecting.add(recorder);
    }
    connecting.removeAll(three);
    return new RolesScript(
        cluster == null ? null : cluster.document().name(),
        database,
        seen == null ? null : seen.major(),
        seen != null,
        whyNot,
        names.app(),
        names.migrator(),
        names.reader(),
        schemas,
        SeparateRoles.steps(database, names, schemas, connecting).stream()
            .map(step -> new RolesScript.Statement(step.why(), step.sql()))
            .toList(),
        afterwards(three, owners),
        notes(seen, owners, known, connecting, recorder));
  }

  private SeparateRoles.Seen look(String database) throws SQLException {
    try (Connection connection =
        PooledSession.withoutNamedStatements(
            url.withDatabase(database).withApplicationName(APPLICATION).open())) {
      SeparateRoles.Seen seen = SeparateRoles.look(connection);
      ClusterDocument document = cluster == null ? null : cluster.document();
      if (document != null && !document.systemIdentifier().equals(seen.systemIdentifier())) {
        throw new OperatorException(
            Kind.REFUSED,
            "that is not " + document.name(),
            "another server answers at " + url.redacted(),
            "find out where " + document.name() + " is");
      }
      return seen;
    }
  }

  private static List<RolesScript.Task> afterwards(List<String> three, Collection<String> owners) {
    List<RolesScript.Task> tasks = new ArrayList<>();
    for (String role : three) {
      tasks.add(
          new RolesScript.Task(
              "a password, typed and never shown", SeparateRoles.passwordCommand(role)));
    }
    for (String owner : owners) {
      if (!three.contains(owner)) {
        tasks.add(
            new RolesScript.Task(
                "when nobody logs in as %s any more".formatted(line(owner)),
                SeparateRoles.retirement(owner)));
      }
    }
    return tasks;
  }

  private static List<String> notes(
      SeparateRoles.@Nullable Seen seen,
      List<String> owners,
      @Nullable ClientsDocument known,
      Collection<String> connecting,
      @Nullable String recorder) {
    List<String> notes = new ArrayList<>();
    if (!owners.isEmpty()) {
      notes.add(
          "from then on the schema cannot be changed as %s: what migrates has to log in as the migrator"
              .formatted(named(owners)));
    }
    if (seen != null && !seen.secured().isEmpty()) {
      notes.add(
          "row level security holds for everybody but the owner: see that its policies let the application through, of %s"
              .formatted(named(seen.secured())));
    }
    List<String> others = connecting.stream().filter(role -> !role.equals(recorder)).toList();
    notes.add(
        known == null || known.blindSince() != null
            ? "who connects today is not known here: name everybody who has to go on connecting in GRANT CONNECT"
            : "seen connecting here, and keeping that right: %s; take it away when nobody needs it"
                .formatted(others.isEmpty() ? "nobody" : named(others)));
    notes.add(
        "roles are the server's, not the database's: a role of the same name that is there already is used");
    return notes;
  }

  private static String named(List<String> names) {
    int more = names.size() - NAMED;
    return names.stream().limit(NAMED).map(Roles::line).collect(Collectors.joining(", "))
        + (more > 0 ? " and " + more + " more" : "");
  }

  /** A name in a comment must not end it. */
  private static String line(String text) {
    return text.replaceAll("[\\s\\p{Cc}\\p{Cf}\\u2028\\u2029]+", " ").strip();
  }

  /** What roles are called after a database, in plain letters. */
  private static String base(String database) {
    String plain = database.toLowerCase(Locale.ROOT).replaceAll("[^a-z0-9_]+", "_");
    String cut = plain.length() <= BASE_MAX ? plain : plain.substring(0, BASE_MAX);
    return cut.startsWith("pg_") || !cut.matches("[a-z_].*") ? "db_" + cut : cut;
  }

  private static String checked(@Nullable String given, String usual) {
    if (given == null) {
      return usual;
    }
    boolean reserved =
        given.startsWith("pg_") || Stream.of("public", "none").anyMatch(given::equalsIgnoreCase);
    boolean unfit =
        given.isEmpty()
            || given.chars().anyMatch(Character::isISOControl)
            || given.getBytes(StandardCharsets.UTF_8).length > NAME_BYTES_MAX;
    if (reserved || unfit) {
      throw new OperatorException(
          Kind.USAGE,
          "no role can be called \"%s\"".formatted(line(given)),
          reserved
              ? "PostgreSQL keeps such names for itself"
              : "a name has 1 to %d bytes and no control characters".formatted(NAME_BYTES_MAX),
          "choose another name, such as " + usual);
    }
    return given;
  }
}
