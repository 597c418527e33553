package dev.holdfast.revert;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.row.Column;
import dev.holdfast.row.Column.Content;
import dev.holdfast.row.Row;
import dev.holdfast.row.RowChange;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/** Laws that hold for any rows; a failure is run again with {@code -Dtests.seed=}. */
class MergeLawsTest {
  private static final int TRIES = 5_000;
  private static final List<Column> COLUMNS =
      List.of(
          new Column(1, "a", "integer", Content.PLAIN),
          new Column(2, "b", "integer", Content.PLAIN),
          new Column(3, "doc", "jsonb", Content.JSONB),
          new Column(4, "text", "json", Content.JSON));

  private final long seed = Long.getLong("tests.seed", System.nanoTime());
  private final Random random = new Random(seed);

  @Test
  void what_nobody_touched_comes_back_exactly() {
    for (int i = 0; i < TRIES; i++) {
      Row before = row();
      Row after = row();
      Decision decision = undo(RevertOptions.DEFAULT, before, after, false, after);
      assertThat(result(decision, after)).as(seed()).isEqualTo(before);
    }
  }

  @Test
  void columns_the_transaction_left_alone_never_change() {
    for (int i = 0; i < TRIES; i++) {
      Row before = row();
      Row after = row();
      Row now = row();
      for (RevertOptions options : options()) {
        Row result = result(undo(options, before, after, random.nextBoolean(), now), now);
        for (int column = 0; column < COLUMNS.size(); column++) {
          if (java.util.Objects.equals(before.value(column), after.value(column))) {
            assertThat(result.value(column)).as(seed()).isEqualTo(now.value(column));
          }
        }
      }
    }
  }

  @Test
  void undoing_what_was_undone_changes_nothing() {
    for (int i = 0; i < TRIES; i++) {
      Row before = row();
      Row after = row();
      Row now = row();
      for (RevertOptions options : options()) {
        Row once = result(undo(options, before, after, false, now), now);
        Decision again = undo(options, before, after, true, once);
        assertThat(again.change()).as("%s: %s %s %s", seed(), before, after, now).isNull();
      }
    }
  }

  @Test
  void the_undoing_of_the_undoing_gives_back_what_was_there() {
    for (int i = 0; i < TRIES; i++) {
      Row before = row();
      Row after = row();
      Row now = row();
      Row undone = result(undo(RevertOptions.DEFAULT, before, after, false, now), now);
      Decision back = undo(RevertOptions.DEFAULT, now, undone, false, undone);
      assertThat(result(back, undone)).as(seed()).isEqualTo(now);
    }
  }

  @Test
  void keys_put_back_are_the_only_difference() {
    for (int i = 0; i < TRIES; i++) {
      Map<String, String> before = keys();
      Map<String, String> after = keys();
      Map<String, String> now = keys();
      Map<String, String> expected = new TreeMap<>(before);
      expected.keySet().removeAll(after.keySet());
      expected.putAll(now);
      LostKeys lost = new LostKeys(Content.JSONB, "d");
      lost.hit(text(before), text(after));
      assertThat(lost.putBack(text(now))).as(seed()).isEqualTo(text(expected));
    }
  }

  private String seed() {
    return "-Dtests.seed=" + seed;
  }

  private static List<RevertOptions> options() {
    return List.of(
        RevertOptions.DEFAULT, new RevertOptions(true, false), new RevertOptions(false, true));
  }

  private static Decision undo(
      RevertOptions options, Row before, Row after, boolean touched, Row now) {
    return new RowMerge(COLUMNS, options).undo(List.of(Hit.of(before, after, touched)), now);
  }

  private static Row result(Decision decision, Row now) {
    return decision.change() instanceof RowChange.Update update ? update.wanted() : now;
  }

  private Row row() {
    return Row.of(scalar(), scalar(), document(), document());
  }

  private @Nullable String scalar() {
    int value = random.nextInt(4);
    return value == 0 ? null : Integer.toString(value);
  }

  private @Nullable String document() {
    return switch (random.nextInt(6)) {
      case 0 -> null;
      case 1 -> "[1, 2]";
      default -> object(2);
    };
  }

  private String object(int depth) {
    Map<String, String> members = keys();
    if (depth > 0 && random.nextBoolean()) {
      members.put("o", object(depth - 1));
    }
    return text(members);
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

  private static String text(Map<String, String> members) {
    return members.entrySet().stream()
        .map(member -> "\"" + member.getKey() + "\": " + member.getValue())
        .collect(Collectors.joining(", ", "{", "}"));
  }
}
