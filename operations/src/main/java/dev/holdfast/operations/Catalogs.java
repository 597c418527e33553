package dev.holdfast.operations;

import dev.holdfast.postgres.Catalog;
import dev.holdfast.store.ClusterStore;

/** Catalog snapshots in the repository, named by their position. */
final class Catalogs {
  private Catalogs() {}

  static void put(ClusterStore cluster, Catalog catalog) {
    String name = "%016X".formatted(catalog.position().position());
    if (!cluster.catalogs().contains(name)) {
      cluster.putCatalog(name, catalog);
    }
  }
}
