package dev.holdfast.operations;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.postgres.CatalogReader;
import dev.holdfast.postgres.Credentials;
import dev.holdfast.postgres.Finding;
import dev.holdfast.postgres.OtherCluster;
import dev.holdfast.postgres.PostgresUrl;
import dev.holdfast.postgres.Preflight;
import dev.holdfast.postgres.RecorderRole;
import dev.holdfast.postgres.ReplicationSlot;
import dev.holdfast.postgres.ServerFacts;
import dev.holdfast.store.ClusterDocument;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.KeySources;
import dev.holdfast.store.Repository;
import dev.holdfast.store.Succession;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** Begins to protect a server: role, slot, registration, catalog, first base backup. */
public final class Protect {
  private static final Set<String> ENVIRONMENTS = Set.of("production", "staging", "development");
  static final String ROLE = "holdfast";

  private final String repository;
  private final NewRepository made;

  /** Into this repository, which is created, encrypted, when it does not exist. */
  public Protect(String repository) {
    this(repository, new NewRepository(true, null));
  }

  /** Into this repository, which is created so when it does not exist. */
  public Protect(String repository, NewRepository made) {
    this.repository = repository;
    this.made = made;
  }

  /**
   * How a repository is created; of one that exists already it must be true.
   *
   * @param encrypted false: whoever reads it reads the databases
   * @param compressionLevel zstd's; null: the usual one, or the one it has
   */
  public record NewRepository(boolean encrypted, @Nullable Integer compressionLevel) {}

  /**
   * What to protect.
   *
   * @param url connects as a superuser, or as whoever may make roles; not kept
   * @param environment {@code production}, {@code staging} or {@code development}
   * @param recorderUrl a role made beforehand; null: one is made
   * @param slot whether a replication slot keeps WAL while nothing records
   * @param stamp whether each database is told who it is, for `check` and for applications that ask
   * @param connections how many read the base backup
   * @param continues the cluster that it takes the place of, upgraded or moved: its databases go on
   *     saying that they are that one; null for none
   */
  public record Request(
      String name,
      String url,
      String environment,
      @Nullable String recorderUrl,
      boolean slot,
      boolean stamp,
      int connections,
      @Nullable String continues) {
    /** Of a cluster that takes nobody's place. */
    public Request(
        String name,
        String url,
        String environment,
        @Nullable String recorderUrl,
        boolean slot,
        boolean stamp,
        int connections) {
      this(name, url, environment, recorderUrl, slot, stamp, connections, null);
    }

    /** Refuses names that no file system or slot could carry. */
    public Request {
      if (!name.matches("[a-z0-9][a-z0-9_]{0,40}")) {
        throw new OperatorException(
            Kind.USAGE,
            "\"" + name + "\" cannot name a cluster",
            "a name has lower-case letters, digits and underscores, at most 41",
            "choose one such as acme or acme_production");
      }
      if (!ENVIRONMENTS.contains(environment)) {
        throw new OperatorException(
            Kind.USAGE,
            "\"" + environment + "\" is not an environment",
            "there are production, staging and development",
            "say --environment production, unless losing this database would hurt nobody");
      }
      if (connections < 1 || connections > 32) {
        throw new OperatorException(
            Kind.USAGE,
            "cannot read a base backup over " + connections + " connections",
            "1 to 32 are sensible",
            "leave --connections out for 2");
      }
      if (name.equals(continues)) {
        throw new OperatorException(
            Kind.USAGE,
            "a cluster cannot continue itself",
            "what is recorded of " + name + " ends where it was upgraded or moved",
            "give it a name of its own, such as "
                + name
                + "_2; its databases go on saying "
                + name);
      }
    }

    String slotName() {
      return ReplicationSlot.nameFor(name);
    }
  }

  /**
   * Every statement that {@link #run} would execute, the password as a placeholder.
   *
   * @param repository knows whose place the cluster takes; null when it is not named
   */
  public static List<String> statements(Request request, @Nullable String repository) {
    PostgresUrl url = PostgresUrl.parse(request.url());
    ServerFacts facts = ServerFacts.read(url);
    if (request.continues() != null && repository == null) {
      throw new OperatorException(
          Kind.USAGE,
          "cannot say what would be run without a repository",
          "it knows what the databases of " + request.continues() + " are called",
          "add --repository URL, or set HOLDFAST_REPOSITORY");
    }
    Continued continued =
        repository != null && (request.continues() != null || Repository.isAt(repository))
            ? continued(Repository.open(repository), request, facts.systemIdentifier())
            : null;
    String identity = continued == null ? request.name() : continued.identity;
    List<String> statements = new ArrayList<>();
    if (!ServerKind.of(url).kind().equals("superuser")) {
      statements.add("BEGIN");
      statements.addAll(ServerKind.probe());
      statements.add("ROLLBACK");
    }
    if (request.recorderUrl() == null) {
      statements.add("BEGIN");
      statements.addAll(
          RecorderRole.statements(
              facts.major(), ROLE, url.database(), RecorderRole.PASSWORD_PLACEHOLDER));
      statements.add("COMMIT");
    }
    if (request.slot()) {
      statements.add(
          "SELECT pg_create_physical_replication_slot('" + request.slotName() + "', true)");
    }
    if (request.stamp()) {
      for (String database : Stamps.databases(url)) {
        statements.addAll(Stamps.statements(database, identity, request.environment()));
      }
    }
    return statements;
  }

  /**
   * Protects the server.
   *
   * @throws OperatorException REFUSED when it cannot be protected as it is, with the statements
   *     that would change that
   */
  public ProtectResult run(Request request, Progress progress) {
    PostgresUrl url = PostgresUrl.parse(request.url());
    ServerFacts facts = ServerFacts.read(url);
    ServerKind kind = ServerKind.of(url);
    List<Finding> findings = Preflight.check(url, request.slot());
    refuseWhatCannotBe(request, findings, kind);
    if (request.continues() != null) {
      Repository.open(repository); // a new one has nothing to be continued
    }
    Repository opened = open();
    Continued continued = continued(opened, request, facts.systemIdentifier());
    // Registered first: a name that is taken must be refused before a role or a password is
    // changed.
    ClusterDocument document =
        new ClusterDocument(
            request.name(),
            "postgresql",
            facts.systemIdentifier(),
            facts.major(),
            request.environment(),
            facts.walSegmentSize(),
            (request.recorderUrl() == null
                    ? url.withUser(ROLE, null)
                    : PostgresUrl.parse(request.recorderUrl()))
                .withoutPassword(),
            request.slot() ? request.slotName() : null,
            Instant.now(),
            Map.of());
    ClusterStore cluster =
        opened.register(
            continued == null
                ? document
                : continued.done
                    ? document.continuing(continued.name, continued.identity)
                    : document.aboutToContinue(continued.name));
    PostgresUrl recorder = recorder(request, url);
    if (request.slot()) {
      ReplicationSlot.create(recorder, request.slotName());
    }
    if (continued != null && !continued.done) {
      // Not before it can be recorded: the other one is nobody's worry from here on.
      String found = ServerFacts.read(recorder).systemIdentifier();
      if (!found.equals(facts.systemIdentifier())) {
        throw OtherCluster.found(
            "cannot record " + request.name(), facts.systemIdentifier(), found);
      }
      opened.cluster(continued.name).succeeded(new Succession(request.name(), Instant.now()));
      opened.update(document.continuing(continued.name, continued.identity));
      cluster = opened.cluster(request.name());
    }
    String identity = cluster.document().identity();
    Stamps stamps =
        request.stamp() ? Stamps.put(url, identity, request.environment()) : Stamps.NONE;
    var catalog = CatalogReader.read(recorder);
    Catalogs.put(cluster, catalog);
    BackupResult base =
        new Backup(cluster, recorder, request.connections(), Backup.Wanted.AUTOMATIC).run(progress);
    return new ProtectResult(
        request.name(),
        identity,
        continued == null ? null : continued.name,
        request.environment(),
        repository,
        facts.version(),
        facts.systemIdentifier(),
        recorder.withoutPassword(),
        recorder.user(),
        request.slot() ? request.slotName() : null,
        catalog.databases().stream()
            .filter(database -> database.readable())
            .map(database -> database.name())
            .toList(),
        stamps.stamped(),
        stamps.stamped().isEmpty() ? null : Stamps.assertStatement(identity, request.environment()),
        works(request),
        kind,
        Stream.concat(stamps.advice().stream(), advice(findings, opened, kind).stream()).toList(),
        RepositoryKeys.Report.of(opened),
        base);
  }

  /**
   * Whose place a cluster takes.
   *
   * @param done whether it took it before
   */
  private record Continued(String name, String identity, boolean done) {}

  private static @Nullable Continued continued(
      Repository opened, Request request, String systemIdentifier) {
    String name = request.name();
    String wanted = request.continues();
    ClusterDocument known = null;
    if (opened.clusterNames().contains(name)) {
      known = opened.cluster(name).document();
      refuseOfThePast(opened, known);
    }
    String before = known == null ? null : known.continues();
    if (known != null && before != null && (wanted == null || wanted.equals(before))) {
      return new Continued(before, known.identity(), true);
    }
    String begun = known == null ? null : known.toContinue();
    if (wanted == null && begun != null && isTaken(opened.cluster(begun), name)) {
      wanted = begun; // it was killed between taking the place and saying so
    }
    if (wanted == null) {
      return null;
    }
    if (known != null && !wanted.equals(begun)) {
      throw new OperatorException(
          Kind.REFUSED,
          "%s cannot begin to continue %s".formatted(name, wanted),
          before == null ? "it is a cluster of its own already" : "it took the place of " + before,
          "protect it under a name that is not taken yet");
    }
    ClusterStore cluster = opened.cluster(wanted);
    Succession taken = cluster.succession();
    if (taken != null && !taken.name().equals(name)) {
      throw new OperatorException(
          Kind.REFUSED,
          "%s cannot take the place of %s".formatted(name, wanted),
          "%s has it since %s".formatted(taken.name(), taken.at().truncatedTo(ChronoUnit.SECONDS)),
          "where it takes the place of that one: --continues "
              + opened.current(wanted).document().name());
    }
    ClusterDocument past = cluster.document();
    if (past.systemIdentifier().equals(systemIdentifier)) {
      throw new OperatorException(
          Kind.USAGE,
          "this is %s's own server: nothing is to be continued".formatted(wanted),
          "it has the system identifier %s, which pg_upgrade and a move by dump and restore change"
              .formatted(systemIdentifier),
          "after a failover or a restore: holdfast record %s --url URL".formatted(wanted));
    }
    if (!past.environment().equals(request.environment())) {
      throw new OperatorException(
          Kind.USAGE,
          "%s cannot continue %s".formatted(name, wanted),
          "%s is %s, not %s".formatted(wanted, past.environment(), request.environment()),
          "say --environment " + past.environment() + ", or leave out --continues");
    }
    return new Continued(wanted, past.identity(), false);
  }

  private static boolean isTaken(ClusterStore cluster, String by) {
    Succession taken = cluster.succession();
    return taken != null && taken.name().equals(by);
  }

  /** Protected again it would look alive, and what is recorded of it would not be its present. */
  private static void refuseOfThePast(Repository opened, ClusterDocument past) {
    Succession taken = opened.cluster(past.name()).succession();
    if (taken != null) {
      throw new OperatorException(
          Kind.REFUSED,
          "cannot protect %s again".formatted(past.name()),
          "%s took its place at %s"
              .formatted(taken.name(), taken.at().truncatedTo(ChronoUnit.SECONDS)),
          "to go back to its server: holdfast protect NEW_NAME URL --environment %s --continues %s"
              .formatted(past.environment(), opened.current(past.name()).document().name()));
    }
  }

  private Repository open() {
    Integer level = made.compressionLevel();
    Repository opened =
        Repository.openOrCreate(
            repository,
            new Repository.Creation(
                made.encrypted(), level == null ? Repository.Creation.USUAL_LEVEL : level));
    if (!made.encrypted() && opened.keyInfo() != null) {
      throw new OperatorException(
          Kind.REFUSED,
          "cannot use the repository " + repository + " without encryption",
          "it is there already, and everything in it is encrypted",
          "leave out --no-encryption, or name another repository");
    }
    if (level != null && level != opened.compressionLevel()) {
      throw new OperatorException(
          Kind.REFUSED,
          "cannot compress at level %d in the repository %s".formatted(level, repository),
          "it is there already, and was made with level " + opened.compressionLevel(),
          "leave out --compression-level, or name another repository");
    }
    return opened;
  }

  /** What to know about the server, and about the key: nobody may find out too late. */
  private List<Advice> advice(List<Finding> findings, Repository opened, ServerKind kind) {
    List<Advice> advice = new ArrayList<>();
    Repository.KeyInfo key = opened.keyInfo();
    String file = KeySources.ofProcess().keyFile(opened.id()).toString();
    if (key == null) {
      advice.add(
          new Advice(
              "warning",
              "the repository is not encrypted: whoever reads it reads the databases, password"
                  + " hashes included",
              "see who can read it; a new repository is encrypted unless --no-encryption is given"));
    } else if (key.keyFrom().equals(file)) {
      advice.add(
          new Advice(
              "warning",
              "everything in the repository is encrypted with the key in %s, which is nowhere else:"
                      .formatted(file)
                  + " whoever loses it, with this machine for example, loses every backup; nobody"
                  + " can read them without it",
              "copy it now to where neither this machine nor the repository is, a password manager"
                  + " for example: holdfast key export FILE"));
    } else if (key.wrappedBy().equals("passphrase")) {
      advice.add(
          new Advice(
              "note",
              "everything in the repository is encrypted with the passphrase from %s: whoever loses"
                      .formatted(key.keyFrom())
                  + " it loses every backup; nobody can read them without it",
              "keep a copy where neither this machine nor the repository is"));
    }
    findings.stream().map(Protect::advice).forEach(advice::add);
    if (kind.behindPooler()) {
      advice.add(GuardInstall.pooler(kind));
    }
    return List.copyOf(advice);
  }

  private static void refuseWhatCannotBe(Request request, List<Finding> findings, ServerKind kind) {
    List<Finding> refused =
        findings.stream().filter(f -> f.severity() == Finding.Severity.REFUSED).toList();
    if (!refused.isEmpty()) {
      throw new OperatorException(
          Kind.REFUSED,
          "cannot protect " + request.name() + " as it is",
          String.join("; ", refused.stream().map(Finding::what).toList()),
          String.join("\n", refused.stream().map(Finding::next).toList())
              + "\nwhere that cannot be had (a managed service), the guard works without, as the role %s: holdfast guard install URL --name %s --environment %s"
                  .formatted(kind.role(), request.name(), request.environment()));
    }
  }

  private static PostgresUrl recorder(Request request, PostgresUrl owner) {
    if (request.recorderUrl() != null) {
      PostgresUrl given = PostgresUrl.parse(request.recorderUrl());
      ServerFacts.read(given); // it must let us in before anything is written down
      return given;
    }
    String password = RecorderRole.randomPassword();
    PostgresUrl made = RecorderRole.create(owner, ROLE, password);
    Credentials credentials = Credentials.ofUser();
    for (PostgresUrl.Host host : made.hosts()) {
      credentials.save(host.name(), host.port(), ROLE, password);
    }
    return made;
  }

  static Advice advice(Finding finding) {
    return new Advice(
        finding.severity().name().toLowerCase(Locale.ROOT), finding.what(), finding.next());
  }

  private static List<ProtectResult.Capability> works(Request request) {
    return List.of(
        new ProtectResult.Capability(
            "record every change", "yes", "holdfast record " + request.name()),
        new ProtectResult.Capability(
            "see what a transaction did", "yes", "log, show; who did it: with the guard"),
        new ProtectResult.Capability("fork at any moment", "yes", "fork"),
        new ProtectResult.Capability(
            "undo one transaction in place", "yes", "revert; connects as an owner, then"),
        new ProtectResult.Capability(
            "refuse destructive statements", "yes", "holdfast guard install " + request.name()),
        new ProtectResult.Capability(
            "prove that a restore works", "yes", "holdfast prove " + request.name()));
  }
}
