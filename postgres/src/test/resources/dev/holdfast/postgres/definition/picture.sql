-- Everything a catalog says of users' objects, with names in the place of OIDs. Reads columns, not
-- pg_get_*def alone, so that it sees what the code under test never looked at. Runs on 14 to 18.
-- Left out: whether a partition's key is inherited further (pg_dump loses it too), internal triggers' names.
WITH acls(classid, objid, acl) AS (
  SELECT 'pg_class'::regclass, oid, relacl FROM pg_class UNION ALL
  SELECT 'pg_proc'::regclass, oid, proacl FROM pg_proc UNION ALL
  SELECT 'pg_type'::regclass, oid, typacl FROM pg_type UNION ALL
  SELECT 'pg_namespace'::regclass, oid, nspacl FROM pg_namespace
)
SELECT 'acl', (pg_identify_object(classid, objid, 0)).identity, (SELECT string_agg(i::text, ',' ORDER BY i::text) FROM unnest(acl) i)
FROM acls WHERE acl IS NOT NULL AND (objid >= 16384 OR objid = 2200)
UNION ALL
SELECT 'class', c.oid::regclass::text, concat_ws('|', relkind, relowner::regrole, a.amname, relpersistence, relispopulated, relreplident,
  relrowsecurity, relforcerowsecurity, relispartition, relhastriggers AND relkind <> 'p', reloptions, reltablespace,
  reloftype::regtype, pg_get_expr(relpartbound, c.oid), (SELECT t.reloptions FROM pg_class t WHERE t.oid = c.reltoastrelid),
  (SELECT string_agg(concat_ws(' ', inhparent::regclass, inhseqno), ',' ORDER BY inhseqno) FROM pg_inherits WHERE inhrelid = c.oid))
FROM pg_class c LEFT JOIN pg_am a ON a.oid = relam
WHERE c.oid >= 16384 AND relkind <> 't' AND relnamespace <> 'pg_toast'::regnamespace
UNION ALL
SELECT 'column', attrelid::regclass || '.' || attname, concat_ws('|', format_type(atttypid, atttypmod), attnotnull, atthasdef, attidentity,
  attgenerated, attislocal, attinhcount, coalesce(attstattarget, -1), attstorage, attcompression, attcollation::regcollation,
  (SELECT array_agg(o) FROM unnest(attoptions) o WHERE o !~ '^pg_attver='), -- the server's own mark, since 15.20
  (SELECT string_agg(i::text, ',' ORDER BY i::text) FROM unnest(attacl) i),
  (SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = attrelid AND adnum = attnum))
FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
WHERE attrelid >= 16384 AND attnum > 0 AND NOT attisdropped AND relkind <> 't' AND relnamespace <> 'pg_toast'::regnamespace
UNION ALL
SELECT 'index', indexrelid::regclass::text, concat_ws('|', pg_get_indexdef(indexrelid), indisunique, indisprimary, indisexclusion,
  indimmediate, indisclustered, indisvalid, indisreplident)
FROM pg_index WHERE indexrelid >= 16384 AND indexrelid::regclass::text !~ '^pg_toast'
UNION ALL
SELECT 'constraint', concat_ws(' on ', conname, conrelid::regclass, contypid::regtype), concat_ws('|', contype, pg_get_constraintdef(oid), condeferrable,
  condeferred, convalidated, conislocal, coninhcount,
  contype IN ('c', 'n') AND connoinherit, conindid::regclass, conparentid <> 0)
FROM pg_constraint WHERE oid >= 16384
UNION ALL
SELECT 'trigger', tgname || ' on ' || tgrelid::regclass, concat_ws('|', pg_get_triggerdef(oid), tgenabled, tgisinternal, tgparentid <> 0)
FROM pg_trigger WHERE oid >= 16384 AND tgname !~ '^(RI|Unique)_ConstraintTrigger_'
UNION ALL
SELECT 'rule', rulename || ' on ' || ev_class::regclass, concat_ws('|', pg_get_ruledef(oid), ev_enabled) FROM pg_rewrite WHERE oid >= 16384
UNION ALL
SELECT 'policy', policyname || ' on ' || schemaname || '.' || tablename, concat_ws('|', permissive, roles, cmd, qual, with_check) FROM pg_policies
UNION ALL
SELECT 'sequence', seqrelid::regclass::text, concat_ws('|', seqtypid::regtype, seqstart, seqincrement, seqmax, seqmin, seqcache, seqcycle,
  (SELECT concat_ws(' ', deptype, refobjid::regclass, attname) FROM pg_depend JOIN pg_attribute ON attrelid = refobjid AND attnum = refobjsubid
   WHERE classid = 'pg_class'::regclass AND objid = seqrelid AND deptype IN ('a', 'i') AND refobjsubid > 0))
FROM pg_sequence
UNION ALL
SELECT 'statistics', stxname, concat_ws('|', pg_get_statisticsobjdef(oid), stxowner::regrole, coalesce(stxstattarget, -1)) FROM pg_statistic_ext
UNION ALL
SELECT 'publication', concat_ws(' ', pubname, p.schemaname, p.tablename), p::text FROM pg_publication_tables p
UNION ALL
SELECT 'comment', concat_ws(' ', (pg_identify_object(classoid, objoid, objsubid)).type, (pg_identify_object(classoid, objoid, objsubid)).identity), description
FROM pg_description WHERE objoid >= 16384 OR objoid = 2200
UNION ALL
SELECT 'function', p.oid::regprocedure::text, concat_ws('|', pg_get_functiondef(p.oid), proowner::regrole) FROM pg_proc p WHERE p.oid >= 16384
UNION ALL
SELECT 'type', format_type(oid, NULL), concat_ws('|', typtype, typcategory, typowner::regrole, typnotnull, typdefault, typcollation::regcollation,
  (SELECT string_agg(enumlabel, ',' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid))
FROM pg_type t WHERE oid >= 16384 AND typnamespace <> 'pg_toast'::regnamespace
UNION ALL
SELECT 'schema', nspname, nspowner::regrole::text FROM pg_namespace WHERE nspname !~ '^pg_'
UNION ALL
SELECT 'default acl', concat_ws(' ', defaclrole::regrole, defaclnamespace::regnamespace, defaclobjtype),
  (SELECT string_agg(i::text, ',' ORDER BY i::text) FROM unnest(defaclacl) i) FROM pg_default_acl
ORDER BY 1, 2, 3
