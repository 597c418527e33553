package dev.holdfast.postgres.definition;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.PriorityQueue;
import java.util.Set;

/**
 * Puts definitions in the order in which they can be made: nothing before what it needs, and apart
 * from that by {@link Definition.Step}, then by name.
 *
 * <p>What needs something unrecoverable is unrecoverable too, and so is a circle.
 */
final class CreationOrder {
  private final List<Definition> before = new ArrayList<>();
  private final List<Definition> after = new ArrayList<>();
  private final List<String> unrecoverable = new ArrayList<>();

  private CreationOrder() {}

  static CreationOrder of(Definitions definitions, Collection<Dependency> dependencies) {
    Map<Definition, Set<Definition>> needs = edges(definitions, dependencies);
    CreationOrder order = new CreationOrder();
    Set<Definition> impossible = order.spreadUnrecoverable(definitions, needs);
    Map<Definition, Integer> open = new HashMap<>();
    Map<Definition, List<Definition>> neededBy = new HashMap<>();
    PriorityQueue<Definition> ready =
        new PriorityQueue<>(
            Comparator.comparing(Definition::step)
                .thenComparing(definition -> definition.ref().kind())
                .thenComparing(definition -> definition.ref().name())
                .thenComparing(definition -> definition.key().oid()));
    for (Definition definition : definitions.all()) {
      if (impossible.contains(definition)) {
        continue;
      }
      Set<Definition> needed = needs.getOrDefault(definition, Set.of());
      open.put(definition, needed.size());
      needed.forEach(
          other -> neededBy.computeIfAbsent(other, _ -> new ArrayList<>()).add(definition));
      if (needed.isEmpty()) {
        ready.add(definition);
      }
    }
    Set<Definition> late = new HashSet<>();
    while (!ready.isEmpty()) {
      Definition next = ready.remove();
      open.remove(next);
      boolean isLate =
          next.step().afterData()
              || needs.getOrDefault(next, Set.of()).stream().anyMatch(late::contains);
      if (isLate) {
        late.add(next);
      }
      order.place(next, isLate);
      for (Definition waiting : neededBy.getOrDefault(next, List.of())) {
        int left = Objects.requireNonNull(open.get(waiting)) - 1;
        open.put(waiting, left);
        if (left == 0) {
          ready.add(waiting);
        }
      }
    }
    open.keySet().stream()
        .map(definition -> definition.ref() + ": it and others need each other in a circle")
        .sorted()
        .forEach(order.unrecoverable::add);
    return order;
  }

  private void place(Definition next, boolean isLate) {
    if (isLate && next.step() == Definition.Step.TABLE) {
      // Rows are copied before anything late is made.
      unrecoverable.add(next.ref() + ": it needs a view");
    }
    (isLate ? after : before).add(next);
  }

  /** Made before the rows are copied, in this order. */
  List<Definition> before() {
    return before;
  }

  /** Made after the rows were copied, in this order. */
  List<Definition> after() {
    return after;
  }

  /** What is not made, with why. */
  List<String> unrecoverable() {
    return unrecoverable;
  }

  private static Map<Definition, Set<Definition>> edges(
      Definitions definitions, Collection<Dependency> dependencies) {
    Map<Definition, Set<Definition>> needs = new HashMap<>();
    for (Definition definition : definitions.all()) {
      for (ObjectKey key : definition.needs()) {
        add(needs, definition, definitions.find(key));
      }
    }
    for (Dependency dependency : dependencies) {
      Definition object = definitions.find(dependency.object());
      boolean ownership =
          object != null && object.step() == Definition.Step.SEQUENCE && dependency.type() == 'a';
      if (object != null && !ownership) { // OWNED BY is said when both exist
        add(needs, object, definitions.find(dependency.needs()));
      }
    }
    return needs;
  }

  private static void add(
      Map<Definition, Set<Definition>> needs,
      Definition definition,
      @org.jspecify.annotations.Nullable Definition other) {
    if (other != null && other != definition) {
      needs.computeIfAbsent(definition, _ -> new LinkedHashSet<>()).add(other);
    }
  }

  private Set<Definition> spreadUnrecoverable(
      Definitions definitions, Map<Definition, Set<Definition>> needs) {
    Set<Definition> impossible = new HashSet<>();
    for (Definition definition : definitions.all()) {
      if (definition.unrecoverable() != null) {
        unrecoverable.add(definition.ref() + ": " + definition.unrecoverable());
        if (definition.createStatements().isEmpty()) {
          impossible.add(definition);
        } // otherwise it is made, as far as it goes
      }
    }
    boolean changed = !impossible.isEmpty();
    while (changed) {
      changed = false;
      for (Definition definition : definitions.all()) {
        if (impossible.contains(definition)) {
          continue;
        }
        for (Definition other : needs.getOrDefault(definition, Set.of())) {
          if (impossible.contains(other)) {
            impossible.add(definition);
            unrecoverable.add(definition.ref() + ": it needs " + other.ref());
            changed = true;
            break;
          }
        }
      }
    }
    return impossible;
  }
}
