package dev.holdfast.bench;

import dev.holdfast.server.Processes;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * {@code diff} of databases on two servers of this machine.
 *
 * <ul>
 *   <li>{@code equal}: equal ones, loaded in different order, against what the servers take to read
 *       the same tables once, on both sides at once: a sum of hashes of each row's text on one
 *       connection, the same with as many workers as they like, and COPY to nowhere.
 *   <li>{@code few}: some rows of millions differ, against {@code pgcopydb compare data}, which
 *       says which table differs and not where.
 * </ul>
 *
 * All take turns, each going first in one of the rounds.
 */
public final class DiffBench {
  private static final JsonMapper JSON = JsonMapper.shared();

  /** Rows for a gigabyte of the tables of {@code equal}, indexes not counted. */
  private static final long ROWS_PER_GIGABYTE = 1_500_000;

  private static final List<String> TABLES = List.of("users", "items", "notes");

  private final Production a;
  private final Production b;
  private final String program;
  private final int rounds;

  private DiffBench(Production a, Production b, String program, int rounds) {
    this.a = a;
    this.b = b;
    this.program = program;
    this.rounds = rounds;
  }

  /**
   * Prints the figures.
   *
   * @param arguments rounds, path of {@code holdfast}, size of the equal databases in GB, millions
   *     of rows of which some differ, how many do, path of {@code pgcopydb}, what to measure
   */
  public static void main(String[] arguments) throws Exception {
    Production.printMachine();
    Map<String, String> settings = Map.of("max_wal_size", "16GB", "fsync", "off");
    try (Production a = Production.start(settings);
        Production b = Production.start(settings)) {
      DiffBench bench = new DiffBench(a, b, arguments[1], Integer.parseInt(arguments[0]));
      for (String what : List.of(arguments).subList(6, arguments.length)) {
        switch (what) {
          case "equal" -> bench.equal(Double.parseDouble(arguments[2]));
          case "few" ->
              bench.few(
                  (long) (Double.parseDouble(arguments[3]) * 1e6),
                  Integer.parseInt(arguments[4]),
                  arguments[5]);
          default -> throw new IllegalArgumentException("nothing is called " + what);
        }
      }
    }
  }

  /** A run to its end; {@code rss} is the most that all its processes held together, in MiB. */
  private record Ran(double seconds, int exitCode, double rss, String output) {}

  private interface Measured {
    Ran run() throws Exception;
  }

  private void equal(double gigabytes) throws Exception {
    long rows = Math.max(1, (long) (gigabytes * ROWS_PER_GIGABYTE));
    both(
        "equal",
        (server, order) ->
            new String[] {
              ("CREATE TABLE users AS SELECT g::bigint AS id, 'user' || g || '@example.org' AS email, md5(g::text) AS token,"
                      + " '2026-01-01 00:00Z'::timestamptz + g * '1 min'::interval AS created, g * 1.01 AS balance,"
                      + " jsonb_build_object('n', g, 'city', 'Berlin', 'tags', ARRAY['a', 'b']) AS doc, NULL::text AS note"
                      + " FROM generate_series(1, %d) g ORDER BY %s")
                  .formatted(rows * 2, order),
              "ALTER TABLE users ADD PRIMARY KEY (id)",
              ("CREATE TABLE items AS SELECT md5(g::text)::uuid AS id, g %% 1000 AS k, g * 0.5::float8 AS weight,"
                      + " repeat(md5(g::text), 4) AS body FROM generate_series(1, %d) g ORDER BY %s")
                  .formatted(rows * 2, order),
              "ALTER TABLE items ADD PRIMARY KEY (id)",
              ("CREATE TABLE notes AS SELECT 'note ' || g AS name, g AS n, repeat('lorem ipsum ', 8) AS body"
                      + " FROM generate_series(1, %d) g ORDER BY %s")
                  .formatted(rows, order),
              "ALTER TABLE notes ADD PRIMARY KEY (name)",
              "VACUUM ANALYZE"
            });
    String urlA = a.server().url("equal");
    String urlB = b.server().url("equal");
    double megabytes =
        2
            * Double.parseDouble(
                ask(
                    urlA,
                    "SELECT sum(pg_table_size(c)) FROM unnest('{users,items,notes}'::regclass[]) c"))
            / 1e6;
    System.out.printf(
        Locale.ROOT,
        "equal databases: %.0f MB of tables on both sides together, %,d rows each%n",
        megabytes,
        rows * 5);
    Figures ours = new Figures("diff, s");
    Figures rate = new Figures("diff, MB/s, both sides together");
    Figures one = new Figures("the servers' own sums, one connection a side, s");
    Figures many = new Figures("the servers' own sums, parallel workers, s");
    Figures copy = new Figures("COPY to nowhere, s");
    Figures rss = new Figures("diff, resident, MiB");
    List<Measured> turns =
        List.of(
            () -> {
              Ran ran = diff(urlA, urlB, 0);
              ours.add(ran.seconds());
              rate.add(megabytes / ran.seconds());
              rss.add(ran.rss());
              return ran;
            },
            () ->
                added(
                    one,
                    psqlOnBoth(
                        urlA, urlB, "SELECT sum(hashtextextended(r::text, 0)) FROM %s r", 0)),
            () ->
                added(
                    many,
                    psqlOnBoth(
                        urlA, urlB, "SELECT sum(hashtextextended(r::text, 0)) FROM %s r", 2)),
            () -> added(copy, psqlOnBoth(urlA, urlB, "COPY %s TO STDOUT", 0)));
    inTurns(turns);
    for (Figures figures :
        List.of(
            ours,
            rate,
            one,
            many,
            copy,
            Figures.ratio("diff / own sums, one connection (bound 1)", ours, one),
            Figures.ratio("diff / own sums, parallel workers (bound 1)", ours, many),
            Figures.ratio("diff / COPY (bound 1)", ours, copy),
            rss)) {
      figures.print();
    }
  }

  private void few(long rows, int differing, String pgcopydb) throws Exception {
    both(
        "few",
        (server, order) ->
            new String[] {
              ("CREATE TABLE events AS SELECT g::bigint AS id, g %% 1000 AS owner, md5(g::text) AS v,"
                      + " '2026-01-01 00:00Z'::timestamptz + g * '1 s'::interval AS at FROM generate_series(1, %d) g ORDER BY %s")
                  .formatted(rows, server == a ? "g" : "g / 1000, md5(g::text)"),
              "ALTER TABLE events ADD PRIMARY KEY (id)",
              "VACUUM ANALYZE"
            });
    String urlA = a.server().url("few");
    String urlB = b.server().url("few");
    try (Connection connection = DriverManager.getConnection("jdbc:" + jdbc(urlB), "postgres", "");
        Statement statement = connection.createStatement()) {
      statement.execute(
          "UPDATE events SET v = 'different' WHERE id IN (SELECT 1 + g * %d FROM generate_series(0, %d) g)"
              .formatted(rows / differing, differing - 1));
    }
    System.out.printf(Locale.ROOT, "%,d differing rows of %,d%n", differing, rows);
    Figures ours = new Figures("diff, s");
    Figures rss = new Figures("diff, resident, MiB");
    Figures theirs = new Figures("pgcopydb compare data, s");
    Figures theirRss = new Figures("pgcopydb, resident, its processes together, MiB");
    List<Measured> turns = new ArrayList<>();
    turns.add(() -> {
      Ran ran = diff(urlA, urlB, differing);
      ours.add(ran.seconds());
      rss.add(ran.rss());
      return ran;
    });
    boolean comparable =
        Processes.run(List.of(pgcopydb, "compare", "data", "--help"))
            .output()
            .contains("compare data");
    if (comparable) {
      turns.add(() -> {
        Path work = Files.createTempDirectory(a.folder(), "pgcopydb");
        Ran ran =
            run(
                List.of(
                    pgcopydb,
                    "compare",
                    "data",
                    "--source",
                    urlA,
                    "--target",
                    urlB,
                    "--dir",
                    work.resolve("work").toString()));
        if (ran.exitCode() != 0
            || !ran.output().contains(".events")
            || !ran.output().contains("| ! |")) {
          throw new IllegalStateException("pgcopydb: " + ran);
        }
        theirs.add(ran.seconds());
        theirRss.add(ran.rss());
        return ran;
      });
    } else {
      System.out.println(
          "  " + pgcopydb + " has no compare data (it came with 0.13): see docs/BENCHMARKS.md");
    }
    inTurns(turns);
    ours.print();
    rss.print();
    if (comparable) {
      theirs.print();
      theirRss.print();
      Figures.ratio("diff / pgcopydb compare data", ours, theirs).print();
    }
  }

  private void inTurns(List<Measured> turns) throws Exception {
    for (int round = 0; round < rounds; round++) {
      for (int turn = 0; turn < turns.size(); turn++) {
        turns.get((round + turn) % turns.size()).run();
      }
    }
  }

  private static Ran added(Figures figures, Ran ran) {
    figures.add(ran.seconds());
    return ran;
  }

  private interface Tables {
    String[] statements(Production server, String order);
  }

  private void both(String database, Tables tables) throws SQLException {
    for (Production server : List.of(a, b)) {
      server.run("CREATE DATABASE " + database);
      try (Connection connection =
              DriverManager.getConnection(
                  "jdbc:" + jdbc(server.server().url(database)), "postgres", "");
          Statement statement = connection.createStatement()) {
        for (String sql : tables.statements(server, server == a ? "g" : "md5(g::text)")) {
          statement.execute(sql);
        }
      }
      server.run("CHECKPOINT");
    }
  }

  private static String jdbc(String url) {
    return url.replaceFirst("//[^@/]*@", "//");
  }

  private static String ask(String url, String sql) throws SQLException {
    try (Connection connection = DriverManager.getConnection("jdbc:" + jdbc(url), "postgres", "")) {
      return Production.ask(connection, sql);
    }
  }

  private Ran diff(String urlA, String urlB, long rowsExpected) throws Exception {
    Ran ran = run(List.of(program, "diff", urlA, urlB, "--json", "--quiet"));
    JsonNode summary = JSON.readTree(ran.output().lines().toList().getLast());
    if (ran.exitCode() != (rowsExpected == 0 ? 0 : 4)
        || summary.path("rowDifferences").asLong() != rowsExpected) {
      throw new IllegalStateException("diff: " + ran);
    }
    return ran;
  }

  /** One psql a side, both at once, each table after the other. */
  private Ran psqlOnBoth(String urlA, String urlB, String sql, int workers) throws Exception {
    String psql = a.binaries().program("psql").toString();
    String statements =
        "SET max_parallel_workers_per_gather = %d;".formatted(workers)
            + String.join(";", TABLES.stream().map(sql::formatted).toList());
    Ran ran =
        run(
            List.of(
                "sh",
                "-c",
                "\"$1\" -qAtX \"$2\" -c \"$4\" >/dev/null & other=$!; \"$1\" -qAtX \"$3\" -c \"$4\" >/dev/null && wait $other",
                "sh",
                psql,
                urlA,
                urlB,
                statements));
    if (ran.exitCode() != 0) {
      throw new IllegalStateException(ran.toString());
    }
    return ran;
  }

  private Ran run(List<String> command) throws Exception {
    Path output = Files.createTempFile(a.folder(), "output", ".txt");
    ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
    builder.redirectOutput(output.toFile());
    long begun = System.nanoTime();
    Process process = builder.start();
    double rss = 0;
    while (!process.waitFor(20, TimeUnit.MILLISECONDS)) {
      rss = Math.max(rss, resident(process));
    }
    double seconds = (System.nanoTime() - begun) / 1e9;
    return new Ran(seconds, process.exitValue(), rss, Files.readString(output));
  }

  private static double resident(Process process) {
    return Stream.concat(Stream.of(process.toHandle()), process.descendants())
        .mapToDouble(each -> {
          try {
            return Files.readAllLines(Path.of("/proc/" + each.pid() + "/status")).stream()
                .filter(line -> line.startsWith("VmRSS:"))
                .mapToDouble(line -> Double.parseDouble(line.replaceAll("\\D", "")) / 1024)
                .sum();
          } catch (IOException e) {
            return 0; // it has ended
          }
        })
        .sum();
  }
}
