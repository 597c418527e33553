-- What a guard begins with. Nothing here overrules what somebody has set since.
INSERT INTO holdfast.rule (name, mode, rows_max, percent_max) VALUES
  ('drop-table', 'off', NULL, NULL),
  ('drop-schema', 'off', NULL, NULL),
  ('drop-column', 'off', NULL, NULL),
  ('drop-type', 'off', NULL, NULL),
  ('alter-column-type', 'off', NULL, NULL),
  ('drop-database', 'off', NULL, NULL),
  ('truncate', 'off', NULL, NULL),
  ('mass-delete', 'off', 10000, 20),
  ('mass-update', 'off', 10000, 20),
  ('json-keys-lost', 'off', NULL, NULL),
  ('guard-tampering', 'off', NULL, NULL)
ON CONFLICT (name) DO NOTHING;

INSERT INTO holdfast.free_schema (name_like, reason) VALUES
  ('holdfast_watch', 'Holdfast''s own, for a while'),
  ('holdfast_freeze', 'Holdfast''s own, for a while'),
  ('repack', 'pg_repack builds tables anew here'),
  ('_timescaledb_%', 'TimescaleDB keeps, compresses and drops chunks here')
ON CONFLICT (name_like) DO NOTHING;
