package dev.holdfast.revert;

import dev.holdfast.row.Column;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * Undoes what a transaction did to one JSON document, key by key. Objects are gone into; arrays,
 * numbers, strings and words are wholes. What needs no change keeps every character.
 */
final class JsonMerge {
  /** Deeper values are wholes; it bounds the stack. PostgreSQL itself allows some thousands. */
  static final int DEPTH_MAX = 200;

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
  private final Set<String> fixed;
  private final List<String> kept = new ArrayList<>();
  private final List<String> restored = new ArrayList<>();

  /**
   * @param content how the document is stored; decides how a changed object is written
   * @param overwrite whether keys set again since are undone too
   */
  JsonMerge(Column.Content content, boolean overwrite) {
    this(content, overwrite, Set.of());
  }

  /**
   * @param fixed paths that stay as they are, with what is inside them and around
   */
  JsonMerge(Column.Content content, boolean overwrite, Set<String> fixed) {
    this.content = content;
    this.overwrite = overwrite;
    this.fixed = fixed;
  }

  /** Paths of keys that stay as they are because they were set again since. */
  List<String> kept() {
    return kept;
  }

  /** Paths of the keys put back, changed back or taken out. */
  List<String> restored() {
    return restored;
  }

  /** The document with the transaction's doings undone. */
  String undo(String before, String after, String now, String path) {
    String merged = undo(before, after, now, path, 0);
    return merged == null ? now : merged;
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
      return written(content, now, is.members(), members);
    }
    // Only what is not gone into is compared as a whole: comparing on the way down as well would
    // cost the square of the depth.
    if (same(before, after, depth) || same(now, before, depth)) {
      return now;
    }
    if (overwrite || (same(now, after, depth) && !isFixed(path))) {
      restored.add(path);
      return before;
    }
    kept.add(path);
    return now;
  }

  private boolean isFixed(String path) {
    return fixed.stream()
        .anyMatch(each ->
            each.equals(path) || each.startsWith(path + ".") || path.startsWith(each + "."));
  }

  static JsonObject.Member withValue(JsonObject.Member member, String value) {
    return value.equals(member.value())
        ? member
        : new JsonObject.Member(
            member.key(),
            member.withValue(value),
            member.valueStart(),
            member.valueStart() + value.length());
  }

  /**
   * An object's text.
   *
   * @param now kept to the letter when its members, {@code is}, are these
   */
  static String written(
      Column.Content content,
      String now,
      List<JsonObject.Member> is,
      List<JsonObject.Member> members) {
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
  static boolean same(@Nullable String one, @Nullable String other, int depth) {
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
