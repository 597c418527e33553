package dev.holdfast.damage;

import dev.holdfast.wal.RelFile;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Gives each file a small number, so that arrays can take the place of maps where every record
 * counts. Numbers of removed files are given again.
 */
final class FileNumbers {
  private static final int NONE = -1;

  private int[] slots = new int[256];
  private final List<RelFile> files = new ArrayList<>();
  private final List<Integer> free = new ArrayList<>();
  private int[] tablespace = new int[128];
  private int[] database = new int[128];
  private int[] number = new int[128];
  private int used; // files and removed marks in slots
  private int last = NONE;

  private static final int REMOVED = -2;

  FileNumbers() {
    Arrays.fill(slots, NONE);
  }

  /** The number of a file; a new one when it has none. */
  int of(int tablespaceOid, int databaseOid, int fileNumber) {
    if (last != NONE && is(last, tablespaceOid, databaseOid, fileNumber)) {
      return last;
    }
    int slot = slot(tablespaceOid, databaseOid, fileNumber);
    int found = slots[slot];
    if (found < 0) {
      found = add(tablespaceOid, databaseOid, fileNumber);
    }
    last = found;
    return found;
  }

  int of(RelFile file) {
    return of((int) file.tablespace(), (int) file.database(), (int) file.number());
  }

  RelFile file(int id) {
    return files.get(id);
  }

  /** More than any number given. */
  int limit() {
    return files.size();
  }

  void clear() {
    Arrays.fill(slots, NONE);
    files.clear();
    free.clear();
    used = 0;
    last = NONE;
  }

  void remove(RelFile file) {
    int slot = slot((int) file.tablespace(), (int) file.database(), (int) file.number());
    if (slots[slot] >= 0) {
      free.add(slots[slot]);
      slots[slot] = REMOVED;
      last = NONE;
    }
  }

  private int add(int tablespaceOid, int databaseOid, int fileNumber) {
    if (2 * (used + 1) > slots.length) {
      rehash();
    }
    RelFile file =
        new RelFile(
            Integer.toUnsignedLong(tablespaceOid),
            Integer.toUnsignedLong(databaseOid),
            Integer.toUnsignedLong(fileNumber));
    int id;
    if (free.isEmpty()) {
      id = files.size();
      files.add(file);
      if (id == number.length) {
        tablespace = Arrays.copyOf(tablespace, 2 * id);
        database = Arrays.copyOf(database, 2 * id);
        number = Arrays.copyOf(number, 2 * id);
      }
    } else {
      id = free.removeLast();
      files.set(id, file);
    }
    tablespace[id] = tablespaceOid;
    database[id] = databaseOid;
    number[id] = fileNumber;
    slots[slot(tablespaceOid, databaseOid, fileNumber)] = id;
    used++;
    return id;
  }

  private void rehash() {
    int[] old = slots;
    // Mostly marks of removed files: they go, and there is room again.
    boolean sparse = 4 * (files.size() - free.size()) < old.length;
    slots = new int[sparse ? old.length : 2 * old.length];
    Arrays.fill(slots, NONE);
    used = 0;
    for (int id : old) {
      if (id >= 0) {
        slots[slot(tablespace[id], database[id], number[id])] = id;
        used++;
      }
    }
  }

  /** Where the file is, or else where it belongs: a slot that was never used. */
  private int slot(int tablespaceOid, int databaseOid, int fileNumber) {
    int mask = slots.length - 1;
    int mixed = (fileNumber + 31 * databaseOid) * 0x9E37_79B1 + tablespaceOid;
    int slot = (mixed ^ (mixed >>> 15)) & mask;
    while (slots[slot] != NONE
        && (slots[slot] == REMOVED || !is(slots[slot], tablespaceOid, databaseOid, fileNumber))) {
      slot = (slot + 1) & mask;
    }
    return slot;
  }

  private boolean is(int id, int tablespaceOid, int databaseOid, int fileNumber) {
    return number[id] == fileNumber
        && database[id] == databaseOid
        && tablespace[id] == tablespaceOid;
  }
}
