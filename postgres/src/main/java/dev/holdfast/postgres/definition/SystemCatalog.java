package dev.holdfast.postgres.definition;

import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * The system catalogs whose rows are database objects, with the OIDs that {@code pg_depend} calls
 * them by; these never change (catalog/pg_*.h, {@code CATALOG(name, oid, …)}).
 */
enum SystemCatalog {
  NAMESPACE("pg_namespace", 2615),
  CLASS("pg_class", 1259),
  TYPE("pg_type", 1247),
  PROC("pg_proc", 1255),
  CONSTRAINT("pg_constraint", 2606),
  ATTRDEF("pg_attrdef", 2604),
  TRIGGER("pg_trigger", 2620),
  REWRITE("pg_rewrite", 2618),
  POLICY("pg_policy", 3256),
  STATISTIC_EXT("pg_statistic_ext", 3381),
  PUBLICATION_REL("pg_publication_rel", 6106),
  PUBLICATION_NAMESPACE("pg_publication_namespace", 6237),
  DEFAULT_ACL("pg_default_acl", 826),
  COLLATION("pg_collation", 3456),
  EXTENSION("pg_extension", 3079),
  CAST("pg_cast", 2605),
  OPERATOR("pg_operator", 2617),
  OPCLASS("pg_opclass", 2616),
  OPFAMILY("pg_opfamily", 2753),
  CONVERSION("pg_conversion", 2607),
  LANGUAGE("pg_language", 2612),
  TS_CONFIG("pg_ts_config", 3602),
  TS_DICT("pg_ts_dict", 3600),
  TS_PARSER("pg_ts_parser", 3601),
  TS_TEMPLATE("pg_ts_template", 3764),
  TRANSFORM("pg_transform", 3576),
  EVENT_TRIGGER("pg_event_trigger", 3466),
  FOREIGN_SERVER("pg_foreign_server", 1417),
  FOREIGN_DATA_WRAPPER("pg_foreign_data_wrapper", 2328),
  /** Has no OIDs: a row stands for making a table or index a part of another, by the part's OID. */
  INHERITS("pg_inherits", 2611);

  private static final Map<Long, SystemCatalog> BY_OID = new HashMap<>();

  static {
    for (SystemCatalog catalog : values()) {
      BY_OID.put(catalog.oid, catalog);
    }
  }

  private final String table;
  private final long oid;

  SystemCatalog(String table, long oid) {
    this.table = table;
    this.oid = oid;
  }

  String table() {
    return table;
  }

  long oid() {
    return oid;
  }

  /** Null when its rows are nothing anybody recreates, such as operator family members. */
  static @Nullable SystemCatalog byOid(long oid) {
    return BY_OID.get(oid);
  }

  /** Whether servers of this major version have it, with OIDs to compare. */
  boolean comparableIn(int major) {
    return switch (this) {
      case INHERITS -> false;
      case PUBLICATION_NAMESPACE -> major >= 15;
      default -> true;
    };
  }
}
