-- Needs a superuser, or the role to which a managed service gives event triggers.
DROP EVENT TRIGGER IF EXISTS holdfast_ddl_start;
DROP EVENT TRIGGER IF EXISTS holdfast_dropped;
DROP EVENT TRIGGER IF EXISTS holdfast_sentinel;
DROP EVENT TRIGGER IF EXISTS holdfast_renamed;
DROP EVENT TRIGGER IF EXISTS holdfast_rewritten;
DROP EVENT TRIGGER IF EXISTS holdfast_defined;

-- DROP SCHEMA holdfast CASCADE takes the event triggers whose functions are in it along, before they are fired: this one
-- stays, in a schema of its own, and refuses with what ddl_start left it.
CREATE SCHEMA IF NOT EXISTS holdfast_sentinel;
-- For hints when the table that holds it is gone already.
DO $$
BEGIN
  EXECUTE pg_catalog.format('CREATE OR REPLACE FUNCTION holdfast_sentinel.cluster() RETURNS text LANGUAGE sql IMMUTABLE AS %L',
    pg_catalog.format('SELECT %L::pg_catalog.text', (SELECT cluster FROM holdfast.identity)));
END $$;
CREATE OR REPLACE FUNCTION holdfast_sentinel.dropped() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  what text;
BEGIN
  IF current_setting('holdfast.tampering', true) IS DISTINCT FROM 'enforce' THEN
    RETURN;
  END IF;
  SELECT coalesce(min(d.object_type || ' ' || d.object_identity) FILTER (WHERE d.original), min(d.object_type || ' ' || d.object_identity)) INTO what
    FROM pg_event_trigger_dropped_objects() d
   WHERE d.object_identity = 'holdfast' OR d.schema_name = 'holdfast' OR d.object_identity = 'holdfast_dropped';
  IF what IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'HF001',
      MESSAGE = format('%s refused by Holdfast: database "%s" is guarded; it would weaken the guard: %s would be dropped', TG_TAG, current_database(), what),
      DETAIL = 'Rule guard-tampering.',
      HINT = format(E'To take the guard out: holdfast guard uninstall %s\nIf this database is a copy, this releases it: SELECT holdfast.adopt(''development'');', holdfast_sentinel.cluster());
  END IF;
END $$;

-- Renamed, the schema would not be found by the triggers on every table: no write would work any more.
CREATE OR REPLACE FUNCTION holdfast_sentinel.renamed() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF to_regnamespace('holdfast') IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'HF001',
      MESSAGE = format('%s refused by Holdfast: database "%s" is guarded; it would weaken the guard: schema holdfast would be renamed', TG_TAG, current_database()),
      DETAIL = 'Rule guard-tampering.',
      HINT = format(E'To take the guard out: holdfast guard uninstall %s\nIf this database is a copy, this releases it: SELECT holdfast.adopt(''development'');', holdfast_sentinel.cluster());
  END IF;
END $$;

CREATE EVENT TRIGGER holdfast_ddl_start ON ddl_command_start
  WHEN TAG IN ('DROP TABLE', 'DROP SCHEMA', 'DROP OWNED', 'DROP EXTENSION', 'DROP TYPE', 'DROP DOMAIN', 'DROP FUNCTION', 'DROP ROUTINE', 'ALTER TABLE')
  EXECUTE FUNCTION holdfast.ddl_start();
CREATE EVENT TRIGGER holdfast_dropped ON sql_drop EXECUTE FUNCTION holdfast.dropped();
CREATE EVENT TRIGGER holdfast_sentinel ON sql_drop EXECUTE FUNCTION holdfast_sentinel.dropped();
CREATE EVENT TRIGGER holdfast_renamed ON ddl_command_end WHEN TAG IN ('ALTER SCHEMA') EXECUTE FUNCTION holdfast_sentinel.renamed();
CREATE EVENT TRIGGER holdfast_rewritten ON table_rewrite EXECUTE FUNCTION holdfast.rewritten();
CREATE EVENT TRIGGER holdfast_defined ON ddl_command_end EXECUTE FUNCTION holdfast.defined();
-- Whatever session_replication_role says.
ALTER EVENT TRIGGER holdfast_ddl_start ENABLE ALWAYS;
ALTER EVENT TRIGGER holdfast_dropped ENABLE ALWAYS;
ALTER EVENT TRIGGER holdfast_sentinel ENABLE ALWAYS;
ALTER EVENT TRIGGER holdfast_renamed ENABLE ALWAYS;
ALTER EVENT TRIGGER holdfast_rewritten ENABLE ALWAYS;
ALTER EVENT TRIGGER holdfast_defined ENABLE ALWAYS;
