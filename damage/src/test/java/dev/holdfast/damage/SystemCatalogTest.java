package dev.holdfast.damage;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.testkit.TestServer;
import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class SystemCatalogTest {
  @ParameterizedTest
  @ValueSource(ints = {14, 15, 16, 17, 18})
  void columns_lie_where_the_server_puts_them(int major) {
    try (TestServer server = TestServer.start(major)) {
      for (SystemCatalog catalog : SystemCatalog.values()) {
        assertThat(server.value("SELECT relname FROM pg_class WHERE oid = " + catalog.oid))
            .isEqualTo("pg_" + catalog.name().toLowerCase(java.util.Locale.ROOT));
      }
      assertThat(offsets(server, "pg_class"))
          .containsEntry("oid", 0)
          .containsEntry("relname", SystemCatalog.NAME)
          .containsEntry("relnamespace", SystemCatalog.CLASS_NAMESPACE)
          .containsEntry("relfilenode", SystemCatalog.CLASS_FILE)
          .containsEntry("reltablespace", SystemCatalog.CLASS_TABLESPACE)
          .containsEntry("reltuples", SystemCatalog.CLASS_TUPLES)
          .containsEntry("reltoastrelid", SystemCatalog.classToast(major))
          .containsEntry("relpersistence", SystemCatalog.classPersistence(major))
          .containsEntry("relkind", SystemCatalog.classKind(major));
      assertThat(offsets(server, "pg_attribute"))
          .containsEntry("attrelid", 0)
          .containsEntry("attname", SystemCatalog.NAME)
          .containsEntry("atttypid", SystemCatalog.ATTRIBUTE_TYPE)
          .containsEntry("attnum", SystemCatalog.attributeNumber(major));
      assertThat(offsets(server, "pg_namespace"))
          .containsEntry("oid", 0)
          .containsEntry("nspname", SystemCatalog.NAME);
      assertThat(offsets(server, "pg_database"))
          .containsEntry("oid", 0)
          .containsEntry("datname", SystemCatalog.NAME);
      assertThat(offsets(server, "pg_index"))
          .containsEntry("indexrelid", 0)
          .containsEntry("indrelid", SystemCatalog.INDEX_TABLE);
      assertThat(offsets(server, "pg_trigger"))
          .containsEntry("oid", 0)
          .containsEntry("tgrelid", SystemCatalog.TRIGGER_TABLE)
          .containsEntry("tgname", SystemCatalog.TRIGGER_NAME)
          .containsEntry("tgfoid", SystemCatalog.TRIGGER_FUNCTION)
          .containsEntry("tgenabled", SystemCatalog.TRIGGER_ENABLED);
    }
  }

  /** Offsets of the columns before the first that may be null or has no fixed width. */
  private static Map<String, Integer> offsets(TestServer server, String catalog) {
    Map<String, Integer> offsets = new HashMap<>();
    int at = 0;
    for (String line :
        server.query(
            "SELECT attname, attlen, attalign, attnotnull FROM pg_attribute WHERE attrelid = '"
                + catalog
                + "'::regclass AND attnum > 0 ORDER BY attnum")) {
      String[] column = line.split("\\|", -1);
      int length = Integer.parseInt(column[1]);
      if (length < 0 || column[3].equals("f")) {
        break;
      }
      int align =
          switch (column[2]) {
            case "c" -> 1;
            case "s" -> 2;
            case "i" -> 4;
            default -> 8;
          };
      at = (at + align - 1) & -align;
      offsets.put(column[0], at);
      at += length;
    }
    return offsets;
  }
}
