package dev.holdfast.revert;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.row.Column;
import dev.holdfast.row.Column.Content;
import dev.holdfast.row.Row;
import dev.holdfast.row.RowChange;
import dev.holdfast.row.TableName;
import dev.holdfast.row.TableShape;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/**
 * Laws of undoing sets of transactions, over random histories of a row; a failure is run again with
 * {@code -Dtests.seed=}.
 */
class FoldLawsTest {
  private static final int TRIES = 4_000;
  private static final List<Column> COLUMNS =
      List.of(
          new Column(1, "id", "integer", Content.PLAIN),
          new Column(2, "a", "integer", Content.PLAIN),
          new Column(3, "b", "integer", Content.PLAIN),
          new Column(4, "doc", "jsonb", Content.JSONB));
  private static final int DOC = 3;
  private static final List<String> PATHS = List.of("a", "b", "c", "o.x", "o.y");
  private static final List<RevertOptions> OPTIONS =
      List.of(
          RevertOptions.DEFAULT, new RevertOptions(true, false), new RevertOptions(false, true));

  private final long seed = Long.getLong("tests.seed", System.nanoTime());
  private final Random random = new Random(seed);
  private int fresh = 100;

  /** What one transaction did to the row. */
  private record Write(boolean bad, @Nullable Row before, @Nullable Row after) {}

  @Test
  void hits_that_nobody_came_between_are_undone_like_one() {
    for (int i = 0; i < TRIES; i++) {
      Row before = anyRow();
      Row between = change(before);
      Row after = change(between);
      boolean touched = random.nextBoolean();
      Row now = touched ? change(after) : after;
      for (RevertOptions options : OPTIONS.subList(0, 2)) {
        Decision two =
            undo(
                options,
                List.of(Hit.of(before, between, false), Hit.of(between, after, touched)),
                now);
        Decision one = undo(options, List.of(Hit.of(before, after, touched)), now);
        assertThat(two).as("%s %s: %s %s %s", seed(), options, before, after, now).isEqualTo(one);
        if (!touched) {
          assertThat(result(two, now)).as(seed()).isEqualTo(before);
        }
      }
    }
  }

  @Test
  void undoing_a_set_twice_changes_nothing_the_second_time() {
    for (int i = 0; i < TRIES; i++) {
      List<Write> history = history();
      Row now = history.getLast().after();
      List<Hit> hits = hits(history);
      for (RevertOptions options : OPTIONS) {
        Decision first = undo(options, hits, now);
        Row once = result(first, now);
        List<Write> longer = new ArrayList<>(history);
        if (first.change() != null) {
          longer.add(new Write(false, now, once));
        }
        Decision again = undo(options, hits(longer), once);
        assertThat(again.change()).as("%s %s: %s", seed(), options, history).isNull();
      }
    }
  }

  @Test
  void the_undoing_of_the_undoing_of_a_set_gives_back_what_was_there() {
    for (int i = 0; i < TRIES; i++) {
      List<Write> history = history();
      Row now = history.getLast().after();
      for (RevertOptions options : OPTIONS) {
        Row undone = result(undo(options, hits(history), now), now);
        if (now != null || undone != null) {
          Decision back = undo(RevertOptions.DEFAULT, List.of(Hit.of(now, undone, false)), undone);
          assertThat(result(back, undone)).as(seed()).isEqualTo(now);
        }
      }
    }
  }

  @Test
  void nothing_that_others_wrote_after_the_set_is_lost() {
    int written = 0;
    for (int i = 0; i < TRIES; i++) {
      List<Write> history = history();
      List<Hit> hits = hits(history);
      Row left = hits.getLast().after();
      Row now = history.getLast().after();
      for (RevertOptions options : List.of(OPTIONS.getFirst(), OPTIONS.getLast())) {
        Decision decision = undo(options, hits, now);
        Row result = result(decision, now);
        String what = seed() + " " + options + ": " + history + " -> " + result;
        if (left == null || now == null) {
          if (!Objects.equals(left, now)) {
            assertThat(result).as(what).isEqualTo(now);
          }
          continue;
        }
        if (now.equals(left)) {
          continue;
        }
        assertThat(result).as(what).isNotNull();
        written += decision.change() == null ? 0 : 1;
        for (int column = 0; column < COLUMNS.size(); column++) {
          String is = now.value(column);
          String was = left.value(column);
          String becomes = Objects.requireNonNull(result).value(column);
          boolean merged =
              column == DOC
                  && JsonObject.of(is) != null
                  && (JsonObject.of(was) != null || (was == null && options.lostKeysOnly()));
          if (merged) {
            Map<String, String> isLeaves = leaves(is);
            Map<String, String> wasLeaves = leaves(was);
            Map<String, String> leaves = leaves(becomes);
            for (String path : PATHS) {
              if (!Objects.equals(isLeaves.get(path), wasLeaves.get(path))) {
                assertThat(leaves.get(path)).as("%s: %s", path, what).isEqualTo(isLeaves.get(path));
              }
            }
          } else if (!Objects.equals(is, was)) {
            assertThat(becomes).as(what).isEqualTo(is);
          }
        }
      }
    }
    assertThat(written).as("the law was tried").isGreaterThan(TRIES / 20);
  }

  @Test
  void the_order_of_rows_does_not_matter() {
    for (RevertOptions options : OPTIONS) {
      List<List<Write>> rows = new ArrayList<>();
      for (int id = 0; id < 500; id++) {
        rows.add(history());
      }
      List<RowChange> changes = new ArrayList<>();
      TablePlan plan = plan(options, rows, changes, new PlanDigest());
      PlanDigest digest = new PlanDigest();
      plan(options, rows, new ArrayList<>(), digest);
      Collections.shuffle(rows, random);
      List<RowChange> shuffled = new ArrayList<>();
      PlanDigest shuffledDigest = new PlanDigest();
      TablePlan other = plan(options, rows, shuffled, shuffledDigest);
      assertThat(shuffled).as(seed()).containsExactlyInAnyOrderElementsOf(changes);
      assertThat(other.counts()).as(seed()).isEqualTo(plan.counts());
      assertThat(other.keysRestored()).as(seed()).isEqualTo(plan.keysRestored());
      assertThat(shuffledDigest.text()).as(seed()).isEqualTo(digest.text());
    }
  }

  /**
   * The reference: the same history without the bad writes. Good writes set columns and keys to
   * values that nobody else sets: what they set to the value it had, the log does not tell.
   */
  @Test
  void what_is_restored_is_what_the_good_writes_alone_would_have_left() {
    int restored = 0;
    for (int i = 0; i < TRIES; i++) {
      List<Write> history = new ArrayList<>();
      Row row = random.nextInt(5) == 0 ? null : goodRow();
      Row reference = row;
      int writes = 1 + random.nextInt(8);
      for (int w = 0; w < writes; w++) {
        boolean bad = random.nextInt(3) > 0;
        Row after;
        if (bad) {
          after = change(row);
        } else if (row == null) {
          after = goodRow();
          reference = after;
        } else if (random.nextInt(8) == 0) {
          after = null;
          reference = null;
        } else {
          String path = PATHS.get(random.nextInt(PATHS.size()));
          int column = 1 + random.nextInt(settable(row, path) ? 3 : 2);
          String value = "" + fresh++;
          after = assign(row, column, path, value);
          reference = reference == null ? null : assign(reference, column, path, value);
        }
        if (row != null || after != null) {
          history.add(new Write(bad, row, after));
        }
        row = after;
      }
      List<Hit> hits = hits(history);
      if (hits.isEmpty()) {
        continue;
      }
      Decision decision = undo(RevertOptions.DEFAULT, hits, row);
      if (decision.verdict() == Verdict.RESTORED
          || decision.verdict() == Verdict.ALREADY_UNDONE
          || decision.verdict() == Verdict.UNCHANGED) {
        restored += decision.change() == null ? 0 : 1;
        assertThat(result(decision, row))
            .as("%s: %s %s", seed(), decision.verdict(), history)
            .isEqualTo(reference);
        if (decision.change() != null) {
          history.add(new Write(false, row, reference));
          assertThat(undo(RevertOptions.DEFAULT, hits(history), reference).verdict())
              .as("%s: %s", seed(), history)
              .isEqualTo(Verdict.ALREADY_UNDONE);
        }
      }
    }
    assertThat(restored).as("the law was tried").isGreaterThan(TRIES / 4);
  }

  /** The reference: every key by itself, looked for from the last image back. */
  @Test
  void a_lost_key_comes_back_unless_any_later_image_has_it() {
    int back = 0;
    for (int i = 0; i < TRIES; i++) {
      List<Write> history = new ArrayList<>();
      Row row = Row.of("1", "1", "1", text(keys()));
      int writes = 1 + random.nextInt(8);
      for (int w = 0; w < writes; w++) {
        Row after = Row.of("1", "1", "1", text(keys()));
        history.add(new Write(random.nextBoolean(), row, after));
        row = after;
      }
      List<Hit> hits = hits(history);
      if (hits.isEmpty()) {
        continue;
      }
      Map<String, String> now = leaves(row.value(DOC));
      Map<String, String> expected = new TreeMap<>(now);
      for (String key : List.of("a", "b", "c")) {
        for (Write write : history.reversed()) {
          if (leaves(write.after()).containsKey(key)) {
            break;
          }
          String value = leaves(write.before()).get(key);
          if (write.bad() && value != null) {
            expected.put(key, value);
            break;
          }
        }
      }
      back += expected.size() - now.size();
      Row result = result(undo(OPTIONS.getLast(), hits, row), row);
      assertThat(leaves(result)).as("%s: %s", seed(), history).isEqualTo(expected);
    }
    assertThat(back).as("the law was tried").isGreaterThan(TRIES / 4);
  }

  /**
   * The same for an object that comes, goes and is replaced by a number: what is in it comes back
   * unless anybody set it since, or others the object. Bad writes of the object decide nothing.
   */
  @Test
  void a_key_lost_in_an_object_comes_back_unless_it_was_set_or_others_made_another_object() {
    int back = 0;
    for (int i = 0; i < TRIES; i++) {
      List<Write> history = new ArrayList<>();
      Row row = Row.of("1", "1", "1", held(object()));
      int writes = 1 + random.nextInt(8);
      for (int w = 0; w < writes; w++) {
        Row after = Row.of("1", "1", "1", held(object()));
        history.add(new Write(random.nextInt(3) > 0, row, after));
        row = after;
      }
      List<Hit> hits = hits(history);
      if (hits.isEmpty()) {
        continue;
      }
      String now = object(row);
      String expected = now;
      String there = now == null ? lost(history, "o") : now;
      if (there != null && JsonObject.of(there) != null) {
        Map<String, String> inner = new TreeMap<>();
        for (String key : List.of("x", "y")) {
          String value = member(now, key);
          String again = value == null ? lost(history, key) : value;
          if (again != null) {
            inner.put(key, again);
          }
        }
        expected = text(inner);
      } else if (now == null) {
        expected = there;
      }
      back += Objects.equals(expected, now) ? 0 : 1;
      Row result = result(undo(OPTIONS.getLast(), hits, row), row);
      assertThat(object(Objects.requireNonNull(result)))
          .as("%s: %s", seed(), history)
          .isEqualTo(expected);
    }
    assertThat(back).as("the law was tried").isGreaterThan(TRIES / 4);
  }

  /** The value before the last bad write that took a key out; null when it was set since. */
  private static @Nullable String lost(List<Write> history, String key) {
    boolean inside = !key.equals("o");
    for (Write write : history.reversed()) {
      String before = object(Objects.requireNonNull(write.before()));
      String after = object(Objects.requireNonNull(write.after()));
      boolean isObject = JsonObject.of(before) != null && JsonObject.of(after) != null;
      boolean another = inside && !isObject && !Objects.equals(before, after);
      String value = inside ? member(before, key) : before;
      if ((inside ? member(after, key) : after) != null || (another && !write.bad())) {
        return null;
      }
      if (write.bad() && value != null) {
        return value;
      }
    }
    return null;
  }

  private static @Nullable String member(@Nullable String object, String key) {
    JsonObject members = JsonObject.of(object);
    return members == null ? null : members.value(key);
  }

  private static @Nullable String object(Row row) {
    return member(row.value(DOC), "o");
  }

  private static String held(@Nullable String object) {
    return object == null ? "{}" : "{\"o\": " + object + "}";
  }

  private @Nullable String object() {
    Map<String, String> members = keys();
    return switch (random.nextInt(4)) {
      case 0 -> null;
      case 1 -> "" + random.nextInt(3);
      default -> {
        Map<String, String> inner = new TreeMap<>();
        if (members.containsKey("a")) {
          inner.put("x", members.get("a"));
        }
        if (members.containsKey("b")) {
          inner.put("y", members.get("b"));
        }
        yield text(inner);
      }
    };
  }

  private String seed() {
    return "-Dtests.seed=" + seed;
  }

  private static Decision undo(RevertOptions options, List<Hit> hits, @Nullable Row now) {
    return new RowMerge(COLUMNS, options).undo(hits, now);
  }

  private static @Nullable Row result(Decision decision, @Nullable Row now) {
    RowChange change = decision.change();
    switch (change) {
      case null -> {}
      case RowChange.Insert _ -> assertThat(now).isNull();
      case RowChange.Update update -> assertThat(update.now()).isEqualTo(now);
      case RowChange.Delete delete -> assertThat(delete.now()).isEqualTo(now);
    }
    return change == null ? now : TableRevert.wanted(change);
  }

  private static TablePlan plan(
      RevertOptions options, List<List<Write>> rows, List<RowChange> changes, PlanDigest digest) {
    TableShape shape =
        new TableShape(new TableName("public", "rows"), COLUMNS, List.of(1), List.of());
    TableRevert revert =
        new TableRevert(ColumnMatch.of(shape, shape), options, digest, changes::add);
    rows.forEach(history -> revert.undo(hits(history), history.getLast().after()));
    return revert.plan();
  }

  /** What the log and the forks tell of a history. */
  private static List<Hit> hits(List<Write> history) {
    List<Hit> hits = new ArrayList<>();
    for (int i = 0; i < history.size(); i++) {
      Write write = history.get(i);
      if (write.bad()) {
        List<Row> since = new ArrayList<>();
        int next = i + 1;
        while (next < history.size() && !history.get(next).bad()) {
          if (history.get(next).after() != null) {
            since.add(history.get(next).after());
          }
          next++;
        }
        boolean touched = next > i + 1;
        if (!since.isEmpty() && history.get(next - 1).after() != null) {
          since.removeLast();
        }
        hits.add(new Hit(write.before(), write.after(), touched, since));
      }
    }
    return hits;
  }

  /** Any writes at all, with at least one bad one; values come again often. */
  private List<Write> history() {
    while (true) {
      List<Write> history = new ArrayList<>();
      Row row = anyRow();
      int writes = 1 + random.nextInt(7);
      for (int i = 0; i < writes; i++) {
        Row after = change(row);
        if (row != null || after != null) {
          history.add(new Write(random.nextBoolean(), row, after));
        }
        row = after;
      }
      if (history.stream().anyMatch(Write::bad)) {
        return history;
      }
    }
  }

  private @Nullable Row anyRow() {
    return random.nextInt(6) == 0 ? null : Row.of(scalar(), scalar(), scalar(), document());
  }

  /** The row with some of its values changed, or taken out; a row where there was none. */
  private @Nullable Row change(@Nullable Row row) {
    if (random.nextInt(8) == 0) {
      return null;
    }
    if (row == null) {
      return Row.of(scalar(), scalar(), scalar(), document());
    }
    List<@Nullable String> values = new ArrayList<>(row.values());
    for (int i = 0; i < DOC; i++) {
      if (random.nextInt(3) == 0) {
        values.set(i, scalar());
      }
    }
    if (random.nextBoolean()) {
      String path = PATHS.get(random.nextInt(PATHS.size()));
      JsonObject document = JsonObject.of(row.value(DOC));
      values.set(
          DOC,
          document == null || random.nextInt(4) == 0
              ? document()
              : with(
                  leaves(row.value(DOC)),
                  path,
                  random.nextBoolean() ? null : "" + random.nextInt(3)));
    }
    return Row.copyOf(values);
  }

  private @Nullable String scalar() {
    int value = random.nextInt(4);
    return value == 0 ? null : Integer.toString(value);
  }

  private @Nullable String document() {
    return switch (random.nextInt(8)) {
      case 0 -> null;
      case 1 -> "[1, 2]";
      case 2 -> with(keys(), "o.x", "1");
      case 3 -> with(with(keys(), "o.x", "1"), "o.y", "2");
      default -> text(keys());
    };
  }

  /** Keys of one length, so that alphabetical order is jsonb's order. */
  private Map<String, String> keys() {
    Map<String, String> members = new TreeMap<>();
    for (String key : List.of("a", "b", "c")) {
      int value = random.nextInt(3);
      if (value > 0) {
        members.put(key, Integer.toString(value));
      }
    }
    return members;
  }

  /** A row whose values are its own, with every key there is. */
  private Row goodRow() {
    Map<String, String> leaves = new TreeMap<>();
    PATHS.forEach(path -> leaves.put(path, "" + fresh++));
    return Row.of("" + fresh++, "" + fresh++, "" + fresh++, text(leaves));
  }

  /** {@code SET a = …}, {@code SET b = …} or {@code SET doc = jsonb_set(doc, path, …)}. */
  private static Row assign(Row row, int column, String path, String value) {
    List<@Nullable String> values = new ArrayList<>(row.values());
    if (column != DOC) {
      values.set(column, value);
      return Row.copyOf(values);
    }
    JsonObject document = JsonObject.of(row.value(DOC));
    boolean settable =
        document != null && (!path.startsWith("o.") || JsonObject.of(document.value("o")) != null);
    if (settable) {
      values.set(DOC, with(leaves(row.value(DOC)), path, value));
    }
    return Row.copyOf(values);
  }

  private static boolean settable(Row row, String path) {
    JsonObject document = JsonObject.of(row.value(DOC));
    return document != null
        && (!path.startsWith("o.") || JsonObject.of(document.value("o")) != null);
  }

  private static String with(String document, String path, @Nullable String value) {
    return with(leaves(document), path, value);
  }

  private static String with(Map<String, String> leaves, String path, @Nullable String value) {
    Map<String, String> changed = new TreeMap<>(leaves);
    if (value == null) {
      changed.remove(path);
    } else {
      changed.put(path, value);
    }
    return text(changed);
  }

  private static Map<String, String> leaves(@Nullable Row row) {
    return row == null ? Map.of() : leaves(row.value(DOC));
  }

  /** Path to value; no leaf for what is no object. */
  private static Map<String, String> leaves(@Nullable String document) {
    Map<String, String> leaves = new TreeMap<>();
    JsonObject object = JsonObject.of(document);
    if (object != null) {
      for (JsonObject.Member member : object.members()) {
        JsonObject inner = JsonObject.of(member.value());
        if (inner == null) {
          leaves.put(member.key(), member.value());
        } else {
          inner.members().forEach(each -> leaves.put("o." + each.key(), each.value()));
        }
      }
    }
    return leaves;
  }

  private static String text(Map<String, String> leaves) {
    Map<String, String> members = new TreeMap<>();
    Map<String, String> inner = new TreeMap<>();
    leaves.forEach((path, value) -> {
      if (path.startsWith("o.")) {
        inner.put(path.substring(2), value);
      } else {
        members.put(path, value);
      }
    });
    if (!inner.isEmpty()) {
      members.put("o", text(inner));
    }
    return members.entrySet().stream()
        .map(member -> "\"" + member.getKey() + "\": " + member.getValue())
        .collect(Collectors.joining(", ", "{", "}"));
  }
}
