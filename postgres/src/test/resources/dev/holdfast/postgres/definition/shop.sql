-- Survives the accident: what others built on the dropped schema.
CREATE SCHEMA kept;
CREATE TABLE kept."Log" (id bigint PRIMARY KEY, user_id integer, amount numeric, note text DEFAULT 'n');
INSERT INTO kept."Log" SELECT n, 1 + n % 5, n, 'log ' || n FROM generate_series(1, 100) n;
-- Is dropped.
CREATE SCHEMA "Shop";
ALTER SCHEMA "Shop" OWNER TO "Shop Owner";
COMMENT ON SCHEMA "Shop" IS 'what we''ll lose; with a semicolon';
GRANT USAGE ON SCHEMA "Shop" TO app_writer WITH GRANT OPTION;
GRANT CREATE ON SCHEMA "Shop" TO "reader ""x""";
ALTER DEFAULT PRIVILEGES FOR ROLE "Shop Owner" IN SCHEMA "Shop" GRANT SELECT ON TABLES TO app_writer;
ALTER DEFAULT PRIVILEGES FOR ROLE "Shop Owner" IN SCHEMA "Shop" GRANT USAGE ON SEQUENCES TO "reader ""x""" WITH GRANT OPTION;

CREATE TYPE "Shop".mood AS ENUM ('sad', 'it''s ok', 'HAPPY');
ALTER TYPE "Shop".mood ADD VALUE 'middling' BEFORE 'it''s ok';
COMMENT ON TYPE "Shop".mood IS 'moods';
ALTER TYPE "Shop".mood OWNER TO "Shop Owner";
REVOKE ALL ON TYPE "Shop".mood FROM PUBLIC;
GRANT USAGE ON TYPE "Shop".mood TO app_writer;
CREATE TYPE "Shop"."Pair" AS (a integer, "b b" text COLLATE "C", m "Shop".mood);
COMMENT ON COLUMN "Shop"."Pair"."b b" IS 'the b of b';
CREATE FUNCTION "Shop".positive(n numeric) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE COST 3
  SET search_path TO 'Shop', pg_temp AS $$ SELECT n > 0; $$;
COMMENT ON FUNCTION "Shop".positive(numeric) IS 'is it';
REVOKE ALL ON FUNCTION "Shop".positive(numeric) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION "Shop".positive(numeric) TO app_writer, "Shop Owner";
CREATE DOMAIN "Shop".price AS numeric(12,2) DEFAULT 0.5 NOT NULL CONSTRAINT "is positive" CHECK ("Shop".positive(VALUE)) CONSTRAINT small CHECK (VALUE < 1e9);
ALTER DOMAIN "Shop".price ADD CONSTRAINT tiny CHECK (VALUE < 1e8) NOT VALID;
COMMENT ON DOMAIN "Shop".price IS 'a price';
COMMENT ON CONSTRAINT small ON DOMAIN "Shop".price IS 'not too big';
CREATE DOMAIN "Shop".word AS text COLLATE "C";
CREATE TYPE "Shop".span AS RANGE (subtype = float8, subtype_diff = float8mi, multirange_type_name = "Shop"."many spans");
CREATE COLLATION "Shop".posix (provider = libc, locale = 'C');
COMMENT ON COLLATION "Shop".posix IS 'plain';

CREATE SEQUENCE "Shop"."Order No" AS bigint INCREMENT BY 7 MINVALUE -5 MAXVALUE 1000000 START WITH 9 CACHE 4 CYCLE;
COMMENT ON SEQUENCE "Shop"."Order No" IS 'numbers';
GRANT USAGE ON SEQUENCE "Shop"."Order No" TO app_writer;
SELECT nextval('"Shop"."Order No"') FROM generate_series(1, 5);
CREATE SEQUENCE "Shop".never_called START WITH 42;

CREATE TABLE "Shop".users (
  id serial PRIMARY KEY,
  gone integer,
  name text COLLATE "C" NOT NULL,
  "E-Mail" varchar(120) UNIQUE DEFERRABLE INITIALLY DEFERRED,
  mood "Shop".mood DEFAULT 'HAPPY',
  moods "Shop".mood[] DEFAULT '{sad,HAPPY}',
  pair "Shop"."Pair",
  data jsonb DEFAULT '{}'::jsonb NOT NULL,
  words "Shop".word[],
  price "Shop".price,
  during "Shop".span,
  big text,
  lower_name text GENERATED ALWAYS AS (lower(name)) STORED,
  created timestamptz DEFAULT now(),
  CONSTRAINT "name not empty" CHECK (name <> ''),
  CONSTRAINT sure CHECK ("Shop".positive(id)) NO INHERIT
) WITH (fillfactor = 70, autovacuum_enabled = false, toast.autovacuum_enabled = false);
ALTER TABLE "Shop".users DROP COLUMN gone;
ALTER TABLE "Shop".users ALTER COLUMN big SET STORAGE EXTERNAL, ALTER COLUMN data SET COMPRESSION pglz,
  ALTER COLUMN name SET STATISTICS 500, ALTER COLUMN id SET (n_distinct = -0.5, n_distinct_inherited = 10);
ALTER TABLE "Shop".users OWNER TO "Shop Owner";
COMMENT ON TABLE "Shop".users IS E'people\nwho \\ buy';
COMMENT ON COLUMN "Shop".users."E-Mail" IS 'where to write';
COMMENT ON CONSTRAINT "name not empty" ON "Shop".users IS 'no ghosts';
COMMENT ON CONSTRAINT users_pkey ON "Shop".users IS 'the key';
CREATE INDEX "users by ""name""" ON "Shop".users USING btree (lower(name) COLLATE "C" text_pattern_ops DESC NULLS LAST) INCLUDE (price) WITH (fillfactor = 80) WHERE id > 3;
COMMENT ON INDEX "Shop"."users by ""name""" IS 'an index';
ALTER INDEX "Shop"."users by ""name""" ALTER COLUMN 1 SET STATISTICS 321;
CREATE INDEX users_data ON "Shop".users USING gin (data jsonb_path_ops);
CREATE UNIQUE INDEX users_for_replication ON "Shop".users (id, name);
ALTER TABLE "Shop".users REPLICA IDENTITY USING INDEX users_for_replication;
ALTER TABLE "Shop".users CLUSTER ON "users_pkey";
CREATE STATISTICS "Shop"."users stats" (ndistinct, mcv) ON id, name, (lower("E-Mail")) FROM "Shop".users;
ALTER STATISTICS "Shop"."users stats" SET STATISTICS 77;
COMMENT ON STATISTICS "Shop"."users stats" IS 'together';
GRANT SELECT, INSERT ON "Shop".users TO app_writer WITH GRANT OPTION;
GRANT SELECT (id, name), UPDATE ("E-Mail") ON "Shop".users TO "reader ""x""";
REVOKE DELETE ON "Shop".users FROM "Shop Owner";
SET ROLE app_writer;
GRANT SELECT ON "Shop".users TO "reader ""x""";
RESET ROLE;

CREATE FUNCTION "Shop".stamp() RETURNS trigger LANGUAGE plpgsql AS $f$
BEGIN
  NEW.created := now(); -- a ; in the body
  RETURN NEW;
END $f$;
CREATE FUNCTION "Shop".shout() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN RAISE EXCEPTION 'triggers must not fire'; END $f$;
CREATE TRIGGER "stamp it" BEFORE UPDATE OF name ON "Shop".users FOR EACH ROW WHEN (OLD.name IS DISTINCT FROM NEW.name) EXECUTE FUNCTION "Shop".stamp();
CREATE TRIGGER off AFTER DELETE ON "Shop".users FOR EACH STATEMENT EXECUTE FUNCTION "Shop".stamp();
CREATE TRIGGER always AFTER TRUNCATE ON "Shop".users FOR EACH STATEMENT EXECUTE FUNCTION "Shop".stamp();
CREATE TRIGGER replica AFTER UPDATE ON "Shop".users REFERENCING OLD TABLE AS o NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION "Shop".stamp('arg', 'it''s');
COMMENT ON TRIGGER "stamp it" ON "Shop".users IS 'stamps';
ALTER TABLE "Shop".users DISABLE TRIGGER off;
ALTER TABLE "Shop".users ENABLE ALWAYS TRIGGER always;
ALTER TABLE "Shop".users ENABLE REPLICA TRIGGER replica;

INSERT INTO "Shop".users (name, "E-Mail", pair, data, words, price, during, big, moods)
SELECT 'Name ' || n || E' \t \\ ☃', 'n' || n || '@x.org', ROW(n, E'x,"y\n', 'sad')::"Shop"."Pair",
  jsonb_build_object('phone', n::text, 'nested', jsonb_build_object('é', null)), ARRAY['a', NULL, '\N']::"Shop".word[], n + 0.25, '[1,2)', repeat('x', 3000), ARRAY[NULL, 'HAPPY']::"Shop".mood[]
FROM generate_series(1, 250) n;
DELETE FROM "Shop".users WHERE id % 10 = 7;
ALTER TABLE "Shop".users ADD CONSTRAINT doubtful CHECK (id <> 5) NOT VALID;
ALTER TABLE "Shop".users ENABLE ROW LEVEL SECURITY;
ALTER TABLE "Shop".users FORCE ROW LEVEL SECURITY;
CREATE POLICY "see own" ON "Shop".users AS RESTRICTIVE FOR SELECT TO app_writer, "reader ""x""" USING (name = current_user::text);
CREATE POLICY "change all" ON "Shop".users FOR ALL TO PUBLIC USING (true) WITH CHECK ("Shop".positive(id));
CREATE POLICY "add" ON "Shop".users FOR INSERT WITH CHECK (id IN (SELECT u.id FROM "Shop".users u));
COMMENT ON POLICY "add" ON "Shop".users IS 'a policy';

CREATE TABLE "Shop".orders (
  no bigint DEFAULT nextval('"Shop"."Order No"') NOT NULL,
  line integer GENERATED ALWAYS AS IDENTITY (SEQUENCE NAME "Shop"."lines of orders" START WITH 100 INCREMENT BY 10),
  other integer GENERATED BY DEFAULT AS IDENTITY,
  user_id integer NOT NULL CONSTRAINT "order's user" REFERENCES "Shop".users ON UPDATE CASCADE ON DELETE SET NULL DEFERRABLE,
  parent_no bigint, parent_line integer,
  during tstzrange,
  room integer,
  CONSTRAINT orders_pk PRIMARY KEY (no, line) INCLUDE (user_id),
  EXCLUDE USING gist (during WITH &&) WHERE (room IS NULL),
  CONSTRAINT self FOREIGN KEY (parent_no, parent_line) REFERENCES "Shop".orders (no, line) MATCH FULL
);
CREATE UNIQUE INDEX orders_other ON "Shop".orders (other);
ALTER TABLE "Shop".orders ADD CONSTRAINT "other is unique" UNIQUE USING INDEX orders_other;
ALTER TABLE "Shop".orders REPLICA IDENTITY FULL;
INSERT INTO "Shop".orders (user_id, during, room) SELECT 1 + n % 5, tstzrange('2026-01-01'::timestamptz, NULL), n FROM generate_series(1, 40) n;
ALTER TABLE "Shop".orders ADD CONSTRAINT soon FOREIGN KEY (other) REFERENCES "Shop".users (id) NOT VALID;
COMMENT ON CONSTRAINT "order's user" ON "Shop".orders IS 'who';
COMMENT ON COLUMN "Shop".orders.line IS 'identity';
GRANT ALL ON "Shop".orders TO PUBLIC;
CREATE RULE "no deletes" AS ON DELETE TO "Shop".orders WHERE OLD.room = 1 DO INSTEAD NOTHING;
CREATE RULE logs AS ON INSERT TO "Shop".orders DO ALSO SELECT 1;
ALTER TABLE "Shop".orders DISABLE RULE logs;
COMMENT ON RULE "no deletes" ON "Shop".orders IS 'a rule';

-- Partitions: list over range, a default one, local and attached indexes, cloned triggers.
CREATE TABLE "Shop".events (id bigint NOT NULL, kind text DEFAULT 'x' NOT NULL, at date NOT NULL, user_id integer, extra text COLLATE "C",
  CONSTRAINT events_kind CHECK (kind <> 'bad')) PARTITION BY LIST (kind);
CREATE TABLE "Shop".events_a PARTITION OF "Shop".events FOR VALUES IN ('a', 'it''s') PARTITION BY RANGE (at);
CREATE TABLE "Shop".events_a1 PARTITION OF "Shop".events_a FOR VALUES FROM ('2026-01-01') TO ('2026-07-01');
CREATE TABLE "Shop".events_a2 (extra text COLLATE "C", user_id integer, at date NOT NULL, kind text DEFAULT 'own' NOT NULL, id bigint NOT NULL, CONSTRAINT events_kind CHECK (kind <> 'bad'), CONSTRAINT "own check" CHECK (id > 0));
ALTER TABLE "Shop".events_a ATTACH PARTITION "Shop".events_a2 FOR VALUES FROM ('2026-07-01') TO (MAXVALUE);
CREATE TABLE kept.events_rest PARTITION OF "Shop".events DEFAULT;
CREATE INDEX events_at ON "Shop".events (at);
CREATE INDEX local_only ON "Shop".events_a1 (extra);
ALTER TABLE "Shop".events ADD CONSTRAINT events_pk PRIMARY KEY (id, kind, at) NOT DEFERRABLE;
CREATE INDEX unattached ON ONLY "Shop".events (extra);
ALTER TABLE "Shop".events ADD FOREIGN KEY (user_id) REFERENCES "Shop".users (id);
CREATE TRIGGER each_event AFTER UPDATE ON "Shop".events FOR EACH ROW EXECUTE FUNCTION "Shop".stamp();
ALTER TABLE "Shop".events_a1 DISABLE TRIGGER each_event;
COMMENT ON TABLE "Shop".events_a1 IS 'first half';
INSERT INTO "Shop".events SELECT n, CASE n % 3 WHEN 0 THEN 'a' WHEN 1 THEN 'it''s' ELSE 'other' END, '2026-01-01'::date + n, 1 + n % 5, 'e' || n FROM generate_series(1, 300) n;
CREATE TABLE "Shop".hashed (id integer, v text) PARTITION BY HASH (id);
CREATE TABLE "Shop".hashed_0 PARTITION OF "Shop".hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0) WITH (fillfactor = 50);
CREATE TABLE "Shop".hashed_1 PARTITION OF "Shop".hashed FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO "Shop".hashed SELECT n, 'h' || n FROM generate_series(1, 50) n;

CREATE TABLE "Shop".computed (at date, user_id integer, v text COLLATE "C") PARTITION BY RANGE (at, (abs(user_id)), v COLLATE "POSIX" text_pattern_ops);
CREATE TABLE "Shop".computed_1 PARTITION OF "Shop".computed FOR VALUES FROM ('2026-01-01', 3, 'a') TO ('2026-07-01', 5, 'z');

-- Inheritance.
CREATE TABLE "Shop".animal (id integer DEFAULT 3, name text NOT NULL, CONSTRAINT named CHECK (name <> ''), CONSTRAINT not_here CHECK (id > 0) NO INHERIT);
CREATE TABLE "Shop".dog (bark text, name text, CONSTRAINT loud CHECK (bark <> 'meow')) INHERITS ("Shop".animal);
ALTER TABLE "Shop".dog ALTER COLUMN id SET DEFAULT 4;
CREATE TABLE "Shop".puppy () INHERITS ("Shop".dog);
INSERT INTO "Shop".animal VALUES (1, 'cat');
INSERT INTO "Shop".dog (id, name, bark) VALUES (2, 'rex', 'woof');
INSERT INTO "Shop".puppy (name, bark) VALUES ('pup', E'\\.');

CREATE UNLOGGED TABLE "Shop".cache (k text PRIMARY KEY, v bytea);
CREATE TABLE "Shop"."no columns" ();
CREATE TABLE "Shop".typed OF "Shop"."Pair" (a WITH OPTIONS DEFAULT 8 NOT NULL);
INSERT INTO "Shop".typed VALUES (1, 'x', 'sad');
CREATE TABLE "Shop".kinds (b bytea, f4 real, f8 double precision, ts timestamptz, i interval, x xml, m money, bits bit varying(9), ip inet, n numeric, c "char", j json, ar integer[][], p point, tsv tsvector, u uuid, oids oid, r regclass);
INSERT INTO "Shop".kinds VALUES ('\x00ff41', 0.1, 'NaN', 'infinity', '-1 mon +3 days -04:05:06.789', '<a>1</a><b/>', 12.34, '101', '10.0.0.0/8', 'NaN', 'q', '{"b": 1,  "a":2}', '{{1,2},{3,NULL}}', '(1e-300,2)', 'a:1 b:2', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 7, 'kept."Log"');

-- Views of views, materialised views, functions over tables.
CREATE VIEW "Shop".active WITH (security_barrier = true) AS SELECT id, name AS "Name", price FROM "Shop".users WHERE id > 3 WITH LOCAL CHECK OPTION;
COMMENT ON VIEW "Shop".active IS 'a view';
COMMENT ON COLUMN "Shop".active."Name" IS 'a column of a view';
ALTER VIEW "Shop".active ALTER COLUMN "Name" SET DEFAULT 'nobody';
ALTER VIEW "Shop".active OWNER TO "Shop Owner";
GRANT SELECT ON "Shop".active TO app_writer;
GRANT SELECT (id) ON "Shop".active TO "reader ""x""";
CREATE TRIGGER instead INSTEAD OF INSERT ON "Shop".active FOR EACH ROW EXECUTE FUNCTION "Shop".shout();
CREATE VIEW "Shop"."a view of views" AS SELECT a.id, count(*) AS n FROM "Shop".active a JOIN "Shop".orders o ON o.user_id = a.id GROUP BY a.id;
CREATE VIEW "Shop".grouped AS SELECT u.id, u.name, count(*) FROM "Shop".users u LEFT JOIN "Shop".orders o ON o.user_id = u.id GROUP BY u.id;
CREATE MATERIALIZED VIEW "Shop".totals WITH (fillfactor = 90) AS SELECT id, n FROM "Shop"."a view of views";
CREATE UNIQUE INDEX totals_id ON "Shop".totals (id);
COMMENT ON MATERIALIZED VIEW "Shop".totals IS 'a materialised view';
ALTER TABLE "Shop".totals CLUSTER ON totals_id;
ALTER MATERIALIZED VIEW "Shop".totals ALTER COLUMN n SET STATISTICS 5;
GRANT SELECT ON "Shop".totals TO app_writer;
CREATE MATERIALIZED VIEW "Shop".empty AS SELECT * FROM "Shop".totals WITH NO DATA;
CREATE FUNCTION "Shop".cheap(OUT id integer, OUT "N" text) RETURNS SETOF record LANGUAGE sql STABLE BEGIN ATOMIC SELECT a.id, a."Name" FROM "Shop".active a; END;
CREATE FUNCTION "Shop".several(x integer) RETURNS integer LANGUAGE sql
BEGIN ATOMIC
  SELECT CASE WHEN x > 1 THEN 2 ELSE 3 END;
  SELECT CASE x WHEN 4 THEN 5 END;
END;
CREATE RULE "two ? things" AS ON UPDATE TO "Shop".hashed DO ALSO (DELETE FROM "Shop".hashed_0 WHERE v = '?;{d}'; SELECT 1);
CREATE FUNCTION "Shop".name_of(u "Shop".users, VARIADIC more text[] DEFAULT '{}') RETURNS text LANGUAGE sql STABLE SECURITY DEFINER AS $$ SELECT u.name $$;
CREATE PROCEDURE "Shop".tidy(INOUT n integer DEFAULT 3) LANGUAGE plpgsql AS $$ BEGIN n := n + 1; END $$;
GRANT EXECUTE ON PROCEDURE "Shop".tidy(integer) TO app_writer;
COMMENT ON PROCEDURE "Shop".tidy(integer) IS 'a procedure';
ALTER FUNCTION "Shop".name_of("Shop".users, text[]) OWNER TO "Shop Owner";

-- Survivors that lean on what is dropped.
CREATE TABLE kept.payments (id integer PRIMARY KEY DEFAULT nextval('"Shop".never_called'), user_id integer CONSTRAINT payer REFERENCES "Shop".users (id), amount numeric,
  CONSTRAINT paid CHECK ("Shop".positive(amount)));
COMMENT ON CONSTRAINT payer ON kept.payments IS 'who paid';
CREATE TRIGGER watch BEFORE INSERT ON kept.payments FOR EACH ROW WHEN (NEW.id = 99) EXECUTE FUNCTION "Shop".shout();
COMMENT ON TRIGGER watch ON kept.payments IS 'watches';
ALTER TABLE kept.payments DISABLE TRIGGER watch;
INSERT INTO kept.payments (user_id, amount) SELECT 1 + n % 5, n FROM generate_series(1, 20) n;
CREATE INDEX payments_positive ON kept.payments ("Shop".positive(amount));
CREATE POLICY "only users" ON kept.payments USING (user_id IN (SELECT u.id FROM "Shop".users u));
CREATE RULE mirror AS ON DELETE TO kept.payments DO ALSO DELETE FROM "Shop".orders WHERE no = OLD.id;
CREATE VIEW kept.report AS SELECT p.id, a."Name" FROM kept.payments p JOIN "Shop".active a ON a.id = p.user_id;
GRANT SELECT ON kept.report TO app_writer;
CREATE FUNCTION kept.count_active() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM "Shop".active; END;
CREATE TABLE kept.measures (id integer NOT NULL, at date NOT NULL, v text) PARTITION BY RANGE (at);
CREATE INDEX measures_v ON kept.measures (v);
ALTER TABLE kept.measures ADD CONSTRAINT measures_pk PRIMARY KEY (id, at);
CREATE TABLE "Shop".measures_2026 PARTITION OF kept.measures FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE kept.measures_2025 PARTITION OF kept.measures FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE FUNCTION kept.keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER measured AFTER UPDATE ON kept.measures FOR EACH ROW EXECUTE FUNCTION kept.keep();
ALTER TABLE "Shop".measures_2026 DISABLE TRIGGER measured;
ALTER TABLE kept.measures ADD FOREIGN KEY (id) REFERENCES kept."Log";
ALTER TABLE kept.measures ADD CONSTRAINT sane CHECK (id > 0);
CREATE TABLE kept.measured_again (id integer, at date, FOREIGN KEY (id, at) REFERENCES kept.measures);
INSERT INTO kept.measures SELECT n, '2025-12-01'::date + n, 'm' || n FROM generate_series(1, 60) n;
ALTER TABLE "Shop".hashed_0 ADD CONSTRAINT "only here" UNIQUE (id);

CREATE PUBLICATION changes FOR TABLE "Shop".users, kept."Log", "Shop".orders WITH (publish = 'insert, update');
COMMENT ON PUBLICATION changes IS 'survives';
