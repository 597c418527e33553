package dev.holdfast.operations;

import dev.holdfast.postgres.Catalog;
import dev.holdfast.store.ClusterStore;
import java.util.Objects;

/** Catalog snapshots in the repository, named by their position. */
final class Catalogs {
  private Catalogs() {}

  /**
   * Keeps a snapshot, unless one of its position is kept.
   *
   * <p>Two of one position may differ: a position is that at which reading began, and a transaction
   * that ends while it goes on is seen by one and not by the other.
   *
   * @return false when another one is kept that has other names or files: whoever wants these kept
   *     reads again, which has another position as soon as the server has written anything
   */
  static boolean put(ClusterStore cluster, Catalog catalog) {
    String name = "%016X".formatted(catalog.position().position());
    if (!cluster.catalogs().contains(name)) {
      cluster.putCatalog(name, catalog);
      return true;
    }
    return namesHash(cluster.catalog(name, Catalog.class)) == namesHash(catalog);
  }

  /** Over everything of permanent relations that names depend on, and the guard's triggers. */
  static int namesHash(Catalog catalog) {
    int hash = 1;
    for (Catalog.Database database : catalog.databases()) {
      hash = 31 * hash + Objects.hash(database.oid(), database.name(), database.guardTriggers());
      for (Catalog.Relation relation : database.relations()) {
        if (!relation.persistence().equals("t")) {
          hash =
              31 * hash
                  + Objects.hash(
                      relation.oid(),
                      relation.schema(),
                      relation.name(),
                      relation.file(),
                      relation.tablespace(),
                      relation.columns(),
                      relation.key());
        }
      }
    }
    return hash;
  }
}
