package dev.holdfast.postgres;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Asks a server's catalogs for definitions in texts that are equal where the definitions are, on
 * PostgreSQL 14 to 18. Each query gives a name, the table the object hangs on, and columns that are
 * properties. To be asked with an empty search path, so that every name comes with its schema.
 *
 * <p>A column's option pg_attver is no definition: Debian's 15.20 writes a number there by itself
 * that differs from database to database.
 *
 * <p>Left out: what belongs to an extension (the extension's version stands for it), and Holdfast's
 * own schemas with the triggers that call into them.
 */
final class SchemaQueries {
  /** What Holdfast puts inside a database. */
  static final String OWN_SCHEMAS = "'{holdfast,holdfast_sentinel,holdfast_watch,holdfast_freeze}'";

  /** In the place of a setting's value where a database's or role's own overlays the server's. */
  static final String SET_ELSEWHERE = "(set for the database or role)";

  /** In the place of what the role may not see. */
  static final String NOT_TOLD = "(not told to this role)";

  /** By kind, in the order they are to be compared: tables before what hangs on them. */
  private static final Map<String, String> BY_KIND = new LinkedHashMap<>();

  private static final Pattern MACRO = Pattern.compile("\\{(\\w+)((?: [^ {}]+)*)\\}");

  private SchemaQueries() {}

  static {
    BY_KIND.put(
        "database",
        """
        SELECT 'database' AS name, NULL AS on_table, pg_encoding_to_char(d.encoding) AS encoding,
               d.datcollate AS collate, d.datctype AS ctype,
               CASE coalesce(to_jsonb(d) ->> 'datlocprovider', 'c')
                 WHEN 'c' THEN 'libc' WHEN 'i' THEN 'icu' ELSE 'builtin' END AS "localeProvider",
               coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale', '') AS locale,
               coalesce(to_jsonb(d) ->> 'daticurules', '') AS "icuRules",
               nullif(d.datconnlimit, -1)::text AS "connectionLimit",
               {owner d.datdba} AS owner, {grants d.datacl d d.datdba} AS grants
          FROM pg_database d WHERE d.datname = current_database()
        """);
    BY_KIND.put(
        "setting",
        """
        SELECT s.name, NULL AS on_table,
               CASE WHEN s.source = 'client' OR EXISTS (
                 SELECT FROM pg_db_role_setting r CROSS JOIN LATERAL unnest(r.setconfig) c
                  WHERE lower(split_part(c, '=', 1)) = lower(s.name)
                    AND r.setrole IN (0, (SELECT oid FROM pg_roles WHERE rolname = session_user))
                    AND r.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database())))
                    THEN 'SET_ELSEWHERE' ELSE s.reset_val END AS value
          FROM pg_settings s
         WHERE s.name = ANY ('{default_transaction_isolation,default_transaction_read_only,
           standard_conforming_strings,session_replication_role,bytea_output,lc_monetary,lc_numeric,
           lc_time,xmlbinary,xmloption,default_text_search_config,search_path,transform_null_equals,
           array_nulls,backslash_quote,default_toast_compression,default_table_access_method,
           password_encryption}')
        UNION ALL
        SELECT CASE WHEN r.setdatabase = 0 THEN '' ELSE 'database' END
               || CASE WHEN r.setdatabase <> 0 AND r.setrole <> 0 THEN ', ' ELSE '' END
               || CASE WHEN r.setrole = 0 THEN '' ELSE 'role ' || {owner r.setrole} END
               || ': ' || split_part(c, '=', 1), NULL, substr(c, strpos(c, '=') + 1)
          FROM pg_db_role_setting r CROSS JOIN LATERAL unnest(r.setconfig) c
         WHERE r.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
        """);
    BY_KIND.put(
        "extension",
        """
        SELECT e.extname AS name, NULL AS on_table, e.extversion AS version, n.nspname AS schema
          FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
        """);
    BY_KIND.put(
        "schema",
        """
        SELECT n.nspname AS name, NULL AS on_table,
               CASE WHEN p.pristine AND n.nspowner IN (10, 6171) THEN '(as made by initdb)'
                    ELSE {owner n.nspowner} END AS owner,
               CASE WHEN p.pristine THEN '(as made by initdb)'
                    ELSE {grants n.nspacl n n.nspowner} END AS grants
          FROM pg_namespace n
         CROSS JOIN LATERAL (
           SELECT EXISTS (SELECT FROM pg_init_privs i WHERE i.objoid = n.oid
             AND i.classoid = 'pg_namespace'::regclass AND i.initprivs = n.nspacl)) p(pristine)
         WHERE {own n}
        """);
    BY_KIND.put(
        "language",
        """
        SELECT l.lanname AS name, NULL AS on_table, CASE WHEN l.lanpltrusted THEN 'yes' ELSE 'no' END AS trusted,
               format('handler %s, inline %s, validator %s', l.lanplcallfoid::regproc, l.laninline::regproc,
                 l.lanvalidator::regproc) AS definition,
               {owner l.lanowner} AS owner, {grants l.lanacl l l.lanowner} AS grants
          FROM pg_language l WHERE l.lanispl AND {free pg_language l.oid}
        """);
    BY_KIND.put(
        "access method",
        """
        SELECT a.amname AS name, NULL AS on_table,
               format('%s, handler %s', CASE a.amtype WHEN 'i' THEN 'index' ELSE 'table' END, a.amhandler) AS definition
          FROM pg_am a WHERE a.oid >= 16384 AND {free pg_am a.oid}
        """);
    BY_KIND.put(
        "type",
        """
        SELECT n.nspname || '.' || t.typname AS name, NULL AS on_table,
               CASE t.typtype WHEN 'e' THEN 'enum' WHEN 'd' THEN 'domain' WHEN 'c' THEN 'composite'
                 WHEN 'r' THEN 'range' ELSE 'base' END AS type,
               (SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder)
                  FROM pg_enum e WHERE e.enumtypid = t.oid) AS labels,
               CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod)
                 || CASE WHEN t.typnotnull THEN ' NOT NULL' ELSE '' END
                 || coalesce(' DEFAULT ' || t.typdefault, '')
                 || CASE WHEN t.typcollation <> b.typcollation
                         THEN ' COLLATE ' || t.typcollation::regcollation ELSE '' END END AS domain,
               (SELECT string_agg(k.conname || ' ' || pg_get_constraintdef(k.oid), ', ' ORDER BY k.conname COLLATE "C")
                  FROM pg_constraint k WHERE k.contypid = t.oid AND k.contype = 'c') AS checks,
               (SELECT string_agg(quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod)
                  || CASE WHEN a.attcollation <> ct.typcollation
                          THEN ' COLLATE ' || a.attcollation::regcollation ELSE '' END, ', ' ORDER BY a.attnum)
                  FROM pg_attribute a JOIN pg_type ct ON ct.oid = a.atttypid
                 WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped) AS attributes,
               (SELECT format('%s COLLATE %s OPCLASS %s CANONICAL %s DIFF %s MULTIRANGE %s', r.rngsubtype::regtype,
                  r.rngcollation::regcollation, o.opcname, r.rngcanonical, r.rngsubdiff, r.rngmultitypid::regtype)
                  FROM pg_range r JOIN pg_opclass o ON o.oid = r.rngsubopc WHERE r.rngtypid = t.oid) AS range,
               CASE WHEN t.typtype = 'b' THEN format('%s %s %s %s %s', t.typinput, t.typoutput, t.typlen,
                  t.typalign, t.typstorage) END AS functions,
               {owner t.typowner} AS owner, {grants t.typacl T t.typowner} AS grants
          FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
          LEFT JOIN pg_type b ON b.oid = t.typbasetype
         WHERE {own n} AND {free pg_type t.oid} AND t.typtype IN ('e', 'd', 'c', 'r', 'b')
           AND (t.typtype <> 'c' OR EXISTS (
             SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind = 'c'))
           AND NOT (t.typtype = 'b' AND t.typelem <> 0 AND t.typsubscript = 'array_subscript_handler'::regproc)
        """);
    BY_KIND.put(
        "table",
        """
        SELECT n.nspname || '.' || c.relname AS name, n.nspname || '.' || c.relname AS on_table,
               CASE c.relkind WHEN 'p' THEN 'partitioned' WHEN 'f' THEN 'foreign' ELSE 'ordinary' END AS type,
               CASE c.relpersistence WHEN 'u' THEN 'unlogged' ELSE 'logged' END AS persistence,
               pg_get_partkeydef(c.oid) AS "partitionKey",
               pg_get_expr(c.relpartbound, c.oid) AS "partitionBound",
               (SELECT string_agg(i.inhparent::regclass::text, ', ' ORDER BY i.inhseqno)
                  FROM pg_inherits i WHERE i.inhrelid = c.oid) AS parents,
               (SELECT string_agg(o, ', ' ORDER BY o COLLATE "C") FROM unnest(c.reloptions) o) AS options,
               (SELECT string_agg(o, ', ' ORDER BY o COLLATE "C") FROM pg_class x, unnest(x.reloptions) o
                 WHERE x.oid = c.reltoastrelid) AS "toastOptions",
               CASE WHEN c.relrowsecurity THEN 'enabled' ELSE 'disabled' END
                 || CASE WHEN c.relforcerowsecurity THEN ', forced' ELSE '' END AS "rowSecurity",
               CASE c.relreplident WHEN 'd' THEN 'default' WHEN 'n' THEN 'nothing' WHEN 'f' THEN 'full'
                 ELSE 'index' END AS "replicaIdentity",
               (SELECT amname FROM pg_am WHERE pg_am.oid = c.relam AND amname <> 'heap') AS "accessMethod",
               c.reloftype::regtype::text AS "ofType",
               (SELECT s.srvname || coalesce(' (' || array_to_string(f.ftoptions, ', ') || ')', '')
                  FROM pg_foreign_table f JOIN pg_foreign_server s ON s.oid = f.ftserver
                 WHERE f.ftrelid = c.oid) AS server,
               {owner c.relowner} AS owner, {grants c.relacl r c.relowner} AS grants
          FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE {own n} AND {free pg_class c.oid} AND c.relkind IN ('r', 'p', 'f') AND c.relpersistence <> 't'
        """);
    BY_KIND.put("view", views("v", ""));
    BY_KIND.put(
        "materialised view",
        views("m", "CASE WHEN c.relispopulated THEN 'yes' ELSE 'no' END AS populated,"));
    BY_KIND.put(
        "column",
        """
        SELECT n.nspname || '.' || c.relname || '.' || a.attname AS name,
               n.nspname || '.' || c.relname AS on_table,
               format_type(a.atttypid, a.atttypmod) AS type,
               CASE WHEN a.attnotnull THEN 'not null' ELSE 'null' END
                 || CASE WHEN EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = c.oid
                      AND k.contype = 'n' AND k.conkey = ARRAY[a.attnum] AND NOT k.convalidated)
                    THEN ', not valid' ELSE '' END AS nullability,
               CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END AS "default",
               CASE a.attgenerated WHEN '' THEN NULL ELSE
                 CASE a.attgenerated WHEN 'v' THEN 'virtual ' ELSE 'stored ' END
                 || pg_get_expr(d.adbin, d.adrelid) END AS generated,
               CASE a.attidentity WHEN 'a' THEN 'always' WHEN 'd' THEN 'by default' END AS identity,
               CASE WHEN a.attcollation <> t.typcollation THEN a.attcollation::regcollation::text END
                 AS collation,
               CASE a.attstorage WHEN 'p' THEN 'plain' WHEN 'e' THEN 'external' WHEN 'm' THEN 'main'
                 ELSE 'extended' END AS storage,
               CASE a.attcompression WHEN 'p' THEN 'pglz' WHEN 'l' THEN 'lz4' END AS compression,
               (SELECT string_agg(o, ', ' ORDER BY o COLLATE "C") FROM unnest(a.attoptions) o
                 WHERE o !~ '^pg_attver=') AS options,
               (SELECT string_agg(o, ', ' ORDER BY o COLLATE "C") FROM unnest(a.attfdwoptions) o)
                 AS "foreignOptions",
               nullif(coalesce(a.attstattarget, -1), -1)::text AS "statisticsTarget",
               CASE WHEN a.attacl IS NOT NULL THEN {grants a.attacl c c.relowner} END AS grants
          FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
          JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_type t ON t.oid = a.atttypid
          LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
         WHERE {own n} AND {free pg_class c.oid} AND c.relkind IN ('r', 'p', 'f', 'v', 'm')
           AND c.relpersistence <> 't' AND a.attnum > 0 AND NOT a.attisdropped
        """);
    BY_KIND.put(
        "sequence",
        """
        SELECT n.nspname || '.' || c.relname AS name,
               coalesce(tn.nspname || '.' || tc.relname, n.nspname || '.' || c.relname) AS on_table,
               format_type(s.seqtypid, NULL) AS type, s.seqstart::text AS start,
               s.seqincrement::text AS increment, s.seqmin::text AS minimum, s.seqmax::text AS maximum,
               s.seqcache::text AS cache, CASE WHEN s.seqcycle THEN 'yes' ELSE 'no' END AS cycle,
               tn.nspname || '.' || tc.relname || '.' || ta.attname AS "ownedBy",
               CASE c.relpersistence WHEN 'u' THEN 'unlogged' ELSE 'logged' END AS persistence,
               {owner c.relowner} AS owner, {grants c.relacl s c.relowner} AS grants,
               CASE WHEN has_sequence_privilege(c.oid, 'SELECT')
                 AND NOT (c.relpersistence = 'u' AND pg_is_in_recovery())
                 THEN quote_ident(n.nspname) || '.' || quote_ident(c.relname) END AS sequence_to_read,
               CASE WHEN EXISTS (SELECT FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
                      JOIN pg_am am ON am.oid = x.relam
                     WHERE i.indrelid = tc.oid AND i.indkey[0] = ta.attnum AND i.indisvalid
                       AND i.indpred IS NULL AND am.amname = 'btree')
                 AND has_column_privilege(tc.oid, ta.attnum, 'SELECT') AND tc.relkind IN ('r', 'p')
                 AND NOT (tc.relpersistence = 'u' AND pg_is_in_recovery())
                 THEN format('SELECT %s(%I) FROM %I.%I', CASE WHEN s.seqincrement > 0 THEN 'max' ELSE 'min' END,
                   ta.attname, tn.nspname, tc.relname) END AS column_to_read
          FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid
          JOIN pg_namespace n ON n.oid = c.relnamespace
          LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.objsubid = 0
               AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
          LEFT JOIN pg_class tc ON tc.oid = d.refobjid
          LEFT JOIN pg_namespace tn ON tn.oid = tc.relnamespace
          LEFT JOIN pg_attribute ta ON ta.attrelid = tc.oid AND ta.attnum = d.refobjsubid
         WHERE {own n} AND {free pg_class c.oid} AND c.relpersistence <> 't'
        """);
    BY_KIND.put(
        "constraint",
        """
        SELECT n.nspname || '.' || c.relname || '.' || k.conname AS name,
               n.nspname || '.' || c.relname AS on_table,
               pg_get_constraintdef(k.oid) AS definition,
               CASE WHEN k.convalidated THEN 'yes' ELSE 'no' END AS validated,
               CASE WHEN k.contype IN ('p', 'u', 'x') THEN
                 CASE WHEN i.indisvalid AND i.indisready THEN 'valid' ELSE 'invalid' END END AS index,
               (SELECT string_agg(o, ', ' ORDER BY o COLLATE "C") FROM pg_class x, unnest(x.reloptions) o
                 WHERE x.oid = k.conindid AND k.contype IN ('p', 'u', 'x')) AS options,
               CASE WHEN k.contype IN ('p', 'u', 'x') AND i.indisclustered THEN 'yes' END AS clustered,
               CASE WHEN k.contype IN ('p', 'u', 'x') AND i.indisreplident THEN 'yes' END AS "replicaIdentity",
               (SELECT string_agg(DISTINCT {enabled t.tgenabled}, ', ') FROM pg_trigger t
                 WHERE t.tgconstraint = k.oid) AS "triggersEnabled"
          FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
          JOIN pg_namespace n ON n.oid = c.relnamespace
          LEFT JOIN pg_index i ON i.indexrelid = k.conindid
         WHERE {own n} AND {free pg_class c.oid} AND k.contype IN ('c', 'f', 'p', 'u', 'x')
           AND c.relpersistence <> 't'
        """);
    BY_KIND.put(
        "index",
        """
        SELECT n.nspname || '.' || x.relname AS name, tn.nspname || '.' || c.relname AS on_table,
               pg_get_indexdef(x.oid) AS definition,
               CASE WHEN i.indisvalid AND i.indisready AND i.indislive THEN 'yes' ELSE 'no' END AS valid,
               CASE WHEN i.indisclustered THEN 'yes' ELSE 'no' END AS clustered,
               CASE WHEN i.indisreplident THEN 'yes' ELSE 'no' END AS "replicaIdentity",
               (SELECT string_agg(a.attnum || ' ' || a.attstattarget, ', ' ORDER BY a.attnum)
                  FROM pg_attribute a WHERE a.attrelid = x.oid AND a.attstattarget >= 0) AS "statisticsTargets"
          FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
          JOIN pg_namespace n ON n.oid = x.relnamespace JOIN pg_class c ON c.oid = i.indrelid
          JOIN pg_namespace tn ON tn.oid = c.relnamespace
         WHERE {own n} AND {free pg_class c.oid} AND c.relpersistence <> 't' AND c.relkind IN ('r', 'p', 'm')
           AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = x.oid AND k.contype IN ('p', 'u', 'x'))
        """);
    BY_KIND.put(
        "function",
        """
        SELECT n.nspname || '.' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')' AS name,
               NULL AS on_table,
               CASE p.prokind WHEN 'a' THEN 'aggregate' WHEN 'p' THEN 'procedure' WHEN 'w' THEN 'window'
                 ELSE 'function' END AS type,
               CASE WHEN p.prokind <> 'a' THEN pg_get_functiondef(p.oid)
                 ELSE (SELECT concat_ws(' ', pg_get_function_result(p.oid), a.aggtransfn,
                   a.aggtranstype::regtype, a.aggfinalfn, coalesce(quote_literal(a.agginitval), 'NULL'), a.aggcombinefn,
                   a.aggkind, a.aggsortop::regoper, a.aggserialfn, a.aggdeserialfn, a.aggmtransfn, a.aggminvtransfn,
                   a.aggmtranstype::regtype, a.aggmfinalfn, coalesce(quote_literal(a.aggminitval), 'NULL'),
                   a.aggfinalmodify, a.aggmfinalmodify, a.aggfinalextra, a.aggmfinalextra, a.aggtransspace,
                   a.aggmtransspace, p.provolatile, p.proparallel)
                   FROM pg_aggregate a WHERE a.aggfnoid = p.oid) END AS definition,
               {owner p.proowner} AS owner, {grants p.proacl f p.proowner} AS grants
          FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
         WHERE {own n} AND {free pg_proc p.oid} AND {independent pg_proc p.oid}
        """);
    BY_KIND.put(
        "trigger",
        """
        SELECT n.nspname || '.' || c.relname || '.' || t.tgname AS name,
               n.nspname || '.' || c.relname AS on_table, pg_get_triggerdef(t.oid) AS definition,
               {enabled t.tgenabled} AS enabled
          FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
          JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_namespace pn ON pn.oid = p.pronamespace
         WHERE {own n} AND {free pg_class c.oid} AND c.relpersistence <> 't'
           AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.oid = t.tgconstraint AND k.contype <> 't')
           AND pn.nspname <> ALL (OWN_SCHEMAS)
        """);
    BY_KIND.put(
        "rule",
        """
        SELECT n.nspname || '.' || c.relname || '.' || r.rulename AS name,
               n.nspname || '.' || c.relname AS on_table, pg_get_ruledef(r.oid) AS definition,
               {enabled r.ev_enabled} AS enabled
          FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE {own n} AND {free pg_class c.oid} AND r.rulename <> '_RETURN' AND c.relpersistence <> 't'
        """);
    BY_KIND.put(
        "policy",
        """
        SELECT n.nspname || '.' || c.relname || '.' || p.polname AS name,
               n.nspname || '.' || c.relname AS on_table,
               CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE'
                 WHEN 'd' THEN 'DELETE' ELSE 'ALL' END AS command,
               CASE WHEN p.polpermissive THEN 'permissive' ELSE 'restrictive' END AS type,
               (SELECT string_agg(CASE WHEN o = 0 THEN 'PUBLIC' ELSE {owner o} END, ', '
                  ORDER BY CASE WHEN o = 0 THEN 'PUBLIC' ELSE {owner o} END COLLATE "C")
                  FROM unnest(p.polroles) o) AS roles,
               pg_get_expr(p.polqual, p.polrelid) AS "using",
               pg_get_expr(p.polwithcheck, p.polrelid) AS "withCheck"
          FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE {own n} AND {free pg_class c.oid}
        """);
    BY_KIND.put(
        "statistics",
        """
        SELECT n.nspname || '.' || s.stxname AS name, tn.nspname || '.' || c.relname AS on_table,
               pg_get_statisticsobjdef(s.oid) AS definition,
               nullif(coalesce((to_jsonb(s) ->> 'stxstattarget')::int, -1), -1)::text AS "statisticsTarget",
               {owner s.stxowner} AS owner
          FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace
          JOIN pg_class c ON c.oid = s.stxrelid JOIN pg_namespace tn ON tn.oid = c.relnamespace
         WHERE {own n} AND {free pg_class c.oid}
        """);
    BY_KIND.put(
        "event trigger",
        """
        SELECT e.evtname AS name, NULL AS on_table,
               format('ON %s WHEN TAG IN (%s) EXECUTE FUNCTION %I.%I()', e.evtevent,
                 array_to_string(e.evttags, ', '), n.nspname, p.proname) AS definition,
               {enabled e.evtenabled} AS enabled, {owner e.evtowner} AS owner
          FROM pg_event_trigger e JOIN pg_proc p ON p.oid = e.evtfoid JOIN pg_namespace n ON n.oid = p.pronamespace
         WHERE n.nspname <> ALL (OWN_SCHEMAS) AND {free pg_event_trigger e.oid}
        """);
    BY_KIND.put(
        "publication",
        """
        SELECT p.pubname AS name, NULL AS on_table,
               CASE WHEN p.puballtables THEN 'all' ELSE
                 (SELECT string_agg(format('%I.%I', t.schemaname, t.tablename)
                           || coalesce(' (' || (
                                SELECT string_agg(a.attname, ', ' ORDER BY a.attname COLLATE "C")
                                  FROM pg_publication_rel r JOIN pg_class c ON c.oid = r.prrelid
                                  JOIN pg_namespace n ON n.oid = c.relnamespace
                                  JOIN pg_attribute a ON a.attrelid = c.oid
                                   AND a.attnum = ANY (string_to_array(to_jsonb(r) ->> 'prattrs', ' ')::int2[])
                                 WHERE r.prpubid = p.oid AND n.nspname = t.schemaname
                                   AND c.relname = t.tablename) || ')', '')
                           || coalesce(' WHERE ' || (to_jsonb(t) ->> 'rowfilter'), ''),
                         ', ' ORDER BY t.schemaname, t.tablename)
                    FROM pg_publication_tables t WHERE t.pubname = p.pubname) END AS tables,
               concat_ws(', ', CASE WHEN p.pubinsert THEN 'insert' END, CASE WHEN p.pubupdate THEN 'update' END,
                 CASE WHEN p.pubdelete THEN 'delete' END, CASE WHEN p.pubtruncate THEN 'truncate' END) AS publishes,
               CASE WHEN p.pubviaroot THEN 'yes' ELSE 'no' END AS "viaRoot", {owner p.pubowner} AS owner
          FROM pg_publication p
        """);
    BY_KIND.put(
        "default privileges",
        """
        SELECT format('of %s%s on %s', {owner d.defaclrole}, coalesce(' in ' || n.nspname, ''),
                 CASE d.defaclobjtype WHEN 'r' THEN 'tables' WHEN 'S' THEN 'sequences' WHEN 'f' THEN 'functions'
                   WHEN 'T' THEN 'types' WHEN 'n' THEN 'schemas' ELSE d.defaclobjtype::text END) AS name,
               NULL AS on_table, {grants d.defaclacl r d.defaclrole} AS grants
          FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace
         WHERE n.oid IS NULL OR n.nspname <> ALL (OWN_SCHEMAS)
        """);
    BY_KIND.put(
        "subscription",
        """
        SELECT s.subname AS name, NULL AS on_table, CASE WHEN s.subenabled THEN 'yes' ELSE 'no' END AS enabled,
               s.subslotname::text AS slot,
               (SELECT string_agg(p, ', ' ORDER BY p COLLATE "C") FROM unnest(s.subpublications) p) AS publications,
               s.subsynccommit AS "synchronousCommit", CASE WHEN s.subbinary THEN 'yes' ELSE 'no' END AS binary,
               {owner s.subowner} AS owner
          FROM pg_subscription s
         WHERE s.subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())
        """);
    BY_KIND.put(
        "foreign data wrapper",
        """
        SELECT w.fdwname AS name, NULL AS on_table,
               format('handler %s, validator %s', w.fdwhandler::regproc, w.fdwvalidator::regproc) AS definition,
               (SELECT string_agg(o, ', ' ORDER BY o COLLATE "C") FROM unnest(w.fdwoptions) o) AS options,
               {owner w.fdwowner} AS owner, {grants w.fdwacl F w.fdwowner} AS grants
          FROM pg_foreign_data_wrapper w WHERE {free pg_foreign_data_wrapper w.oid}
        """);
    BY_KIND.put(
        "user mapping",
        """
        SELECT m.srvname || ' for ' || m.usename AS name, NULL AS on_table,
               CASE WHEN m.umoptions IS NULL AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
                    THEN 'NOT_TOLD' ELSE
                 (SELECT string_agg(CASE WHEN o ~ '^(password|passfile|sslpassword)=' THEN split_part(o, '=', 1) ELSE o END,
                    ', ' ORDER BY o COLLATE "C") FROM unnest(m.umoptions) o) END AS options
          FROM pg_user_mappings m
        """);
    BY_KIND.put(
        "foreign server",
        """
        SELECT s.srvname AS name, NULL AS on_table, w.fdwname AS wrapper, s.srvtype AS type,
               s.srvversion AS version,
               (SELECT string_agg(o, ', ' ORDER BY o COLLATE "C") FROM unnest(s.srvoptions) o) AS options,
               {owner s.srvowner} AS owner, {grants s.srvacl S s.srvowner} AS grants
          FROM pg_foreign_server s JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw
        """);
    BY_KIND.put(
        "collation",
        """
        SELECT n.nspname || '.' || c.collname AS name, NULL AS on_table,
               CASE c.collprovider WHEN 'c' THEN 'libc' WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin'
                 ELSE 'default' END AS provider,
               coalesce(to_jsonb(c) ->> 'colllocale', to_jsonb(c) ->> 'colliculocale', c.collcollate::text) AS locale,
               CASE WHEN c.collisdeterministic THEN 'yes' ELSE 'no' END AS deterministic,
               coalesce(to_jsonb(c) ->> 'collicurules', '') AS rules, {owner c.collowner} AS owner
          FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace
         WHERE {own n} AND {free pg_collation c.oid}
        """);
    BY_KIND.put(
        "operator",
        """
        SELECT n.nspname || '.' || o.oprname || '(' || o.oprleft::regtype || ',' || o.oprright::regtype || ')' AS name,
               NULL AS on_table,
               format('%s returns %s, commutator %s, negator %s, restrict %s, join %s', o.oprcode,
                 o.oprresult::regtype, o.oprcom::regoper, o.oprnegate::regoper, o.oprrest, o.oprjoin) AS definition,
               {owner o.oprowner} AS owner
          FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace
         WHERE {own n} AND {free pg_operator o.oid}
        """);
    BY_KIND.put(
        "cast",
        """
        SELECT c.castsource::regtype || ' as ' || c.casttarget::regtype AS name, NULL AS on_table,
               format('%s %s %s', c.castfunc::regprocedure, c.castcontext, c.castmethod) AS definition
          FROM pg_cast c WHERE c.oid >= 16384 AND {free pg_cast c.oid} AND {independent pg_cast c.oid}
        """);
    BY_KIND.put(
        "operator family",
        """
        SELECT n.nspname || '.' || f.opfname || ' using ' || a.amname AS name, NULL AS on_table,
               (SELECT string_agg(format('%s %s', o.amopstrategy, o.amopopr::regoperator), ', '
                         ORDER BY o.amopstrategy, o.amopopr::regoperator::text COLLATE "C")
                  FROM pg_amop o WHERE o.amopfamily = f.oid) AS operators,
               (SELECT string_agg(format('%s %s', p.amprocnum, p.amproc::regprocedure), ', '
                         ORDER BY p.amprocnum, p.amproc::regprocedure::text COLLATE "C")
                  FROM pg_amproc p WHERE p.amprocfamily = f.oid) AS functions,
               {owner f.opfowner} AS owner
          FROM pg_opfamily f JOIN pg_namespace n ON n.oid = f.opfnamespace JOIN pg_am a ON a.oid = f.opfmethod
         WHERE {own n} AND {free pg_opfamily f.oid}
        """);
    BY_KIND.put(
        "operator class",
        """
        SELECT n.nspname || '.' || c.opcname || ' using ' || a.amname AS name, NULL AS on_table,
               c.opcintype::regtype::text AS type, CASE WHEN c.opcdefault THEN 'yes' ELSE 'no' END AS default,
               fn.nspname || '.' || f.opfname AS family, nullif(c.opckeytype, 0)::regtype::text AS storage,
               {owner c.opcowner} AS owner
          FROM pg_opclass c JOIN pg_namespace n ON n.oid = c.opcnamespace JOIN pg_am a ON a.oid = c.opcmethod
          JOIN pg_opfamily f ON f.oid = c.opcfamily JOIN pg_namespace fn ON fn.oid = f.opfnamespace
         WHERE {own n} AND {free pg_opclass c.oid}
        """);
    BY_KIND.put(
        "conversion",
        """
        SELECT n.nspname || '.' || c.conname AS name, NULL AS on_table,
               format('%s to %s by %s', pg_encoding_to_char(c.conforencoding), pg_encoding_to_char(c.contoencoding),
                 c.conproc) AS definition,
               CASE WHEN c.condefault THEN 'yes' ELSE 'no' END AS default, {owner c.conowner} AS owner
          FROM pg_conversion c JOIN pg_namespace n ON n.oid = c.connamespace
         WHERE {own n} AND {free pg_conversion c.oid}
        """);
    BY_KIND.put(
        "transform",
        """
        SELECT t.trftype::regtype || ' for ' || l.lanname AS name, NULL AS on_table,
               format('from %s, to %s', t.trffromsql::regprocedure, t.trftosql::regprocedure) AS definition
          FROM pg_transform t JOIN pg_language l ON l.oid = t.trflang WHERE {free pg_transform t.oid}
        """);
    BY_KIND.put(
        "text search parser",
        """
        SELECT n.nspname || '.' || p.prsname AS name, NULL AS on_table,
               concat_ws(' ', p.prsstart, p.prstoken, p.prsend, p.prsheadline, p.prslextype) AS definition
          FROM pg_ts_parser p JOIN pg_namespace n ON n.oid = p.prsnamespace WHERE {own n} AND {free pg_ts_parser p.oid}
        """);
    BY_KIND.put(
        "text search template",
        """
        SELECT n.nspname || '.' || t.tmplname AS name, NULL AS on_table, concat_ws(' ', t.tmplinit, t.tmpllexize) AS definition
          FROM pg_ts_template t JOIN pg_namespace n ON n.oid = t.tmplnamespace
         WHERE {own n} AND {free pg_ts_template t.oid}
        """);
    BY_KIND.put(
        "text search dictionary",
        """
        SELECT n.nspname || '.' || d.dictname AS name, NULL AS on_table,
               (SELECT tn.nspname || '.' || t.tmplname FROM pg_ts_template t JOIN pg_namespace tn ON tn.oid = t.tmplnamespace
                 WHERE t.oid = d.dicttemplate) AS template,
               d.dictinitoption AS options, {owner d.dictowner} AS owner
          FROM pg_ts_dict d JOIN pg_namespace n ON n.oid = d.dictnamespace WHERE {own n} AND {free pg_ts_dict d.oid}
        """);
    BY_KIND.put(
        "text search configuration",
        """
        SELECT n.nspname || '.' || c.cfgname AS name, NULL AS on_table, c.cfgparser::text AS parser,
               (SELECT string_agg(m.maptokentype || ' ' || m.mapdict::regdictionary, ', '
                  ORDER BY m.maptokentype, m.mapseqno) FROM pg_ts_config_map m WHERE m.mapcfg = c.oid) AS mapping,
               {owner c.cfgowner} AS owner
          FROM pg_ts_config c JOIN pg_namespace n ON n.oid = c.cfgnamespace
         WHERE {own n} AND {free pg_ts_config c.oid}
        """);
    BY_KIND.put(
        "large object",
        """
        SELECT l.oid::text AS name, NULL AS on_table, {owner l.lomowner} AS owner,
               {grants l.lomacl L l.lomowner} AS grants
          FROM pg_largeobject_metadata l
        """);
    BY_KIND.put(
        "comment",
        noted(
            """
            SELECT classoid, objoid, objsubid, NULL AS provider, description AS note FROM pg_description
             WHERE description <> 'standard public schema'
            UNION ALL
            SELECT classoid, objoid, 0, NULL, description FROM pg_shdescription
             WHERE classoid = 'pg_database'::regclass
               AND objoid = (SELECT oid FROM pg_database WHERE datname = current_database())\
            """));
    BY_KIND.put(
        "security label",
        noted(
            """
            SELECT classoid, objoid, objsubid, provider, label AS note FROM pg_seclabel
            UNION ALL
            SELECT classoid, objoid, 0, provider, label FROM pg_shseclabel
             WHERE classoid = 'pg_database'::regclass
               AND objoid = (SELECT oid FROM pg_database WHERE datname = current_database())\
            """));
  }

  /** What hangs on objects of any kind. Those of initdb and of extensions come with these. */
  private static String noted(String notes) {
    return """
    SELECT CASE i.type WHEN 'database' THEN i.type ELSE i.type || ' ' || i.identity END
             || coalesce(' by ' || d.provider, '') AS name,
           CASE WHEN tc.relkind IN ('r', 'p', 'f', 'v', 'm') THEN tn.nspname || '.' || tc.relname END AS on_table,
           d.note AS text
      FROM (%s) d
     CROSS JOIN LATERAL pg_identify_object(d.classoid, d.objoid, d.objsubid) i
     CROSS JOIN LATERAL (SELECT CASE d.classoid
         WHEN 'pg_class'::regclass
           THEN coalesce((SELECT x.indrelid FROM pg_index x WHERE x.indexrelid = d.objoid), d.objoid)
         WHEN 'pg_constraint'::regclass THEN (SELECT x.conrelid FROM pg_constraint x WHERE x.oid = d.objoid)
         WHEN 'pg_trigger'::regclass THEN (SELECT x.tgrelid FROM pg_trigger x WHERE x.oid = d.objoid)
         WHEN 'pg_policy'::regclass THEN (SELECT x.polrelid FROM pg_policy x WHERE x.oid = d.objoid)
         WHEN 'pg_rewrite'::regclass THEN (SELECT x.ev_class FROM pg_rewrite x WHERE x.oid = d.objoid)
         WHEN 'pg_statistic_ext'::regclass THEN (SELECT x.stxrelid FROM pg_statistic_ext x WHERE x.oid = d.objoid)
       END) r(oid)
      LEFT JOIN pg_class tc ON tc.oid = r.oid LEFT JOIN pg_namespace tn ON tn.oid = tc.relnamespace
     WHERE (d.objoid >= 16384 OR d.classoid IN ('pg_database'::regclass, 'pg_namespace'::regclass))
       AND i.identity IS NOT NULL
       AND d.classoid <> 'pg_extension'::regclass
       AND NOT EXISTS (SELECT FROM pg_depend x
                        WHERE x.classid = d.classoid AND x.objid = d.objoid AND x.deptype = 'e')
       AND coalesce(tn.nspname, i.schema, CASE WHEN i.type = 'schema' THEN i.identity END, '') !~ '^(pg_|information_schema$)'
       AND coalesce(tn.nspname, i.schema, CASE WHEN i.type = 'schema' THEN i.identity END, '') <> ALL (OWN_SCHEMAS)
    """
        .formatted(notes);
  }

  /** The server's own defaults, which only some roles may see in its files. */
  static final String SERVER_DEFAULTS =
      """
      SELECT DISTINCT ON (lower(f.name)) lower(f.name) AS name, NULL AS on_table, f.setting AS value
        FROM pg_file_settings f
       WHERE f.applied AND lower(f.name) IN ('timezone', 'datestyle', 'intervalstyle', 'extra_float_digits')
       ORDER BY lower(f.name), f.seqno DESC
      """;

  private static String views(String relkind, String more) {
    return """
    SELECT n.nspname || '.' || c.relname AS name, n.nspname || '.' || c.relname AS on_table,
           pg_get_viewdef(c.oid) AS definition, %s
           (SELECT string_agg(o, ', ' ORDER BY o COLLATE "C") FROM unnest(c.reloptions) o) AS options,
           {owner c.relowner} AS owner, {grants c.relacl r c.relowner} AS grants
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE {own n} AND {free pg_class c.oid} AND c.relkind = '%s' AND c.relpersistence <> 't'
    """
        .formatted(more, relkind);
  }

  /** The kinds of objects, in the order they are to be compared. */
  static Iterable<String> kinds() {
    return BY_KIND.keySet();
  }

  /**
   * The query for a kind, sorted by the UTF-8 bytes of names.
   *
   * @param majorMin the older server's version: what only the newer one knows is no difference
   */
  static String of(String kind, int majorMin) {
    String query = BY_KIND.get(kind);
    if (query == null) {
      throw new IllegalArgumentException("no kind " + kind);
    }
    return sorted(query, majorMin);
  }

  static String sorted(String query, int majorMin) {
    String expanded =
        MACRO
            .matcher(query)
            .replaceAll(found ->
                Matcher.quoteReplacement(
                    expand(found.group(1), found.group(2).strip().split(" ", -1), majorMin)))
            .replace("OWN_SCHEMAS", OWN_SCHEMAS)
            .replace("SET_ELSEWHERE", SET_ELSEWHERE)
            .replace("NOT_TOLD", NOT_TOLD);
    return "SELECT * FROM (\n" + expanded + ") q ORDER BY convert_to(q.name, 'UTF8')";
  }

  private static String expand(String macro, String[] given, int majorMin) {
    return switch (macro) {
      case "owner" -> "pg_get_userbyid(" + given[0] + ")::text";
      case "own" ->
          "%1$s.nspname !~ '^pg_' AND %1$s.nspname <> 'information_schema' AND %1$s.nspname <> ALL (OWN_SCHEMAS)"
              .formatted(given[0]);
      case "free" ->
          "NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = '%s'::regclass AND x.objid = %s AND x.deptype = 'e')"
              .formatted(given[0], given[1]);
      // What comes and goes with something else: the functions of a range type.
      case "independent" ->
          "NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = '%s'::regclass AND x.objid = %s AND x.deptype = 'i')"
              .formatted(given[0], given[1]);
      case "enabled" ->
          "CASE %s WHEN 'O' THEN 'yes' WHEN 'D' THEN 'no' WHEN 'R' THEN 'on replicas' ELSE 'always' END"
              .formatted(given[0]);
      case "grants" ->
          """
          (SELECT string_agg(g.who || ' ' || g.what, '; ' ORDER BY g.who COLLATE "C") FROM (
             SELECT CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(x.grantee)::text END AS who,
                    string_agg(DISTINCT x.privilege_type || CASE WHEN x.is_grantable THEN '*' ELSE '' END, ',') AS what
               FROM aclexplode(coalesce(%s, acldefault('%s', %s))) x%s GROUP BY 1) g)\
          """
              .formatted(
                  given[0],
                  given[1],
                  given[2],
                  majorMin < 17 ? " WHERE x.privilege_type <> 'MAINTAIN'" : "");
      default -> throw new IllegalArgumentException("no macro " + macro);
    };
  }
}
