package dev.holdfast.postgres.definition;

import static dev.holdfast.postgres.definition.SystemCatalog.CLASS;

import dev.holdfast.postgres.definition.Definition.Step;
import java.sql.Connection;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/**
 * Finds what a transaction dropped, and plans how to make it again.
 *
 * <p>An object is lost when a fork from just before the transaction has it and production has none
 * of its OID. Names decide nothing: a table of the same name made since is another table, and a
 * conflict.
 */
public final class DroppedObjects {
  /** A user's object at the end of a dependency that nothing else here explains. */
  private static final Set<Character> PART = Set.of('i', 'e');

  private DroppedObjects() {}

  /**
   * As {@link #find(Connection, Connection, Connection, Set)} without the fork from just after:
   * what belongs together with the dropped tables by dependencies, either way, counts as dropped.
   *
   * @param droppedTableOids tables the transaction dropped, by the log; none means everything that
   *     is gone
   */
  public static RecreationPlan find(
      Connection forkBefore, Connection productionNow, Set<Long> droppedTableOids)
      throws SQLException {
    return find(forkBefore, null, productionNow, droppedTableOids);
  }

  /**
   * Plans the recreation of what one transaction dropped in one database. Reads only.
   *
   * @param forkBefore the database just before the transaction, as superuser; its session's
   *     settings are changed
   * @param forkAfter the database just after it, so that what others dropped later stays dropped;
   *     null when there is none
   * @param productionNow the session that will apply the plan
   * @param droppedTableOids tables the transaction dropped, by the log: whatever hangs together
   *     with them comes back; empty for everything that is gone
   */
  public static RecreationPlan find(
      Connection forkBefore,
      @Nullable Connection forkAfter,
      Connection productionNow,
      Set<Long> droppedTableOids)
      throws SQLException {
    try (Statement statement = forkBefore.createStatement()) {
      statement.execute("SELECT pg_catalog.set_config('search_path', '', false)");
    }
    CatalogQueries fork = new CatalogQueries(forkBefore);
    CatalogQueries production = new CatalogQueries(productionNow);
    Set<ObjectKey> before = fork.objects();
    Set<ObjectKey> missing = new HashSet<>(before);
    missing.removeAll(production.objects());
    Set<ObjectKey> goneLater = new HashSet<>();
    if (forkAfter != null) {
      Set<ObjectKey> after = new CatalogQueries(forkAfter).objects();
      goneLater.addAll(missing);
      goneLater.retainAll(after);
      missing.removeAll(after);
    }
    List<Dependency> dependencies = dependencies(fork, missing);
    Set<ObjectKey> columns = lostColumns(production, missing, dependencies);
    missing.addAll(columns);
    Set<ObjectKey> lost =
        forkAfter != null || droppedTableOids.isEmpty()
            ? missing
            : connected(missing, dependencies, droppedTableOids);
    return plan(fork, production, lost, goneLater, dependencies);
  }

  private static RecreationPlan plan(
      CatalogQueries fork,
      CatalogQueries production,
      Set<ObjectKey> lost,
      Set<ObjectKey> goneLater,
      List<Dependency> dependencies)
      throws SQLException {
    Definitions definitions = new Definitions(fork, lost);
    new TypeDefinitions(definitions).read();
    new SequenceDefinitions(definitions).read();
    TableDefinitions tables = new TableDefinitions(definitions);
    tables.read();
    new ViewDefinitions(definitions).read();
    ConstraintDefinitions constraints = new ConstraintDefinitions(definitions);
    constraints.read();
    new DependentDefinitions(definitions).read();
    for (Dependency dependency : dependencies) {
      boolean known = definitions.find(dependency.object()) != null;
      if (!known && PART.contains(dependency.type()) && definitions.isLost(dependency.object())) {
        definitions.part(dependency.object(), dependency.needs());
      }
    }
    Unsupported.read(definitions);
    Privileges privileges = new Privileges(definitions, Privileges.Session.of(production));
    privileges.read();
    Comments comments = new Comments(definitions);
    comments.read();

    Conflicts conflicts = new Conflicts(definitions, production);
    List<String> found = new ArrayList<>(conflicts.find(privileges.roles()));
    found.addAll(neededButGone(definitions, dependencies, goneLater));
    CreationOrder order = CreationOrder.of(definitions, dependencies);

    List<ObjectRef> objects = new ArrayList<>();
    List<String> beforeData = new ArrayList<>();
    List<String> afterData = new ArrayList<>();
    List<String> finish = new ArrayList<>();
    for (Definition definition : order.before()) {
      objects.add(definition.ref());
      beforeData.addAll(definition.createStatements());
      finish.addAll(definition.finishStatements());
    }
    for (Definition definition : order.after()) {
      objects.add(definition.ref());
      afterData.addAll(definition.createStatements());
      finish.addAll(definition.finishStatements());
    }
    afterData.addAll(finish);
    Set<String> made = new HashSet<>();
    order.before().forEach(definition -> made.add(definition.ref().toString()));
    List<TableCopy> copies = new ArrayList<>();
    for (TableCopy copy : tables.copies()) {
      Definition table = tables.definition(copy);
      if (made.contains(table.ref().toString())) {
        copies.add(copy);
      }
    }
    List<String> unrecoverable = new ArrayList<>(order.unrecoverable());
    unrecoverable.addAll(tables.unlogged());
    unrecoverable.addAll(comments.unrecoverable());
    List<String> notes = new ArrayList<>(constraints.notes());
    notes.addAll(conflicts.notes());
    return new RecreationPlan(objects, beforeData, copies, afterData, unrecoverable, found, notes);
  }

  /** Every dependency that has a missing object at one of its ends. */
  private static List<Dependency> dependencies(CatalogQueries fork, Set<ObjectKey> missing)
      throws SQLException {
    List<Dependency> dependencies = new ArrayList<>();
    List<Long> oids = missing.stream().map(ObjectKey::oid).distinct().toList();
    fork.each(
        """
        SELECT classid, objid, objsubid, refclassid, refobjid, refobjsubid, deptype
        FROM pg_catalog.pg_depend WHERE objid = ANY (?) OR refobjid = ANY (?)\
        """,
        oids,
        row -> {
          SystemCatalog catalog = SystemCatalog.byOid(row.getLong(1));
          SystemCatalog needed = SystemCatalog.byOid(row.getLong(4));
          if (catalog != null && needed != null) {
            dependencies.add(
                new Dependency(
                    new ObjectKey(catalog, row.getLong(2), row.getInt(3)),
                    new ObjectKey(needed, row.getLong(5), row.getInt(6)),
                    row.getString(7).charAt(0)));
          }
        });
    return dependencies;
  }

  /** Columns of surviving tables that needed something missing and are gone with it. */
  private static Set<ObjectKey> lostColumns(
      CatalogQueries production, Set<ObjectKey> missing, List<Dependency> dependencies)
      throws SQLException {
    Set<ObjectKey> candidates = new LinkedHashSet<>();
    for (Dependency dependency : dependencies) {
      ObjectKey object = dependency.object();
      if (object.catalog() == CLASS
          && object.column() > 0
          && !missing.contains(whole(object))
          && missing.contains(whole(dependency.needs()))) {
        candidates.add(object);
      }
    }
    Set<ObjectKey> lost = new LinkedHashSet<>(candidates);
    production.each(
        """
        SELECT attrelid, attnum FROM pg_catalog.pg_attribute
        WHERE NOT attisdropped AND attnum > 0 AND attrelid = ANY (?)\
        """,
        candidates.stream().map(ObjectKey::oid).distinct().toList(),
        row -> lost.remove(new ObjectKey(CLASS, row.getLong(1), row.getInt(2))));
    // The table itself must still be there; if it is not, somebody dropped it later.
    Set<Long> tables = new HashSet<>();
    production.each(
        "SELECT oid FROM pg_catalog.pg_class WHERE oid = ANY (?)",
        lost.stream().map(ObjectKey::oid).distinct().toList(),
        row -> tables.add(row.getLong(1)));
    lost.removeIf(column -> !tables.contains(column.oid()));
    return lost;
  }

  /** The missing objects that hang together with these tables, through whatever is missing. */
  private static Set<ObjectKey> connected(
      Set<ObjectKey> missing, List<Dependency> dependencies, Set<Long> tables) {
    Map<ObjectKey, Set<ObjectKey>> neighbours = new HashMap<>();
    for (Dependency dependency : dependencies) {
      ObjectKey a = lostPart(missing, dependency.object());
      ObjectKey b = lostPart(missing, dependency.needs());
      if (missing.contains(a) && missing.contains(b) && !a.equals(b)) {
        neighbours.computeIfAbsent(a, _ -> new HashSet<>()).add(b);
        neighbours.computeIfAbsent(b, _ -> new HashSet<>()).add(a);
      }
    }
    Set<ObjectKey> found = new HashSet<>();
    Deque<ObjectKey> open = new ArrayDeque<>();
    for (long table : tables) {
      open.add(new ObjectKey(CLASS, table));
    }
    while (!open.isEmpty()) {
      ObjectKey key = open.remove();
      if (missing.contains(key) && found.add(key)) {
        open.addAll(neighbours.getOrDefault(key, Set.of()));
      }
    }
    return found;
  }

  private static ObjectKey lostPart(Set<ObjectKey> missing, ObjectKey key) {
    return missing.contains(key) ? key : whole(key);
  }

  private static ObjectKey whole(ObjectKey key) {
    return new ObjectKey(key.catalog(), key.oid());
  }

  private static Collection<String> neededButGone(
      Definitions definitions, List<Dependency> dependencies, Set<ObjectKey> goneLater) {
    Set<String> conflicts = new TreeSet<>();
    for (Dependency dependency : dependencies) {
      Definition definition = definitions.find(dependency.object());
      if (definition != null && goneLater.contains(whole(dependency.needs()))) {
        conflicts.add(definition.ref() + " needs something that was dropped later");
      }
    }
    return conflicts;
  }

  /** What is lost and has no definition here: named, so that nobody believes it came back. */
  private static final class Unsupported {
    static void read(Definitions definitions) throws SQLException {
      for (SystemCatalog catalog : SystemCatalog.values()) {
        if (catalog == SystemCatalog.INHERITS) {
          continue;
        }
        List<Long> oids =
            definitions.oids(catalog).stream()
                .filter(oid -> definitions.find(catalog, oid) == null)
                .toList();
        definitions
            .fork()
            .each(
                """
                SELECT o, i.type, i.identity, coalesce(i.schema, '') FROM unnest(?::oid[]) o,
                  pg_identify_object(%d, o, 0) i
                WHERE NOT (%d = 1259 AND EXISTS (SELECT FROM pg_catalog.pg_class c
                  WHERE c.oid = o AND relnamespace = 'pg_toast'::regnamespace))\
                """
                    .formatted(catalog.oid(), catalog.oid()),
                oids,
                row -> {
                  if (!isInvalidIndex(row.getString(2))) {
                    definitions
                        .add(catalog, row.getLong(1), row.getString(2), row.getString(3), Step.TYPE)
                        .unrecoverable("Holdfast does not recreate this kind of object");
                  }
                });
      }
    }

    /** Left out with a note of its own. */
    private static boolean isInvalidIndex(String kind) {
      return kind.equals("index");
    }
  }
}
