package dev.holdfast.postgres;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.row.TableName;
import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.server.ProcessResult;
import dev.holdfast.server.Processes;
import dev.holdfast.testkit.TestServer;
import dev.holdfast.wal.Lsn;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Sparse forks against whole ones of the same moment. */
class SparseForkTest {
  /** As the server says it: there is no such file. */
  private static final String UNREADABLE = "could not open file";

  private static final String BY_ID = "SELECT length(about) FROM users WHERE id = 7";

  /** Text that does not compress, so that it goes to the TOAST table. */
  private static final String LONG_TEXT =
      "(SELECT string_agg(md5(i::text || '/' || j), '') FROM generate_series(1, 120) j)";

  @SuppressWarnings("NullAway.Init")
  private Path parent;

  @SuppressWarnings("NullAway.Init")
  private ForkOptions options;

  @BeforeEach
  void makeParent() throws IOException {
    parent = Files.createTempDirectory("holdfast-forks");
    Files.setPosixFilePermissions(parent, PosixFilePermissions.fromString("rwxr-xr-x"));
    options = ForkOptions.defaults().in(parent).withEmbeddedBinaries();
  }

  @AfterEach
  void nothing_is_left_behind() throws IOException {
    try (Stream<Path> left = Files.list(parent)) {
      assertThat(left).isEmpty();
    }
    Files.delete(parent);
  }

  @ParameterizedTest
  @CsvSource({"14, false", "15, false", "15, true", "18, false", "18, true"})
  void wanted_tables_have_the_rows_of_the_whole_fork_and_all_others_answer_with_an_error(
      int major, boolean checksums) throws Exception {
    List<String> initdb =
        checksums
            ? List.of("--data-checksums")
            : major >= 18 ? List.of("--no-data-checksums") : List.of();
    try (RecordedServer recorded =
        RecordedServer.start(PostgresBinaries.embedded(major), Map.of(), initdb)) {
      TestServer server = recorded.server();
      Path tablespace = recorded.tablespaceFolder();
      server.execute(
          "CREATE EXTENSION amcheck",
          "CREATE TABLESPACE elsewhere LOCATION '" + tablespace + "'",
          "CREATE SEQUENCE numbers",
          "CREATE TABLE users (id int PRIMARY KEY, name text, about text)",
          "INSERT INTO users SELECT i, 'user ' || i, "
              + LONG_TEXT
              + " FROM generate_series(1, 300) i",
          "CREATE INDEX users_name ON users (name)",
          "CREATE TABLE events (id int, day date, text text) PARTITION BY RANGE (day)",
          "CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')",
          "INSERT INTO events SELECT i, '2026-01-01'::date + i % 31, 'e' FROM generate_series(1, 900) i",
          "CREATE TABLE emptied AS SELECT generate_series(1, 5000) AS id",
          "CREATE TABLE moved AS SELECT generate_series(1, 5000) AS id",
          "CREATE TABLE orders (id int PRIMARY KEY, user_id int REFERENCES users, text text)",
          "INSERT INTO orders SELECT i, i % 300 + 1, "
              + LONG_TEXT
              + " FROM generate_series(1, 500) i",
          "CREATE VIEW orders_of AS SELECT u.name, o.text FROM users u JOIN orders o ON o.user_id = u.id",
          "CREATE MATERIALIZED VIEW totals AS SELECT user_id, count(*) FROM orders GROUP BY 1",
          "CREATE TABLE shrunk AS SELECT generate_series(1, 50000) AS id",
          "CREATE TABLE rewritten AS SELECT generate_series(1, 5000) AS id",
          "CREATE TABLE moved_too AS SELECT generate_series(1, 5000) AS id",
          "CREATE TABLE never (id int)",
          "CREATE UNLOGGED TABLE fleeting AS SELECT 1 AS id",
          "CREATE TABLE elsewhere_too TABLESPACE elsewhere AS SELECT generate_series(1, 500) AS id",
          "CREATE DATABASE second");
      server.executeIn("second", "CREATE TABLE notes AS SELECT generate_series(1, 5000) AS id");
      Catalog catalog = record(recorded);
      recorded.backUp();
      server.execute(
          "INSERT INTO users SELECT i, 'new ' || i, "
              + LONG_TEXT
              + " FROM generate_series(301, 400) i",
          "UPDATE users SET name = name || '!', about = about || 'x' WHERE id % 3 = 0",
          "DELETE FROM users WHERE id % 7 = 0 AND id NOT IN (SELECT user_id FROM orders)",
          "VACUUM users",
          "UPDATE orders SET text = text || '.' WHERE id % 2 = 0",
          "DELETE FROM shrunk WHERE id > 10",
          "VACUUM shrunk",
          "INSERT INTO shrunk SELECT generate_series(1, 20000)",
          "VACUUM (FREEZE) orders",
          "INSERT INTO never VALUES (1)",
          "CREATE INDEX orders_user ON orders (user_id)",
          "CREATE INDEX users_about ON users (md5(about))",
          "VACUUM FULL rewritten",
          "UPDATE rewritten SET id = -id",
          "ALTER TABLE users RENAME TO people",
          "VACUUM FULL people",
          "UPDATE people SET name = upper(name) WHERE id % 5 = 0",
          "TRUNCATE emptied",
          "INSERT INTO emptied SELECT generate_series(1, 700)",
          "CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM ('2026-02-01') TO ('2026-03-01')",
          "INSERT INTO events SELECT i, '2026-02-01'::date + i % 28, 'f' FROM generate_series(1, 300) i",
          "ALTER TABLE moved SET TABLESPACE elsewhere",
          "UPDATE moved SET id = -id",
          "ALTER TABLE moved_too SET TABLESPACE elsewhere",
          "DELETE FROM moved_too WHERE id % 2 = 0",
          "SELECT nextval('numbers') FROM generate_series(1, 100)",
          "REFRESH MATERIALIZED VIEW totals",
          "CREATE TABLE since AS SELECT generate_series(1, 100) AS id",
          major >= 15
              ? "CREATE DATABASE copied TEMPLATE second STRATEGY file_copy"
              : "CREATE DATABASE copied TEMPLATE second");
      server.executeIn(
          "copied",
          "UPDATE notes SET id = -id WHERE id % 2 = 0",
          "VACUUM notes",
          "DELETE FROM notes");
      server.execute("ALTER DATABASE copied SET TABLESPACE elsewhere", "CHECKPOINT");
      server.executeIn("copied", "INSERT INTO notes SELECT generate_series(1, 3000)");
      server.execute("UPDATE people SET name = name || '?' WHERE id % 11 = 0");
      Lsn target = recorded.commit("CREATE TABLE last (id int)");
      recorded.recordWal();

      Set<Long> wanted = oids(catalog, "users", "events", "emptied", "moved");
      AtomicLong whole = new AtomicLong();
      AtomicLong sparse = new AtomicLong();
      Map<String, String> expected;
      List<String> tables = List.of("people", "events", "events_2", "emptied", "moved", "since");
      try (Fork fork =
          Fork.start(
              recorded.cluster(), RecoveryTarget.before(target), options.telling(totals(whole)))) {
        expected = checksums(fork, "postgres", tables);
        assertThat(fork.attempts()).isEqualTo(1);
        assertThat(fork.contents()).isEqualTo(new ForkContents.Whole());
      }
      ForkContents contents =
          new ForkContents.Sparse(database(catalog, "postgres"), wanted, true, false);
      try (Fork fork =
          Fork.start(
              recorded.cluster(),
              RecoveryTarget.before(target),
              options.holding(contents).telling(totals(sparse)))) {
        assertThat(fork.attempts()).isEqualTo(1);
        assertThat(fork.contents()).isEqualTo(contents);
        assertThat(fork.database()).isEqualTo("postgres");
        assertThat(fork.tables())
            .containsExactly(
                new TableName("public", "emptied"),
                new TableName("public", "events"),
                new TableName("public", "moved"),
                new TableName("public", "people"));
        assertThat(checksums(fork, "postgres", tables)).isEqualTo(expected);
        for (String index : List.of("users_pkey", "users_name", "users_about")) {
          run(fork, "postgres", "SELECT bt_index_check('" + index + "', true)");
        }
        assertThat(Long.parseLong(value(fork, "postgres", "SELECT last_value FROM numbers")))
            .isBetween(100L, 132L);
        for (String table :
            List.of("orders", "shrunk", "never", "fleeting", "elsewhere_too", "orders_of")) {
          assertUnreadable(fork, "postgres", "SELECT count(*) FROM " + table);
          assertUnreadable(fork, "postgres", "SELECT * FROM " + table + " LIMIT 1");
        }
        assertUnreadable(fork, "postgres", "SELECT max(id) FROM orders");
        assertUnreadable(fork, "postgres", "DELETE FROM people WHERE id = 1");
        assertUnreadable(fork, "postgres", "INSERT INTO orders VALUES (-1, 1, '')");
        assertUnreadable(fork, "second", "SELECT count(*) FROM notes");
        assertUnreadable(fork, "copied", "SELECT count(*) FROM notes");
        // Rewritten since: there, and right.
        assertThat(value(fork, "postgres", "SELECT count(*) FROM totals")).isEqualTo("300");
        assertThat(value(fork, "postgres", "SELECT min(id) FROM rewritten")).isEqualTo("-5000");
        assertThat(value(fork, "postgres", "SELECT count(*) FROM moved_too")).isEqualTo("2500");
      }
      assertThat(sparse.get()).as("room and work follow what is wanted").isLessThan(whole.get());
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {15, 18})
  void a_table_that_got_the_file_of_another_is_built_again_with_it(int major) throws Exception {
    try (RecordedServer recorded = RecordedServer.start(major, Map.of())) {
      TestServer server = recorded.server();
      server.execute(
          "CREATE TABLE users (id int)",
          "INSERT INTO users SELECT generate_series(1, 3000)",
          "CREATE TABLE users_repacked (id int)",
          "INSERT INTO users_repacked SELECT generate_series(1, 3000)",
          "CREATE TABLE events (id int) PARTITION BY RANGE (id)",
          "CREATE TABLE loose AS SELECT generate_series(1, 400) AS id",
          "CREATE TABLE parent (id int)",
          "CREATE TABLE child (more int) INHERITS (parent)",
          "INSERT INTO child SELECT i, i FROM generate_series(1, 200) i",
          "CREATE TABLE other AS SELECT generate_series(1, 400) AS id",
          "CREATE DATABASE second");
      server.executeIn("second", "CREATE TABLE notes AS SELECT generate_series(1, 500) AS id");
      Catalog catalog = record(recorded);
      recorded.backUp();
      server.execute(
          // As pg_repack does: the catalog's rows change places, the OIDs stay.
          """
          UPDATE pg_class a SET relfilenode = b.relfilenode FROM pg_class b
          WHERE (a.relname = 'users' AND b.relname = 'users_repacked')
             OR (b.relname = 'users' AND a.relname = 'users_repacked')
          """,
          "UPDATE users SET id = -id WHERE id % 2 = 0",
          "DELETE FROM users_repacked",
          "ALTER TABLE events ATTACH PARTITION loose FOR VALUES FROM (1) TO (1000)",
          "UPDATE loose SET id = id + 1 WHERE id = 400",
          "UPDATE child SET more = -more",
          "DELETE FROM other WHERE id < 10",
          major >= 15
              ? "CREATE DATABASE copied TEMPLATE second STRATEGY file_copy"
              : "CREATE DATABASE copied TEMPLATE second");
      server.executeIn("copied", "DELETE FROM notes WHERE id > 123");
      Lsn target = recorded.commit("CREATE TABLE last (id int)");
      long copied =
          Long.parseLong(server.value("SELECT oid FROM pg_database WHERE datname = 'copied'"));
      recorded.recordWal();

      for (Map.Entry<String, String> wanted :
          Map.of(
                  "users", "3000|-3000|2999",
                  "events", "400|1|401",
                  "parent", "200|1|200")
              .entrySet()) {
        ForkContents contents =
            new ForkContents.Sparse(
                database(catalog, "postgres"), oids(catalog, wanted.getKey()), true, false);
        try (Fork fork =
            Fork.start(
                recorded.cluster(), RecoveryTarget.before(target), options.holding(contents))) {
          assertThat(fork.attempts()).as(wanted.getKey()).isEqualTo(2);
          assertThat(fork.contents()).isEqualTo(contents);
          assertThat(
                  value(
                      fork,
                      "postgres",
                      "SELECT concat_ws('|', count(*), min(id), max(id)) FROM " + wanted.getKey()))
              .isEqualTo(wanted.getValue());
          assertUnreadable(fork, "postgres", "SELECT * FROM other");
        }
      }
      // A database made since by copying files that would have been left out.
      ForkContents inCopy =
          new ForkContents.Sparse(copied, oids(catalog, "second", "notes"), true, false);
      try (Fork fork =
          Fork.start(recorded.cluster(), RecoveryTarget.before(target), options.holding(inCopy))) {
        assertThat(fork.attempts()).isEqualTo(2);
        assertThat(fork.database()).isEqualTo("copied");
        assertThat(value(fork, "copied", "SELECT count(*) FROM notes")).isEqualTo("123");
        assertUnreadable(fork, "postgres", "SELECT * FROM other");
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {15, 18})
  void indexes_that_are_left_out_are_not_used_and_still_defined(int major) throws Exception {
    try (RecordedServer recorded = RecordedServer.start(major, Map.of())) {
      TestServer server = recorded.server();
      server.execute(
          "CREATE TABLE users (id int PRIMARY KEY, about text, name text UNIQUE)",
          "INSERT INTO users SELECT i, " + LONG_TEXT + ", i::text FROM generate_series(1, 200) i",
          "CREATE INDEX users_hash ON users (md5(about))");
      Catalog catalog = record(recorded);
      recorded.backUp();
      server.execute(
          "UPDATE users SET about = about || 'x' WHERE id % 2 = 0",
          "CREATE INDEX users_since ON users (length(about))");
      Lsn target = recorded.commit("CREATE TABLE last (id int)");
      recorded.recordWal();
      ForkContents contents =
          new ForkContents.Sparse(
              database(catalog, "postgres"), oids(catalog, "users"), false, false);
      String definitions =
          "SELECT string_agg(pg_get_indexdef(indexrelid) || indisvalid, ' ' ORDER BY indexrelid) FROM"
              + " pg_index WHERE indrelid = 'users'::regclass";
      try (Fork fork =
          Fork.start(
              recorded.cluster(), RecoveryTarget.before(target), options.holding(contents))) {
        assertThat(
                value(
                    fork,
                    "postgres",
                    "SELECT md5(string_agg(u::text, '' ORDER BY id)) FROM users u"))
            .isEqualTo(
                server.value("SELECT md5(string_agg(u::text, '' ORDER BY id)) FROM users u"));
        assertThat(value(fork, "postgres", BY_ID)).isEqualTo("3840");
        assertThat(value(fork, "postgres", definitions)).isEqualTo(server.value(definitions));
        run(fork, "postgres", "INSERT INTO users VALUES (1000, 'new')");
        assertThat(value(fork, "postgres", "SET enable_seqscan = off; EXPLAIN " + BY_ID))
            .startsWith("Seq Scan");
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {14, 15, 18})
  void a_fork_of_a_database_alone_has_its_rows_and_lets_nobody_into_the_others(int major)
      throws Exception {
    try (RecordedServer recorded =
        RecordedServer.start(major, Map.of("max_prepared_transactions", "5"))) {
      TestServer server = recorded.server();
      server.execute("CREATE DATABASE shop", "CREATE DATABASE second");
      server.executeIn(
          "shop",
          "CREATE TABLE users (id int PRIMARY KEY, name text)",
          "INSERT INTO users SELECT i, 'user ' || i FROM generate_series(1, 1000) i",
          "CREATE TABLE other AS SELECT generate_series(1, 3000) AS id");
      server.executeIn("second", "CREATE TABLE notes AS SELECT generate_series(1, 3000) AS id");
      Catalog catalog = record(recorded);
      recorded.backUp();
      server.executeIn(
          "second",
          "UPDATE notes SET id = -id",
          "VACUUM FULL pg_class",
          "CREATE TABLE since (id int)");
      server.executeIn("shop", "UPDATE users SET name = upper(name) WHERE id % 3 = 0");
      server.execute(
          major >= 15
              ? "CREATE DATABASE copied TEMPLATE second STRATEGY file_copy"
              : "CREATE DATABASE copied TEMPLATE second");
      server.executeIn("copied", "DELETE FROM notes WHERE id > -100", "VACUUM FULL pg_attribute");
      server.executeIn(
          "second", "BEGIN", "INSERT INTO since VALUES (1)", "PREPARE TRANSACTION 'elsewhere'");
      server.executeIn("shop", "BEGIN", "DELETE FROM users", "PREPARE TRANSACTION 'here'");
      Lsn target = recorded.commit("CREATE TABLE last (id int)");
      server.executeIn("shop", "ROLLBACK PREPARED 'here'");
      server.execute("ALTER DATABASE shop RENAME TO store");
      Lsn renamed = recorded.commit("CREATE TABLE later (id int)");
      String rows = "SELECT md5(string_agg(u::text, '' ORDER BY id)) FROM users u";
      String expected = server.queryIn("store", rows).getFirst();
      recorded.recordWal();
      ForkContents contents =
          new ForkContents.Sparse(
                  database(catalog, "shop"), oids(catalog, "shop", "users"), true, false)
              .asAlone();
      try (Fork fork =
          Fork.start(
              recorded.cluster(), RecoveryTarget.before(target), options.holding(contents))) {
        assertThat(fork.attempts()).isEqualTo(1);
        assertThat(fork.database()).isEqualTo("shop");
        assertThat(fork.databases()).containsExactly("shop");
        assertThat(fork.rolledBack()).containsExactly("here");
        assertThat(value(fork, "shop", rows)).isEqualTo(expected);
        assertUnreadable(fork, "shop", "SELECT * FROM other");
        for (String database : List.of("postgres", "second", "copied", "template1")) {
          assertThatThrownBy(() -> fork.connect(database))
              .as(database)
              .hasMessageContaining("cannot connect");
        }
      }
      // By its new name it is not found without the others: all are there then.
      try (Fork fork =
          Fork.start(
              recorded.cluster(), RecoveryTarget.before(renamed), options.holding(contents))) {
        assertThat(fork.attempts()).isEqualTo(2);
        assertThat(fork.database()).isEqualTo("store");
        assertThat(value(fork, "store", rows)).isEqualTo(expected);
        assertThat(value(fork, "postgres", "SELECT 1")).isEqualTo("1");
        assertUnreadable(fork, "second", "SELECT * FROM notes");
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {14, 17, 18})
  void catalogs_have_the_visibility_maps_that_records_without_page_images_refer_to(int major)
      throws Exception {
    try (RecordedServer recorded =
        RecordedServer.start(
            PostgresBinaries.embedded(major), Map.of("full_page_writes", "off"), List.of())) {
      recorded
          .server()
          .execute(
              "CREATE TABLE users (id int PRIMARY KEY)",
              "CREATE TABLE others (id int)",
              "DROP TABLE others", // leaves room in pages that are all visible otherwise
              "VACUUM");
      Catalog catalog = record(recorded);
      recorded.backUp();
      recorded.server().execute("CREATE TABLE more (id int)", "INSERT INTO users VALUES (1)");
      Lsn target = recorded.commit("CREATE TABLE last (id int)");
      recorded.recordWal();
      ForkContents contents =
          new ForkContents.Sparse(
              database(catalog, "postgres"), oids(catalog, "users"), true, false);
      try (Fork fork =
          Fork.start(
              recorded.cluster(), RecoveryTarget.before(target), options.holding(contents))) {
        assertThat(value(fork, "postgres", "SELECT id FROM users")).isEqualTo("1");
      }
    }
  }

  @Test
  void large_objects_are_there_when_wanted_and_an_error_otherwise() throws Exception {
    try (RecordedServer recorded = RecordedServer.start(18, Map.of())) {
      TestServer server = recorded.server();
      server.execute(
          "CREATE TABLE users AS SELECT generate_series(1, 10) AS id",
          "SELECT lo_from_bytea(4711, convert_to(repeat('x', 50000), 'UTF8'))");
      Catalog catalog = record(recorded);
      recorded.backUp();
      server.execute("SELECT lo_put(4711, 10, 'yyy')", "SELECT lo_from_bytea(4712, 'since')");
      Lsn target = recorded.commit("CREATE TABLE last (id int)");
      recorded.recordWal();
      long database = database(catalog, "postgres");
      Set<Long> users = oids(catalog, "users");
      String md5 =
          "SELECT md5(string_agg(lo_get(oid), '' ORDER BY oid)) FROM pg_largeobject_metadata";
      try (Fork fork =
          Fork.start(
              recorded.cluster(),
              RecoveryTarget.before(target),
              options.holding(new ForkContents.Sparse(database, users, true, true)))) {
        assertThat(value(fork, "postgres", md5)).isEqualTo(server.value(md5));
      }
      try (Fork fork =
          Fork.start(
              recorded.cluster(),
              RecoveryTarget.before(target),
              options.holding(new ForkContents.Sparse(database, users, true, false)))) {
        assertThat(value(fork, "postgres", "SELECT count(*) FROM users")).isEqualTo("10");
        for (String sql :
            List.of(
                "SELECT lo_get(4711)",
                "SELECT lo_get(4712)",
                "SELECT loread(lo_open(4711, 262144), 10)",
                "SELECT * FROM pg_largeobject")) {
          assertUnreadable(fork, "postgres", sql);
        }
        run(fork, "postgres", "CREATE DATABASE still_possible");
      }
    }
  }

  @Test
  void a_schema_only_fork_has_the_definitions_of_the_whole_one_by_pg_dump() throws Exception {
    PostgresBinaries installed = PostgresBinaries.installed(15).orElseThrow();
    try (RecordedServer recorded = RecordedServer.start(installed, Map.of(), List.of())) {
      TestServer server = recorded.server();
      server.execute(
          "CREATE TYPE mood AS ENUM ('sad', 'ok')",
          "CREATE TABLE users (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, mood mood, CHECK (id"
              + " > 0))",
          "INSERT INTO users (mood) SELECT 'ok' FROM generate_series(1, 1000)",
          "CREATE TABLE orders (id serial PRIMARY KEY, user_id int REFERENCES users, total numeric)",
          "CREATE INDEX ON orders (user_id) WHERE total > 0",
          "CREATE VIEW rich AS SELECT user_id, sum(total) FROM orders GROUP BY 1",
          "CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql AS 'SELECT 2 * $1'",
          "CREATE TABLE parts (id int) PARTITION BY HASH (id)",
          "CREATE TABLE parts_0 PARTITION OF parts FOR VALUES WITH (MODULUS 1, REMAINDER 0)",
          "CREATE STATISTICS counted ON id, user_id FROM orders",
          "SELECT lo_from_bytea(4711, 'large')");
      Catalog catalog = record(recorded);
      recorded.backUp();
      server.execute(
          "INSERT INTO orders (user_id, total) SELECT 1, i FROM generate_series(1, 2000) i",
          "ALTER TABLE orders ADD COLUMN note text DEFAULT 'none'",
          "ANALYZE",
          "CREATE MATERIALIZED VIEW sums AS SELECT count(*) FROM orders",
          "COMMENT ON TABLE users IS 'people'");
      Lsn target = recorded.commit("CREATE TABLE last (id int)");
      recorded.recordWal();
      ForkOptions own = ForkOptions.defaults().in(parent);
      String whole;
      try (Fork fork = Fork.start(recorded.cluster(), RecoveryTarget.before(target), own)) {
        whole = schema(installed, fork);
      }
      ForkContents withoutIndexes =
          new ForkContents.Sparse(
              database(catalog, "postgres"), oids(catalog, "users", "orders"), false, false);
      try (Fork fork =
          Fork.start(
              recorded.cluster(), RecoveryTarget.before(target), own.holding(withoutIndexes))) {
        assertThat(schema(installed, fork)).isEqualTo(whole);
        assertThat(value(fork, "postgres", "SELECT count(*) FROM orders WHERE total > 0"))
            .isEqualTo("2000");
      }
      try (Fork fork =
          Fork.start(
              recorded.cluster(),
              RecoveryTarget.before(target),
              own.holding(ForkContents.Sparse.SCHEMA_ONLY))) {
        assertThat(schema(installed, fork)).isEqualTo(whole).contains("CREATE TABLE public.users");
        assertThat(fork.attempts()).isEqualTo(1);
        assertUnreadable(fork, "postgres", "SELECT * FROM users");
        assertUnreadable(fork, "postgres", "SELECT * FROM rich");
        assertUnreadable(fork, "postgres", "SELECT lo_get(4711)");
        assertThat(value(fork, "postgres", "SELECT last_value >= 1000 FROM users_id_seq"))
            .isEqualTo("t");
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {15, 18})
  void a_stepping_fork_of_some_tables_has_their_rows_at_each_stop_and_errors_for_the_rest(int major)
      throws Exception {
    try (RecordedServer recorded = RecordedServer.start(major, Map.of())) {
      TestServer server = recorded.server();
      server.execute(
          "CREATE TABLE users (id int PRIMARY KEY)",
          "INSERT INTO users SELECT generate_series(1, 1000)",
          "CREATE TABLE other (id int)",
          "INSERT INTO other SELECT generate_series(1, 3000)",
          "CREATE TABLE shrunk AS SELECT generate_series(1, 50000) AS id");
      Catalog catalog = record(recorded);
      recorded.backUp();
      server.execute("DELETE FROM shrunk", "VACUUM shrunk");
      Lsn first = recorded.commit("DELETE FROM users WHERE id <= 10");
      server.execute("UPDATE other SET id = -id", "VACUUM other");
      Lsn second = recorded.commit("DELETE FROM users WHERE id <= 20");
      Lsn swapped =
          recorded.commit(
              """
              UPDATE pg_class a SET relfilenode = b.relfilenode FROM pg_class b
              WHERE (a.relname = 'users' AND b.relname = 'other')
                 OR (b.relname = 'users' AND a.relname = 'other')
              """);
      Lsn third = recorded.commit("CREATE TABLE third (id int)");
      Lsn fourth =
          recorded.commit("TRUNCATE users", "INSERT INTO users SELECT generate_series(1, 77)");
      Lsn last = recorded.commit("CREATE TABLE last (id int)");
      recorded.recordWal();
      ForkContents contents =
          new ForkContents.Sparse(
              database(catalog, "postgres"), oids(catalog, "users"), false, false);
      try (SteppingFork fork =
          SteppingFork.start(recorded.cluster(), first, options.holding(contents))) {
        assertStop(fork, "1000", "other", "shrunk");
        fork.moveTo(second);
        assertStop(fork, "990", "other", "shrunk");
        fork.moveTo(swapped);
        assertStop(fork, "980", "other", "shrunk");
        assertThat(fork.promotedStops()).isZero();
        fork.moveTo(third);
        assertStop(fork, "3000", "shrunk");
        assertThat(fork.promotedStops()).as("users lacks its file in the standby").isEqualTo(1);
        fork.moveTo(fourth);
        fork.moveTo(last);
        assertStop(fork, "77", "shrunk");
        assertThat(fork.promotedStops()).as("a file of its own again").isEqualTo(2);
      }
    }
  }

  private static void assertStop(SteppingFork fork, String users, String... unreadable)
      throws SQLException {
    try (Connection connection = fork.connect("postgres");
        Statement statement = connection.createStatement()) {
      try (ResultSet row = statement.executeQuery("SELECT count(*) FROM users")) {
        row.next();
        assertThat(row.getString(1)).isEqualTo(users);
      }
      for (String table : unreadable) {
        assertThatThrownBy(() -> statement.executeQuery("SELECT count(*) FROM " + table).close())
            .as(table)
            .isInstanceOf(SQLException.class)
            .hasMessageContaining(UNREADABLE);
      }
    }
  }

  @Test
  void a_table_that_is_gone_at_the_target_is_told_and_no_catalog_means_everything()
      throws Exception {
    try (RecordedServer recorded = RecordedServer.start(18, Map.of())) {
      TestServer server = recorded.server();
      server.execute(
          "CREATE TABLE users AS SELECT generate_series(1, 10) AS id",
          "CREATE TABLE other AS SELECT generate_series(1, 10) AS id");
      recorded.backUp();
      Catalog catalog = CatalogReader.read(PostgresUrl.parse(server.url("postgres")));
      server.execute("DROP TABLE users");
      Lsn target = recorded.commit("CREATE TABLE last (id int)");
      recorded.recordWal();
      ForkContents contents =
          new ForkContents.Sparse(
              database(catalog, "postgres"), oids(catalog, "users"), true, false);
      try (Fork fork =
          Fork.start(
              recorded.cluster(), RecoveryTarget.before(target), options.holding(contents))) {
        assertThat(fork.absent()).isEqualTo(oids(catalog, "users"));
        assertThat(fork.tables()).isEmpty();
        assertThat(fork.contents()).isEqualTo(new ForkContents.Whole());
        assertThat(value(fork, "postgres", "SELECT count(*) FROM other")).isEqualTo("10");
      }
    }
  }

  private static Catalog record(RecordedServer recorded) {
    Catalog catalog = CatalogReader.read(PostgresUrl.parse(recorded.server().url("postgres")));
    recorded.cluster().putCatalog("%016X".formatted(catalog.position().position()), catalog);
    return catalog;
  }

  private static RecoveryProgress totals(AtomicLong total) {
    return new RecoveryProgress() {
      @Override
      public void fetched(long bytes, long all) {
        total.set(all);
      }
    };
  }

  private static long database(Catalog catalog, String name) {
    return catalog.databases().stream()
        .filter(database -> database.name().equals(name))
        .findFirst()
        .orElseThrow()
        .oid();
  }

  private static Set<Long> oids(Catalog catalog, String... tables) {
    Set<Long> oids = new HashSet<>();
    for (Catalog.Database database : catalog.databases()) {
      for (Catalog.Relation relation : database.relations()) {
        if (relation.oid() >= 16384 && List.of(tables).contains(relation.name())) {
          oids.add(relation.oid());
        }
      }
    }
    return oids;
  }

  private static Map<String, String> checksums(Fork fork, String database, List<String> tables)
      throws SQLException {
    Map<String, String> checksums = new TreeMap<>();
    for (String table : tables) {
      checksums.put(
          table,
          value(
              fork,
              database,
              "SELECT count(*) || ' ' || md5(string_agg(ctid::text || t::text, ',' ORDER BY"
                  + " tableoid::regclass::text, ctid)) FROM "
                  + table
                  + " t"));
    }
    return checksums;
  }

  private static void assertUnreadable(Fork fork, String database, String sql) {
    assertThatThrownBy(() -> value(fork, database, sql))
        .as(sql)
        .isInstanceOf(SQLException.class)
        .hasMessageContaining(UNREADABLE);
  }

  private static void run(Fork fork, String database, String sql) throws SQLException {
    try (Connection connection = fork.connect(database);
        Statement statement = connection.createStatement()) {
      statement.setQueryTimeout(20);
      statement.execute(sql);
    }
  }

  private static String value(Fork fork, String database, String sql) throws SQLException {
    try (Connection connection = fork.connect(database);
        Statement statement = connection.createStatement()) {
      statement.setQueryTimeout(20); // a lock that was kept must fail the test, not hang it
      boolean rows = statement.execute(sql);
      while (!rows && statement.getUpdateCount() != -1) {
        rows = statement.getMoreResults();
      }
      try (ResultSet row = statement.getResultSet()) {
        return row.next() ? String.valueOf(row.getString(1)) : "nothing";
      }
    }
  }

  private static String schema(PostgresBinaries binaries, Fork fork) {
    ProcessResult result =
        Processes.run(
            List.of(binaries.program("pg_dump").toString(), "--schema-only", fork.url("postgres")));
    assertThat(result.exitCode()).as(result.output()).isZero();
    List<String> lines = new ArrayList<>();
    result
        .output()
        .lines()
        .filter(line -> !line.startsWith("\\restrict") && !line.startsWith("\\unrestrict"))
        .forEach(lines::add);
    return String.join("\n", lines);
  }
}
