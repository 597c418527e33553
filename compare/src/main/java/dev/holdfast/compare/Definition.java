package dev.holdfast.compare;

import java.util.Collections;
import java.util.SortedMap;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * One object of a schema as texts that are equal when the objects are.
 *
 * @param name what tells it from others of its kind: {@code public.users.email}
 * @param table the table it hangs on, or its own name for a table; null where it hangs on none
 * @param properties by name; a property that does not apply is absent
 */
public record Definition(
    String name, @Nullable String table, SortedMap<String, String> properties) {
  /** Copies. */
  public Definition {
    properties = Collections.unmodifiableSortedMap(new TreeMap<>(properties));
  }
}
