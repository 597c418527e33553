package dev.holdfast.demo;

import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Instant;
import java.time.OffsetDateTime;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;

/**
 * A bad afternoon of an API: its new endpoint for phone numbers replaces users' JSON documents, one
 * user and one transaction at a time, while the same API goes on writing good things to the same
 * table.
 *
 * <p>Several connections share the users out among themselves and keep books of what the server
 * acknowledged: what each user must be once every key is back that the endpoint lost.
 */
final class Afternoon {
  /** Users whose document was replaced: ids from 1. */
  static final int USERS_HIT = 4_000;

  private static final int CONNECTIONS = 8;

  /** Users of each connection that the endpoint is called for a second time. */
  private static final int CALLED_AGAIN = 190;

  /** Good writes of each connection, spread among its calls. */
  private static final int GOOD_WRITES = 260;

  private static final long SEED = 4711;

  /** The keys of a document in the order in which jsonb keeps them. */
  private static final List<String> KEYS =
      List.of("phone", "postal", "address", "country", "language");

  /** What a user must be: the truth that the table is compared with. */
  private static final class Person {
    String email;
    final Map<String, String> data = new HashMap<>();

    /** What acknowledged writes set, the endpoint's phone numbers included. */
    final Set<String> written = new HashSet<>();

    Person(String email) {
      this.email = email;
    }

    void set(String key, String value) {
      data.put(key, value);
      written.add(key);
    }
  }

  /**
   * How the table compares with the books.
   *
   * @param people users in the books
   * @param whole those that are what they must be
   * @param goodWritesLost values set by acknowledged writes, users made and users deleted that are
   *     not so in the table
   * @param peopleLost users that were made or were there, and are gone
   */
  record Comparison(long people, long whole, long goodWritesLost, long peopleLost) {}

  private final Demo.Production production;
  private final Map<Long, Person> people = new TreeMap<>();
  private final AtomicLong calls = new AtomicLong();
  private final AtomicLong goodWrites = new AtomicLong();
  private String firstCall = "";
  private Instant since = Instant.EPOCH;
  private Instant until = Instant.EPOCH;
  private double seconds;

  Afternoon(Demo.Production production) {
    this.production = production;
  }

  /** Calls of the endpoint, each a transaction. */
  long calls() {
    return calls.get();
  }

  /** Good writes to the same table, each a transaction. */
  long goodWrites() {
    return goodWrites.get();
  }

  /** The transaction of the first call. */
  String firstCall() {
    return firstCall;
  }

  /** When it began; whole milliseconds, as people type them. */
  Instant since() {
    return since;
  }

  /** When somebody turned the endpoint off. */
  Instant until() {
    return until;
  }

  /** How long it took. */
  double seconds() {
    return seconds;
  }

  /** From the first call of the endpoint to the last, good writes between them. */
  void run() throws SQLException {
    long begun = System.nanoTime();
    try (Connection connection = production.connect()) {
      since = clock(connection).truncatedTo(ChronoUnit.MILLIS);
      for (long id = 1; id <= USERS_HIT; id++) {
        people.put(id, founded(id));
      }
      firstCall =
          Incident.transaction(
              connection, "UPDATE users SET data = '{\"phone\": \"+1 555 1\"}' WHERE id = 1");
      person(1).set("phone", "+1 555 1");
      calls.incrementAndGet();
      List<Future<Client>> clients = new ArrayList<>();
      try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
        for (int number = 0; number < CONNECTIONS; number++) {
          Client client = new Client(number);
          clients.add(
              threads.submit(() -> {
                client.work();
                return client;
              }));
        }
      }
      for (Future<Client> each : clients) {
        Client client = finished(each);
        people.putAll(client.mine);
        people.keySet().removeAll(client.gone);
      }
      until = clock(connection).truncatedTo(ChronoUnit.MILLIS).plusMillis(1);
    }
    seconds = (System.nanoTime() - begun) / 1e9;
  }

  /** Good writes after the endpoint was turned off. */
  void goOn() throws SQLException {
    try (Connection connection = production.connect();
        Writer writer = new Writer(connection)) {
      for (long id = 1; id <= 300; id++) {
        writer.set(id, person(id), "phone", "+1 777 " + id);
      }
      for (long id = 301; id <= 400; id++) {
        writer.set(id, person(id), "address", id + " New Road");
      }
      for (long id = 401; id <= 420; id++) {
        writer.set(id, person(id), "address", id + " Nowhere");
        writer.remove(id, person(id), "address");
      }
      for (int n = 0; n < 20; n++) {
        writer.insert(people, "later" + n);
      }
      List<Long> newcomers = people.keySet().stream().filter(id -> id > Company.USERS).toList();
      for (long id : newcomers.subList(0, 10)) {
        writer.delete(id);
        people.remove(id);
      }
    }
  }

  /** Compares the whole table with the books. */
  Comparison compare(Connection connection) throws SQLException {
    long whole = 0;
    long goodWritesLost = 0;
    Set<Long> missing = new HashSet<>(people.keySet());
    try (Statement statement = connection.createStatement();
        ResultSet rows =
            statement.executeQuery(
                "SELECT id, email, data::text, data->>'phone', data->>'postal', data->>'address',"
                    + " data->>'country', data->>'language' FROM public.users WHERE id <= "
                    + USERS_HIT
                    + " OR id > "
                    + Company.USERS)) {
      while (rows.next()) {
        long id = rows.getLong(1);
        Person person = people.get(id);
        if (person == null) {
          goodWritesLost++; // somebody deleted this user
          continue;
        }
        missing.remove(id);
        boolean same =
            person.email.equals(rows.getString(2)) && text(person.data).equals(rows.getString(3));
        whole += same ? 1 : 0;
        if (person.written.contains("email") && !person.email.equals(rows.getString(2))) {
          goodWritesLost++;
        }
        for (int key = 0; key < KEYS.size(); key++) {
          String must = person.data.get(KEYS.get(key));
          String is = rows.getString(4 + key);
          boolean right = must == null ? is == null : must.equals(is);
          goodWritesLost += person.written.contains(KEYS.get(key)) && !right ? 1 : 0;
        }
      }
    }
    long others = Company.USERS - USERS_HIT;
    long othersWhole;
    try (Statement statement = connection.createStatement();
        ResultSet rows =
            statement.executeQuery(
                "SELECT count(*) FROM public.users WHERE id > %d AND id <= %d AND email = 'user' || id || '@example.org' AND data = %s"
                    .formatted(USERS_HIT, Company.USERS, Company.document("id")))) {
      rows.next();
      othersWhole = rows.getLong(1);
    }
    return new Comparison(
        people.size() + others,
        whole + othersWhole,
        goodWritesLost + missing.size(),
        missing.size());
  }

  private Person person(long id) {
    return entry(people, id);
  }

  private static Person entry(Map<Long, Person> people, long id) {
    Person person = people.get(id);
    if (person == null) {
      throw new IllegalStateException("user " + id + " is not in the books");
    }
    return person;
  }

  /** As {@link Company} made the user. */
  private static Person founded(long id) {
    Person person = new Person("user" + id + "@example.org");
    person.data.put("phone", "+49 30 " + id);
    person.data.put("address", id + " Main Street");
    person.data.put("country", "DE");
    person.data.put("postal", "%06d".formatted(id));
    return person;
  }

  /** As jsonb writes it. */
  private static String text(Map<String, String> data) {
    Map<String, String> members = new LinkedHashMap<>();
    KEYS.forEach(key -> {
      String value = data.get(key);
      if (value != null) {
        members.put(key, "\"" + key + "\": \"" + value + "\"");
      }
    });
    return "{" + String.join(", ", members.values()) + "}";
  }

  private static Instant clock(Connection connection) throws SQLException {
    try (Statement statement = connection.createStatement();
        ResultSet rows = statement.executeQuery("SELECT clock_timestamp()")) {
      rows.next();
      return rows.getObject(1, OffsetDateTime.class).toInstant();
    }
  }

  private static Client finished(Future<Client> client) throws SQLException {
    try {
      return client.get();
    } catch (ExecutionException e) {
      throw new SQLException("a client of the bad afternoon failed", e.getCause());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new SQLException("the bad afternoon was interrupted", e);
    }
  }

  /** One connection's share of the afternoon. */
  private final class Client {
    private final Random random;
    private final int number;
    final Map<Long, Person> mine = new TreeMap<>();
    final Set<Long> gone = new HashSet<>();

    Client(int number) {
      this.number = number;
      this.random = new Random(SEED + number);
      people.forEach((id, person) -> {
        if (id % CONNECTIONS == number) {
          mine.put(id, person);
        }
      });
    }

    void work() throws SQLException {
      List<Long> founders = new ArrayList<>(mine.keySet());
      List<@Nullable Long> order = new ArrayList<>(founders); // null: a good write
      Collections.shuffle(founders, random);
      order.addAll(founders.subList(0, CALLED_AGAIN));
      order.addAll(Collections.nCopies(GOOD_WRITES, null));
      Collections.shuffle(order, random);
      List<Long> newcomers = new ArrayList<>();
      try (Connection connection = production.connect();
          Writer writer = new Writer(connection)) {
        int sequence = 0;
        for (Long called : order) {
          sequence++;
          if (called != null) {
            writer.call(called, entry(mine, called), "+1 555 " + called + " " + sequence);
            continue;
          }
          long id = founders.get(random.nextInt(founders.size()));
          Person person = entry(mine, id);
          switch (random.nextInt(8)) {
            case 0, 1 -> writer.email(id, person, "user" + id + "." + sequence + "@example.org");
            case 2, 3 -> writer.set(id, person, "language", random.nextBoolean() ? "de" : "fr");
            case 4, 5 -> writer.set(id, person, "address", sequence + " Side Street");
            case 6 -> {
              long made = writer.insert(mine, number + "x" + sequence);
              newcomers.add(made);
              if (random.nextBoolean()) {
                writer.call(made, entry(mine, made), "+1 555 " + made);
              }
            }
            default -> {
              if (newcomers.size() > 10) {
                long leaver = newcomers.remove(random.nextInt(newcomers.size()));
                writer.delete(leaver);
                mine.remove(leaver);
                gone.add(leaver);
              }
            }
          }
        }
      }
    }
  }

  /** Writes, each a transaction, to the table and, once acknowledged, to the books. */
  private final class Writer implements AutoCloseable {
    private final PreparedStatement call;
    private final PreparedStatement email;
    private final PreparedStatement set;
    private final PreparedStatement remove;
    private final PreparedStatement insert;
    private final PreparedStatement delete;

    Writer(Connection connection) throws SQLException {
      call =
          connection.prepareStatement(
              "UPDATE users SET data = jsonb_build_object('phone', ?::text) WHERE id = ?");
      email = connection.prepareStatement("UPDATE users SET email = ? WHERE id = ?");
      set =
          connection.prepareStatement(
              "UPDATE users SET data = jsonb_set(data, ARRAY[?::text], to_jsonb(?::text)) WHERE id"
                  + " = ?");
      remove = connection.prepareStatement("UPDATE users SET data = data - ?::text WHERE id = ?");
      insert =
          connection.prepareStatement(
              "INSERT INTO users (team_id, email, data) VALUES (1, ?, ?::jsonb) RETURNING id");
      delete = connection.prepareStatement("DELETE FROM users WHERE id = ?");
    }

    /** The endpoint as it was: the phone number changes, and the rest of the document is gone. */
    void call(long id, Person person, String phone) throws SQLException {
      call.setString(1, phone);
      call.setLong(2, id);
      call.executeUpdate();
      person.set("phone", phone);
      calls.incrementAndGet();
    }

    void email(long id, Person person, String address) throws SQLException {
      email.setString(1, address);
      email.setLong(2, id);
      email.executeUpdate();
      person.email = address;
      person.written.add("email");
      goodWrites.incrementAndGet();
    }

    void set(long id, Person person, String key, String value) throws SQLException {
      set.setString(1, key);
      set.setString(2, value);
      set.setLong(3, id);
      set.executeUpdate();
      person.set(key, value);
      goodWrites.incrementAndGet();
    }

    void remove(long id, Person person, String key) throws SQLException {
      remove.setString(1, key);
      remove.setLong(2, id);
      remove.executeUpdate();
      person.data.remove(key);
      goodWrites.incrementAndGet();
    }

    long insert(Map<Long, Person> books, String name) throws SQLException {
      Person person = new Person(name + "@example.org");
      person.set("phone", "+1 999 " + name);
      person.set("address", name + " Square");
      person.set("country", "FR");
      person.set("postal", "75000");
      insert.setString(1, person.email);
      insert.setString(2, text(person.data));
      try (ResultSet rows = insert.executeQuery()) {
        rows.next();
        long id = rows.getLong(1);
        books.put(id, person);
        goodWrites.incrementAndGet();
        return id;
      }
    }

    void delete(long id) throws SQLException {
      delete.setLong(1, id);
      delete.executeUpdate();
      goodWrites.incrementAndGet();
    }

    @Override
    public void close() throws SQLException {
      for (PreparedStatement statement : List.of(call, email, set, remove, insert, delete)) {
        statement.close();
      }
    }
  }
}
