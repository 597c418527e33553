package dev.holdfast.revert;

import dev.holdfast.row.Column;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Objects;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * Undoes what a transaction did to one JSON document, key by key. Objects are gone into; arrays,
 * numbers, strings and words are wholes. What needs no change keeps every character.
 */
final class JsonMerge {
  /** Deeper values are wholes; it bounds the stack. PostgreSQL itself allows some thousands. */
  private static final int DEPTH_MAX = 200;

  /**
   * The order in which jsonb keeps keys: by length in bytes, then by bytes (utils/adt/jsonb_util.c,
   * PG 18).
   */
  private static final Comparator<JsonObject.Member> JSONB_ORDER =
      Comparator.comparing(
          member -> member.key().getBytes(StandardCharsets.UTF_8),
          Comparator.<byte[]>comparingInt(bytes -> bytes.length)
              .thenComparing(Arrays::compareUnsigned));

  private final Column.Content content;
  private final boolean overwrite;
  private final List<String> kept = new ArrayList<>();
  private final List<String> restored = new ArrayList<>();
  private boolean somethingLost;

  /**
   * @param content how the document is stored; decides how a changed object is written
   * @param overwrite whether keys set again since are undone too
   */
  JsonMerge(Column.Content content, boolean overwrite) {
    this.content = content;
    this.overwrite = overwrite;
  }

  /** Paths of keys that stay as they are because they were set again since. */
  List<String> kept() {
    return kept;
  }

  /** Paths of the keys put back, changed back or taken out. */
  List<String> restored() {
    return restored;
  }

  /** Whether the transaction removed any key that had been there: known after lostKeys. */
  boolean somethingLost() {
    return somethingLost;
  }

  /** The document with the transaction's doings undone. */
  String undo(String before, String after, String now, String path) {
    String merged = undo(before, after, now, path, 0);
    return merged == null ? now : merged;
  }

  /**
   * The document with the keys put back that the transaction removed and nobody set since.
   *
   * @param after null when the transaction removed the whole document
   * @param now null when there is no document now
   */
  @Nullable String lostKeys(
      String before, @Nullable String after, @Nullable String now, String path) {
    JsonObject was = JsonObject.of(before);
    if (was == null) {
      return now;
    }
    if (after == null) {
      somethingLost = true;
      if (now == null) {
        restored.add(path);
        return before;
      }
    }
    JsonObject became = JsonObject.of(after == null ? "{}" : after);
    return became == null ? now : lostKeys(was, became, now, path, 0);
  }

  /** A null text is a key that is not there. */
  private @Nullable String undo(
      @Nullable String before,
      @Nullable String after,
      @Nullable String now,
      String path,
      int depth) {
    if (Objects.equals(before, after) || Objects.equals(now, before)) {
      return now;
    }
    JsonObject was = depth < DEPTH_MAX ? JsonObject.of(before) : null;
    JsonObject became = JsonObject.of(after);
    JsonObject is = JsonObject.of(now);
    if (was != null && became != null && is != null && now != null) {
      List<JsonObject.Member> members = new ArrayList<>();
      for (JsonObject.Member member : is.members()) {
        String key = member.key();
        String value = member.value();
        String merged = undo(was.value(key), became.value(key), value, path + "." + key, depth + 1);
        if (merged != null) {
          members.add(withValue(member, merged));
        }
      }
      for (JsonObject.Member member : was.members()) {
        String key = member.key();
        if (!is.has(key)) {
          String merged =
              undo(member.value(), became.value(key), null, path + "." + key, depth + 1);
          if (merged != null) {
            members.add(withValue(member, merged));
          }
        }
      }
      return written(now, is.members(), members);
    }
    // Only what is not gone into is compared as a whole: comparing on the way down as well would
    // cost the square of the depth.
    if (same(before, after, depth) || same(now, before, depth)) {
      return now;
    }
    if (same(now, after, depth)) {
      restored.add(path);
      return before;
    }
    if (overwrite) {
      restored.add(path);
      return before;
    }
    kept.add(path);
    return now;
  }

  private @Nullable String lostKeys(
      JsonObject was, JsonObject became, @Nullable String now, String path, int depth) {
    JsonObject is = JsonObject.of(now);
    List<JsonObject.Member> back = new ArrayList<>();
    List<JsonObject.Member> members = is == null ? new ArrayList<>() : is.members();
    for (JsonObject.Member member : was.members()) {
      String key = member.key();
      String below = path + "." + key;
      if (!became.has(key)) {
        somethingLost = true;
        String value = is == null ? null : is.value(key);
        if (is != null && value == null) {
          restored.add(below);
          back.add(member);
        } else if (!same(value, member.value(), depth)) {
          kept.add(below);
        }
        continue;
      }
      JsonObject inner = depth < DEPTH_MAX ? JsonObject.of(member.value()) : null;
      JsonObject innerBecame = JsonObject.of(became.value(key));
      if (inner != null && innerBecame != null) {
        String value = is == null ? null : is.value(key);
        String merged = lostKeys(inner, innerBecame, value, below, depth + 1);
        if (merged != null && value != null && !merged.equals(value)) {
          members =
              members.stream().map(m -> m.key().equals(key) ? withValue(m, merged) : m).toList();
        }
      }
    }
    if (is == null || now == null) {
      return now;
    }
    List<JsonObject.Member> all = new ArrayList<>(members);
    all.addAll(back);
    return written(now, is.members(), all);
  }

  private static JsonObject.Member withValue(JsonObject.Member member, String value) {
    return value.equals(member.value())
        ? member
        : new JsonObject.Member(
            member.key(),
            member.withValue(value),
            member.valueStart(),
            member.valueStart() + value.length());
  }

  private String written(String now, List<JsonObject.Member> is, List<JsonObject.Member> members) {
    if (members.equals(is)) {
      return now;
    }
    if (content == Column.Content.JSONB) {
      return members.stream()
          .sorted(JSONB_ORDER)
          .map(member -> member.text().strip())
          .collect(Collectors.joining(", ", "{", "}"));
    }
    return members.stream().map(JsonObject.Member::text).collect(Collectors.joining(",", "{", "}"));
  }

  /** Whether two values are the same but for spaces and the order of keys. */
  private static boolean same(@Nullable String one, @Nullable String other, int depth) {
    if (one == null || other == null) {
      return one == null && other == null;
    }
    if (one.equals(other)) {
      return true;
    }
    JsonObject left = depth < DEPTH_MAX ? JsonObject.of(one) : null;
    JsonObject right = JsonObject.of(other);
    if (left == null || right == null) {
      return JsonObject.compact(one).equals(JsonObject.compact(other));
    }
    if (left.members().size() != right.members().size()) {
      return false;
    }
    for (JsonObject.Member member : left.members()) {
      if (!same(member.value(), right.value(member.key()), depth + 1)) {
        return false;
      }
    }
    return true;
  }
}
