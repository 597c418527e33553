package dev.holdfast.postgres.definition;

import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** What makes one object again. Filled by the readers, ordered by {@link CreationOrder}. */
final class Definition {
  /**
   * When an object is made if nothing it needs says later: the declared order. Those from {@link
   * #INDEX} on are made after the rows were copied.
   */
  enum Step {
    SCHEMA,
    EXTENSION,
    COLLATION,
    TYPE,
    ROUTINE,
    SEQUENCE,
    TABLE,
    PARTITION,
    DEFAULT,
    INDEX,
    KEY,
    CHECK,
    INDEX_PARTITION,
    STATISTICS,
    VIEW,
    MATERIALIZED_VIEW,
    FOREIGN_KEY,
    RULE,
    TRIGGER,
    POLICY,
    PUBLICATION,
    /** What locks a table that survived: as late as possible, so that others wait shortly. */
    ON_SURVIVOR,
    DEFAULT_PRIVILEGES;

    boolean afterData() {
      return compareTo(INDEX) >= 0;
    }
  }

  private final ObjectKey key;
  private final ObjectRef ref;
  private Step step;
  private final List<String> create = new ArrayList<>();
  private final List<String> finish = new ArrayList<>();
  private final Set<ObjectKey> needs = new LinkedHashSet<>();
  private @Nullable String unrecoverable;

  Definition(ObjectKey key, ObjectRef ref, Step step) {
    this.key = key;
    this.ref = ref;
    this.step = step;
  }

  ObjectKey key() {
    return key;
  }

  ObjectRef ref() {
    return ref;
  }

  Step step() {
    return step;
  }

  /** Moves it to the end, unless something that comes earlier needs it. */
  Definition locksSurvivor() {
    step = Step.ON_SURVIVOR;
    return this;
  }

  /** A statement that belongs to making it, in this order. */
  Definition create(String statement) {
    create.add(statement);
    return this;
  }

  /** The statement that all of {@link #create} follow. */
  Definition createFirst(String statement) {
    create.addFirst(statement);
    return this;
  }

  /** A statement run when every object exists: ownership of sequences, row security, grants. */
  Definition finish(String statement) {
    finish.add(statement);
    return this;
  }

  Definition needs(ObjectKey other) {
    needs.add(other);
    return this;
  }

  Definition unrecoverable(String why) {
    unrecoverable = why;
    return this;
  }

  List<String> createStatements() {
    return create;
  }

  List<String> finishStatements() {
    return finish;
  }

  Set<ObjectKey> needs() {
    return needs;
  }

  /** Why it cannot be made again; null when it can. */
  @Nullable String unrecoverable() {
    return unrecoverable;
  }
}
