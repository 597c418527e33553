package dev.holdfast.damage;

import dev.holdfast.testkit.TestServer;
import java.util.ArrayList;
import java.util.List;

/**
 * The tables of the random workload. Every row of the shared ones belongs to a slot, its first
 * column; tables named after a slot are used by that slot alone. A transaction works in one slot,
 * so no two ever wait for each other.
 */
final class WorkloadTables {
  static final int SLOTS = 8;

  /** Tables that are never emptied or rewritten: the server's statistics of them are comparable. */
  static final List<String> STEADY =
      List.of(
          "plain",
          "wide",
          "keyed",
          "gone",
          "region",
          "account",
          "entry",
          "entry_0",
          "entry_1",
          "note",
          "audited",
          "audit",
          "orders_low",
          "orders_mid_0",
          "orders_mid_1",
          "orders_high",
          "orders_rest");

  private WorkloadTables() {}

  static void create(TestServer server) {
    List<String> sql = new ArrayList<>();
    sql.add("CREATE EXTENSION IF NOT EXISTS plpgsql");
    sql.add(
        "CREATE TABLE plain (slot int, id bigint, a int, b text, PRIMARY KEY (slot, id))"
            + " WITH (fillfactor = 80)");
    sql.add("CREATE INDEX ON plain (a)");
    sql.add("CREATE TABLE gone (slot int, id bigint)");
    sql.add("CREATE TABLE wide (slot int, id bigint, doc text, n int, PRIMARY KEY (slot, id))");
    sql.add("ALTER TABLE wide ALTER doc SET STORAGE EXTERNAL");
    sql.add("CREATE TABLE keyed (slot int, k int, n int, doc text, PRIMARY KEY (slot, k))");
    sql.add("ALTER TABLE keyed ALTER doc SET STORAGE EXTERNAL");
    references(sql);
    sql.add("CREATE UNLOGGED TABLE fleeting (slot int, id bigint, doc text)");
    sql.add("ALTER TABLE fleeting ALTER doc SET STORAGE EXTERNAL");
    triggers(sql);
    orders(sql);
    sql.add("CREATE SEQUENCE counter");
    for (int slot = 0; slot < SLOTS; slot++) {
      ownedBy(slot, sql);
    }
    sql.add("VACUUM ANALYZE");
    server.execute(sql.toArray(String[]::new));
  }

  private static void references(List<String> sql) {
    sql.add("CREATE TABLE region (slot int PRIMARY KEY, hits int, name text)");
    sql.add("INSERT INTO region SELECT g, 0, 'region' FROM generate_series(0, 7) g");
    sql.add(
        "CREATE TABLE account (slot int, id bigint, region int REFERENCES region, code bigint"
            + " UNIQUE, balance int, PRIMARY KEY (slot, id))");
    sql.add(
        "CREATE TABLE entry (slot int, id bigint, account bigint, doc text, FOREIGN KEY (slot,"
            + " account) REFERENCES account ON DELETE CASCADE) PARTITION BY HASH (id)");
    sql.add("CREATE TABLE entry_0 PARTITION OF entry FOR VALUES WITH (MODULUS 2, REMAINDER 0)");
    sql.add("CREATE TABLE entry_1 PARTITION OF entry FOR VALUES WITH (MODULUS 2, REMAINDER 1)");
    sql.add(
        "CREATE TABLE note (slot int, id bigint, code bigint REFERENCES account (code)"
            + " ON UPDATE SET NULL ON DELETE SET NULL)");
  }

  /** Each row of "audited" leaves one row in "audit" before it comes and one after any change. */
  private static void triggers(List<String> sql) {
    sql.add("CREATE TABLE audited (slot int, id bigint, a int)");
    sql.add("CREATE TABLE audit (slot int, id bigint, what text)");
    sql.add(
        "CREATE FUNCTION note_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO audit"
            + " VALUES (coalesce(NEW.slot, OLD.slot), coalesce(NEW.id, OLD.id), TG_WHEN || TG_OP);"
            + " RETURN coalesce(NEW, OLD); END $$");
    sql.add(
        "CREATE TRIGGER before_row BEFORE INSERT ON audited FOR EACH ROW EXECUTE FUNCTION"
            + " note_row()");
    sql.add(
        "CREATE TRIGGER after_row AFTER INSERT OR UPDATE OR DELETE ON audited FOR EACH ROW EXECUTE"
            + " FUNCTION note_row()");
  }

  private static void orders(List<String> sql) {
    sql.add(
        "CREATE TABLE orders (slot int, id bigint, at int, doc text, PRIMARY KEY (slot, id, at))"
            + " PARTITION BY RANGE (at)");
    sql.add("ALTER TABLE orders ALTER doc SET STORAGE EXTERNAL");
    sql.add("CREATE TABLE orders_low PARTITION OF orders FOR VALUES FROM (0) TO (100)");
    sql.add(
        "CREATE TABLE orders_mid PARTITION OF orders FOR VALUES FROM (100) TO (200)"
            + " PARTITION BY HASH (id)");
    for (int part = 0; part < 2; part++) {
      sql.add(
          "CREATE TABLE orders_mid_%d PARTITION OF orders_mid FOR VALUES WITH (MODULUS 2,"
                  .formatted(part)
              + " REMAINDER %d)".formatted(part));
    }
    // Its columns lie in another order: rows that move here are converted.
    sql.add(
        "CREATE TABLE orders_high (doc text, dropped int, at int NOT NULL, id bigint NOT NULL)");
    sql.add("ALTER TABLE orders_high DROP dropped, ADD slot int NOT NULL");
    sql.add("ALTER TABLE orders_high ALTER doc SET STORAGE EXTERNAL");
    sql.add("ALTER TABLE orders ATTACH PARTITION orders_high FOR VALUES FROM (200) TO (300)");
    sql.add("CREATE TABLE orders_rest PARTITION OF orders DEFAULT");
  }

  private static void ownedBy(int slot, List<String> sql) {
    sql.add("CREATE TABLE own_%d (id bigint PRIMARY KEY, a int, doc text)".formatted(slot));
    sql.add("ALTER TABLE own_%d ALTER doc SET STORAGE EXTERNAL".formatted(slot));
    sql.add(
        "INSERT INTO own_%d SELECT g, g, 'own' FROM generate_series(-20, -1) g".formatted(slot));
    sql.add(
        "CREATE TABLE tree_%d (id bigint, at int, doc text) PARTITION BY RANGE (at)"
            .formatted(slot));
    sql.add(
        "CREATE TABLE tree_%1$d_low PARTITION OF tree_%1$d FOR VALUES FROM (0) TO (100)"
            .formatted(slot));
    sql.add(
        "CREATE TABLE tree_%1$d_high PARTITION OF tree_%1$d FOR VALUES FROM (100) TO (200)"
            .formatted(slot));
    sql.add(
        "INSERT INTO tree_%d SELECT g, 100 + g, 'tree' FROM generate_series(-20, 20) g"
            .formatted(slot));
    sql.add("CREATE TABLE flip_%d (id bigint, doc text)".formatted(slot));
    sql.add("INSERT INTO flip_%d SELECT g, 'flip' FROM generate_series(-20, -1) g".formatted(slot));
    sql.add(
        "CREATE MATERIALIZED VIEW seen_%1$d AS SELECT id, a FROM plain WHERE slot = %1$d"
            .formatted(slot));
    sql.add("CREATE UNIQUE INDEX ON seen_%d (id)".formatted(slot));
  }
}
