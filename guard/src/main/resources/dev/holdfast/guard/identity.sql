-- Who a database is: what `holdfast protect` puts inside it, alone or with the guard. PostgreSQL 14 to 18; run in one
-- transaction, again for an upgrade. What it can tell and what it cannot: docs/decisions/0032-identity.md.

CREATE SCHEMA IF NOT EXISTS holdfast;
GRANT USAGE ON SCHEMA holdfast TO PUBLIC;

-- Who this database is. One row.
CREATE TABLE IF NOT EXISTS holdfast.identity (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  cluster text NOT NULL,
  environment text NOT NULL CHECK (environment IN ('production', 'staging', 'development')),
  system_identifier bigint NOT NULL,
  database_name text NOT NULL,
  version integer NOT NULL,
  installed_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
  stamped_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
  stamped_by text NOT NULL DEFAULT session_user,
  alive_at timestamptz,
  alive_in text -- the database that the mark was made in: a dump takes the mark along
);

-- Who asked which database this is, and what the answer was: a row for each application on each host. Unlogged: whoever asks
-- must not wait for a synchronous standby, and no publication of all tables sends it to subscribers.
CREATE UNLOGGED TABLE IF NOT EXISTS holdfast.identity_check (
  application text NOT NULL,
  host text NOT NULL,
  role text NOT NULL,
  commit text,
  first_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  right_at timestamptz, -- when it was last what was expected
  wrong_at timestamptz, -- when it was last something else
  wrong text,           -- what was expected then
  PRIMARY KEY (application, host, role)
);

-- To everybody, since whoever owns the other tables must be able to dump these.
GRANT SELECT ON holdfast.identity, holdfast.identity_check TO PUBLIC;

CREATE OR REPLACE FUNCTION holdfast.origin() RETURNS jsonb LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT jsonb_build_object(
    'user', session_user,
    'role', nullif(current_setting('role', true), 'none'),
    'application', nullif(current_setting('application_name', true), ''),
    'address', host(inet_client_addr()),
    'database', current_database(),
    'statement', left(current_query(), 4000))
$$;

CREATE OR REPLACE FUNCTION holdfast.database_oid() RETURNS oid LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT oid FROM pg_database WHERE datname = current_database()
$$;

-- Which database of which server: in a restored dump the numbers of tables are others, and what is kept by them is void.
CREATE OR REPLACE FUNCTION holdfast.place() RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT (SELECT system_identifier FROM pg_control_system()) || ':' || holdfast.database_oid()
$$;

-- Whether the stamp fits the server: not in a restored dump, and not after pg_upgrade until the server is adopted.
CREATE OR REPLACE FUNCTION holdfast.identity_fits() RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT coalesce((SELECT i.system_identifier = (SELECT system_identifier FROM pg_control_system())
                      AND i.database_name = current_database()
                     FROM holdfast.identity i), false)
$$;

-- ---------------------------------------------------------------------------------------------------------------- asking

-- Keeps who asked and what was told, at most once a minute for each client. Never waits, and never fails: whoever asks must
-- not depend on it. Nothing is kept on a standby and in transactions that may not write.
CREATE OR REPLACE FUNCTION holdfast.note_check(application text, host text, commit text, expected text, as_expected boolean)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '50ms' AS $$
#variable_conflict use_column
DECLARE
  asked_as text := left(session_user, 63);
  asking text := left(coalesce(nullif(note_check.application, ''), nullif(current_setting('application_name', true), ''), 'unknown'), 100);
  asked_on text := left(coalesce(nullif(note_check.host, ''), host(inet_client_addr()), 'local'), 100);
BEGIN
  -- Where transactions are kept apart strictly, two clients at one row would make one of them fail.
  IF as_expected IS NULL OR pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on'
     OR current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
    RETURN false;
  END IF;
  IF EXISTS (SELECT FROM holdfast.identity_check c
              WHERE c.application = asking AND c.host = asked_on AND c.role = asked_as AND c.commit IS NOT DISTINCT FROM left(note_check.commit, 100)
                AND CASE WHEN as_expected THEN c.right_at ELSE c.wrong_at END > clock_timestamp() - interval '1 minute') THEN
    RETURN true;
  END IF;
  -- Another's transaction may be at the same row, for as long as it likes.
  IF NOT pg_try_advisory_xact_lock(hashtextextended(format('holdfast %L %L %L', asking, asked_on, asked_as), 0)) THEN
    RETURN false;
  END IF;
  IF NOT EXISTS (SELECT FROM holdfast.identity_check c WHERE c.application = asking AND c.host = asked_on AND c.role = asked_as)
     AND (SELECT count(*) FROM holdfast.identity_check) >= 1000 THEN
    -- Hosts with names that are used once, as containers have. One at a time: two could wait for each other's rows.
    IF NOT pg_try_advisory_xact_lock(hashtextextended('holdfast identity_check', 0)) THEN
      RETURN false;
    END IF;
    DELETE FROM holdfast.identity_check c
     WHERE (c.application, c.host, c.role) IN (
       SELECT o.application, o.host, o.role FROM holdfast.identity_check o
        ORDER BY greatest(o.right_at, o.wrong_at) NULLS FIRST LIMIT 100 FOR UPDATE SKIP LOCKED);
  END IF;
  INSERT INTO holdfast.identity_check AS c (application, host, role, commit, right_at, wrong_at, wrong)
    VALUES (asking, asked_on, asked_as, left(note_check.commit, 100), CASE WHEN as_expected THEN clock_timestamp() END,
            CASE WHEN NOT as_expected THEN clock_timestamp() END, CASE WHEN NOT as_expected THEN left(expected, 200) END)
    ON CONFLICT (application, host, role) DO UPDATE
      SET commit = excluded.commit, right_at = coalesce(excluded.right_at, c.right_at), wrong_at = coalesce(excluded.wrong_at, c.wrong_at),
          wrong = coalesce(excluded.wrong, c.wrong);
  RETURN true;
EXCEPTION WHEN OTHERS THEN
  RETURN false;
END $$;

-- There is one function of this name, for good: the statement that applications have looks for it by its name alone.
-- For applications, when their connections are made: an error (HF004) where this database is another than the one that is
-- meant, so that a process with a wrong address does not begin. It reads what the database says of itself. A copy made by
-- dump and restore, one on another server, one under another name, is told. A copy of the server's files (a snapshot of its
-- disks, an old primary after a failover) has everything that it looks at, the mark too, which gets old there: with
-- alive_within it is told after that time, and so is the database itself when nobody records it. `holdfast check` with a
-- repository tells them apart at once.
CREATE OR REPLACE FUNCTION holdfast.assert_identity(
  name text, environment text, alive_within interval DEFAULT NULL,
  application text DEFAULT NULL, host text DEFAULT NULL, commit text DEFAULT NULL)
RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  who holdfast.identity;
  expected text := assert_identity.name || '/' || assert_identity.environment;
  problem text;
  advice text := 'Nothing was read or written. Correct the address of the database that this application was given (DATABASE_URL, or whatever it is called there).';
BEGIN
  IF coalesce(assert_identity.name, '') = '' OR coalesce(assert_identity.environment, '') = '' THEN
    RAISE EXCEPTION USING ERRCODE = 'HF003', MESSAGE = 'which database is expected was not said',
      HINT = 'For example: SELECT holdfast.assert_identity(''acme'', ''production'')';
  END IF;
  SELECT * INTO who FROM holdfast.identity;
  IF who.cluster IS NULL THEN
    problem := format('%s was expected, and this database, "%s", was never protected: it may be a new, empty or hand-made one', expected, current_database());
  ELSIF NOT holdfast.identity_fits() THEN
    problem := format('%s was expected, and this database, "%s", is a copy of %s/%s: it was restored from a dump, moved to another server or renamed',
      expected, current_database(), who.cluster, who.environment);
    advice := advice || format(E'\nWhere it is %s/%s itself, upgraded, moved or renamed: SELECT holdfast.adopt(%L)', who.cluster, who.environment, who.environment);
  ELSIF who.cluster <> assert_identity.name OR who.environment <> assert_identity.environment THEN
    problem := format('%s was expected, and this database, "%s", is %s/%s', expected, current_database(), who.cluster, who.environment);
  ELSIF alive_within IS NOT NULL AND (who.alive_at IS NULL OR who.alive_in IS DISTINCT FROM holdfast.place()
                                      OR who.alive_at < clock_timestamp() - alive_within) THEN
    problem := format('%s was expected, and this database, "%s", may be a copy of its files: %s', expected, current_database(),
      CASE WHEN who.alive_at IS NULL THEN 'Holdfast has never recorded it'
           ELSE format('Holdfast has not recorded it since %s', to_char(who.alive_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')) END);
    advice := advice || format(E'\nTo be sure: holdfast check URL --expect %s. Where it is %s itself, record it: holdfast record %s', expected, expected, who.cluster);
  END IF;
  IF problem IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'HF004', MESSAGE = problem, HINT = advice;
  END IF;
  PERFORM holdfast.note_check(assert_identity.application, assert_identity.host, assert_identity.commit, expected, true);
  RETURN format('this is %s', expected);
END $$;

-- ---------------------------------------------------------------------------------------------------------------- saying

-- Who this database is, on this server under this name.
CREATE OR REPLACE FUNCTION holdfast.stamp(environment_name text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM pg_logical_emit_message(true, 'holdfast', (holdfast.origin() || jsonb_build_object('act', 'environment', 'environment', environment_name))::text);
  -- Who asked another database, or this one when it was something else.
  DELETE FROM holdfast.identity_check WHERE NOT holdfast.identity_fits() OR environment_name <> (SELECT environment FROM holdfast.identity);
  UPDATE holdfast.identity SET environment = environment_name, stamped_at = now(), stamped_by = session_user,
    system_identifier = (SELECT system_identifier FROM pg_control_system()), database_name = current_database(), alive_at = NULL;
  IF to_regprocedure('holdfast.stamped(text)') IS NOT NULL THEN
    PERFORM holdfast.stamped(environment_name);
  END IF;
END $$;

-- What a database that came from another server is from now on. What goes on being production or staging keeps the modes
-- that somebody has set; development refuses nothing, whatever it was.
CREATE OR REPLACE FUNCTION holdfast.restamp(environment_name text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF to_regclass('holdfast.rule') IS NULL THEN
    PERFORM holdfast.stamp(environment_name);
  ELSIF environment_name = 'development' OR environment_name <> (SELECT environment FROM holdfast.identity) THEN
    PERFORM holdfast.set_environment(environment_name);
  ELSE
    PERFORM holdfast.stamp(environment_name);
    -- What keeps the database from being dropped is no part of a dump.
    PERFORM holdfast.set_mode(name, mode) FROM holdfast.rule WHERE name = 'drop-database';
  END IF;
END $$;

-- Says what a restored copy is from now on. On another server anybody may, on its own the database's owner: it is refused
-- where the stamp fits the server, and where Holdfast has just been seen at work, since then it is no copy.
CREATE OR REPLACE FUNCTION holdfast.adopt(environment_name text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  who holdfast.identity;
  alive boolean;
  owner boolean := pg_has_role(session_user, (SELECT relowner FROM pg_class WHERE oid = 'holdfast.identity'::regclass), 'MEMBER');
  guarded boolean := to_regclass('holdfast.rule') IS NOT NULL;
  used bigint;
  why_not text;
BEGIN
  SELECT * INTO who FROM holdfast.identity;
  alive := who.alive_in = holdfast.place() AND who.alive_at > now() - interval '10 minutes';
  IF environment_name NOT IN ('production', 'staging', 'development') THEN
    RAISE EXCEPTION USING ERRCODE = 'HF003', MESSAGE = format('"%s" is not an environment', environment_name), HINT = 'There are production, staging and development.';
  END IF;
  IF environment_name <> 'production' AND (holdfast.identity_fits() OR alive) AND (guarded OR NOT owner) THEN
    IF guarded THEN
      SELECT p.used, p.why_not INTO used, why_not FROM holdfast.use_permit('guard-tampering', '[]', 0) p;
    END IF;
    IF used IS NULL THEN
      RAISE EXCEPTION USING ERRCODE = 'HF001',
        MESSAGE = format('adopt refused by Holdfast: database "%s" is %s/%s itself and no copy: %s', current_database(), who.cluster, who.environment,
          CASE WHEN holdfast.identity_fits() THEN 'the stamp fits this server' ELSE format('its recorder was here at %s', who.alive_at) END),
        DETAIL = 'Rule guard-tampering.',
        HINT = CASE WHEN guarded
          THEN coalesce('The permit shown does not do: ' || why_not || E'.\n', '') || format('If this database is to be %s from now on: holdfast guard permit %s --allow guard-tampering --for 10m --reason "…"', environment_name, who.cluster)
          ELSE format('If this database is to be %s from now on, connect as the owner of schema holdfast.', environment_name) END;
    END IF;
  END IF;
  -- Renamed, or cloned on its own server: neither is done by whoever merely uses it.
  IF environment_name <> 'production' AND who.environment = 'production' AND NOT owner
     AND who.system_identifier = (SELECT system_identifier FROM pg_control_system())
     AND NOT pg_has_role(session_user, (SELECT datdba FROM pg_database WHERE datname = current_database()), 'MEMBER') THEN
    RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = format('only the owner of database "%s" can say that it is not production any more', current_database());
  END IF;
  IF environment_name = 'production' AND NOT owner THEN
    RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'only the guard''s owner can make this database production';
  END IF;
  PERFORM holdfast.restamp(environment_name);
  RETURN format('database "%s" is %s/%s now', current_database(), who.cluster, environment_name);
END $$;

-- Holdfast's recorder says that it is connected to this very server; in WAL, too, so that nobody takes it for somebody's doing.
CREATE OR REPLACE FUNCTION holdfast.alive() RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  UPDATE holdfast.identity SET alive_at = clock_timestamp(), alive_in = holdfast.place();
  SELECT pg_logical_emit_message(true, 'holdfast', '{"act": "alive"}'::text)
$$;
REVOKE ALL ON FUNCTION holdfast.alive() FROM PUBLIC;

-- Whatever the database's default privileges are.
GRANT EXECUTE ON FUNCTION holdfast.assert_identity(text, text, interval, text, text, text), holdfast.note_check(text, text, text, text, boolean),
  holdfast.adopt(text) TO PUBLIC;

-- Holdfast's recorder, where it has the role that `holdfast protect` proposes.
DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'holdfast') THEN
    GRANT EXECUTE ON FUNCTION holdfast.alive(), holdfast.identity_fits() TO holdfast;
    EXECUTE pg_catalog.format('GRANT CONNECT ON DATABASE %I TO holdfast', pg_catalog.current_database());
  END IF;
EXCEPTION WHEN insufficient_privilege THEN
  NULL; -- not the database's owner: whoever is grants it
END $$;
