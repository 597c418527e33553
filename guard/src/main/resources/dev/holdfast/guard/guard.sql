-- The guard: what Holdfast puts inside a database, after identity.sql. PostgreSQL 14 to 18; run in one transaction, again for
-- an upgrade.
-- How it works, what each function promises and why: docs/decisions/0026-guard.md.
--
-- Two kinds of functions. Those that run for every statement are SECURITY INVOKER without settings of their own, since
-- both cost; they qualify every name and operator, so that no search_path can lead them elsewhere. The others run only
-- when something is about to be lost.

CREATE TABLE IF NOT EXISTS holdfast.rule (
  name text PRIMARY KEY,
  mode text NOT NULL CHECK (mode IN ('off', 'observe', 'enforce')),
  rows_max bigint CHECK (rows_max >= 0),
  percent_max numeric CHECK (percent_max > 0),
  since timestamptz NOT NULL DEFAULT pg_catalog.now(),
  changed_by text NOT NULL DEFAULT session_user
);

-- A rule made stricter or looser for some tables and roles. In patterns % stands for anything; nothing else is special.
CREATE TABLE IF NOT EXISTS holdfast.exception (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  rule text NOT NULL REFERENCES holdfast.rule (name),
  table_like text,
  role_like text,
  column_name text,
  mode text CHECK (mode IN ('off', 'observe', 'enforce')),
  rows_max bigint CHECK (rows_max >= 0),
  percent_max numeric CHECK (percent_max > 0),
  reason text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
  created_by text NOT NULL DEFAULT session_user
);

CREATE TABLE IF NOT EXISTS holdfast.free_schema (name_like text PRIMARY KEY, reason text NOT NULL);

-- What is known of each table: the schema it was first seen in (a free schema is free only for tables that began there),
-- the transaction that made it, its triggers, its columns' types as they were before a command changed them.
CREATE TABLE IF NOT EXISTS holdfast.guarded (
  relid oid PRIMARY KEY,
  place text NOT NULL,
  home text NOT NULL,
  made_by xid8,
  triggers text[] NOT NULL DEFAULT '{}',
  columns jsonb NOT NULL DEFAULT '{}',
  signature text,
  gap text
);

-- What was seen where a rule observes. Rows are only ever added, so that no two clients wait for each other.
CREATE TABLE IF NOT EXISTS holdfast.observation (
  at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  xid xid8 NOT NULL,
  rule text NOT NULL,
  mode text NOT NULL,
  schema_name text,
  table_name text,
  column_name text,
  rows_lost bigint,
  rows_there bigint,
  keys text[],
  role text,
  application text,
  address text
);

CREATE TABLE IF NOT EXISTS holdfast.permit (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  code_sha256 bytea NOT NULL UNIQUE,
  rules text[] NOT NULL,
  table_like text,
  rows_max bigint,
  role_name text,
  for_run boolean NOT NULL DEFAULT false,
  reason text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
  created_by text NOT NULL DEFAULT session_user,
  expires_at timestamptz NOT NULL,
  needs_approval boolean NOT NULL DEFAULT false,
  approved_at timestamptz,
  approved_by text,
  revoked_at timestamptz,
  used_at timestamptz,
  used_xid xid8,
  used_session text
);

CREATE TABLE IF NOT EXISTS holdfast.permit_use (
  permit_id bigint NOT NULL REFERENCES holdfast.permit (id),
  at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  xid xid8 NOT NULL,
  rule text NOT NULL,
  items jsonb NOT NULL,
  rows_lost bigint NOT NULL,
  origin jsonb NOT NULL,
  restore_point text
);

-- Transactions in which the guard itself changes its own objects. Nobody but its owner may write here.
CREATE TABLE IF NOT EXISTS holdfast.working (xid xid8 PRIMARY KEY);

GRANT SELECT ON holdfast.rule, holdfast.exception, holdfast.free_schema TO PUBLIC;

-- ----------------------------------------------------------------------------------------------------------- what holds

CREATE OR REPLACE FUNCTION holdfast.matches(name text, pattern text) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
  -- chr(92): a backslash means another thing where standard_conforming_strings is off.
  SELECT pattern IS NULL OR name LIKE replace(replace(pattern, chr(92), repeat(chr(92), 2)), '_', chr(92) || '_')
$$;

CREATE OR REPLACE FUNCTION holdfast.setting(
  rule_name text, schema_name text, table_name text, column_name text DEFAULT NULL,
  OUT mode text, OUT rows_max bigint, OUT percent_max numeric)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT coalesce(e.mode, r.mode),
         CASE WHEN e.rows_max IS NULL AND e.percent_max IS NULL THEN r.rows_max ELSE e.rows_max END,
         CASE WHEN e.rows_max IS NULL AND e.percent_max IS NULL THEN r.percent_max ELSE e.percent_max END
    FROM holdfast.rule r
    LEFT JOIN LATERAL (
      SELECT * FROM holdfast.exception x
       WHERE x.rule = r.name
         AND holdfast.matches(setting.schema_name || '.' || setting.table_name, x.table_like)
         AND (x.column_name IS NULL OR x.column_name = setting.column_name)
         AND (holdfast.matches(session_user::text, x.role_like)
              OR holdfast.matches(current_setting('role', true), x.role_like))
       ORDER BY (x.table_like IS NOT NULL) DESC, (x.column_name IS NOT NULL) DESC, (x.role_like IS NOT NULL) DESC,
                length(x.table_like) DESC, x.id DESC
       LIMIT 1) e ON true
   WHERE r.name = rule_name
$$;

CREATE OR REPLACE FUNCTION holdfast.is_free_schema(name text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT left(is_free_schema.name, 3) = 'pg_' OR is_free_schema.name IN ('information_schema', 'holdfast', 'holdfast_sentinel')
      OR EXISTS (SELECT FROM holdfast.free_schema f WHERE holdfast.matches(is_free_schema.name, f.name_like))
$$;

-- No row, and nobody about to add one: asked of the table itself, as its statistics may be old. Null where that cannot be
-- told: somebody writes, it is large, or what this transaction sees is not what is there now. Locks go back with the
-- subtransaction; no policy of the table's owner is run.
CREATE OR REPLACE FUNCTION holdfast.is_empty(relid oid) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET row_security = off AS $$
DECLARE
  answer boolean;
BEGIN
  IF (SELECT relkind FROM pg_class WHERE oid = relid) <> 'r' THEN
    RETURN NULL;
  END IF;
  -- First of all, and not waited for: even asking for its size would wait for whoever holds it.
  EXECUTE format('LOCK TABLE ONLY %s IN SHARE MODE NOWAIT', relid::regclass);
  IF pg_relation_size(relid) = 0 THEN
    answer := true;
  ELSIF pg_relation_size(relid) <= 8388608 AND current_setting('transaction_isolation') = 'read committed' THEN
    EXECUTE format('SELECT NOT EXISTS (SELECT FROM ONLY %s)', relid::regclass) INTO answer;
  END IF;
  RAISE EXCEPTION SQLSTATE 'HF000';
EXCEPTION
  WHEN SQLSTATE 'HF000' THEN
    RETURN answer;
  WHEN OTHERS THEN
    RETURN NULL;
END $$;

-- The same of a partitioned table, too: of all that is in it.
CREATE OR REPLACE FUNCTION holdfast.holds_nothing(relid oid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  WITH RECURSIVE below AS (
    SELECT holds_nothing.relid AS r UNION SELECT i.inhrelid FROM below b JOIN pg_inherits i ON i.inhparent = b.r)
  SELECT coalesce(bool_and(c.relkind = 'p' OR coalesce(holdfast.is_empty(c.oid), false)), false) FROM below b JOIN pg_class c ON c.oid = b.r
$$;

CREATE OR REPLACE FUNCTION holdfast.rows_about(relid oid) RETURNS bigint
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT nullif(greatest(pg_stat_get_live_tuples(rows_about.relid),
                         coalesce((SELECT c.reltuples::bigint FROM pg_class c WHERE c.oid = rows_about.relid), 0)), 0)
$$;

-- Made in this very transaction: nobody else has seen it, so nothing is lost with it.
CREATE OR REPLACE FUNCTION holdfast.is_new(relid oid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT EXISTS (SELECT FROM holdfast.guarded g
                  WHERE g.relid = is_new.relid AND g.place = holdfast.place()
                    AND g.made_by = pg_current_xact_id_if_assigned())
     AND NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = is_new.relid AND NOT holdfast.is_new(i.inhrelid))
$$;

-- Free only where it is now and where it was first seen: moving a table frees nothing.
CREATE OR REPLACE FUNCTION holdfast.is_free_table(relid oid, now_in text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT holdfast.is_free_schema(now_in)
     AND coalesce((SELECT holdfast.is_free_schema(g.home) FROM holdfast.guarded g
                    WHERE g.relid = is_free_table.relid AND g.place = holdfast.place()), true)
$$;

-- ---------------------------------------------------------------------------------------------------------------- permits

-- Whether a permit that this transaction shows covers the loss; uses it if so. Otherwise why not, null without a permit.
-- PostgreSQL does not tell SET LOCAL from a SET that another client of a connection pool left in the session. So what was
-- said once is taken for one transaction and then forgotten by the session, unless the connection was opened with it; and a
-- statement that is a transaction of its own, where SET LOCAL cannot have been said, is refused as far as that can be seen.
CREATE OR REPLACE FUNCTION holdfast.use_permit(rule text, items jsonb, rows_lost bigint, OUT used bigint, OUT why_not text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  code text := current_setting('holdfast.permit', true);
  opened_with text;
  p holdfast.permit;
  this_session text;
  before bigint;
  point text;
BEGIN
  IF coalesce(code, '') = '' THEN
    -- Said before in this transaction, and forgotten since.
    SELECT * INTO p FROM holdfast.permit
     WHERE used_xid = pg_current_xact_id_if_assigned() ORDER BY (use_permit.rule = ANY (rules)) DESC, id DESC LIMIT 1;
    IF p.id IS NULL THEN
      RETURN;
    END IF;
    code := NULL;
  END IF;
  IF code IS NOT NULL THEN
  BEGIN
    PERFORM set_config('holdfast.permit', NULL, true);
    opened_with := current_setting('holdfast.permit', true);
    RAISE EXCEPTION SQLSTATE 'HF000'; -- the setting as it was comes back
  EXCEPTION WHEN SQLSTATE 'HF000' THEN
    NULL;
  END;
  IF opened_with IS DISTINCT FROM code
     AND transaction_timestamp() = statement_timestamp() AND position('holdfast.permit' IN current_query()) = 0 THEN
    why_not := 'the permit was not set inside this transaction: say BEGIN, SET LOCAL holdfast.permit = ''…'', the statement, COMMIT';
    RETURN;
  END IF;
  IF opened_with = code AND EXISTS (
       SELECT FROM pg_db_role_setting s, unnest(s.setconfig) c
        WHERE c LIKE 'holdfast.permit=%' AND s.setdatabase IN (0, holdfast.database_oid())
          AND s.setrole IN (0, (SELECT oid FROM pg_roles WHERE rolname = session_user))) THEN
    why_not := 'a permit kept as a role''s or database''s setting is not taken';
    RETURN;
  END IF;
  SELECT * INTO p FROM holdfast.permit WHERE code_sha256 = sha256(convert_to(code, 'UTF8')) FOR UPDATE;
  END IF;
  SELECT pg_backend_pid() || ' ' || backend_start::text INTO this_session
    FROM pg_stat_activity WHERE pid = pg_backend_pid();
  why_not := CASE
    WHEN p.id IS NULL THEN 'no permit has this code'
    WHEN p.revoked_at IS NOT NULL THEN format('permit %s was revoked', p.id)
    WHEN clock_timestamp() > p.expires_at THEN format('permit %s expired at %s', p.id, to_char(p.expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))
    WHEN p.needs_approval AND p.approved_at IS NULL THEN format('permit %s waits for a second person: holdfast guard approve %s %s', p.id, (SELECT cluster FROM holdfast.identity), p.id)
    WHEN p.role_name IS NOT NULL AND p.role_name <> session_user THEN format('permit %s is for the role %s', p.id, p.role_name)
    WHEN NOT (use_permit.rule = ANY (p.rules)) THEN format('permit %s allows %s, not %s', p.id, array_to_string(p.rules, ', '), use_permit.rule)
    WHEN p.for_run AND p.used_session IS NOT NULL AND p.used_session IS DISTINCT FROM this_session THEN format('permit %s is bound to the session that used it first', p.id)
    WHEN NOT p.for_run AND p.used_xid IS NOT NULL AND p.used_xid <> pg_current_xact_id() THEN format('permit %s was used already', p.id)
    END;
  IF why_not IS NULL AND p.table_like IS NOT NULL THEN
    SELECT format('permit %s is for %s, not for %s.%s', p.id, p.table_like, i->>'schema', i->>'table') INTO why_not
      FROM jsonb_array_elements(items) i
     WHERE NOT holdfast.matches((i->>'schema') || '.' || (i->>'table'), p.table_like)
     LIMIT 1;
  END IF;
  IF why_not IS NULL AND p.rows_max IS NOT NULL AND EXISTS (
       SELECT FROM jsonb_array_elements(items) i WHERE i ? 'table' AND i->>'rows' IS NULL) THEN
    why_not := format('permit %s is for %s rows, and how many would be lost is not known before ANALYZE', p.id, p.rows_max);
  END IF;
  IF why_not IS NULL AND p.rows_max IS NOT NULL THEN
    -- Rows of one table grow from statement to statement: only the last count of each counts.
    SELECT coalesce(sum(most), 0) INTO before
      FROM (SELECT max(u.rows_lost) AS most FROM holdfast.permit_use u
             WHERE u.permit_id = p.id
               AND NOT (u.xid = pg_current_xact_id() AND u.rule = use_permit.rule
                        AND u.items->0->>'table' = use_permit.items->0->>'table'
                        AND u.items->0->>'schema' = use_permit.items->0->>'schema')
             GROUP BY u.xid, u.rule, u.items->0->>'schema', u.items->0->>'table') s;
    IF before + coalesce(use_permit.rows_lost, 0) > p.rows_max THEN
      why_not := format('permit %s is for %s rows', p.id, p.rows_max);
    END IF;
  END IF;
  IF why_not IS NOT NULL THEN
    RETURN;
  END IF;
  IF p.used_xid IS DISTINCT FROM pg_current_xact_id() THEN
    BEGIN
      point := format('holdfast-permit-%s-%s', p.id, to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYYMMDD"T"HH24MISS"Z"'));
      PERFORM pg_create_restore_point(point);
    EXCEPTION WHEN OTHERS THEN
      point := NULL; -- not a superuser's guard, or wal_level minimal
    END;
  END IF;
  IF code IS NOT NULL AND opened_with IS DISTINCT FROM code THEN
    PERFORM set_config('holdfast.permit', '', false);
  END IF;
  UPDATE holdfast.permit SET used_at = coalesce(used_at, clock_timestamp()), used_xid = pg_current_xact_id(),
         used_session = coalesce(used_session, this_session) WHERE id = p.id;
  INSERT INTO holdfast.permit_use (permit_id, xid, rule, items, rows_lost, origin, restore_point)
    VALUES (p.id, pg_current_xact_id(), rule, items, coalesce(rows_lost, 0), holdfast.origin() - 'statement', point);
  used := p.id;
END $$;

-- ---------------------------------------------------------------------------------------------------------------- judging

CREATE OR REPLACE FUNCTION holdfast.listed(items jsonb, most integer) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT string_agg(format('%s.%s%s', i->>'schema', i->>'table', '.' || (i->>'column'))
           || CASE WHEN jsonb_typeof(i->'keys') = 'array' THEN
                format(' (%s of %s keys: %s)', jsonb_array_length(i->'keys'), i->>'keysBefore',
                       (SELECT string_agg(k, ', ') FROM jsonb_array_elements_text(i->'keys') k))
              WHEN i ? 'below' THEN coalesce(' (about ' || btrim(to_char((i->>'below')::bigint, '999,999,999,999,999')) || ' rows in its partitions)', ' (rows unknown)')
              WHEN i->>'rows' IS NOT NULL THEN
                format(' (%s%s rows)', CASE WHEN (i->>'exact')::boolean THEN '' ELSE 'about ' END, btrim(to_char((i->>'rows')::bigint, '999,999,999,999,999')))
              ELSE ' (rows unknown)' END, ', ' ORDER BY n)
    FROM jsonb_array_elements(items) WITH ORDINALITY AS e (i, n) WHERE n <= most
$$;

CREATE OR REPLACE FUNCTION holdfast.refuse(act text, rule text, items jsonb, rows_lost bigint, why_not text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  who holdfast.identity;
  many integer := jsonb_array_length(items);
  lost text;
  hint text;
  o jsonb := holdfast.origin();
BEGIN
  SELECT * INTO who FROM holdfast.identity;
  lost := CASE
    WHEN rule = 'guard-tampering' THEN 'it would weaken the guard: ' || (items->0->>'what')
    WHEN rule = 'drop-database' THEN 'it would lose the whole database'
    WHEN rule = 'json-keys-lost' THEN format('%s%s row%s would lose keys of %s', CASE WHEN (items->0->>'exact')::boolean THEN '' ELSE 'at least ' END, rows_lost, CASE WHEN rows_lost = 1 THEN '' ELSE 's' END, holdfast.listed(items, 3))
    WHEN rule IN ('mass-delete', 'mass-update') THEN format('it would %s %s in this transaction, of about %s', CASE rule WHEN 'mass-delete' THEN 'delete' ELSE 'change' END, holdfast.listed(items, 3), coalesce(btrim(to_char((items->0->>'of')::bigint, '999,999,999,999,999')), 'an unknown number'))
    ELSE format('it would lose %s%s', holdfast.listed(items, 3),
                CASE WHEN many > 3 THEN format(' and %s more: in all about %s rows', many - 3, btrim(to_char(rows_lost, '999,999,999,999,999'))) ELSE '' END)
    END;
  hint := format(E'Was this meant for another database? If it is meant for this one, try it on a fork first (holdfast fork %1$s), then get a permit:\n'
    'holdfast guard permit %1$s --allow %2$s%3$s --for 10m --reason "…"', who.cluster, rule,
    CASE WHEN items->0->>'table' IS NULL THEN '' WHEN many = 1 THEN format(' --table %s.%s%s', items->0->>'schema', items->0->>'table', CASE WHEN items->0 ? 'below' THEN '%' ELSE '' END) ELSE format(' --table %s.%%', items->0->>'schema') END);
  IF why_not IS NOT NULL THEN
    hint := format(E'The permit shown does not do: %s.\n%s', why_not, hint);
  END IF;
  IF NOT holdfast.identity_fits() THEN
    hint := format(E'This database may be a copy of %s: its stamp was made on another server or under another name. If it is a copy, this releases it: SELECT holdfast.adopt(''development'');\n%s', who.cluster, hint);
  END IF;
  RAISE LOG USING MESSAGE = format('holdfast refused %s (%s): user %s, application %s, address %s, database %s; %s',
    act, rule, o->>'user', coalesce(o->>'application', '?'), coalesce(o->>'address', 'local'), o->>'database', lost);
  RAISE EXCEPTION USING ERRCODE = 'HF001',
    MESSAGE = format('%s refused by Holdfast: database "%s" is %s/%s; %s', act, current_database(), who.cluster, who.environment, lost),
    DETAIL = format('Rule %s. %s', rule, CASE WHEN many > 0 AND rule <> 'guard-tampering' THEN 'First of what would be lost: ' || holdfast.listed(items, 10) ELSE '' END),
    HINT = hint;
END $$;

-- The verdict on a loss: refused, permitted, or seen. Items: [{"schema", "table", "rows", …}].
-- Returns what was decided: 'permitted', 'observed', 'passed' or 'failed'. Anything that goes wrong in here lets the statement pass.
CREATE OR REPLACE FUNCTION holdfast.judge(act text, rule text, items jsonb) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  enforced jsonb;
  observed jsonb;
  lost bigint;
  permit record;
  permit_used bigint;
  outcome text := 'passed';
  o jsonb;
BEGIN
  BEGIN
    SELECT jsonb_agg(i ORDER BY n) FILTER (WHERE s.mode = 'enforce'), jsonb_agg(i ORDER BY n) FILTER (WHERE s.mode = 'observe'),
           sum((i->>'rows')::bigint)
      INTO enforced, observed, lost
      FROM jsonb_array_elements(items) WITH ORDINALITY AS e (i, n),
           LATERAL holdfast.setting(rule, i->>'schema', i->>'table', i->>'column') s;
    IF enforced IS NOT NULL AND EXISTS ( -- what a publisher did must not stop its subscriber
         SELECT FROM pg_stat_get_activity(pg_backend_pid()) a WHERE a.backend_type LIKE 'logical replication%') THEN
      observed := coalesce(observed, '[]') || enforced;
      enforced := NULL;
    END IF;
    IF enforced IS NOT NULL THEN
      SELECT sum((i->>'rows')::bigint) INTO lost FROM jsonb_array_elements(enforced) i;
      BEGIN
        SELECT * INTO permit FROM holdfast.use_permit(rule, enforced, lost);
      EXCEPTION WHEN OTHERS THEN -- held by another session, or changed since this transaction began
        SELECT NULL::bigint AS used, 'it could not be looked at: ' || SQLERRM AS why_not INTO permit;
      END;
      IF permit.used IS NULL THEN
        PERFORM holdfast.refuse(act, rule, enforced, lost, permit.why_not);
      END IF;
      permit_used := permit.used;
      outcome := 'permitted';
    ELSIF observed IS NOT NULL THEN
      outcome := 'observed';
    END IF;
    o := holdfast.origin();
    PERFORM pg_logical_emit_message(true, 'holdfast', (o || jsonb_build_object(
      'rule', rule, 'act', act, 'outcome', outcome, 'tables', items) || CASE WHEN outcome = 'permitted'
        THEN jsonb_build_object('permit', permit_used) ELSE '{}' END)::text);
    -- 64 MB of observations are enough to see what is usual.
    IF observed IS NOT NULL AND pg_relation_size('holdfast.observation') < 67108864 THEN
      INSERT INTO holdfast.observation (xid, rule, mode, schema_name, table_name, column_name, rows_lost, rows_there, keys,
                                        role, application, address)
        SELECT pg_current_xact_id(), judge.rule, 'observe', i->>'schema', i->>'table', i->>'column', (i->>'rows')::bigint,
               (i->>'of')::bigint, CASE WHEN jsonb_typeof(i->'keys') = 'array' THEN ARRAY(SELECT jsonb_array_elements_text(i->'keys')) END,
               o->>'user', o->>'application', o->>'address'
          FROM jsonb_array_elements(observed) i;
    END IF;
  EXCEPTION
    WHEN SQLSTATE 'HF001' THEN
      RAISE;
    WHEN OTHERS THEN
      outcome := 'failed';
      RAISE LOG USING MESSAGE = 'holdfast: the guard met an error of its own and let the statement pass: ' || SQLERRM;
  END;
  RETURN outcome;
END $$;

-- ------------------------------------------------------------------------------------------------------- rows, en masse

-- total: how many rows this transaction has changed in the table, as far as counted. Returns up to which total nobody has to
-- ask again.
CREATE OR REPLACE FUNCTION holdfast.mass(rule text, relid oid, total bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET row_security = off AS $$
DECLARE
  s record;
  about bigint;
  name_of record;
  verdict text;
BEGIN
  SELECT n.nspname, c.relname, c.relpersistence, c.relkind INTO name_of
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = relid;
  -- By hand nobody may have it read a table, or run a view, as the guard's owner.
  IF pg_trigger_depth() = 0 OR name_of.relkind NOT IN ('r', 'p') OR name_of.relpersistence = 't'
     OR holdfast.is_free_table(relid, name_of.nspname) OR holdfast.is_new(relid) THEN
    RETURN 999999999999999999;
  END IF;
  SELECT * INTO s FROM holdfast.setting(rule, name_of.nspname, name_of.relname);
  WITH RECURSIVE below AS (
    SELECT mass.relid AS r UNION SELECT i.inhrelid FROM below b JOIN pg_inherits i ON i.inhparent = b.r)
  SELECT sum(holdfast.rows_about(b.r) + pg_stat_get_xact_tuples_inserted(b.r)) INTO about
    FROM below b JOIN pg_class c ON c.oid = b.r AND c.relkind <> 'p';
  IF about IS NULL AND total >= 1000 AND s.percent_max IS NOT NULL THEN
    -- Not analysed yet, as when it was filled a moment ago: counted as far as the limit asks.
    EXECUTE format('SELECT count(*) FROM (SELECT FROM %s LIMIT %s) s', relid::regclass, ceil(total * 100 / s.percent_max)) INTO about;
    IF rule = 'mass-delete' THEN
      about := about + total;
    END IF;
  END IF;
  IF total > coalesce(s.rows_max, 999999999999999999)
     OR (total >= 1000 AND total * 100 > coalesce(s.percent_max, 101) * coalesce(about, 0) AND s.percent_max IS NOT NULL AND about IS NOT NULL) THEN
    verdict := holdfast.judge(CASE rule WHEN 'mass-delete' THEN 'DELETE' ELSE 'UPDATE' END, rule, jsonb_build_array(jsonb_build_object(
      'schema', name_of.nspname, 'table', name_of.relname, 'rows', total, 'of', about, 'exact', true)));
    -- A permit counts rows: each statement is looked at again.
    RETURN CASE WHEN verdict = 'permitted' THEN total ELSE total * 2 END;
  END IF;
  RETURN total;
EXCEPTION
  WHEN SQLSTATE 'HF001' THEN
    RAISE;
  WHEN OTHERS THEN
    RAISE LOG USING MESSAGE = 'holdfast: the guard met an error of its own and let the statement pass: ' || SQLERRM;
    RETURN 999999999999999999;
END $$;

-- Past the bound every statement of the transaction is counted, in a setting that goes back with a savepoint.
CREATE OR REPLACE FUNCTION holdfast.tally(rule text, relid oid, changed bigint, look_from bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  name text := 'holdfast.' || CASE rule WHEN 'mass-update' THEN 'u' ELSE 'x' END || relid;
  kept text := current_setting(name, true);
  total bigint := changed;
  ok_until bigint := look_from;
BEGIN
  IF changed = 0 THEN
    RETURN;
  END IF;
  IF kept ~ '^[0-9]{1,18} [0-9]{1,18}$' THEN
    total := total + split_part(kept, ' ', 1)::bigint;
    ok_until := split_part(kept, ' ', 2)::bigint;
  END IF;
  IF total > ok_until THEN
    ok_until := holdfast.mass(rule, relid, total);
  END IF;
  PERFORM set_config(name, total || ' ' || ok_until, true);
  -- A busy session would pass the bound by its earlier transactions and be counted here for the rest of each second.
  IF current_setting('server_version_num')::integer >= 150000 THEN
    PERFORM pg_stat_force_next_flush();
  END IF;
END $$;

-- 999: looked at from there on where no limit is lower, written out since an argument would have to be read each time.
CREATE OR REPLACE FUNCTION holdfast.updated_many() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- Never less than what this transaction changed: the session's earlier transactions may be in it, too.
  IF pg_catalog.pg_stat_get_xact_tuples_updated(TG_RELID) OPERATOR(pg_catalog.>) 999 THEN
    PERFORM holdfast.tally('mass-update', TG_RELID, (SELECT pg_catalog.count(*) FROM old_rows), 999);
  END IF;
  RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION holdfast.updated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF pg_catalog.pg_stat_get_xact_tuples_updated(TG_RELID) OPERATOR(pg_catalog.>) TG_ARGV[0]::pg_catalog.int8 THEN
    PERFORM holdfast.tally('mass-update', TG_RELID, (SELECT pg_catalog.count(*) FROM old_rows), TG_ARGV[0]::pg_catalog.int8);
  END IF;
  RETURN NULL;
END $$;

-- For tables whose rows lie in others (partitions, inheritance): their own counter stays 0.
CREATE OR REPLACE FUNCTION holdfast.changed_below() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM holdfast.tally(TG_ARGV[1], TG_RELID, (SELECT pg_catalog.count(*) FROM old_rows), TG_ARGV[0]::pg_catalog.int8);
  RETURN NULL;
END $$;

-- DELETE has no table of old rows: keeping a million of them costs as much as deleting them. Instead the counter is
-- compared with what it was at the transaction's first DELETE of this table, less what rolled-back savepoints added.
-- Kept: the counter then, at the end of the last statement, and how many statements are under way, one inside the other.
CREATE OR REPLACE FUNCTION holdfast.deleting() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  name pg_catalog.text := 'holdfast.d' OPERATOR(pg_catalog.||) TG_RELID;
  kept pg_catalog.text := pg_catalog.current_setting(name, true);
  counter pg_catalog.int8 := pg_catalog.pg_stat_get_xact_tuples_deleted(TG_RELID);
  base pg_catalog.int8 := counter;
  inside pg_catalog.int8 := 0;
BEGIN
  IF kept OPERATOR(pg_catalog.~) '^-?[0-9]{1,18} [0-9]{1,18} [0-9]{1,6}$' THEN
    base := pg_catalog.split_part(kept, ' ', 1)::pg_catalog.int8;
    inside := pg_catalog.split_part(kept, ' ', 3)::pg_catalog.int8;
    IF inside OPERATOR(pg_catalog.=) 0 THEN
      base := base OPERATOR(pg_catalog.+) (counter OPERATOR(pg_catalog.-) pg_catalog.split_part(kept, ' ', 2)::pg_catalog.int8);
    END IF;
  END IF;
  PERFORM pg_catalog.set_config(name, base OPERATOR(pg_catalog.||) ' ' OPERATOR(pg_catalog.||) counter
    OPERATOR(pg_catalog.||) ' ' OPERATOR(pg_catalog.||) (inside OPERATOR(pg_catalog.+) 1), true);
  RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION holdfast.deleted() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  counter pg_catalog.int8 := pg_catalog.pg_stat_get_xact_tuples_deleted(TG_RELID);
  name pg_catalog.text;
  kept pg_catalog.text;
  base pg_catalog.int8;
BEGIN
  name := 'holdfast.d' OPERATOR(pg_catalog.||) TG_RELID;
  kept := pg_catalog.current_setting(name, true);
  IF kept OPERATOR(pg_catalog.~) '^-?[0-9]{1,18} [0-9]{1,18} [0-9]{1,6}$' THEN
    base := pg_catalog.split_part(kept, ' ', 1)::pg_catalog.int8;
    IF counter OPERATOR(pg_catalog.-) base OPERATOR(pg_catalog.>) TG_ARGV[0]::pg_catalog.int8 THEN
      PERFORM holdfast.deleted_many(TG_RELID, counter OPERATOR(pg_catalog.-) base);
    END IF;
    PERFORM pg_catalog.set_config(name, base OPERATOR(pg_catalog.||) ' ' OPERATOR(pg_catalog.||) counter OPERATOR(pg_catalog.||) ' '
      OPERATOR(pg_catalog.||) GREATEST(pg_catalog.split_part(kept, ' ', 3)::pg_catalog.int8 OPERATOR(pg_catalog.-) 1, 0), true);
  END IF;
  RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION holdfast.deleted_many(relid oid, total bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  name text := 'holdfast.x' || relid;
  kept text := current_setting(name, true);
BEGIN
  IF kept ~ '^[0-9]{1,18}$' AND total <= kept::numeric THEN
    RETURN;
  END IF;
  PERFORM set_config(name, holdfast.mass('mass-delete', relid, total)::text, true);
END $$;

-- A partitioned table and all that is in it. Its partitions are items of their own: what is allowed for them, one by one, is
-- not allowed for the whole.
CREATE OR REPLACE FUNCTION holdfast.whole_table(schema_name text, table_name text, below bigint) RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT jsonb_build_object('schema', schema_name, 'table', table_name, 'rows', 0, 'below', below)
$$;

CREATE OR REPLACE FUNCTION holdfast.truncating() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  any_rows boolean;
  rows_below bigint;
BEGIN
  IF holdfast.is_free_table(TG_RELID, TG_TABLE_SCHEMA) OR holdfast.is_new(TG_RELID) THEN
    RETURN NULL;
  END IF;
  IF (SELECT relkind FROM pg_class WHERE oid = TG_RELID) = 'p' THEN
    WITH RECURSIVE below AS (
      SELECT TG_RELID AS r UNION SELECT i.inhrelid FROM below b JOIN pg_inherits i ON i.inhparent = b.r)
    SELECT count(*) > 0, sum(holdfast.rows_about(b.r)) INTO any_rows, rows_below
      FROM below b JOIN pg_class c ON c.oid = b.r AND c.relkind = 'r' JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE NOT holdfast.is_new(b.r) AND NOT holdfast.is_free_table(b.r, n.nspname) AND NOT coalesce(holdfast.is_empty(b.r), false);
    IF any_rows THEN
      PERFORM holdfast.judge('TRUNCATE', 'truncate', jsonb_build_array(holdfast.whole_table(TG_TABLE_SCHEMA, TG_TABLE_NAME, rows_below)));
    END IF;
    RETURN NULL; -- each partition asks for itself, too
  END IF;
  IF holdfast.is_empty(TG_RELID) THEN
    RETURN NULL;
  END IF;
  PERFORM holdfast.judge('TRUNCATE', 'truncate', jsonb_build_array(jsonb_build_object(
    'schema', TG_TABLE_SCHEMA, 'table', TG_TABLE_NAME, 'rows', holdfast.rows_about(TG_RELID))));
  RETURN NULL;
EXCEPTION
  WHEN SQLSTATE 'HF001' THEN
    RAISE;
  WHEN OTHERS THEN
    RAISE LOG USING MESSAGE = 'holdfast: the guard met an error of its own and let the statement pass: ' || SQLERRM;
    RETURN NULL;
END $$;

-- ------------------------------------------------------------------------------------------------------------- JSON keys

-- One row that lost at least one key: kept until the statement ends, when all of them are judged together.
CREATE OR REPLACE FUNCTION holdfast.json_row(relid oid, column_name text, old_document jsonb, new_document jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  before text[];
  lost text[];
  seen jsonb;
  mine jsonb;
  rows_seen bigint;
BEGIN
  IF pg_trigger_depth() = 0 OR current_setting('holdfast.json_many', true) = relid::text THEN
    RETURN; -- by hand, or enough of them
  END IF;
  IF jsonb_typeof(old_document) IS DISTINCT FROM 'object' THEN
    RETURN;
  END IF;
  before := ARRAY(SELECT jsonb_object_keys(old_document));
  lost := CASE WHEN jsonb_typeof(new_document) = 'object'
    THEN ARRAY(SELECT k FROM unnest(before) k WHERE NOT jsonb_exists(new_document, k)) ELSE before END;
  IF cardinality(before) < 3 OR cardinality(lost) * 2 < cardinality(before) THEN
    RETURN;
  END IF;
  BEGIN
    seen := coalesce(nullif(current_setting('holdfast.json', true), ''), '{}')::jsonb;
    mine := seen->relid::text->column_name;
    rows_seen := coalesce((mine->>'rows')::bigint, 0) + 1;
  EXCEPTION WHEN OTHERS THEN -- somebody else's setting
    seen := '{}';
    rows_seen := 1;
  END;
  mine := jsonb_build_object('rows', rows_seen, 'keysBefore', greatest(cardinality(before), coalesce((mine->>'keysBefore')::integer, 0)),
    'keys', (SELECT jsonb_agg(k ORDER BY k) FROM (SELECT k FROM (SELECT unnest(lost) AS k UNION SELECT jsonb_array_elements_text(mine->'keys')) a ORDER BY k LIMIT 50) b));
  PERFORM set_config('holdfast.json', (seen || jsonb_build_object(relid::text,
    coalesce(seen->relid::text, '{}') || jsonb_build_object(column_name, mine)))::text, true);
  IF rows_seen >= 1000 THEN
    PERFORM set_config('holdfast.json_many', relid::text, true);
  END IF;
EXCEPTION WHEN OTHERS THEN
  RAISE LOG USING MESSAGE = 'holdfast: the guard met an error of its own and let a row pass: ' || SQLERRM;
END $$;

-- Whether documents that cannot be compared as jsonb (json with escapes that jsonb refuses) are counted: they are not.
CREATE OR REPLACE FUNCTION holdfast.json_text_row(relid oid, column_name text, old_document text, new_document text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM holdfast.json_row(relid, column_name, old_document::jsonb, new_document::jsonb);
EXCEPTION WHEN OTHERS THEN
  NULL;
END $$;

CREATE OR REPLACE FUNCTION holdfast.json_judged() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF pg_catalog.current_setting('holdfast.json', true) OPERATOR(pg_catalog.<>) '' THEN
    PERFORM holdfast.json_judge();
  END IF;
  RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION holdfast.json_judge() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  seen jsonb;
  items jsonb;
BEGIN
  IF pg_trigger_depth() = 0 THEN
    RETURN;
  END IF;
  seen := current_setting('holdfast.json', true)::jsonb;
  PERFORM set_config('holdfast.json', '', true), set_config('holdfast.json_many', '', true);
  SELECT jsonb_agg(e.value || jsonb_build_object('schema', n.nspname, 'table', c.relname, 'column', e.key,
           'exact', (e.value->>'rows')::bigint < 1000, 'of', holdfast.rows_about(c.oid)))
    INTO items
    FROM jsonb_each(seen) t, jsonb_each(t.value) e, pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE c.oid = t.key::oid AND NOT holdfast.is_new(c.oid) AND NOT holdfast.is_free_table(c.oid, n.nspname);
  IF items IS NOT NULL THEN
    PERFORM holdfast.judge('UPDATE', 'json-keys-lost', items);
  END IF;
EXCEPTION
  WHEN SQLSTATE 'HF001' THEN
    RAISE;
  WHEN OTHERS THEN
    RAISE LOG USING MESSAGE = 'holdfast: the guard met an error of its own and let the statement pass: ' || SQLERRM;
END $$;

-- ------------------------------------------------------------------------------------------- covering tables with triggers

-- From how many rows on a table's triggers look closer: no limit for any role is below.
CREATE OR REPLACE FUNCTION holdfast.look_from(rule_name text, schema_name text, table_name text) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT least(999, min(l.rows_max)) FROM (
    SELECT r.rows_max FROM holdfast.rule r WHERE r.name = rule_name
    UNION ALL
    SELECT e.rows_max FROM holdfast.exception e
     WHERE e.rule = rule_name AND holdfast.matches(schema_name || '.' || table_name, e.table_like)) l
$$;

CREATE OR REPLACE FUNCTION holdfast.has_event_triggers() RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT count(*) = 6 FROM pg_event_trigger
   WHERE evtname IN ('holdfast_ddl_start', 'holdfast_dropped', 'holdfast_sentinel', 'holdfast_renamed', 'holdfast_rewritten', 'holdfast_defined')
     AND evtenabled NOT IN ('D', 'R')
$$;

-- The columns whose base type is json or jsonb.
CREATE OR REPLACE FUNCTION holdfast.json_columns(relid oid) RETURNS TABLE (attname name, binary_json boolean)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  WITH RECURSIVE base AS (
    SELECT a.attnum, a.attname, a.atttypid AS typ FROM pg_attribute a
     WHERE a.attrelid = json_columns.relid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
    UNION ALL
    SELECT b.attnum, b.attname, t.typbasetype FROM base b JOIN pg_type t ON t.oid = b.typ WHERE t.typtype = 'd')
  SELECT b.attname, b.typ = 'jsonb'::regtype FROM base b WHERE b.typ IN ('json'::regtype, 'jsonb'::regtype) ORDER BY b.attnum
$$;

CREATE OR REPLACE FUNCTION holdfast.column_types(relid oid) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT coalesce(jsonb_object_agg(a.attnum, jsonb_build_array(a.atttypid::bigint, a.atttypmod)), '{}')
    FROM pg_attribute a WHERE a.attrelid = column_types.relid AND a.attnum > 0 AND NOT a.attisdropped
$$;

-- Writes the function that looks at a table's JSON columns, row by row. Its columns are named in its body, where nothing
-- depends on them: a trigger's WHEN would keep them from being dropped or altered. Without event triggers nobody tells
-- when a column is renamed: there an error of the function's own is caught, which costs. A restored dump may have no event
-- triggers either; it is known there by the table's OID, which is another one.
CREATE OR REPLACE FUNCTION holdfast.write_json_function(relid oid) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  -- Never named after the table's number, which in a restored dump is another table's.
  name text := coalesce((SELECT p.proname FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
                          WHERE t.tgrelid = relid AND t.tgname = 'holdfast_json' AND p.pronamespace = 'holdfast'::regnamespace
                            AND left(p.proname, 5) = 'json_' AND length(p.proname) = 37),
                        'json_' || replace(gen_random_uuid()::text, '-', ''));
  body text;
  safe boolean := NOT holdfast.has_event_triggers();
  -- Large documents that an UPDATE leaves alone are not even read where PostgreSQL can tell.
  kept text := CASE WHEN current_setting('server_version_num')::integer >= 170000 THEN
    '(pg_catalog.pg_column_toast_chunk_id(OLD.%1$I) IS NULL OR pg_catalog.pg_column_toast_chunk_id(OLD.%1$I) IS DISTINCT FROM pg_catalog.pg_column_toast_chunk_id(NEW.%1$I)) AND ' ELSE '' END;
BEGIN
  SELECT string_agg(CASE WHEN j.binary_json THEN format(
      '  IF ' || kept || E'pg_catalog.jsonb_typeof(OLD.%1$I) OPERATOR(pg_catalog.=) ''object''\n     AND ((OLD.%1$I OPERATOR(pg_catalog.||) NEW.%1$I) IS DISTINCT FROM NEW.%1$I OR NEW.%1$I IS NULL) THEN\n    PERFORM holdfast.json_row(TG_RELID, %2$L, OLD.%1$I, NEW.%1$I);\n  END IF;\n', j.attname, j.attname)
    ELSE format(
      '  IF ' || kept || E'OLD.%1$I::pg_catalog.text IS DISTINCT FROM NEW.%1$I::pg_catalog.text THEN\n    PERFORM holdfast.json_text_row(TG_RELID, %2$L, OLD.%1$I::pg_catalog.text, NEW.%1$I::pg_catalog.text);\n  END IF;\n', j.attname, j.attname) END, '')
    INTO body FROM holdfast.json_columns(relid) j;
  EXECUTE format('CREATE OR REPLACE FUNCTION holdfast.%I() RETURNS trigger LANGUAGE plpgsql AS %L', name,
    CASE WHEN safe THEN format(E'BEGIN\n%s  RETURN NULL;\nEXCEPTION WHEN OTHERS THEN\n  RETURN NULL;\nEND', body)
      ELSE format(E'BEGIN\n  IF TG_RELID OPERATOR(pg_catalog.<>) %L::pg_catalog.oid THEN\n  BEGIN\n%s  EXCEPTION WHEN OTHERS THEN\n    NULL;\n  END;\n  RETURN NULL;\n  END IF;\n%s  RETURN NULL;\nEND',
        relid, body, body) END);
  RETURN name;
END $$;

-- What is wrong with one of the guard's triggers, null if nothing: as its owner can make another one of the same name.
CREATE OR REPLACE FUNCTION holdfast.trigger_fault(relid oid, name text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT coalesce((
    SELECT CASE
      WHEN t.tgenabled IN ('D', 'R') THEN 'disabled'
      WHEN t.tgqual IS NOT NULL OR p.pronamespace <> 'holdfast'::regnamespace
        OR t.tgtype <> CASE name WHEN 'holdfast_truncate' THEN 34 WHEN 'holdfast_update' THEN 16 WHEN 'holdfast_delete' THEN 8
                         WHEN 'holdfast_delete_begin' THEN 10 WHEN 'holdfast_json' THEN 17 WHEN 'holdfast_json_end' THEN 16 END
        OR NOT CASE name WHEN 'holdfast_truncate' THEN p.proname = 'truncating'
                         WHEN 'holdfast_update' THEN p.proname IN ('updated', 'updated_many', 'changed_below')
                         WHEN 'holdfast_delete' THEN p.proname IN ('deleted', 'changed_below')
                         WHEN 'holdfast_delete_begin' THEN p.proname = 'deleting'
                         WHEN 'holdfast_json' THEN left(p.proname, 5) = 'json_' AND length(p.proname) = 37
                         WHEN 'holdfast_json_end' THEN p.proname = 'json_judged' ELSE false END
      THEN 'replaced'
      ELSE '' END
      FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid WHERE t.tgrelid = relid AND t.tgname = name), 'missing')
$$;

-- Puts the guard's triggers on one table, or brings them up to date. Takes a lock that lets readers go on and holds
-- writers up: call it with a short lock_timeout, one table to a transaction. Returns what is missing, null if nothing.
CREATE OR REPLACE FUNCTION holdfast.cover(relid oid) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  c record;
  g holdfast.guarded;
  update_from bigint;
  delete_from bigint;
  below boolean;
  has_foreign boolean;
  json text[];
  subscribed boolean;
  names text[] := '{holdfast_truncate}';
  wanted text;
  why text;
  t text := relid::regclass::text;
BEGIN
  SELECT r.oid, r.relname, n.nspname, r.relkind, r.relpersistence, r.relowner INTO c
    FROM pg_class r JOIN pg_namespace n ON n.oid = r.relnamespace WHERE r.oid = relid;
  IF c.oid IS NULL OR c.relkind NOT IN ('r', 'p') OR c.relpersistence = 't' OR holdfast.is_free_table(relid, c.nspname) THEN
    RETURN NULL;
  END IF;
  update_from := holdfast.look_from('mass-update', c.nspname, c.relname);
  delete_from := holdfast.look_from('mass-delete', c.nspname, c.relname);
  WITH RECURSIVE tree AS (
    SELECT relid AS r UNION SELECT i.inhrelid FROM tree JOIN pg_inherits i ON i.inhparent = tree.r)
  SELECT c.relkind = 'p' OR count(*) > 1, coalesce(bool_or(k.relkind = 'f'), false) INTO below, has_foreign
    FROM tree JOIN pg_class k ON k.oid = tree.r;
  json := ARRAY(SELECT format('%s %s', j.attname, j.binary_json) FROM holdfast.json_columns(relid) j);
  subscribed := EXISTS (SELECT FROM pg_subscription s WHERE s.subdbid = holdfast.database_oid());
  IF has_foreign THEN
    why := 'rows are not counted: one of its partitions is a foreign table';
  ELSE
    names := names || '{holdfast_update,holdfast_delete}'::text[];
  END IF;
  IF NOT below THEN
    names := names || 'holdfast_delete_begin'::text;
  END IF;
  IF c.relkind = 'r' AND json <> '{}' THEN
    names := names || 'holdfast_json'::text;
  END IF;
  IF json <> '{}' THEN
    names := names || 'holdfast_json_end'::text;
  END IF;
  wanted := md5(format('3 %s %s %s %s %s %s %s', names, below, update_from, delete_from, json, subscribed, holdfast.has_event_triggers()));
  SELECT * INTO g FROM holdfast.guarded x WHERE x.relid = cover.relid AND x.place = holdfast.place();
  IF g.signature = wanted AND NOT EXISTS (SELECT FROM unnest(names) n WHERE holdfast.trigger_fault(cover.relid, n) <> '')
     AND NOT EXISTS (SELECT FROM pg_trigger x WHERE x.tgrelid = cover.relid AND x.tgname = ANY (names)
                        AND x.tgenabled <> 'A' AND NOT (subscribed AND x.tgname = 'holdfast_truncate')) THEN
    -- As it should be: no lock is taken.
    UPDATE holdfast.guarded x SET columns = holdfast.column_types(cover.relid)
     WHERE x.relid = cover.relid AND x.columns <> holdfast.column_types(cover.relid);
    RETURN why;
  END IF;
  INSERT INTO holdfast.working VALUES (pg_current_xact_id()) ON CONFLICT DO NOTHING;
  EXECUTE format('CREATE OR REPLACE TRIGGER holdfast_truncate BEFORE TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION holdfast.truncating()', t);
  IF below AND NOT has_foreign THEN
    EXECUTE format('CREATE OR REPLACE TRIGGER holdfast_update AFTER UPDATE ON %s REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION holdfast.changed_below(%L, %L)', t, update_from, 'mass-update');
    EXECUTE format('CREATE OR REPLACE TRIGGER holdfast_delete AFTER DELETE ON %s REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION holdfast.changed_below(%L, %L)', t, delete_from, 'mass-delete');
  ELSIF NOT below THEN
    EXECUTE format('CREATE OR REPLACE TRIGGER holdfast_update AFTER UPDATE ON %s REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION holdfast.updated%s', t, CASE WHEN update_from = 999 THEN '_many()' ELSE format('(%L)', update_from) END);
    EXECUTE format('CREATE OR REPLACE TRIGGER holdfast_delete_begin BEFORE DELETE ON %s FOR EACH STATEMENT EXECUTE FUNCTION holdfast.deleting()', t);
    EXECUTE format('CREATE OR REPLACE TRIGGER holdfast_delete AFTER DELETE ON %s FOR EACH STATEMENT EXECUTE FUNCTION holdfast.deleted(%L)', t, delete_from);
  END IF;
  IF 'holdfast_json' = ANY (names) THEN
    EXECUTE format('CREATE OR REPLACE TRIGGER holdfast_json AFTER UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION holdfast.%I()', t, holdfast.write_json_function(relid));
  END IF;
  IF 'holdfast_json_end' = ANY (names) THEN
    EXECUTE format('CREATE OR REPLACE TRIGGER holdfast_json_end AFTER UPDATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION holdfast.json_judged()', t);
  END IF;
  EXECUTE coalesce((SELECT string_agg(format('DROP TRIGGER %I ON %s', x.tgname, t), '; ') FROM pg_trigger x
                     WHERE x.tgrelid = cover.relid AND x.tgname IN ('holdfast_update', 'holdfast_delete', 'holdfast_delete_begin', 'holdfast_json', 'holdfast_json_end')
                       AND NOT x.tgname = ANY (names) AND x.tgparentid = 0), 'SELECT');
  -- ALWAYS: session_replication_role = replica would silence them otherwise. Not for TRUNCATE where a subscription applies
  -- what a publisher did: refusing it there would stop the subscription for good.
  EXECUTE format('ALTER TABLE ONLY %s %s', t, (SELECT string_agg('ENABLE ' || CASE WHEN n = 'holdfast_truncate' AND subscribed THEN '' ELSE 'ALWAYS ' END
    || 'TRIGGER ' || n, ', ') FROM unnest(names) n));
  BEGIN -- whoever dumps what he owns reads these tables, too; two owners at once must not cost the triggers
    IF NOT has_table_privilege(c.relowner, 'holdfast.permit_use', 'SELECT') THEN
      EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA holdfast TO %1$s; GRANT SELECT ON ALL SEQUENCES IN SCHEMA holdfast TO %1$s', c.relowner::regrole);
    END IF;
  EXCEPTION WHEN OTHERS THEN
    NULL;
  END;
  INSERT INTO holdfast.guarded AS x (relid, place, home, triggers, columns, signature, gap)
    VALUES (relid, holdfast.place(), c.nspname, names, holdfast.column_types(relid), wanted, why)
    ON CONFLICT ON CONSTRAINT guarded_pkey DO UPDATE SET triggers = excluded.triggers, columns = excluded.columns, signature = excluded.signature, gap = excluded.gap,
      home = CASE WHEN x.place = excluded.place THEN x.home ELSE excluded.home END,
      made_by = CASE WHEN x.place = excluded.place THEN x.made_by END,
      place = excluded.place;
  DELETE FROM holdfast.working WHERE xid = pg_current_xact_id();
  RETURN why;
END $$;

-- Every table that should be covered, with what is missing on it.
CREATE OR REPLACE FUNCTION holdfast.tables() RETURNS TABLE (relid oid, schema_name text, table_name text, missing text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT c.oid, n.nspname::text, c.relname::text,
         CASE WHEN g.relid IS NULL OR g.triggers = '{}' THEN 'not covered'
              ELSE nullif(concat_ws(', ', (SELECT string_agg(w || ' is ' || holdfast.trigger_fault(c.oid, w), ', ')
                      FROM unnest(g.triggers) w WHERE holdfast.trigger_fault(c.oid, w) <> ''), g.gap), '') END
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN holdfast.guarded g ON g.relid = c.oid AND g.place = holdfast.place()
   WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND NOT holdfast.is_free_table(c.oid, n.nspname)
   ORDER BY 2, 3
$$;

-- --------------------------------------------------------------------------------------------------- commands that define

-- Before a command that may drop: which tables are empty, and how many rows ANALYZE found where the counters know of none
-- (after a crash, or not yet), as afterwards nobody can look any more.
CREATE OR REPLACE FUNCTION holdfast.ddl_start() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  empty text;
  analysed text;
  whole text;
  said text;
  guard_owner text := (SELECT r.rolname FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner WHERE c.oid = 'holdfast.identity'::regclass);
BEGIN
  -- For the sentinel, which may be all that is left afterwards.
  PERFORM set_config('holdfast.tampering', CASE WHEN holdfast.is_working() THEN 'off' ELSE
      (SELECT mode FROM holdfast.rule WHERE name = 'guard-tampering') END, true);
  -- What would take the sentinel along leaves nobody to see it: only the statement's text says so beforehand.
  IF (TG_TAG = 'DROP SCHEMA' AND current_query() ~* 'holdfast_sentinel')
     OR (TG_TAG = 'DROP OWNED' AND (current_query() ~* ('[[:<:]]' || guard_owner || '[[:>:]]')
           OR (session_user = guard_owner AND current_query() ~* '[[:<:]](current_user|session_user|current_role)[[:>:]]'))) THEN
    IF NOT holdfast.is_working() THEN
      PERFORM holdfast.tampering(TG_TAG, 'all of it would be dropped');
    END IF;
  END IF;
  IF TG_TAG = 'ALTER TABLE' OR holdfast.is_working() THEN
    RETURN; -- the table is still there afterwards, to be asked then
  END IF;
  GET DIAGNOSTICS said = PG_CONTEXT; -- of a function: its statement
  IF TG_TAG = 'DROP TABLE' THEN
    -- Functions in SQL are named there, and what they do is not.
    said := concat_ws(' ', said, (SELECT string_agg(p.prosrc, ' ') FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
      WHERE l.lanname = 'sql' AND p.pronamespace NOT IN ('pg_catalog'::regnamespace, 'holdfast'::regnamespace)
        AND position(p.proname IN said) > 0));
  END IF;
  -- A quote in a name is written twice.
  said := lower(replace(current_query() || ' ' || said, '""', '"'));
  WITH RECURSIVE meant AS ( -- of DROP TABLE only what is named, and what lies below it
    SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND left(n.nspname, 3) <> 'pg_' AND n.nspname NOT IN ('information_schema', 'holdfast')
       AND (TG_TAG <> 'DROP TABLE' OR position(replace(lower(c.relname), '""', '"') IN said) > 0)
    UNION SELECT i.inhrelid FROM meant m JOIN pg_inherits i ON i.inhparent = m.oid),
  found AS MATERIALIZED (
    SELECT c.oid, n.nspname, c.relkind, c.reltuples::bigint AS analysed, pg_stat_get_live_tuples(c.oid) AS counted,
           coalesce(c.relkind = 'r' AND (c.reltuples <= 0 OR pg_stat_get_live_tuples(c.oid) = 0) AND holdfast.is_empty(c.oid), false) AS nothing
      FROM meant m JOIN pg_class c ON c.oid = m.oid JOIN pg_namespace n ON n.oid = c.relnamespace),
  above AS ( -- what loses rows with its partitions
    SELECT i.inhparent AS oid, f.oid AS leaf, holdfast.rows_about(f.oid) AS about
      FROM found f JOIN pg_inherits i ON i.inhrelid = f.oid WHERE f.relkind = 'r' AND NOT f.nothing AND NOT holdfast.is_new(f.oid) AND NOT holdfast.is_free_table(f.oid, f.nspname)
    UNION SELECT i.inhparent, a.leaf, a.about FROM above a JOIN pg_inherits i ON i.inhrelid = a.oid),
  whole AS (
    SELECT a.oid, sum(a.about) AS about FROM above a JOIN found f ON f.oid = a.oid AND f.relkind = 'p' GROUP BY a.oid)
  SELECT string_agg(f.oid::text, ',') FILTER (WHERE f.nothing OR (f.relkind = 'p' AND w.oid IS NULL)),
         string_agg(f.oid || ' ' || f.analysed, ',') FILTER (WHERE NOT f.nothing AND f.relkind = 'r' AND f.counted = 0 AND f.analysed > 0),
         string_agg(f.oid || ' ' || coalesce(w.about, -1), ',') FILTER (WHERE w.oid IS NOT NULL)
    INTO empty, analysed, whole
    FROM found f LEFT JOIN whole w ON w.oid = f.oid;
  PERFORM set_config('holdfast.empty', coalesce(empty, ''), true), set_config('holdfast.analysed', coalesce(analysed, ''), true),
          set_config('holdfast.whole', coalesce(whole, ''), true);
EXCEPTION
  WHEN SQLSTATE 'HF001' THEN
    RAISE;
  WHEN OTHERS THEN
    PERFORM set_config('holdfast.empty', '', true), set_config('holdfast.analysed', '', true), set_config('holdfast.whole', '', true);
    RAISE LOG USING MESSAGE = 'holdfast: the guard met an error of its own: ' || SQLERRM;
END $$;

CREATE OR REPLACE FUNCTION holdfast.was_empty(relid oid) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT was_empty.relid::text = ANY (string_to_array(current_setting('holdfast.empty', true), ','))
$$;

-- What ddl_start() noted of a table: a number, null if nothing.
CREATE OR REPLACE FUNCTION holdfast.found_before(noted text, relid oid) RETURNS bigint
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT split_part(a, ' ', 2)::bigint FROM unnest(string_to_array(current_setting(noted, true), ',')) a
   WHERE split_part(a, ' ', 1) = relid::text
$$;

CREATE OR REPLACE FUNCTION holdfast.rows_of_dropped(relid oid) RETURNS bigint
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT coalesce(nullif(pg_stat_get_live_tuples(relid), 0), holdfast.found_before('holdfast.analysed', relid))
$$;

CREATE OR REPLACE FUNCTION holdfast.is_working() RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT EXISTS (SELECT FROM holdfast.working WHERE xid = pg_current_xact_id_if_assigned())
$$;

CREATE OR REPLACE FUNCTION holdfast.tampering(act text, what text) RETURNS text
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT holdfast.judge(act, 'guard-tampering', jsonb_build_array(jsonb_build_object('what', what)))
$$;

CREATE OR REPLACE FUNCTION holdfast.dropped() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  o record;
  what text;
  tables oid[];
  items jsonb := '[]';
  below bigint;
  rule text;
BEGIN
  IF holdfast.is_working() THEN
    RETURN;
  END IF;
  SELECT array_agg(d.objid) FILTER (WHERE d.object_type = 'table'),
         min(d.object_type || ' ' || d.object_identity) FILTER (WHERE d.schema_name IN ('holdfast', 'holdfast_sentinel')
             OR (d.object_type = 'schema' AND d.object_name IN ('holdfast', 'holdfast_sentinel')))
    INTO tables, what FROM pg_event_trigger_dropped_objects() d;
  IF what IS NULL THEN -- a trigger of ours, its table still there: one that went with it has no name any more
    SELECT min(d.object_type || ' ' || d.object_identity) INTO what
      FROM pg_event_trigger_dropped_objects() d
     WHERE d.object_type = 'trigger' AND d.address_names[array_length(d.address_names, 1)] LIKE 'holdfast%'
       AND EXISTS (SELECT FROM holdfast.guarded g WHERE d.address_names[array_length(d.address_names, 1)] = ANY (g.triggers)
                      AND g.relid = to_regclass(format('%I.%I', d.address_names[1], d.address_names[2])));
  END IF;
  IF what IS NOT NULL THEN
    IF to_regclass('holdfast.rule') IS NULL OR to_regclass('holdfast.identity') IS NULL THEN
      RETURN; -- nothing left to judge by: the sentinel refuses
    END IF;
    IF holdfast.tampering(TG_TAG, what || ' would be dropped') = 'permitted' THEN
      PERFORM set_config('holdfast.tampering', 'off', true);
    END IF;
  END IF;
  FOR o IN SELECT * FROM pg_event_trigger_dropped_objects() d
            WHERE NOT d.is_temporary AND d.object_type IN ('table', 'table column') LOOP
    IF o.object_type = 'table column' AND o.objid = ANY (tables) THEN
      CONTINUE;
    END IF;
    IF holdfast.is_new(o.objid) OR holdfast.is_free_table(o.objid, o.address_names[1]) THEN
      CONTINUE;
    END IF;
    IF o.object_type = 'table' THEN
      below := holdfast.found_before('holdfast.whole', o.objid);
      IF below IS NOT NULL THEN
        items := items || holdfast.whole_table(o.address_names[1], o.address_names[2], nullif(below, -1));
      ELSIF NOT coalesce(holdfast.was_empty(o.objid), false) THEN
        items := items || jsonb_build_object('schema', o.address_names[1], 'table', o.address_names[2], 'rows', holdfast.rows_of_dropped(o.objid));
      END IF;
    ELSIF NOT holdfast.holds_nothing(o.objid) THEN
      items := items || jsonb_build_object('schema', o.address_names[1], 'table', o.address_names[2], 'column', o.address_names[3],
                                           'rows', holdfast.rows_about(o.objid));
    END IF;
  END LOOP;
  IF items <> '[]' THEN
    rule := CASE WHEN TG_TAG = 'DROP SCHEMA' THEN 'drop-schema'
                 WHEN TG_TAG IN ('DROP TYPE', 'DROP DOMAIN') THEN 'drop-type'
                 WHEN NOT items @? '$[*] ? (!exists(@.column))' THEN 'drop-column'
                 ELSE 'drop-table' END;
    PERFORM holdfast.judge(TG_TAG, rule, items);
  END IF;
  DELETE FROM holdfast.guarded g WHERE g.relid = ANY (tables);
  -- Said before this command: the next one may be of a kind that nobody looks before.
  PERFORM set_config('holdfast.empty', '', true), set_config('holdfast.analysed', '', true), set_config('holdfast.whole', '', true);
  -- Functions written for tables that lost columns name them still.
  PERFORM holdfast.cover_quietly(r) FROM (SELECT DISTINCT d.objid AS r FROM pg_event_trigger_dropped_objects() d
    WHERE d.object_type = 'table column' AND NOT d.is_temporary AND NOT coalesce(d.objid = ANY (tables), false)) t;
EXCEPTION
  WHEN SQLSTATE 'HF001' THEN
    RAISE;
  WHEN OTHERS THEN
    RAISE LOG USING MESSAGE = 'holdfast: the guard met an error of its own and let the statement pass: ' || SQLERRM;
END $$;

-- ALTER COLUMN TYPE that writes the table anew loses what the new type cannot hold, unless PostgreSQL itself converts so
-- without being asked to.
CREATE OR REPLACE FUNCTION holdfast.rewritten() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  altered oid := pg_event_trigger_table_rewrite_oid();
  items jsonb;
  said text;
BEGIN
  IF pg_event_trigger_table_rewrite_reason() & 4 = 0 OR holdfast.is_new(altered) OR coalesce(holdfast.is_empty(altered), false) THEN
    RETURN;
  END IF;
  GET DIAGNOSTICS said = PG_CONTEXT;
  said := current_query() || ';' || regexp_replace(said, '"$', '";', 'gn') || ';';
  -- What USING says may lose everything; a plain cast of a column, as migration tools write it, is no more than the type says.
  said := regexp_replace(said, '[[:<:]]using[[:space:]]+(btree|hash|gin|gist|brin|spgist)[[:>:]]', ' ', 'gi');
  said := regexp_replace(said, '[[:<:]]using[[:space:]]+[(]*"?[[:alnum:]_]+"?[)]?[[:space:]]*::[[:space:]]*[[:alpha:]][[:alnum:]_. ]*([(][0-9, ]*[)])?([[][]])*[)]*(?=[[:space:]]*[,;"])', ' ', 'gi');
  SELECT jsonb_agg(jsonb_build_object('schema', n.nspname, 'table', c.relname, 'column', a.attname, 'rows', holdfast.rows_about(c.oid)))
    INTO items
    FROM holdfast.guarded g
    JOIN pg_class c ON c.oid = g.relid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped,
    LATERAL (SELECT (g.columns->a.attnum::text->>0)::oid AS typ, (g.columns->a.attnum::text->>1)::integer - 4 AS typmod) old
   WHERE g.relid = altered AND g.place = holdfast.place() AND NOT holdfast.is_free_table(c.oid, n.nspname)
     AND g.columns ? a.attnum::text
     AND g.columns->a.attnum::text <> jsonb_build_array(a.atttypid::bigint, a.atttypmod)
     AND (said ~* '[[:<:]]type[[:>:]][^;]*[[:<:]]using[[:>:]]'
          OR NOT coalesce(a.atttypmod = -1 AND (a.atttypid IN ('text'::regtype, 'varchar'::regtype) OR a.atttypid = old.typ
                OR (old.typ = 'json'::regtype AND a.atttypid = 'jsonb'::regtype)
                OR EXISTS (SELECT FROM pg_cast k WHERE k.castsource = old.typ AND k.casttarget = a.atttypid AND k.castcontext = 'i'))
              -- numeric(10, 2) to numeric(12, 4): more places on both sides of the point
              OR (a.atttypid = 'numeric'::regtype AND old.typ = a.atttypid AND old.typmod > 0 AND (a.atttypmod - 4) & 65535 >= old.typmod & 65535
                AND ((a.atttypmod - 4) >> 16) - ((a.atttypmod - 4) & 65535) >= (old.typmod >> 16) - (old.typmod & 65535)), false));
  IF items IS NULL AND said ~* '[[:<:]]type[[:>:]][^;]*[[:<:]]using[[:>:]]' THEN
    -- The type may be the same as before; after pg_upgrade, or in a copy, nobody knows any more what it was.
    SELECT jsonb_build_array(jsonb_build_object('schema', n.nspname, 'table', c.relname, 'rows', holdfast.rows_about(c.oid)))
      INTO items
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.oid = altered AND c.relpersistence <> 't' AND NOT holdfast.is_free_table(c.oid, n.nspname);
  END IF;
  IF items IS NOT NULL THEN
    PERFORM holdfast.judge(TG_TAG, 'alter-column-type', items);
  END IF;
EXCEPTION
  WHEN SQLSTATE 'HF001' THEN
    RAISE;
  WHEN OTHERS THEN
    RAISE LOG USING MESSAGE = 'holdfast: the guard met an error of its own and let the statement pass: ' || SQLERRM;
END $$;

CREATE OR REPLACE FUNCTION holdfast.defined() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  what text;
  cluster text := 'NAME';
  o record;
BEGIN
  IF to_regnamespace('holdfast') IS NULL THEN
    RETURN; -- renamed: the sentinel refuses
  END IF;
  IF TG_TAG IN ('ALTER TABLE', 'ALTER FUNCTION', 'ALTER ROUTINE', 'ALTER PROCEDURE') THEN -- moved to another schema, where nobody looks
    SELECT min(x || ' would be gone') INTO what FROM (
      SELECT 'table ' || t FROM unnest(ARRAY['holdfast.working', 'holdfast.identity', 'holdfast.rule', 'holdfast.exception', 'holdfast.free_schema',
          'holdfast.guarded', 'holdfast.permit', 'holdfast.permit_use', 'holdfast.observation']) t WHERE to_regclass(t) IS NULL) s (x);
    IF to_regprocedure('holdfast.parts()') IS NULL THEN
      what := 'function holdfast.parts() would be gone';
    ELSIF what IS NULL AND TG_TAG <> 'ALTER TABLE' THEN
      SELECT min('function ' || f || ' would be gone') INTO what FROM (
        SELECT f FROM unnest(holdfast.parts()) f WHERE to_regprocedure(f) IS NULL
        UNION ALL SELECT p.proname FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
         WHERE t.tgname = 'holdfast_json' AND p.pronamespace <> 'holdfast'::regnamespace) m;
    END IF;
  END IF;
  IF what IS NULL AND holdfast.is_working() THEN
    RETURN;
  END IF;
  IF what IS NULL THEN
    SELECT min(d.object_type || ' ' || d.object_identity || ' would be changed') INTO what
      FROM pg_event_trigger_ddl_commands() d
     WHERE d.schema_name IN ('holdfast', 'holdfast_sentinel')
        OR (d.object_type = 'schema' AND d.object_identity IN ('holdfast', 'holdfast_sentinel'));
  END IF;
  IF what IS NULL AND TG_TAG = 'ALTER SCHEMA' AND to_regnamespace('holdfast_sentinel') IS NULL THEN
    what := 'schema holdfast_sentinel would be renamed';
  END IF;
  IF what IS NULL THEN
    SELECT min(format('trigger %s on %s would be %s', x.w, d.r::regclass, holdfast.trigger_fault(d.r, x.w))) INTO what
      FROM (SELECT DISTINCT CASE WHEN x.object_type = 'trigger' THEN (SELECT y.tgrelid FROM pg_trigger y WHERE y.oid = x.objid) ELSE x.objid END AS r
              FROM pg_event_trigger_ddl_commands() x WHERE x.object_type IN ('table', 'trigger')) d
     CROSS JOIN LATERAL (
       SELECT unnest(g.triggers) AS w FROM holdfast.guarded g WHERE g.relid = d.r AND g.place = holdfast.place()
       UNION -- where nothing is kept of the table, after pg_upgrade for example: what is there
       SELECT t.tgname FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
        WHERE t.tgrelid = d.r AND left(t.tgname, 9) = 'holdfast_' AND p.pronamespace = 'holdfast'::regnamespace) x
     WHERE holdfast.trigger_fault(d.r, x.w) <> '';
  END IF;
  IF what IS NULL AND TG_TAG IN ('GRANT', 'REVOKE') AND NOT (has_schema_privilege('public', 'holdfast', 'USAGE')
       AND (SELECT bool_and(has_function_privilege('public', f, 'EXECUTE')) FROM unnest(ARRAY['holdfast.tally(text, oid, bigint, bigint)', 'holdfast.deleted_many(oid, bigint)',
         'holdfast.mass(text, oid, bigint)', 'holdfast.json_row(oid, text, jsonb, jsonb)', 'holdfast.json_text_row(oid, text, text, text)', 'holdfast.json_judge()']) f)) THEN
    what := 'no table could be written to, as its functions may not be called';
  END IF;
  IF what IS NOT NULL THEN
    -- Without its tables and functions nothing could judge, now and of any later write.
    IF to_regclass('holdfast.rule') IS NULL OR to_regclass('holdfast.exception') IS NULL OR to_regclass('holdfast.identity') IS NULL
       OR to_regclass('holdfast.permit') IS NULL OR to_regclass('holdfast.guarded') IS NULL OR holdfast.tampering(TG_TAG, what) = 'failed' THEN
      RAISE EXCEPTION 'the guard cannot judge what is done to it';
    END IF;
  END IF;
  FOR o IN SELECT DISTINCT d.objid, d.command_tag FROM pg_event_trigger_ddl_commands() d
            WHERE d.object_type IN ('table', 'table column') AND (d.command_tag IN ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO') OR left(d.command_tag, 6) = 'ALTER ') LOOP
    IF left(o.command_tag, 6) <> 'ALTER ' THEN -- ALTER VIEW may be said of a table, too
      INSERT INTO holdfast.guarded AS g (relid, place, home, made_by, columns)
        SELECT o.objid, holdfast.place(), n.nspname, pg_current_xact_id(), holdfast.column_types(o.objid)
          FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = o.objid AND c.relpersistence <> 't'
        ON CONFLICT ON CONSTRAINT guarded_pkey DO UPDATE
          SET place = excluded.place, signature = NULL, gap = NULL, home = excluded.home, made_by = excluded.made_by, triggers = '{}', columns = excluded.columns;
    END IF;
    -- What a command does to a table it does to those below it; one that got children counts differently from now on.
    PERFORM holdfast.cover_quietly(r) FROM (
      WITH RECURSIVE below AS (
        SELECT o.objid AS r UNION SELECT i.inhrelid FROM below b JOIN pg_inherits i ON i.inhparent = b.r)
      SELECT r FROM below UNION SELECT i.inhparent FROM pg_inherits i WHERE i.inhrelid = o.objid) t;
  END LOOP;
  IF TG_TAG IN ('ALTER TYPE', 'ALTER DOMAIN', 'CREATE FOREIGN TABLE', 'ALTER FOREIGN TABLE') THEN
    PERFORM holdfast.cover_quietly(g.relid) FROM holdfast.guarded g
      WHERE g.place = holdfast.place() AND ('holdfast_json_end' = ANY (g.triggers) OR EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = g.relid));
  END IF;
EXCEPTION
  WHEN SQLSTATE 'HF001' THEN
    RAISE;
  WHEN OTHERS THEN
    IF what IS NOT NULL THEN -- there is nothing left to judge by, or to let writes pass
      BEGIN
        cluster := holdfast_sentinel.cluster();
      EXCEPTION WHEN OTHERS THEN
        NULL; -- renamed, too
      END;
      RAISE EXCEPTION USING ERRCODE = 'HF001',
        MESSAGE = format('%s refused by Holdfast: database "%s" is guarded; it would weaken the guard: %s', TG_TAG, current_database(), what),
        DETAIL = 'Rule guard-tampering.',
        HINT = format(E'To take the guard out: holdfast guard uninstall %s\nIf this database is a copy, this releases it: SELECT holdfast.adopt(''development'');', cluster);
    END IF;
    RAISE LOG USING MESSAGE = 'holdfast: the guard met an error of its own and let the statement pass: ' || SQLERRM;
END $$;

CREATE OR REPLACE FUNCTION holdfast.cover_quietly(relid oid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '200ms' AS $$
BEGIN
  PERFORM holdfast.cover(relid);
EXCEPTION WHEN OTHERS THEN
  UPDATE holdfast.guarded g SET gap = 'not brought up to date: ' || SQLERRM WHERE g.relid = cover_quietly.relid;
  RAISE LOG USING MESSAGE = format('holdfast: %s is not covered by the guard: %s', relid::regclass, SQLERRM);
END $$;

-- ----------------------------------------------------------------------------------------- what an administrator calls

CREATE OR REPLACE FUNCTION holdfast.set_mode(rule_name text, new_mode text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  template boolean;
BEGIN
  UPDATE holdfast.rule SET mode = new_mode, since = now(), changed_by = session_user WHERE name = rule_name;
  IF NOT FOUND THEN
    RAISE EXCEPTION USING ERRCODE = 'HF003', MESSAGE = format('the guard has no rule "%s"', rule_name),
      HINT = 'It has: ' || (SELECT string_agg(name, ', ' ORDER BY name) FROM holdfast.rule);
  END IF;
  IF rule_name = 'drop-database' THEN
    -- A template cannot be dropped. Side effect: every role with CREATEDB may clone it.
    SELECT datistemplate INTO template FROM pg_database WHERE datname = current_database();
    IF template <> (new_mode = 'enforce') THEN
      EXECUTE format('ALTER DATABASE %I IS_TEMPLATE %s', current_database(), CASE new_mode WHEN 'enforce' THEN 'true' ELSE 'false' END);
    END IF;
  END IF;
  PERFORM pg_logical_emit_message(true, 'holdfast', (holdfast.origin() || jsonb_build_object('rule', rule_name, 'act', 'mode', 'mode', new_mode))::text);
END $$;

-- What goes with a new stamp.
CREATE OR REPLACE FUNCTION holdfast.stamped(environment_name text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF environment_name = 'development' THEN -- where nothing is refused, not by an exception either
    UPDATE holdfast.exception SET mode = NULL WHERE mode = 'enforce';
  END IF;
  -- The triggers that are there are the guard's; after pg_upgrade or a restore what was kept of tables belongs to another place.
  INSERT INTO holdfast.guarded AS g (relid, place, home, triggers, columns)
    SELECT c.oid, holdfast.place(), n.nspname, array_agg(t.tgname::text), holdfast.column_types(c.oid)
      FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid AND p.pronamespace = 'holdfast'::regnamespace
      JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     GROUP BY c.oid, n.nspname
    ON CONFLICT ON CONSTRAINT guarded_pkey DO UPDATE
      SET place = excluded.place, home = excluded.home, made_by = NULL, triggers = excluded.triggers, columns = excluded.columns, signature = NULL
      WHERE g.place <> excluded.place;
END $$;

-- The stamp, and the modes that an environment begins with.
CREATE OR REPLACE FUNCTION holdfast.set_environment(environment_name text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM holdfast.stamp(environment_name);
  PERFORM holdfast.set_mode(name, CASE environment_name
      WHEN 'production' THEN CASE WHEN name IN ('mass-delete', 'mass-update', 'json-keys-lost') THEN 'observe' ELSE 'enforce' END
      WHEN 'staging' THEN 'observe' ELSE 'off' END)
    FROM holdfast.rule;
END $$;

CREATE OR REPLACE FUNCTION holdfast.approve(permit_id bigint) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  p holdfast.permit;
BEGIN
  SELECT * INTO p FROM holdfast.permit WHERE id = permit_id FOR UPDATE;
  IF p.id IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'HF003', MESSAGE = format('there is no permit %s', permit_id);
  ELSIF p.created_by = session_user THEN
    RAISE EXCEPTION USING ERRCODE = 'HF001', MESSAGE = format('permit %s was asked for by %s: somebody else has to approve it', permit_id, session_user),
      HINT = 'Connect as another role.';
  ELSIF clock_timestamp() > p.expires_at OR p.revoked_at IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'HF003', MESSAGE = format('permit %s is over', permit_id);
  END IF;
  UPDATE holdfast.permit SET approved_at = now(), approved_by = session_user WHERE id = permit_id;
  RETURN format('permit %s (%s) is approved by %s', permit_id, p.reason, session_user);
END $$;
REVOKE ALL ON FUNCTION holdfast.approve(bigint) FROM PUBLIC;
-- Called by the guard's own functions alone: by hand they would use permits up and write observations that are none.
REVOKE ALL ON FUNCTION holdfast.use_permit(text, jsonb, bigint), holdfast.cover(oid), holdfast.cover_quietly(oid), holdfast.write_json_function(oid),
  holdfast.judge(text, text, jsonb), holdfast.refuse(text, text, jsonb, bigint, text), holdfast.is_empty(oid), holdfast.holds_nothing(oid), holdfast.tampering(text, text) FROM PUBLIC;

-- What triggers call as whoever writes, however the database's default privileges are.
GRANT EXECUTE ON FUNCTION holdfast.tally(text, oid, bigint, bigint), holdfast.deleted_many(oid, bigint), holdfast.mass(text, oid, bigint),
  holdfast.json_row(oid, text, jsonb, jsonb), holdfast.json_text_row(oid, text, text, text), holdfast.json_judge() TO PUBLIC;

-- What the guard is made of, so that nothing of it can be moved away unseen.
DO $$
BEGIN
  EXECUTE pg_catalog.format('CREATE OR REPLACE FUNCTION holdfast.parts() RETURNS text[] LANGUAGE sql IMMUTABLE AS %L',
    pg_catalog.format('SELECT %L::text[]', ARRAY(
      SELECT p.oid::pg_catalog.regprocedure::text FROM pg_catalog.pg_proc p
       WHERE p.pronamespace = 'holdfast'::pg_catalog.regnamespace AND p.proname !~ '^json_[0-9a-f]{32}$' AND p.proname <> 'parts')));
END $$;

-- Holdfast's recorder, where it has the role that `holdfast protect` proposes.
DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'holdfast') THEN
    GRANT EXECUTE ON FUNCTION holdfast.tables() TO holdfast;
  END IF;
END $$;
