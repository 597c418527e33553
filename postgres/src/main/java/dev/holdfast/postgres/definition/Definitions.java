package dev.holdfast.postgres.definition;

import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * The lost objects of one fork and, as the readers fill it, their definitions.
 *
 * <p>Invariant: an object has a definition of its own, or is part of one object that has (a row
 * type of its table), or neither (nobody makes a TOAST table); never both.
 */
final class Definitions {
  private final CatalogQueries fork;
  private final Set<ObjectKey> lost;
  private final Map<ObjectKey, Definition> byKey = new LinkedHashMap<>();
  private final Map<ObjectKey, ObjectKey> partOf = new HashMap<>();

  Definitions(CatalogQueries fork, Set<ObjectKey> lost) {
    this.fork = fork;
    this.lost = lost;
  }

  CatalogQueries fork() {
    return fork;
  }

  boolean isLost(SystemCatalog catalog, long oid) {
    return lost.contains(new ObjectKey(catalog, oid));
  }

  boolean isLost(ObjectKey key) {
    return lost.contains(key);
  }

  /** The OIDs of lost objects of one catalog, columns of surviving tables left out. */
  List<Long> oids(SystemCatalog catalog) {
    return oids(key -> key.catalog() == catalog && key.column() == 0);
  }

  List<Long> oids(Predicate<ObjectKey> which) {
    return lost.stream().filter(which).map(ObjectKey::oid).distinct().sorted().toList();
  }

  Definition add(SystemCatalog catalog, long oid, String kind, String name, Definition.Step step) {
    return add(new ObjectKey(catalog, oid), kind, name, step);
  }

  Definition add(ObjectKey key, String kind, String name, Definition.Step step) {
    Definition definition = new Definition(key, new ObjectRef(kind, name), step);
    byKey.put(key, definition);
    return definition;
  }

  /** The first comes and goes with the second. */
  void part(ObjectKey part, ObjectKey whole) {
    if (!part.equals(whole)) {
      partOf.put(part, whole);
    }
  }

  Collection<Definition> all() {
    return byKey.values();
  }

  /** Its own definition or that of the whole it is part of; null for survivors. */
  @Nullable Definition find(ObjectKey key) {
    ObjectKey at = key;
    for (int steps = 0; steps < 16; steps++) { // row type's array's … : chains are short
      Definition definition = byKey.get(at);
      if (definition != null) {
        return definition;
      }
      ObjectKey whole = partOf.get(at);
      if (whole == null) {
        return at.column() == 0 ? null : find(new ObjectKey(at.catalog(), at.oid()));
      }
      at = whole;
    }
    return null;
  }

  @Nullable Definition find(SystemCatalog catalog, long oid) {
    return find(new ObjectKey(catalog, oid));
  }
}
