package dev.holdfast.postgres.definition;

/**
 * A database object as people name it.
 *
 * @param kind in lower case, as PostgreSQL calls it: {@code table}, {@code materialized view}
 * @param name qualified and quoted as SQL needs it: {@code "Shop".users}
 */
public record ObjectRef(String kind, String name) {
  @Override
  public String toString() {
    return kind + " " + name;
  }
}
