package dev.holdfast.operations;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.postgres.Catalog;
import dev.holdfast.row.TableName;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.wal.Lsn;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * Tables that an operator named, found in a recorded catalog: their OIDs, which outlive renames.
 *
 * @param byOid the tables of one database
 */
record WantedTables(long databaseOid, String database, Map<Long, TableName> byOid) {
  private static final String DEFAULT_SCHEMA = "public";
  private static final int NEAR_MAX = 3;

  /** Those below came with the server ("access/transam.h", FirstNormalObjectId). */
  private static final long FIRST_NORMAL = 16384;

  private static final Set<String> WITH_ROWS = Set.of("r", "p", "m");
  private static final Map<String, String> WITHOUT_ROWS =
      Map.of("v", "a view", "f", "a foreign table", "S", "a sequence, which every fork holds");

  /** Copies the map. */
  WantedTables {
    byOid = Map.copyOf(byOid);
  }

  /**
   * Looks them up in the catalog in force at a position; what that one does not know, in the one
   * recorded next: a table may have been made in between.
   *
   * @param database where to look; null: wherever all of them are
   * @throws OperatorException USAGE when a name means no table, or more than one
   */
  static WantedTables find(
      ClusterStore cluster, Lsn at, List<GivenTable> given, @Nullable String database) {
    List<Catalog> catalogs = catalogs(cluster, at);
    String what = "cannot fork " + cluster.document().name() + " with these tables";
    if (catalogs.isEmpty()) {
      throw new OperatorException(
          Kind.REFUSED,
          what,
          "no catalog of it is recorded, so nothing is known by name",
          "fork it whole: leave --tables out");
    }
    OperatorException refusal = null;
    for (Catalog catalog : catalogs) {
      try {
        return find(what, catalog, given, database);
      } catch (OperatorException e) {
        refusal = refusal == null ? e : refusal; // the catalog in force has the better answer
      }
    }
    throw Objects.requireNonNull(refusal);
  }

  private static List<Catalog> catalogs(ClusterStore cluster, Lsn at) {
    List<String> recorded = cluster.catalogs();
    int after = 0;
    while (after < recorded.size()
        && !new Lsn(Long.parseUnsignedLong(recorded.get(after), 16)).isAfter(at)) {
      after++;
    }
    return recorded.subList(Math.max(0, after - 1), Math.min(recorded.size(), after + 1)).stream()
        .map(lsn -> cluster.catalog(lsn, Catalog.class))
        .toList();
  }

  static WantedTables find(
      String what, Catalog catalog, List<GivenTable> given, @Nullable String database) {
    List<Catalog.Database> databases =
        catalog.databases().stream()
            .filter(Catalog.Database::readable)
            .filter(candidate -> database == null || candidate.name().equals(database))
            .toList();
    if (databases.isEmpty()) {
      throw new OperatorException(
          Kind.USAGE,
          what,
          "there is no database \"%s\"".formatted(database),
          "choose one of "
              + catalog.databases().stream()
                  .filter(Catalog.Database::readable)
                  .map(Catalog.Database::name)
                  .collect(Collectors.joining(", ")));
    }
    Map<Catalog.Database, Map<Long, TableName>> complete = new LinkedHashMap<>();
    for (Catalog.Database candidate : databases) {
      Map<Long, TableName> found = new LinkedHashMap<>();
      boolean all = true;
      for (GivenTable table : given) {
        Catalog.Relation relation = relation(candidate, table);
        all &= relation != null && WITH_ROWS.contains(relation.kind());
        if (relation != null) {
          found.put(relation.oid(), new TableName(relation.schema(), relation.name()));
        }
      }
      if (all) {
        complete.put(candidate, found);
      }
    }
    if (complete.size() == 1) {
      Map.Entry<Catalog.Database, Map<Long, TableName>> only =
          complete.entrySet().iterator().next();
      return new WantedTables(only.getKey().oid(), only.getKey().name(), only.getValue());
    }
    if (complete.size() > 1) {
      throw new OperatorException(
          Kind.USAGE,
          what,
          "they are in more than one database: "
              + complete.keySet().stream()
                  .map(Catalog.Database::name)
                  .collect(Collectors.joining(", ")),
          "say which with --database, or write DATABASE.SCHEMA.TABLE");
    }
    throw notFound(what, databases, given);
  }

  private static Catalog.@Nullable Relation relation(Catalog.Database database, GivenTable given) {
    GivenTable.Part named = given.database();
    if (named != null && !named.is(database.name()) && !named.folds(database.name())) {
      return null;
    }
    GivenTable.Part schema =
        given.schema() == null ? new GivenTable.Part(DEFAULT_SCHEMA, true) : given.schema();
    List<Predicate<Catalog.Relation>> readings =
        List.of(
            relation -> schema.is(relation.schema()) && given.table().is(relation.name()),
            relation ->
                (schema.is(relation.schema()) || schema.folds(relation.schema()))
                    && (given.table().is(relation.name()) || given.table().folds(relation.name())));
    for (Predicate<Catalog.Relation> reading : readings) {
      for (Catalog.Relation relation : database.relations()) {
        if (isNameable(relation) && reading.test(relation)) {
          return relation;
        }
      }
    }
    return null;
  }

  private static boolean isNameable(Catalog.Relation relation) {
    return WITH_ROWS.contains(relation.kind()) || WITHOUT_ROWS.containsKey(relation.kind());
  }

  private static OperatorException notFound(
      String what, List<Catalog.Database> databases, List<GivenTable> given) {
    for (GivenTable table : given) {
      List<Catalog.Relation> found = new ArrayList<>();
      for (Catalog.Database database : databases) {
        Catalog.Relation relation = relation(database, table);
        if (relation != null) {
          found.add(relation);
        }
      }
      if (found.isEmpty()) {
        return new OperatorException(
            Kind.USAGE,
            what,
            "there is no table %s at that moment, as far as the recorded catalog knows"
                .formatted(table.text()),
            near(databases, table));
      }
      if (found.stream().noneMatch(relation -> WITH_ROWS.contains(relation.kind()))) {
        return new OperatorException(
            Kind.USAGE,
            what,
            table.text() + " is " + WITHOUT_ROWS.get(found.getFirst().kind()),
            "name the tables that hold the rows");
      }
    }
    return new OperatorException(
        Kind.USAGE,
        what,
        "they are not all in one database",
        "make one fork for each database");
  }

  /** Same name in another schema first, then by spelling. */
  private static String near(List<Catalog.Database> databases, GivenTable given) {
    List<String> elsewhere = new ArrayList<>();
    List<String> all = new ArrayList<>();
    for (Catalog.Database database : databases) {
      for (Catalog.Relation relation : database.relations()) {
        if (!WITH_ROWS.contains(relation.kind()) || relation.oid() < FIRST_NORMAL) {
          continue;
        }
        String name =
            (databases.size() == 1 ? "" : written(database.name()) + ".")
                + written(relation.schema())
                + "."
                + written(relation.name());
        all.add(name);
        if (given.table().is(relation.name()) || given.table().folds(relation.name())) {
          elsewhere.add(name);
        }
      }
    }
    List<String> near =
        elsewhere.isEmpty() ? NearestNames.of(spelled(given, databases.size() > 1), all) : elsewhere;
    return near.isEmpty()
        ? "leave --tables out: it knows no tables there at all"
        : near.stream().limit(NEAR_MAX).collect(Collectors.joining(" or ", "did you mean ", "?"));
  }

  /** In full, so that it can be compared with full names. */
  private static String spelled(GivenTable given, boolean withDatabase) {
    String schema = given.schema() == null ? DEFAULT_SCHEMA : given.schema().name();
    String database =
        !withDatabase ? "" : given.database() == null ? "" : given.database().name() + ".";
    return database + schema + "." + given.table().name();
  }

  /** As it can be given again. */
  private static String written(String name) {
    return name.matches("[\\p{Lower}_][\\p{Lower}\\p{Digit}_$]*") ? name : TableName.quote(name);
  }
}
