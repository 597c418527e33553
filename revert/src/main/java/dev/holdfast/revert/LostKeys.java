package dev.holdfast.revert;

import dev.holdfast.row.Column;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * The keys that hits removed from one JSON document and nobody has set since. The document's
 * history goes in oldest first ({@link #hit}, {@link #seen}), then {@link #putBack} makes the
 * document with them.
 *
 * <p>A key comes back with the value it had before the last hit that removed it, unless it was
 * there again later: whoever set it, or removed it after that, decided about it. So did whoever
 * else removed the object around it. Objects are gone into, arrays are wholes.
 */
final class LostKeys {
  /** A key that was lost, keys lost inside its value, or both, one after the other. */
  private static final class Node {
    JsonObject.@Nullable Member lost;
    boolean pending;
    final Map<String, Node> below = new LinkedHashMap<>();
  }

  private final Column.Content content;
  private final String path;
  private final Map<String, Node> keys = new LinkedHashMap<>();
  private final List<String> kept = new ArrayList<>();
  private final List<String> restored = new ArrayList<>();
  private @Nullable String whole;
  private boolean somethingLost;

  /**
   * @param content how the document is stored; decides how a changed object is written
   * @param path the column's name
   */
  LostKeys(Column.Content content, String path) {
    this.content = content;
    this.path = path;
  }

  /** Whether a hit removed any key that had been there. */
  boolean somethingLost() {
    return somethingLost;
  }

  /** Whether any key would come back, were there a document to put it into. */
  boolean somethingToPutBack() {
    return whole != null || anyPending(keys);
  }

  /** Paths of the keys put back. */
  List<String> restored() {
    return restored;
  }

  /** Paths of keys lost that are not put back, and have another value now or none. */
  List<String> kept() {
    return kept;
  }

  /** What a hit did; null is SQL's NULL. */
  void hit(@Nullable String before, @Nullable String after) {
    seen(before);
    if (before == null || before.equals(after)) {
      seen(after);
      return;
    }
    JsonObject was = JsonObject.of(before);
    if (after == null && was != null) {
      somethingLost = true;
      String all = filled(keys, before, path, 0, new ArrayList<>(), new ArrayList<>());
      lose(keys, was, new JsonObject(), 0);
      whole = all;
      return;
    }
    JsonObject became = JsonObject.of(after);
    if (was != null && became != null) {
      lose(keys, was, became, 0);
    } else {
      seen(after);
    }
  }

  /** What somebody else left. */
  void seen(@Nullable String image) {
    if (image == null && whole != null) {
      return; // still as the hit left it
    }
    whole = null;
    seen(keys, JsonObject.of(image), 0);
  }

  /**
   * The document of the present with the lost keys in it.
   *
   * @param now null when there is no document now
   */
  @Nullable String putBack(@Nullable String now) {
    if (now == null && whole != null) {
      restored.add(path);
      return whole;
    }
    return filled(keys, now, path, 0, restored, kept);
  }

  private void lose(Map<String, Node> level, JsonObject was, JsonObject became, int depth) {
    for (JsonObject.Member member : was.members()) {
      String key = member.key();
      String value = member.value();
      String left = became.value(key);
      if (left == null) {
        somethingLost = true;
        Node node = level.computeIfAbsent(key, _ -> new Node());
        String all =
            filled(node.below, value, key, depth + 1, new ArrayList<>(), new ArrayList<>());
        node.lost = JsonMerge.withValue(member, all == null ? value : all);
        node.pending = true;
        node.below.clear();
      } else if (!left.equals(value)) {
        JsonObject inner = depth < JsonMerge.DEPTH_MAX ? JsonObject.of(value) : null;
        JsonObject innerBecame = inner == null ? null : JsonObject.of(left);
        if (inner != null && innerBecame != null) {
          lose(level.computeIfAbsent(key, _ -> new Node()).below, inner, innerBecame, depth + 1);
        }
      }
    }
    seen(level, became, depth);
  }

  private static void seen(Map<String, Node> level, @Nullable JsonObject image, int depth) {
    level.forEach((key, node) -> {
      if (image == null || image.has(key)) {
        node.pending = false;
      }
      if (!node.below.isEmpty()) {
        seen(node.below, image == null ? null : JsonObject.of(image.value(key)), depth + 1);
      }
    });
  }

  private @Nullable String filled(
      Map<String, Node> level,
      @Nullable String now,
      String path,
      int depth,
      List<String> restored,
      List<String> kept) {
    if (level.isEmpty()) {
      return now;
    }
    JsonObject is = JsonObject.of(now);
    Map<String, JsonObject.Member> members = new LinkedHashMap<>();
    if (is != null) {
      is.members().forEach(member -> members.put(member.key(), member));
    }
    level.forEach((key, node) -> {
      String below = path + "." + key;
      JsonObject.Member member = members.get(key);
      if (node.lost != null) {
        if (node.pending && is != null && member == null) {
          restored.add(below);
          members.put(key, node.lost);
        } else if (!JsonMerge.same(
            member == null ? null : member.value(), node.lost.value(), depth)) {
          kept.add(below);
        }
      }
      String value = member == null ? null : member.value();
      String merged = filled(node.below, value, below, depth + 1, restored, kept);
      if (member != null && merged != null) {
        members.put(key, JsonMerge.withValue(member, merged));
      }
    });
    return is == null || now == null
        ? now
        : JsonMerge.written(content, now, is.members(), List.copyOf(members.values()));
  }

  private static boolean anyPending(Map<String, Node> level) {
    return level.values().stream().anyMatch(node -> node.pending || anyPending(node.below));
  }
}
