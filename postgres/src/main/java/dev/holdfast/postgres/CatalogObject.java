package dev.holdfast.postgres;

import java.util.Collections;
import java.util.SortedMap;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * One object of a database's schema, in texts that are equal where the objects are.
 *
 * @param name with its schema, and its table where it hangs on one; not quoted
 * @param table {@code schema.table} of the table it hangs on; null where it hangs on none
 * @param properties by name
 */
public record CatalogObject(
    String name, @Nullable String table, SortedMap<String, String> properties) {
  /** Copies. */
  public CatalogObject {
    properties = Collections.unmodifiableSortedMap(new TreeMap<>(properties));
  }
}
