package dev.holdfast.revert;

import dev.holdfast.row.Column;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * The keys that hits removed from one JSON document and nobody has set since. The document's
 * history goes in oldest first ({@link #hit}, {@link #seen}), then {@link #putBack} makes the
 * document with them.
 *
 * <p>Each path by itself: it comes back with the value it had before the last hit that removed it,
 * into the object there is now, unless it was there again later: whoever set it, or removed it
 * after that, decided about it. So did whoever else set, replaced or removed an object around it;
 * hits that did so decided nothing: they come to the same whether they were one transaction or
 * several. Objects are gone into, arrays are wholes.
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
  private @Nullable String last;
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
    JsonObject was = JsonObject.of(before);
    JsonObject became = JsonObject.of(after);
    if (after != null) {
      whole = null;
    } else if (was != null) {
      whole = filled(keys, before, path, 0, new ArrayList<>(), new ArrayList<>());
    }
    if (was != null && before != null && !before.equals(after)) {
      somethingLost |= after == null;
      lose(keys, was, became, 0);
    }
    if (became != null) {
      set(keys, became, 0);
    }
    last = after;
  }

  /** What somebody else left. */
  void seen(@Nullable String image) {
    if (!Objects.equals(last, image)) {
      JsonObject is = JsonObject.of(image);
      JsonObject was = last == null && whole != null ? new JsonObject() : JsonObject.of(last);
      others(keys, was, is, 0);
      whole = null;
    }
    last = image;
  }

  /**
   * The document of the present with the lost keys in it.
   *
   * @param now null when there is no document now
   */
  @Nullable String putBack(@Nullable String now) {
    seen(now);
    if (now == null && whole != null) {
      restored.add(path);
      return whole;
    }
    return filled(keys, now, path, 0, restored, kept);
  }

  /**
   * A hit took members out, or put something that is no object in the place of them all.
   *
   * @param became null when it is no object
   */
  private void lose(
      Map<String, Node> level, JsonObject was, @Nullable JsonObject became, int depth) {
    for (JsonObject.Member member : was.members()) {
      String key = member.key();
      String value = member.value();
      String left = became == null ? null : became.value(key);
      if (left == null) {
        somethingLost |= became != null;
        Node node = level.computeIfAbsent(key, _ -> new Node());
        String all =
            filled(node.below, value, key, depth + 1, new ArrayList<>(), new ArrayList<>());
        node.lost = JsonMerge.withValue(member, all == null ? value : all);
        node.pending = true;
        if (JsonObject.of(value) != null) {
          node.below.clear(); // they are in the value now
        }
      } else if (!left.equals(value)) {
        JsonObject inner = object(value, depth);
        if (inner != null) {
          Node node = level.computeIfAbsent(key, _ -> new Node());
          lose(node.below, inner, JsonObject.of(left), depth + 1);
        }
      }
    }
  }

  /** What a hit left: keys that are there, and objects that lost keys can go into. */
  private void set(Map<String, Node> level, JsonObject image, int depth) {
    level.forEach((key, node) -> {
      String value = image.value(key);
      if (value == null) {
        somethingLost |= node.pending;
        return;
      }
      JsonObject is = JsonObject.of(value);
      JsonObject inner =
          node.pending && node.lost != null ? object(node.lost.value(), depth) : null;
      if (inner != null) {
        lose(node.below, inner, is, depth + 1); // set again, but not what was in it
        node.lost = is == null ? node.lost : null;
      }
      node.pending = false;
      if (is != null) {
        set(node.below, is, depth + 1);
      }
    });
  }

  private static @Nullable JsonObject object(String value, int depth) {
    return depth < JsonMerge.DEPTH_MAX ? JsonObject.of(value) : null;
  }

  /** What others made of something: null is no object. */
  private static void others(
      Map<String, Node> level, @Nullable JsonObject was, @Nullable JsonObject is, int depth) {
    level.forEach((key, node) -> {
      String before = was == null ? null : was.value(key);
      String after = is == null ? null : is.value(key);
      if (was == null || is == null || after != null) {
        node.pending = false;
      }
      if (was == null || is == null || !Objects.equals(before, after)) {
        others(node.below, JsonObject.of(before), JsonObject.of(after), depth + 1);
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
        } else if (!node.pending
            && !JsonMerge.same(member == null ? null : member.value(), node.lost.value(), depth)) {
          kept.add(below);
        } // else a hit put something else in the place of the object: that stays
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
