package dev.holdfast.postgres;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.postgres.Finding.Severity;
import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.server.Processes;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;

/** Looks at a server before it is protected: what will not work, and what to do about it. */
public final class Preflight {
  private static final int NAMES_MAX = 10;

  /** But for Holdfast's own, where who asked lately is kept: nobody misses that. */
  private static final String UNLOGGED =
      """
      SELECT n.nspname || '.' || c.relname
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relpersistence = 'u' AND c.relkind IN ('r', 'm')
        AND (n.nspname, c.relname) <> ('holdfast', 'identity_check') ORDER BY 1
      """;

  private static final String LZ4_COLUMNS =
      "SELECT count(*) FROM pg_attribute WHERE attcompression = 'l'";

  private static final String CONTROL = ".control";

  /** In every C library. */
  private static final Set<String> ALWAYS = Set.of("c", "posix", "c.utf8");

  /** Debian's packages (apt.postgresql.org) that are not called as their extension is. */
  private static final Map<String, String> PACKAGES =
      Map.ofEntries(
          Map.entry("postgis", "postgresql-%d-postgis-3"),
          Map.entry("postgis_raster", "postgresql-%d-postgis-3"),
          Map.entry("postgis_topology", "postgresql-%d-postgis-3"),
          Map.entry("postgis_sfcgal", "postgresql-%d-postgis-3"),
          Map.entry("postgis_tiger_geocoder", "postgresql-%d-postgis-3"),
          Map.entry("address_standardizer", "postgresql-%d-postgis-3"),
          Map.entry("vector", "postgresql-%d-pgvector"),
          Map.entry("pg_cron", "postgresql-%d-cron"),
          Map.entry("pg_repack", "postgresql-%d-repack"),
          Map.entry("pg_partman", "postgresql-%d-partman"),
          Map.entry("pgaudit", "postgresql-%d-pgaudit"),
          Map.entry("pglogical", "postgresql-%d-pglogical"),
          Map.entry("hypopg", "postgresql-%d-hypopg"),
          Map.entry("hll", "postgresql-%d-hll"),
          Map.entry("ip4r", "postgresql-%d-ip4r"),
          Map.entry("orafce", "postgresql-%d-orafce"),
          Map.entry("pgrouting", "postgresql-%d-pgrouting"),
          Map.entry("rum", "postgresql-%d-rum"),
          Map.entry("plpython3u", "postgresql-plpython3-%d"),
          Map.entry("plperl", "postgresql-plperl-%d"),
          Map.entry("plperlu", "postgresql-plperl-%d"),
          Map.entry("pltcl", "postgresql-pltcl-%d"));

  /**
   * What the machine that will run forks has.
   *
   * @param installed its own PostgreSQL; otherwise the one that ships with Holdfast is used
   * @param locales as {@code locale -a} lists them, normalised
   * @param localeSources what missing locales can be made of, such as {@code de_DE}
   * @param extensions those of the PostgreSQL that forks will use
   */
  record Machine(
      Optional<PostgresBinaries> installed,
      Set<String> locales,
      Set<String> localeSources,
      Set<String> extensions) {
    private static final Path LOCALE_SOURCES = Path.of("/usr/share/i18n/locales");

    static Machine of(int major) {
      Set<String> locales = new TreeSet<>();
      try {
        Processes.run(List.of("locale", "-a"))
            .output()
            .lines()
            .map(Machine::normal)
            .forEach(locales::add);
      } catch (UncheckedIOException e) {
        locales.addAll(List.of("c", "posix")); // no such program: nothing but what libc has itself
      }
      Set<String> extensions = new TreeSet<>();
      PostgresBinaries binaries = PostgresBinaries.of(major);
      for (Path folder :
          List.of(
              Path.of("/usr/share/postgresql/" + major + "/extension"),
              binaries.bin().resolveSibling("share/extension"),
              binaries.bin().resolveSibling("share/postgresql/extension"))) {
        boolean debian = folder.startsWith("/usr/share");
        if (!debian || binaries.source() == PostgresBinaries.Source.INSTALLED) {
          names(folder).stream()
              .filter(name -> name.endsWith(CONTROL))
              .map(name -> name.substring(0, name.length() - CONTROL.length()))
              .forEach(extensions::add);
        }
      }
      return new Machine(
          PostgresBinaries.installed(major), locales, names(LOCALE_SOURCES), extensions);
    }

    private static Set<String> names(Path folder) {
      Set<String> names = new TreeSet<>();
      try (DirectoryStream<Path> files = Files.newDirectoryStream(folder)) {
        files.forEach(file -> names.add(file.getFileName().toString()));
      } catch (IOException e) {
        return Set.of(); // not there, or not for us: then forks cannot use it either
      }
      return names;
    }

    /** Has it, or can make it for a fork as {@link ForkLocales} does. */
    boolean hasLocale(String name) {
      String normal = normal(name);
      return name.isEmpty()
          || ALWAYS.contains(normal)
          || locales.contains(normal)
          || localeSources.contains(name.replaceFirst("[.][^@]*", ""));
    }

    /** {@code en_US.UTF-8} and {@code en_US.utf8} are the same locale. */
    private static String normal(String name) {
      return name.toLowerCase(Locale.ROOT).replace("-", "");
    }
  }

  /** What has to be asked in every database. */
  record Contents(List<String> unloggedTables, boolean lz4Columns, Set<String> extensions) {}

  private Preflight() {}

  /**
   * Asks the server and looks at this machine.
   *
   * @param url as the recorder will use it, or as owner before there is a recorder role
   * @param withSlot whether a replication slot is wanted
   * @throws DatabaseUnreachableException when the server does not let us in
   * @throws OperatorException REFUSED when its version is not one Holdfast knows
   */
  public static List<Finding> check(PostgresUrl url, boolean withSlot) {
    ServerFacts facts = ServerFacts.read(url);
    List<Finding> findings =
        new ArrayList<>(judge(facts, contents(url, facts), Machine.of(facts.major()), withSlot));
    if (!facts.setting("wal_level").equals("minimal")
        && !facts.setting("max_wal_senders").equals("0")
        && (facts.role().superuser() || facts.role().replication())) {
      try (ReplicationStream stream = new ReplicationStream(url)) {
        stream.identify();
      } catch (DatabaseUnreachableException e) {
        findings.add(
            new Finding(Severity.REFUSED, "replication is not let in: " + e.why(), e.next()));
      } catch (SQLException e) {
        findings.add(
            new Finding(
                Severity.REFUSED,
                "replication does not answer: " + ConnectFailures.firstLine(e),
                "connect to the server itself, not to a connection pooler"));
      }
    }
    findings.sort((a, b) -> a.severity().compareTo(b.severity()));
    return findings;
  }

  private static Contents contents(PostgresUrl url, ServerFacts facts) {
    List<String> unlogged = new ArrayList<>();
    Set<String> extensions = new TreeSet<>();
    boolean lz4 = false;
    for (ServerFacts.Database database : facts.databases()) {
      if (!database.connectable()) {
        continue;
      }
      try (Connection connection = url.withDatabase(database.name()).open()) {
        ServerFacts.each(
            connection, UNLOGGED, row -> unlogged.add(database.name() + ": " + row.getString(1)));
        ServerFacts.each(
            connection,
            "SELECT extname FROM pg_extension",
            row -> extensions.add(row.getString(1)));
        lz4 |= !ServerFacts.value(connection, LZ4_COLUMNS).equals("0");
      } catch (DatabaseUnreachableException e) {
        if (e.temporary()) {
          throw e;
        }
        // Not ours to read: its files are recorded all the same.
      } catch (SQLException e) {
        throw new OperatorException(
            Kind.FAILED,
            "cannot look into database " + database.name(),
            ConnectFailures.firstLine(e),
            "check the server's log for this moment, then run the same command again",
            e);
      }
    }
    return new Contents(unlogged, lz4, extensions);
  }

  static List<Finding> judge(
      ServerFacts facts, Contents contents, Machine machine, boolean withSlot) {
    List<Finding> findings = new ArrayList<>();
    judgeServer(facts, findings);
    judgeRetention(facts, withSlot, findings);
    judgeRole(facts, findings);
    judgeForks(facts, contents, machine, findings);
    if (!contents.unloggedTables.isEmpty()) {
      findings.add(
          new Finding(
              Severity.WARNING,
              "unlogged tables are in no log and no backup, and come back empty: "
                  + names(contents.unloggedTables),
              "ALTER TABLE … SET LOGGED for those that matter"));
    }
    return findings;
  }

  private static void judgeServer(ServerFacts facts, List<Finding> findings) {
    if (facts.inRecovery()) {
      findings.add(
          new Finding(
              Severity.REFUSED,
              "the server is a standby",
              "give the primary's URL; target_session_attrs=read-write finds it among several"
                  + " hosts"));
    }
    if (facts.setting("wal_level").equals("minimal")) {
      findings.add(
          new Finding(
              Severity.REFUSED,
              "wal_level is minimal: the log holds too little to bring anything back",
              "ALTER SYSTEM SET wal_level = 'replica'; then restart the server"));
    }
    if (facts.setting("max_wal_senders").equals("0")) {
      findings.add(
          new Finding(
              Severity.REFUSED,
              "max_wal_senders is 0: the log cannot be streamed",
              "ALTER SYSTEM SET max_wal_senders = 10; then restart the server"));
    }
    if (!facts.setting("block_size").equals("8192")
        || !facts.setting("wal_block_size").equals("8192")) {
      findings.add(
          new Finding(
              Severity.REFUSED,
              "the server was built with pages of "
                  + facts.setting("block_size")
                  + " bytes (WAL: "
                  + facts.setting("wal_block_size")
                  + ")",
              "Holdfast takes servers with 8192 bytes in both, as every package builds them"));
    }
    if (facts.setting("fsync").equals("off")) {
      findings.add(
          new Finding(
              Severity.WARNING,
              "fsync is off: a crash of the machine can destroy the whole cluster",
              "ALTER SYSTEM SET fsync = on; SELECT pg_reload_conf()"));
    }
    if (facts.setting("full_page_writes").equals("off")) {
      findings.add(
          new Finding(
              Severity.WARNING,
              "full_page_writes is off: a crash of the machine can tear pages",
              "ALTER SYSTEM SET full_page_writes = on; SELECT pg_reload_conf()"));
    }
    if (!facts.dataChecksums()) {
      findings.add(
          new Finding(
              Severity.NOTE,
              "data checksums are off: a page damaged by the disk is copied without being noticed",
              "pg_checksums --enable, when the server is stopped the next time"));
    }
  }

  private static void judgeRetention(ServerFacts facts, boolean withSlot, List<Finding> findings) {
    if (withSlot && facts.setting("max_slot_wal_keep_size").equals("-1")) {
      findings.add(
          new Finding(
              Severity.REFUSED,
              "max_slot_wal_keep_size is unlimited: with a replication slot, WAL would fill the"
                  + " server's disk whenever Holdfast is away for long",
              "ALTER SYSTEM SET max_slot_wal_keep_size = '10GB'; SELECT pg_reload_conf(); or"
                  + " protect it --without-slot"));
    }
    if (withSlot && facts.setting("max_replication_slots").equals("0")) {
      findings.add(
          new Finding(
              Severity.REFUSED,
              "max_replication_slots is 0",
              "ALTER SYSTEM SET max_replication_slots = 10; then restart the server; or protect it"
                  + " --without-slot"));
    }
    if (!withSlot && facts.setting("wal_keep_size").equals("0")) {
      findings.add(
          new Finding(
              Severity.WARNING,
              "without a slot and with wal_keep_size 0 the server forgets WAL after a checkpoint or"
                  + " two: a recorder that was away for longer needs a new base backup",
              "ALTER SYSTEM SET wal_keep_size = '2GB'; SELECT pg_reload_conf()"));
    }
  }

  private static void judgeRole(ServerFacts facts, List<Finding> findings) {
    ServerFacts.Role role = facts.role();
    String name = Sql.identifier(role.name());
    if (!role.superuser() && !role.replication()) {
      findings.add(
          new Finding(
              Severity.REFUSED,
              "role " + role.name() + " may not stream the log",
              "as a superuser: ALTER ROLE " + name + " REPLICATION"));
    }
    if (!role.missing().isEmpty()) {
      findings.add(
          new Finding(
              Severity.REFUSED,
              "role " + role.name() + " may not take a base backup",
              "as a superuser, in this database: "
                  + role.missing().stream()
                      .map(f -> "GRANT EXECUTE ON FUNCTION pg_catalog." + f + " TO " + name)
                      .collect(Collectors.joining("; "))));
    }
    if (!role.superuser() && !role.monitor()) {
      findings.add(
          new Finding(
              Severity.WARNING,
              "role " + role.name() + " cannot see the settings and sessions of others",
              "as a superuser: GRANT pg_monitor TO " + name));
    }
    if (!role.superuser() && role.missing().isEmpty()) {
      findings.add(
          new Finding(
              Severity.NOTE,
              "role "
                  + role.name()
                  + " cannot SELECT anybody's rows, but it reads the server's"
                  + " files and so everything in them, password hashes too",
              "keep its password as you keep a superuser's"));
    }
  }

  private static void judgeForks(
      ServerFacts facts, Contents contents, Machine machine, List<Finding> findings) {
    Set<String> missingLocales = new TreeSet<>();
    boolean icu = false;
    for (ServerFacts.Database database : facts.databases()) {
      // Whoever sorts, a server opens a database only where its LC_COLLATE and LC_CTYPE are known.
      for (String locale : List.of(database.collate(), database.ctype())) {
        if (!machine.hasLocale(locale)) {
          missingLocales.add(locale);
        }
      }
      icu |= database.provider().equals("icu");
    }
    if (!missingLocales.isEmpty()) {
      findings.add(
          new Finding(
              Severity.WARNING,
              "this machine lacks the locale "
                  + String.join(", ", missingLocales)
                  + ": databases that use it cannot be opened in a fork here",
              "install it here (Debian: apt-get install locales; forks then make what they need)"));
    }
    if (machine.installed.isEmpty()) {
      List<String> lacking = new ArrayList<>();
      String walCompression = facts.setting("wal_compression");
      if (walCompression.equals("lz4") || walCompression.equals("zstd")) {
        lacking.add("wal_compression is " + walCompression);
      }
      if (facts.setting("default_toast_compression").equals("lz4") || contents.lz4Columns) {
        lacking.add("columns are compressed with lz4");
      }
      if (icu) {
        lacking.add("databases use ICU collations");
      }
      if (!lacking.isEmpty()) {
        findings.add(
            new Finding(
                Severity.WARNING,
                String.join(", ", lacking)
                    + ": the PostgreSQL that ships with Holdfast cannot do that, so forks fail",
                "install PostgreSQL "
                    + facts.major()
                    + " here (Debian: apt-get install postgresql-"
                    + facts.major()
                    + ")"));
      }
    }
    List<String> preloaded =
        Arrays.stream(facts.setting("shared_preload_libraries").split(","))
            .map(String::strip)
            .filter(library -> !library.isEmpty())
            .toList();
    Set<String> absent = new TreeSet<>(contents.extensions);
    absent.removeAll(machine.extensions);
    if (!absent.isEmpty()) {
      findings.add(
          new Finding(
              Severity.WARNING,
              "this machine lacks extensions of the server: "
                  + String.join(", ", absent)
                  + "; in a fork, what uses their functions or types cannot be read",
              "install PostgreSQL %d with them here (%s)"
                  .formatted(facts.major(), packages(absent, facts.major()))));
    }
    if (!preloaded.isEmpty()) {
      findings.add(
          new Finding(
              Severity.NOTE,
              "the server preloads "
                  + String.join(", ", preloaded)
                  + "; forks do not, and one that writes WAL records of its own cannot be replayed"
                  + " without it",
              ""));
    }
  }

  private static String packages(Set<String> extensions, int major) {
    Set<String> known = new TreeSet<>();
    List<String> unknown = new ArrayList<>();
    for (String extension : extensions) {
      String name = PACKAGES.get(extension);
      if (name == null) {
        unknown.add(extension + CONTROL);
      } else {
        known.add(name.formatted(major));
      }
    }
    List<String> ways = new ArrayList<>();
    if (!known.isEmpty()) {
      ways.add("Debian: apt-get install " + String.join(" ", known));
    }
    if (!unknown.isEmpty()) {
      ways.add("the packages that hold " + String.join(", ", unknown));
    }
    return String.join("; ", ways);
  }

  private static String names(List<String> all) {
    String some = all.stream().limit(NAMES_MAX).collect(Collectors.joining(", "));
    return all.size() <= NAMES_MAX ? some : some + " and " + (all.size() - NAMES_MAX) + " more";
  }
}
