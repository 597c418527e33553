package dev.holdfast.store;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.objects.NoSuchObjectException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/** What does not hold, collected by several threads. Of very many the first are kept. */
final class Findings {
  private static final int MAX = 10_000;

  private final List<Problem> found = new ArrayList<>();
  private final Set<String> names = new HashSet<>();
  private final Set<String> items = new HashSet<>();

  /**
   * Looks at something that was there a moment ago.
   *
   * @param object what the problem is with unless the failure names another one
   * @return whether it holds
   * @throws OperatorException REPOSITORY_UNREACHABLE: a disk that cannot be read says nothing about
   *     what is on it
   */
  boolean check(Problem.Subject subject, String item, String object, Runnable look) {
    try {
      look.run();
      return true;
    } catch (DamagedObjectException e) {
      add(new Problem(subject, item, e.object(), e.missing(), e.why(), e.next()));
    } catch (NoSuchObjectException e) {
      return false; // removed meanwhile
    } catch (OperatorException e) {
      if (e.kind() == Kind.REPOSITORY_UNREACHABLE) {
        throw e;
      }
      add(new Problem(subject, item, object, false, e.why(), e.next()));
    }
    return false;
  }

  void missing(Problem.Subject subject, String item, String object, String found, String next) {
    add(new Problem(subject, item, object, true, found, next));
  }

  synchronized void add(Problem problem) {
    names.add(problem.object());
    items.add(problem.item());
    if (found.size() < MAX) {
      found.add(problem);
    }
  }

  /** Whether something is known against this object. */
  synchronized boolean names(String object) {
    return names.contains(object);
  }

  /** Whether something is known against this item. */
  synchronized boolean about(String item) {
    return items.contains(item);
  }

  synchronized boolean isEmpty() {
    return found.isEmpty();
  }

  synchronized List<Problem> sorted() {
    return found.stream().distinct().sorted(Comparator.comparing(Problem::object)).toList();
  }
}
