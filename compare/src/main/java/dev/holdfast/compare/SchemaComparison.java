package dev.holdfast.compare;

import java.util.Comparator;
import java.util.HashSet;
import java.util.Iterator;
import java.util.Objects;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeSet;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * Compares two schemas, kind by kind. Of a table that one side lacks only that is told, not its
 * columns, indexes and so on: tables are to be compared before what hangs on them.
 */
public final class SchemaComparison {
  /** The property that is told of an object that one side lacks. */
  private static final String DEFINITION = "definition";

  private final Set<String> lonelyTables = new HashSet<>();
  private final Consumer<SchemaDifference> sink;

  /**
   * @param sink told each difference, in the order of the definitions
   */
  public SchemaComparison(Consumer<SchemaDifference> sink) {
    this.sink = sink;
  }

  /** The order that definitions of one kind have to come in: by the code points of their names. */
  public static Comparator<String> nameOrder() {
    return CodePoints::compare;
  }

  /**
   * Compares all objects of a kind.
   *
   * @param a sorted by {@link #nameOrder}, as {@code b}
   * @throws IllegalArgumentException when they are not
   */
  public void compare(String kind, Iterator<Definition> a, Iterator<Definition> b) {
    Definition left = next(a, null);
    Definition right = next(b, null);
    while (left != null || right != null) {
      int order =
          left == null ? 1 : right == null ? -1 : CodePoints.compare(left.name(), right.name());
      if (order < 0 && left != null) {
        lonely(kind, left, Change.ONLY_IN_A);
        left = next(a, left);
      } else if (order > 0 && right != null) {
        lonely(kind, right, Change.ONLY_IN_B);
        right = next(b, right);
      } else if (left != null && right != null) {
        properties(kind, left, right);
        left = next(a, left);
        right = next(b, right);
      }
    }
  }

  private static @Nullable Definition next(
      Iterator<Definition> definitions, @Nullable Definition before) {
    if (!definitions.hasNext()) {
      return null;
    }
    Definition next = definitions.next();
    if (before != null && CodePoints.compare(before.name(), next.name()) > 0) {
      throw new IllegalArgumentException("%s comes after %s".formatted(next.name(), before.name()));
    }
    return next;
  }

  private void lonely(String kind, Definition definition, Change change) {
    String table = definition.table();
    if (table != null && lonelyTables.contains(table)) {
      return;
    }
    if (definition.name().equals(table)) {
      lonelyTables.add(table);
    }
    String text = summary(definition.properties());
    sink.accept(
        new SchemaDifference(
            kind,
            definition.name(),
            table,
            change,
            null,
            change == Change.ONLY_IN_A ? text : null,
            change == Change.ONLY_IN_B ? text : null));
  }

  private static String summary(SortedMap<String, String> properties) {
    String definition = properties.get(DEFINITION);
    return definition != null
        ? definition
        : properties.entrySet().stream()
            .filter(property -> !property.getValue().isEmpty())
            .map(property -> property.getKey() + " " + property.getValue())
            .collect(Collectors.joining(", "));
  }

  private void properties(String kind, Definition a, Definition b) {
    Set<String> names = new TreeSet<>(a.properties().keySet());
    names.addAll(b.properties().keySet());
    for (String property : names) {
      String left = a.properties().get(property);
      String right = b.properties().get(property);
      if (!Objects.equals(left, right)) {
        sink.accept(
            new SchemaDifference(
                kind, a.name(), a.table(), Change.DIFFERENT, property, left, right));
      }
    }
  }
}
