package dev.holdfast.compare;

/**
 * One row as its side tells it, or several equal ones of a table without a key.
 *
 * @param order the hash of what identifies it; rows are merged by it
 * @param identity the key's text; without a key the second hash's
 * @param first the first hash of the whole row
 * @param second the second
 * @param copies how many such rows there are; 1 where there is a key
 * @param place where the side finds it again
 */
public record DigestedRow(
    long order, String identity, long first, long second, long copies, String place) {
  int compareIdentity(DigestedRow other) {
    int byOrder = Long.compare(order, other.order);
    return byOrder != 0 ? byOrder : CodePoints.compare(identity, other.identity);
  }

  boolean sameContent(DigestedRow other) {
    return first == other.first && second == other.second && copies == other.copies;
  }
}
