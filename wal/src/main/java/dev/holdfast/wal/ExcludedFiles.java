package dev.holdfast.wal;

import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * The relations that filtered WAL leaves alone, by their files: all forks of each. Immutable.
 *
 * <p>A file copied with its database is excluded under its new name as well, see {@link
 * #withCopies}: the copy of a hole is a hole.
 */
public final class ExcludedFiles {
  private final List<RelFile> files;

  /** Open addressing, a power of two of slots, never more than half full; number 0: free. */
  private final int[] numbers;

  private final int[] databases;
  private final int[] tablespaces;

  private ExcludedFiles(Collection<RelFile> distinct) {
    files = List.copyOf(distinct);
    int slots = Integer.highestOneBit(Math.max(8, files.size())) * 4;
    numbers = new int[slots];
    databases = new int[slots];
    tablespaces = new int[slots];
    for (RelFile file : files) {
      int number = (int) file.number();
      int slot = slot(number, (int) file.database());
      while (numbers[slot] != 0) {
        slot = (slot + 1) & (slots - 1);
      }
      numbers[slot] = number;
      databases[slot] = (int) file.database();
      tablespaces[slot] = (int) file.tablespace();
    }
  }

  /** Excludes these relations. */
  public static ExcludedFiles of(Collection<RelFile> files) {
    Set<RelFile> distinct = new HashSet<>(files);
    for (RelFile file : distinct) {
      if (file.number() == 0) {
        throw new IllegalArgumentException(file + " names no relation");
      }
    }
    return new ExcludedFiles(distinct);
  }

  /** The relations, in no order. */
  public List<RelFile> files() {
    return files;
  }

  /** Whether this relation is excluded. */
  public boolean contains(RelFile file) {
    return contains((int) file.tablespace(), (int) file.database(), (int) file.number());
  }

  /** As {@link #contains(RelFile)}, of unsigned 32-bit values, without an object. */
  boolean contains(int tablespace, int database, int number) {
    int slot = slot(number, database);
    while (numbers[slot] != 0) {
      if (numbers[slot] == number
          && databases[slot] == database
          && tablespaces[slot] == tablespace) {
        return true;
      }
      slot = (slot + 1) & (numbers.length - 1);
    }
    return false;
  }

  /**
   * With the copies that {@code CREATE DATABASE … STRATEGY file_copy} or {@code ALTER DATABASE …
   * SET TABLESPACE} made of excluded relations; the same set when there are none.
   */
  public ExcludedFiles withCopies(WalRecord.DatabaseCreate created) {
    if (created.source() == 0) {
      return this; // its pages are logged one by one: nothing is copied on replay
    }
    List<RelFile> copies = new ArrayList<>();
    for (RelFile file : files) {
      if (file.database() == created.source() && file.tablespace() == created.sourceTablespace()) {
        RelFile copy = new RelFile(created.tablespace(), created.database(), file.number());
        if (!contains(copy)) {
          copies.add(copy);
        }
      }
    }
    if (copies.isEmpty()) {
      return this;
    }
    copies.addAll(files);
    return new ExcludedFiles(copies);
  }

  private int slot(int number, int database) {
    int hash = (number + database * 31) * 0x9E3779B9; // numbers are neighbours: spread them
    return (hash >>> 8) & (numbers.length - 1);
  }
}
