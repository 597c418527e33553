package dev.holdfast.operations;

import dev.holdfast.postgres.Catalog;
import dev.holdfast.postgres.DatabaseShape;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * What a database lacks of a recorded one, by names.
 *
 * @param common how many of the recorded tables are here
 */
record ShapeDifference(CheckResult.Missing missing, int common, List<CheckResult.Fallen> fallen) {
  /** Fewer tell nothing: statistics are guesses. */
  private static final long ROWS_MIN = 1000;

  private static final int FALLEN_TO_A = 10;

  /** Before a table is analysed the statistics say 0 or -1, and nothing is told by them. */
  static ShapeDifference of(Catalog.Database recorded, DatabaseShape here) {
    Map<String, DatabaseShape.Relation> present = new HashMap<>();
    here.relations()
        .forEach(relation -> present.put(name(relation.schema(), relation.name()), relation));
    List<String> tables = new ArrayList<>();
    List<String> columns = new ArrayList<>();
    List<String> indexes = new ArrayList<>();
    List<String> sequences = new ArrayList<>();
    List<CheckResult.Fallen> fallen = new ArrayList<>();
    int all = 0;
    for (Catalog.Relation relation : recorded.relations()) {
      if (!isUsers(relation)) {
        continue;
      }
      String name = name(relation.schema(), relation.name());
      DatabaseShape.Relation same = present.get(name);
      switch (relation.kind()) {
        case "r", "p" -> {
          all++;
          if (same == null) {
            tables.add(name);
            continue;
          }
          Set<String> its = new HashSet<>(same.columns());
          relation.columns().stream()
              .filter(column -> !its.contains(column.name()))
              .forEach(column -> columns.add(name + "." + column.name()));
          if (relation.estimatedRows() >= ROWS_MIN
              && same.estimatedRows() >= 0
              && same.estimatedRows() < relation.estimatedRows() / FALLEN_TO_A) {
            fallen.add(
                new CheckResult.Fallen(name, relation.estimatedRows(), same.estimatedRows()));
          }
        }
        case "i", "I" -> {
          if (same == null) {
            indexes.add(name);
          }
        }
        case "S" -> {
          if (same == null) {
            sequences.add(name);
          }
        }
        default -> {}
      }
    }
    return new ShapeDifference(
        new CheckResult.Missing(
            all,
            tables.stream().sorted().toList(),
            columns.stream().sorted().toList(),
            indexes.stream().sorted().toList(),
            sequences.stream().sorted().toList()),
        all - tables.size(),
        List.copyOf(fallen));
  }

  /** Whether users have anything in it. */
  static boolean isEmpty(DatabaseShape shape) {
    return shape.relations().stream()
        .noneMatch(relation -> "rpmf".contains(relation.kind()) && !isOurs(relation.schema()));
  }

  private static boolean isUsers(Catalog.Relation relation) {
    return relation.oid() >= FIRST_USER_OID
        && !relation.persistence().equals("t")
        && !relation.schema().startsWith("pg_")
        && !relation.schema().equals("information_schema")
        && !isOurs(relation.schema());
  }

  /** "access/transam.h": FirstNormalObjectId. */
  private static final long FIRST_USER_OID = 16384;

  private static boolean isOurs(String schema) {
    return schema.equals("holdfast") || schema.startsWith("holdfast_");
  }

  private static String name(String schema, String name) {
    return schema + "." + name;
  }
}
