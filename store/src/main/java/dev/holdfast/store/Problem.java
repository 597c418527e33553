package dev.holdfast.store;

/**
 * Something in a repository that does not hold, or that is to be known.
 *
 * @param subject what sort of thing it is
 * @param item which one: a base backup's label, a segment's name, a timeline, an LSN, a document's
 *     name; empty for what there is one of
 * @param object the object's name, whole
 * @param missing whether the object is not there, where something else says that it is
 * @param found what is wrong with it
 * @param next what the operator can do
 */
public record Problem(
    Subject subject, String item, String object, boolean missing, String found, String next) {
  /** What an object belongs to. */
  public enum Subject {
    /** {@code holdfast.json}. */
    REPOSITORY,
    /** {@code cluster.json}. */
    CLUSTER,
    /** A base backup, by its label. */
    BASE,
    /** A WAL segment, by its name. */
    SEGMENT,
    /** A timeline's history file, by the timeline in decimal. */
    HISTORY,
    /** A summary, its changed blocks or a pack of summaries, by the (first) segment's name. */
    SUMMARY,
    /** A catalog snapshot, by its LSN in 16 hexadecimal digits. */
    CATALOG,
    /** A document, as {@code kind/name}. */
    DOCUMENT,
    /** An object of a name that the format does not know. */
    UNKNOWN
  }
}
