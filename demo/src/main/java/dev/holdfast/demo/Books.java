package dev.holdfast.demo;

import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * What should be in the database, from the clients' acknowledgements and from before the accident.
 */
final class Books {
  /** Everything that hangs on tables, one line each: what a recovery must bring back, too. */
  private static final String OBJECTS =
      """
      SELECT c.relkind::text || ' ' || c.relname FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace
      UNION ALL SELECT 'constraint ' || conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid)
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace
      UNION ALL SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname = 'public'
      UNION ALL SELECT 'trigger ' || pg_get_triggerdef(t.oid) FROM pg_trigger t
        JOIN pg_class c ON c.oid = t.tgrelid WHERE NOT tgisinternal AND c.relnamespace = 'public'::regnamespace
      UNION ALL SELECT 'policy ' || policyname || ' on ' || tablename || ' ' || coalesce(qual, '') FROM pg_policies
        WHERE schemaname = 'public'
      UNION ALL SELECT 'function ' || pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
      UNION ALL SELECT 'view ' || viewname || ' ' || definition FROM pg_views WHERE schemaname = 'public'
      UNION ALL SELECT 'comment ' || description FROM pg_description d JOIN pg_class c ON c.oid = d.objoid
        WHERE c.relnamespace = 'public'::regnamespace
      ORDER BY 1
      """;

  private final Demo.Production production;
  private final Afternoon afternoon;
  private Map<String, String> contents = Map.of();
  private List<String> objects = List.of();
  private long rows;
  private long recovered;

  Books(Demo.Production production, Afternoon afternoon) {
    this.production = production;
    this.afternoon = afternoon;
  }

  /** Writes down everything that ordinary traffic leaves alone, just before an accident. */
  void writeDown() throws SQLException {
    try (Connection connection = production.connect()) {
      contents = contents(connection);
      objects = lines(connection, OBJECTS);
      rows = rows(connection);
    }
  }

  void recovered(long count) {
    recovered = count;
  }

  /** Compares the database with the books, adding a figure for each promise. */
  DemoResult check(Demo.Scenario scenario, Traffic traffic, List<DemoResult.Figure> figures)
      throws SQLException {
    List<DemoResult.Figure> all = new ArrayList<>(figures);
    try (Connection connection = production.connect()) {
      long lost = 0;
      if (scenario.holds(Demo.Scenario.JSON)) {
        Afternoon.Comparison users = afternoon.compare(connection);
        all.add(
            new DemoResult.Figure(
                "B: users whole: lost keys back, new phone numbers kept",
                "",
                "%,d of %,d".formatted(users.whole(), users.people()),
                users.whole() == users.people()));
        all.add(
            new DemoResult.Figure(
                "B: good writes lost",
                "all since the backup",
                "%,d of %,d".formatted(users.goodWritesLost(), afternoon.goodWrites()),
                users.goodWritesLost() == 0 && afternoon.goodWrites() > 0));
        lost += users.peopleLost();
      }
      long audits =
          Long.parseLong(
              one(connection, "SELECT count(*) FROM public.audit_logs WHERE client = 1"));
      lost += Math.max(0, traffic.audits.get() - audits);
      long seenWrongly = seenWrongly(connection, traffic);
      lost += seenWrongly;
      if (scenario.holds(Demo.Scenario.DROP)) {
        Map<String, String> now = contents(connection);
        long different =
            contents.entrySet().stream()
                .filter(entry -> !entry.getValue().equals(now.get(entry.getKey())))
                .count();
        long rowsNow = rows(connection);
        lost += Math.max(0, rows - rowsNow);
        List<String> objectsNow = lines(connection, OBJECTS);
        long missing = objects.stream().filter(object -> !objectsNow.contains(object)).count();
        all.add(
            new DemoResult.Figure(
                "D: tables with other contents than before",
                "",
                "%d of %d".formatted(different, contents.size()),
                different == 0 && !contents.isEmpty()));
        all.add(
            new DemoResult.Figure(
                "D: indexes, constraints, views, … missing",
                "",
                "%d of %d".formatted(missing, objects.size()),
                missing == 0 && !objects.isEmpty()));
      }
      long pings = Long.parseLong(one(connection, "SELECT count(*) FROM telemetry.pings"));
      all.add(
          new DemoResult.Figure(
              "rows lost", "5 min of data", Long.toString(lost), lost == 0 && seenWrongly == 0));
      all.add(
          new DemoResult.Figure(
              "rows written elsewhere meanwhile, kept",
              "",
              "%,d of %,d".formatted(pings, traffic.pings.get()),
              pings == traffic.pings.get() && pings > 0));
      all.add(
          new DemoResult.Figure(
              "errors met by traffic elsewhere",
              "all users down",
              "%d; longest write %.0f ms"
                  .formatted(traffic.pingErrors.get(), traffic.pingNanosMax.get() / 1e6),
              traffic.pingErrors.get() == 0));
      return DemoResult.of(all, lost, recovered, pings + audits, 0);
    }
  }

  private static long rows(Connection connection) throws SQLException {
    long rows = Long.parseLong(one(connection, "SELECT count(*) FROM public.users"));
    for (String table : Company.STILL_TABLES) {
      rows += Long.parseLong(one(connection, "SELECT count(*) FROM public." + table));
    }
    return rows;
  }

  private static long seenWrongly(Connection connection, Traffic traffic) throws SQLException {
    Map<Long, Long> stored = new HashMap<>();
    try (Statement statement = connection.createStatement();
        ResultSet found =
            statement.executeQuery("SELECT id, last_seen FROM public.users WHERE last_seen > 0")) {
      while (found.next()) {
        stored.put(found.getLong(1), found.getLong(2));
      }
    }
    return traffic.lastSeen.entrySet().stream()
        .filter(book -> !book.getValue().equals(stored.get(book.getKey())))
        // A write without an answer may have landed on top of the acknowledged one.
        .filter(book -> {
          Long open = traffic.unanswered.get(book.getKey());
          return open == null || !open.equals(stored.get(book.getKey()));
        })
        .count();
  }

  private static Map<String, String> contents(Connection connection) throws SQLException {
    Map<String, String> contents = new TreeMap<>();
    for (String table : Company.STILL_TABLES) {
      contents.put(
          table,
          one(
              connection,
              "SELECT count(*) || ' ' || coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)"
                  + " FROM public."
                  + table
                  + " t"));
    }
    contents.put(
        "users",
        one(
            connection,
            "SELECT count(*) || ' ' || sum(hashtextextended(row(id, team_id, email, data)::text,"
                + " 0)::numeric) FROM public.users"));
    return contents;
  }

  private static String one(Connection connection, String sql) throws SQLException {
    return lines(connection, sql).getFirst();
  }

  private static List<String> lines(Connection connection, String sql) throws SQLException {
    List<String> lines = new ArrayList<>();
    try (Statement statement = connection.createStatement();
        ResultSet rows = statement.executeQuery(sql)) {
      while (rows.next()) {
        lines.add(String.valueOf(rows.getString(1)));
      }
    }
    return lines;
  }
}
