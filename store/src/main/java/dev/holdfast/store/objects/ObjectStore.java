package dev.holdfast.store.objects;

import java.time.Instant;
import java.util.List;

/**
 * Named objects: a directory, a bucket, or memory in tests.
 *
 * <ul>
 *   <li>When {@link #put}, {@link #replace} or {@link ObjectWriter#commit} returns, the object is
 *       durable; before that no reader sees any of it.
 *   <li>Putting a name that exists fails with {@link ObjectExistsException} and changes nothing.
 *   <li>Reading returns exactly the bytes put, or throws; a missing object is {@link
 *       NoSuchObjectException}.
 * </ul>
 *
 * <p>Names are checked by {@link ObjectName}. All methods may be called by several threads and
 * processes at once; all throw {@code OperatorException} (REPOSITORY_UNREACHABLE) when the storage
 * fails.
 *
 * <p>There are no default methods: one that is forgotten by who wraps a store would go by a slower
 * way, or past what the wrapper is for.
 */
public interface ObjectStore {
  /** What an operator calls this place. */
  String location();

  /** Starts an object that is written piece by piece; it appears at its commit. */
  ObjectWriter create(String name);

  /** Stores a new object. */
  void put(String name, byte[] bytes);

  /** Stores a new object: the first bytes of an array. */
  void put(String name, byte[] bytes, int length);

  /** Stores an object, in the place of an older one if there is one, atomically. */
  void replace(String name, byte[] bytes);

  /** The whole object. */
  byte[] get(String name);

  /**
   * Part of an object.
   *
   * @param offset of the first byte, from 0
   * @param length bytes wanted; fewer are returned where the object ends earlier
   */
  byte[] get(String name, long offset, int length);

  /**
   * Every object whose name starts with the prefix, sorted by name.
   *
   * @param prefix empty, or ending in a slash
   */
  List<StoredObject> list(String prefix);

  /**
   * The first components below the prefix that have objects below them, sorted.
   *
   * @param prefix empty, or ending in a slash
   */
  List<String> folders(String prefix);

  /**
   * The first components below the prefix, of objects and of folders alike, sorted. One look at one
   * folder, where {@link #list} looks at every object.
   *
   * @param prefix empty, or ending in a slash
   */
  List<String> children(String prefix);

  /** Whether there is such an object. */
  boolean exists(String name);

  /** Removes an object; nothing happens when it is absent. */
  void delete(String name);

  /**
   * Removes objects that nobody needs any more, in any order; nothing happens for those that are
   * absent, and none goes when one of the names is refused. Cheaper than one by one.
   */
  void deleteAll(List<String> names);

  /** Removes what interrupted writers left below the prefix a day or longer ago. */
  void sweep(String prefix);

  /**
   * @param name the whole name
   * @param bytes its length as stored
   * @param modifiedAt when it was stored, by the storage's clock
   */
  record StoredObject(String name, long bytes, Instant modifiedAt) {}
}
