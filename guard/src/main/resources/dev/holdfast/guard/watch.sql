-- What `holdfast watch` puts into a throw-away database: schema holdfast_watch. DROP SCHEMA holdfast_watch CASCADE takes
-- all of it away, triggers included. docs/decisions/0027-watch-run-freeze.md says why it is built this way.
--
-- Triggers tell what they saw through boxes of sequences: setval() is not undone by ROLLBACK, and needs no privilege but
-- on what we made ourselves. A box is written by one session at a time (an advisory lock) and emptied by the watcher.
-- Advisory lock (1212239724, 0) is held by the watcher while it lives; (1212239724, N) by who writes to box N.

CREATE TABLE holdfast_watch.box (box int PRIMARY KEY, head oid NOT NULL, ack oid NOT NULL, words oid[] NOT NULL);

-- Messages that could not be told in time, and failures of our own that were swallowed.
CREATE SEQUENCE holdfast_watch.number;
CREATE SEQUENCE holdfast_watch.lost;
CREATE SEQUENCE holdfast_watch.failures;

CREATE FUNCTION holdfast_watch.watched() RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
  IF pg_try_advisory_lock_shared(1212239724, 0) THEN
    PERFORM pg_advisory_unlock_shared(1212239724, 0);
    RETURN false;
  END IF;
  RETURN true;
END
$body$;

-- Puts a text into a box, piece by piece: word 0 is the message's number, the piece's bytes and whether it is the last.
CREATE FUNCTION holdfast_watch.tell(message text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
  bytes bytea := convert_to(message, 'UTF8');
  total int := octet_length(bytes);
  room int;
  at int := 0;
  size int;
  place bigint;
  number bigint := nextval('holdfast_watch.number');
  until timestamptz := clock_timestamp() + interval '3 s';
  candidate holdfast_watch.box;
  mine holdfast_watch.box;
BEGIN
  WHILE mine.box IS NULL LOOP
    FOR candidate IN SELECT * FROM holdfast_watch.box ORDER BY box LOOP
      IF pg_try_advisory_lock(1212239724, candidate.box) THEN
        IF pg_sequence_last_value(candidate.head) = pg_sequence_last_value(candidate.ack) THEN
          mine := candidate;
          EXIT;
        END IF;
        PERFORM pg_advisory_unlock(1212239724, candidate.box);
      END IF;
    END LOOP;
    IF mine.box IS NULL THEN
      IF clock_timestamp() > until OR NOT holdfast_watch.watched() THEN
        PERFORM nextval('holdfast_watch.lost');
        RETURN;
      END IF;
      PERFORM pg_sleep(0.001); -- all boxes are full: the watcher empties them
    END IF;
  END LOOP;
  BEGIN
    room := 8 * (cardinality(mine.words) - 1);
    LOOP
      size := least(room, total - at);
      PERFORM setval(
          mine.words[i + 2],
          ('x' || encode(substring(bytes FROM at + 8 * i + 1 FOR 8) || decode(repeat('00', greatest(0, 8 * i + 8 - size)), 'hex'), 'hex'))::bit(64)::bigint)
        FROM generate_series(0, (size - 1) / 8) AS i;
      PERFORM setval(
          mine.words[1],
          number * 65536 * 65536 + size * 2 + CASE WHEN at + size >= total THEN 1 ELSE 0 END);
      place := pg_sequence_last_value(mine.head) + 1;
      PERFORM setval(mine.head, place);
      at := at + size;
      EXIT WHEN at >= total;
      WHILE pg_sequence_last_value(mine.ack) < place LOOP
        IF clock_timestamp() > until OR NOT holdfast_watch.watched() THEN
          PERFORM nextval('holdfast_watch.lost');
          at := total;
          EXIT;
        END IF;
        PERFORM pg_sleep(0.001); -- the watcher takes this piece, then comes the next
      END LOOP;
      EXIT WHEN at >= total;
    END LOOP;
  EXCEPTION WHEN query_canceled OR OTHERS THEN
    PERFORM pg_advisory_unlock(1212239724, mine.box);
    RAISE;
  END;
  PERFORM pg_advisory_unlock(1212239724, mine.box);
END
$body$;

-- For the watcher: what stands in the boxes, after waiting for it for so long.
CREATE FUNCTION holdfast_watch.take(wait_ms int)
RETURNS TABLE (box int, number bigint, last boolean, bytes bytea)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
  until timestamptz := clock_timestamp() + wait_ms * interval '1 ms';
  each holdfast_watch.box;
  place bigint;
  meta bigint;
  found_any boolean := false;
BEGIN
  LOOP
    FOR each IN SELECT * FROM holdfast_watch.box LOOP
      place := pg_sequence_last_value(each.head);
      IF place > pg_sequence_last_value(each.ack) THEN
        meta := pg_sequence_last_value(each.words[1]);
        box := each.box;
        number := meta / (65536::bigint * 65536);
        last := meta % 2 = 1;
        bytes := (
          SELECT string_agg(int8send(pg_sequence_last_value(word)), ''::bytea ORDER BY i)
          FROM unnest(each.words[2:2 + ((meta % (65536::bigint * 65536)) / 2 - 1) / 8]) WITH ORDINALITY AS w(word, i));
        bytes := substring(bytes FROM 1 FOR ((meta % (65536::bigint * 65536)) / 2)::int);
        PERFORM setval(each.ack, place);
        found_any := true;
        RETURN NEXT;
      END IF;
    END LOOP;
    EXIT WHEN found_any OR clock_timestamp() >= until;
    PERFORM pg_sleep(0.001); -- nothing tells us that a sequence was set
  END LOOP;
END
$body$;

-- Counts a failure of ours, and lets the command's own work go on.
CREATE FUNCTION holdfast_watch.failed() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
  PERFORM nextval('holdfast_watch.failures');
EXCEPTION WHEN OTHERS THEN
  NULL;
END
$body$;

-- The trigger. Rows before and after an UPDATE are in the order in which they were changed, in both tables.
CREATE FUNCTION holdfast_watch.saw() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
  touched bigint := 0;
  there bigint;
  key text;
  ids jsonb;
  columns jsonb := '[]';
  each record;
  column_lost jsonb;
  many boolean;
BEGIN
  IF NOT holdfast_watch.watched() THEN
    RETURN NULL;
  END IF;
  IF TG_OP = 'TRUNCATE' THEN
    EXECUTE format('SELECT count(*) FROM (SELECT FROM ONLY %s LIMIT 1000000) AS t', TG_RELID::regclass) INTO touched;
  ELSIF TG_OP = 'INSERT' THEN
    EXECUTE 'SELECT count(*) FROM new_rows' INTO touched;
  ELSE
    EXECUTE 'SELECT count(*) FROM old_rows' INTO touched;
  END IF;
  IF TG_OP IN ('UPDATE', 'DELETE') AND touched > 0 THEN
    SELECT 'ROW(' || string_agg(format('r.%I', a.attname), ', ' ORDER BY k.i) || ')::text' INTO key
      FROM pg_index AS x
        CROSS JOIN LATERAL unnest(x.indkey::int2[]) WITH ORDINALITY AS k(attnum, i)
        JOIN pg_attribute AS a ON a.attrelid = x.indrelid AND a.attnum = k.attnum
      WHERE x.indrelid = TG_RELID AND x.indisprimary;
    key := coalesce(key, 'r::text');
    IF TG_OP = 'UPDATE' THEN
      EXECUTE format(
          'SELECT jsonb_agg(jsonb_build_array(to_hex(o.id), to_hex(n.id), to_hex(n.all_of_it)))'
          || ' FROM (SELECT row_number() OVER () AS i, hashtextextended(%1$s, 0) AS id FROM (SELECT * FROM old_rows LIMIT 200) AS r) AS o'
          || ' JOIN (SELECT row_number() OVER () AS i, hashtextextended(%1$s, 0) AS id, hashtextextended(r::text, 0) AS all_of_it'
          || ' FROM (SELECT * FROM new_rows LIMIT 200) AS r) AS n USING (i)',
          key)
        INTO ids;
      FOR each IN
        WITH RECURSIVE base AS (
          SELECT a.attnum, a.attname, t.oid, t.typbasetype, t.typtype
            FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
            WHERE a.attrelid = TG_RELID AND a.attnum > 0 AND NOT a.attisdropped
          UNION ALL
          SELECT base.attnum, base.attname, t.oid, t.typbasetype, t.typtype
            FROM base JOIN pg_type AS t ON base.typtype = 'd' AND t.oid = base.typbasetype)
        SELECT attname FROM base WHERE oid IN ('json'::regtype, 'jsonb'::regtype) ORDER BY attnum
      LOOP
        BEGIN
          EXECUTE format(
              'WITH pair AS (SELECT o.v AS was, n.v AS now'
              || ' FROM (SELECT row_number() OVER () AS i, %1$I::jsonb AS v FROM old_rows) AS o'
              || ' JOIN (SELECT row_number() OVER () AS i, %1$I::jsonb AS v FROM new_rows) AS n USING (i)'
              || ' WHERE jsonb_typeof(o.v) = ''object'' AND o.v IS DISTINCT FROM n.v),'
              || ' counted AS (SELECT'
              || ' (SELECT count(*) FROM jsonb_object_keys(was)) AS had,'
              || ' ARRAY(SELECT k FROM jsonb_object_keys(was) AS k WHERE now IS NULL OR jsonb_typeof(now) <> ''object'' OR NOT now ? k) AS gone'
              || ' FROM pair)'
              || ' SELECT jsonb_build_object(''column'', %1$L::text, ''rows'', count(*),'
              || ' ''hadMin'', min(had), ''hadMax'', max(had), ''lostMin'', min(cardinality(gone)), ''lostMax'', max(cardinality(gone)),'
              || ' ''keys'', (SELECT jsonb_agg(k) FROM (SELECT DISTINCT left(k, 100) AS k FROM counted, unnest(gone) AS k ORDER BY 1 LIMIT 20) AS named),'
              || ' ''shapes'', (SELECT jsonb_agg(jsonb_build_array(had, lost, times)) FROM ('
              || '   SELECT had, cardinality(gone) AS lost, count(*) AS times FROM counted WHERE gone <> ''{}'' GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 20) AS s))'
              || ' FROM counted WHERE gone <> ''{}'' HAVING count(*) > 0',
              each.attname)
            INTO column_lost;
          IF column_lost IS NOT NULL THEN
            columns := columns || jsonb_build_array(column_lost);
          END IF;
        EXCEPTION WHEN OTHERS THEN
          PERFORM holdfast_watch.failed(); -- a document that is no jsonb
        END;
      END LOOP;
    ELSE
      EXECUTE format(
          'SELECT jsonb_agg(jsonb_build_array(to_hex(hashtextextended(%s, 0)))) FROM (SELECT * FROM old_rows LIMIT 200) AS r', key)
        INTO ids;
    END IF;
    EXECUTE format(
        'SELECT count(*) FROM (SELECT FROM %s LIMIT %s) AS t',
        TG_RELID::regclass, CASE WHEN touched < 10 THEN 2 ELSE least(touched * 2 + 1, 1000000) END)
      INTO there;
  END IF;
  PERFORM holdfast_watch.tell(jsonb_build_object(
      'operation', lower(TG_OP),
      'schema', TG_TABLE_SCHEMA,
      'table', TG_TABLE_NAME,
      'oid', TG_RELID::bigint,
      'rows', touched,
      'there', there,
      'ids', ids,
      'columns', columns,
      'keyed', key IS DISTINCT FROM 'r::text',
      'xid', pg_current_xact_id_if_assigned()::text,
      'application', current_setting('application_name', true),
      'statement', left(current_query(), 4000))::text);
  RETURN NULL;
EXCEPTION WHEN OTHERS THEN
  PERFORM holdfast_watch.failed();
  RETURN NULL;
END
$body$;

-- Puts the triggers on one table; again where some are there. ALWAYS: a suite may load its fixtures as a replica does.
CREATE FUNCTION holdfast_watch.cover(wanted oid) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
  shape record;
  rel text := wanted::regclass::text;
BEGIN
  FOR shape IN
    SELECT * FROM (VALUES
      ('holdfast_watch_insert', 'AFTER INSERT', 'REFERENCING NEW TABLE AS new_rows'),
      ('holdfast_watch_update', 'AFTER UPDATE', 'REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows'),
      ('holdfast_watch_delete', 'AFTER DELETE', 'REFERENCING OLD TABLE AS old_rows'),
      ('holdfast_watch_truncate', 'BEFORE TRUNCATE', '')) AS s(name, event, rows)
    WHERE NOT EXISTS (
      SELECT FROM pg_trigger AS t WHERE t.tgrelid = wanted AND t.tgname = s.name)
  LOOP
    EXECUTE format(
        'CREATE TRIGGER %I %s ON %s %s FOR EACH STATEMENT EXECUTE FUNCTION holdfast_watch.saw()',
        shape.name, shape.event, rel, shape.rows);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', rel, shape.name);
  END LOOP;
  RETURN true;
END
$body$;

-- For a superuser: tables are covered when they are made, and what is dropped is told with its statement.
CREATE FUNCTION holdfast_watch.made() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
  each record;
BEGIN
  -- Not for what cover() itself alters.
  IF TG_TAG NOT IN ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'CREATE SCHEMA')
      OR NOT holdfast_watch.watched() THEN
    RETURN;
  END IF;
  FOR each IN
    SELECT DISTINCT c.oid FROM pg_event_trigger_ddl_commands() AS d JOIN pg_class AS c ON c.oid = d.objid
      WHERE d.classid = 'pg_class'::regclass AND c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
        AND c.relnamespace <> 'holdfast_watch'::regnamespace
  LOOP
    BEGIN
      PERFORM holdfast_watch.cover(each.oid);
    EXCEPTION WHEN OTHERS THEN
      PERFORM holdfast_watch.failed();
    END;
  END LOOP;
EXCEPTION WHEN OTHERS THEN
  PERFORM holdfast_watch.failed();
END
$body$;

CREATE FUNCTION holdfast_watch.dropped() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
  objects jsonb;
BEGIN
  IF NOT holdfast_watch.watched() THEN
    RETURN;
  END IF;
  SELECT jsonb_agg(jsonb_build_object(
        'kind', CASE o.object_type WHEN 'table column' THEN 'column' ELSE o.object_type END,
        'schema', o.schema_name,
        'name', coalesce(o.address_names[2], o.object_name, o.address_names[1]),
        'column', CASE WHEN o.object_type = 'table column' THEN o.address_names[3] END,
        'oid', o.objid::bigint))
    INTO objects
    FROM pg_event_trigger_dropped_objects() AS o
    WHERE o.object_type IN ('table', 'schema', 'table column') AND NOT o.is_temporary
      AND coalesce(o.schema_name, '') <> 'holdfast_watch' AND NOT (o.object_type = 'schema' AND o.object_name = 'holdfast_watch');
  IF objects IS NOT NULL THEN
    PERFORM holdfast_watch.tell(jsonb_build_object(
        'operation', 'drop',
        'objects', objects,
        'xid', pg_current_xact_id_if_assigned()::text,
        'application', current_setting('application_name', true),
        'statement', left(current_query(), 4000))::text);
  END IF;
EXCEPTION WHEN OTHERS THEN
  PERFORM holdfast_watch.failed();
END
$body$;
