package dev.holdfast.damage;

import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeSet;

/**
 * Keys that vanished from the JSON documents of one column, as the guard told it.
 *
 * @param column of the table
 * @param keys top-level keys that at least one document lost, sorted; of very many the first ones
 * @param keysBefore the most keys that one of the documents had before
 * @param rows how often a row lost some: a row that two statements hit counts twice
 * @param exact whether the guard counted all of them; else there are at least so many
 */
public record JsonLoss(String column, List<String> keys, int keysBefore, long rows, boolean exact) {
  /** What the guard itself names of one statement. */
  private static final int KEYS_MAX = 50;

  /** Copies, sorts and cuts the list. */
  public JsonLoss {
    keys = new TreeSet<>(keys).stream().limit(KEYS_MAX).toList();
  }

  /** Both together, of the same column. */
  JsonLoss and(JsonLoss other) {
    List<String> both = new ArrayList<>(keys);
    both.addAll(other.keys);
    long sum = rows + other.rows;
    return new JsonLoss(
        column,
        both,
        Math.max(keysBefore, other.keysBefore),
        sum < 0 ? Long.MAX_VALUE : sum,
        exact && other.exact);
  }

  void write(DataOutputStream out) throws IOException {
    out.writeUTF(column);
    out.writeInt(keys.size());
    for (String key : keys) {
      out.writeUTF(key);
    }
    out.writeInt(keysBefore);
    out.writeLong(rows);
    out.writeBoolean(exact);
  }

  static JsonLoss read(DataInputStream in) throws IOException {
    return new JsonLoss(
        in.readUTF(),
        SegmentSummary.list(in, in::readUTF),
        in.readInt(),
        in.readLong(),
        in.readBoolean());
  }
}
