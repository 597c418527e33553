package dev.holdfast.revert;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.row.Column;
import dev.holdfast.row.Row;
import dev.holdfast.row.RowChange;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

class RowMergeTest {
  private static final List<Column> COLUMNS =
      List.of(
          new Column(1, "id", "integer", Column.Content.PLAIN),
          new Column(2, "price", "numeric", Column.Content.PLAIN),
          new Column(3, "note", "text", Column.Content.PLAIN));
  private static final Row BEFORE = Row.of("1", "1.50", "old");
  private static final Row AFTER = Row.of("1", "0.00", "old");
  private static final RevertOptions OVERWRITE = new RevertOptions(true, false);

  @Test
  void an_untouched_update_gets_its_old_values_back() {
    assertThat(undo(BEFORE, AFTER, false, AFTER)).isEqualTo(restored(AFTER, BEFORE));
  }

  @Test
  void a_later_value_in_another_column_is_kept_and_the_update_undone() {
    assertThat(undo(BEFORE, AFTER, true, Row.of("1", "0.00", "later")))
        .isEqualTo(restored(Row.of("1", "0.00", "later"), Row.of("1", "1.50", "later")));
  }

  @Test
  void a_later_value_in_the_same_column_keeps_the_row_as_it_is() {
    assertThat(undo(BEFORE, AFTER, true, Row.of("1", "7.00", "old")))
        .isEqualTo(new Decision(Verdict.TOUCHED_SINCE, null, List.of("price"), List.of()));
  }

  @Test
  void the_very_same_value_set_again_counts_as_touched() {
    assertThat(undo(BEFORE, AFTER, true, AFTER)).isEqualTo(Decision.leave(Verdict.TOUCHED_SINCE));
  }

  @Test
  void the_operator_may_overwrite_what_was_touched_and_other_columns_still_stay() {
    Row now = Row.of("1", "7.00", "later");
    assertThat(undo(OVERWRITE, BEFORE, AFTER, true, now))
        .isEqualTo(restored(now, Row.of("1", "1.50", "later")));
    assertThat(undo(OVERWRITE, BEFORE, AFTER, true, AFTER)).isEqualTo(restored(AFTER, BEFORE));
  }

  @Test
  void another_scale_of_the_same_number_is_another_value() {
    assertThat(undo(BEFORE, AFTER, false, Row.of("1", "0.0", "old")).verdict())
        .isEqualTo(Verdict.TOUCHED_SINCE);
  }

  @Test
  void undoing_twice_changes_nothing_the_second_time() {
    assertThat(undo(BEFORE, AFTER, true, BEFORE)).isEqualTo(Decision.leave(Verdict.ALREADY_UNDONE));
    assertThat(undo(null, AFTER, false, null)).isEqualTo(Decision.leave(Verdict.ALREADY_UNDONE));
    assertThat(undo(BEFORE, null, false, BEFORE)).isEqualTo(Decision.leave(Verdict.ALREADY_UNDONE));
  }

  @Test
  void an_update_that_changed_nothing_needs_no_undoing() {
    assertThat(undo(BEFORE, BEFORE, false, BEFORE)).isEqualTo(Decision.leave(Verdict.UNCHANGED));
  }

  @Test
  void a_row_deleted_since_is_not_made_again() {
    assertThat(undo(BEFORE, AFTER, true, null)).isEqualTo(Decision.leave(Verdict.GONE_SINCE));
  }

  @Test
  void a_deleted_row_comes_back_unless_its_key_is_used_again() {
    assertThat(undo(BEFORE, null, false, null))
        .isEqualTo(
            new Decision(Verdict.RESTORED, new RowChange.Insert(BEFORE), List.of(), List.of()));
    assertThat(undo(BEFORE, null, false, Row.of("1", "9.00", "new")))
        .isEqualTo(Decision.leave(Verdict.KEY_USED_AGAIN));
    assertThat(undo(OVERWRITE, BEFORE, null, false, Row.of("1", "9.00", "new")))
        .isEqualTo(Decision.leave(Verdict.KEY_USED_AGAIN));
  }

  @Test
  void an_inserted_row_goes_unless_it_was_touched() {
    assertThat(undo(null, AFTER, false, AFTER).change()).isEqualTo(new RowChange.Delete(AFTER));
    assertThat(undo(null, AFTER, true, AFTER)).isEqualTo(Decision.leave(Verdict.TOUCHED_SINCE));
    assertThat(undo(null, AFTER, false, Row.of("1", "0.00", "later")))
        .isEqualTo(Decision.leave(Verdict.TOUCHED_SINCE));
    assertThat(undo(OVERWRITE, null, AFTER, true, AFTER).change())
        .isEqualTo(new RowChange.Delete(AFTER));
  }

  @Test
  void a_null_is_a_value_like_any_other() {
    assertThat(undo(Row.of("1", null, "x"), AFTER, false, Row.of("1", "0.00", "x")).change())
        .isEqualTo(new RowChange.Update(Row.of("1", "0.00", "x"), Row.of("1", null, "x")));
    assertThat(undo(BEFORE, Row.of("1", null, "old"), true, Row.of("1", "3", "old")).verdict())
        .isEqualTo(Verdict.TOUCHED_SINCE);
  }

  @Test
  void values_of_columns_added_since_are_kept() {
    Row now = Row.of("1", "0.00", "old", "added");
    assertThat(undo(BEFORE, AFTER, false, now))
        .isEqualTo(restored(now, Row.of("1", "1.50", "old", "added")));
    assertThat(undo(null, AFTER, false, now).change()).isEqualTo(new RowChange.Delete(now));
  }

  @Test
  void putting_lost_keys_back_leaves_inserted_and_deleted_rows_alone() {
    RevertOptions lostKeys = new RevertOptions(false, true);
    assertThat(undo(lostKeys, BEFORE, null, false, null))
        .isEqualTo(Decision.leave(Verdict.UNCHANGED));
    assertThat(undo(lostKeys, null, AFTER, false, AFTER))
        .isEqualTo(Decision.leave(Verdict.UNCHANGED));
    assertThat(undo(lostKeys, BEFORE, AFTER, false, AFTER))
        .isEqualTo(Decision.leave(Verdict.UNCHANGED));
  }

  private static Decision restored(Row now, Row wanted) {
    return new Decision(Verdict.RESTORED, new RowChange.Update(now, wanted), List.of(), List.of());
  }

  private static Decision undo(
      @Nullable Row before, @Nullable Row after, boolean touched, @Nullable Row now) {
    return undo(RevertOptions.DEFAULT, before, after, touched, now);
  }

  private static Decision undo(
      RevertOptions options,
      @Nullable Row before,
      @Nullable Row after,
      boolean touched,
      @Nullable Row now) {
    return new RowMerge(COLUMNS, options).undo(List.of(Hit.of(before, after, touched)), now);
  }
}
