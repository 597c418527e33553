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
import java.util.Random;
import org.junit.jupiter.api.Test;

class TableRevertTest {
  private static final TableName USERS = new TableName("public", "users");
  private static final Column ID = new Column(1, "id", "integer", Content.PLAIN);
  private static final Column NAME = new Column(2, "name", "text", Content.PLAIN);
  private static final Column DATA = new Column(3, "data", "jsonb", Content.JSONB);

  @Test
  void the_plan_counts_every_row_once_and_samples_are_bounded() {
    ColumnMatch match = ColumnMatch.of(shape(ID, NAME, DATA), shape(ID, NAME, DATA));
    List<RowChange> changes = new ArrayList<>();
    TableRevert revert =
        new TableRevert(match, RevertOptions.DEFAULT, new PlanDigest(), changes::add);
    for (int id = 0; id < 1000; id++) {
      Row before = Row.of("" + id, "old", "{}");
      Row after = Row.of("" + id, "new", "{}");
      Row now = id < 600 ? after : id < 900 ? Row.of("" + id, "later", "{}") : null;
      revert.undo(List.of(Hit.of(before, after, id >= 600)), now);
    }
    TablePlan plan = revert.plan();
    assertThat(plan.count(Verdict.RESTORED)).isEqualTo(600);
    assertThat(plan.count(Verdict.TOUCHED_SINCE)).isEqualTo(300);
    assertThat(plan.count(Verdict.GONE_SINCE)).isEqualTo(100);
    assertThat(plan.count(Verdict.Fate.RESTORED)).isEqualTo(600);
    assertThat(plan.count(Verdict.Fate.KEPT)).isEqualTo(300);
    assertThat(plan.count(Verdict.Fate.IN_CONFLICT)).isEqualTo(100);
    assertThat(plan.updates()).isEqualTo(600);
    assertThat(changes).hasSize(600);
    assertThat(plan.changes()).hasSize(TableRevert.SAMPLES_MAX);
    assertThat(plan.changes().getFirst())
        .isEqualTo(
            new RowSample(
                "id=0",
                Verdict.RESTORED,
                List.of(new RowSample.Difference("name", "new", "old")),
                List.of()));
    assertThat(plan.kept()).hasSize(TableRevert.SAMPLES_MAX);
    assertThat(plan.kept().getFirst())
        .isEqualTo(
            new RowSample(
                "id=600",
                Verdict.TOUCHED_SINCE,
                List.of(new RowSample.Difference("name", "later", "old")),
                List.of("name")));
    assertThat(plan.statements())
        .containsExactly("UPDATE \"public\".\"users\" SET \"name\": 600 rows");
  }

  @Test
  void a_renamed_column_is_the_same_one_a_dropped_one_is_said_an_added_one_keeps_its_value() {
    TableShape past = shape(ID, NAME, new Column(4, "gone", "text", Content.PLAIN));
    TableShape present =
        shape(
            ID,
            new Column(2, "label", "text", Content.PLAIN),
            new Column(5, "x", "text", Content.PLAIN));
    ColumnMatch match = ColumnMatch.of(past, present);
    assertThat(match.then()).containsExactly(ID, NAME);
    assertThat(match.now()).extracting(Column::name).containsExactly("id", "label", "x");
    assertThat(match.warnings())
        .containsExactly(
            "column gone was dropped or became generated since: its values are left out",
            "added since, values of the present are kept and rows put back take the default: x");
  }

  @Test
  void a_key_over_a_column_that_did_not_exist_then_is_no_key() {
    TableShape present =
        new TableShape(
            USERS, List.of(ID, new Column(5, "uid", "uuid", Content.PLAIN)), List.of(5), List.of());
    assertThat(ColumnMatch.of(shape(ID), present).wholeRows()).isTrue();
  }

  @Test
  void the_digest_does_not_depend_on_the_order_of_rows_and_sees_every_value() {
    List<RowChange> changes = new ArrayList<>();
    for (int id = 0; id < 100; id++) {
      changes.add(new RowChange.Update(Row.of("" + id, "a"), Row.of("" + id, "b")));
    }
    String digest = digest(changes).text();
    assertThat(digest).matches("[0-9a-f]{64}");
    assertThat(digest(changes).shown()).isEqualTo(digest.substring(0, 16));
    Collections.shuffle(changes, new Random(7));
    assertThat(digest(changes).text()).isEqualTo(digest);
    changes.set(5, new RowChange.Update(Row.of("5", "a"), Row.of("5", null)));
    assertThat(digest(changes).text()).isNotEqualTo(digest);
    assertThat(digest(List.of(new RowChange.Insert(Row.of("1")))).text())
        .isNotEqualTo(digest(List.of(new RowChange.Delete(Row.of("1")))).text())
        .isNotEqualTo(
            digest(List.of(new RowChange.Insert(Row.of("1")), new RowChange.Insert(Row.of("1"))))
                .text());
  }

  @Test
  void equal_rows_without_a_key_are_matched_by_their_number() {
    Row a = Row.of("a");
    Row b = Row.of("b");
    WholeRows rows = new WholeRows();
    // Three rows a became b; two others were b all along; one of the three became a again since.
    for (int i = 0; i < 3; i++) {
      rows.changed(a, b);
    }
    for (int i = 0; i < 5; i++) {
      rows.after(b);
    }
    for (int i = 0; i < 4; i++) {
      rows.now(b);
    }
    rows.now(a);
    assertThat(rows.claim(a, b)).isEqualTo(new WholeRows.Claim(b, false));
    assertThat(rows.claim(a, b)).isEqualTo(new WholeRows.Claim(b, false));
    assertThat(rows.claim(a, b)).isEqualTo(new WholeRows.Claim(a, true));
    assertThat(rows.claim(a, b)).isNull();
  }

  @Test
  void deleted_rows_without_a_key_come_back_once() {
    Row a = Row.of("a");
    WholeRows rows = new WholeRows();
    rows.changed(a, null);
    rows.changed(a, null);
    rows.after(a); // a third one stayed
    rows.now(a);
    assertThat(rows.claim(a, null)).isNull();
    WholeRows undone = new WholeRows();
    undone.changed(a, null);
    undone.changed(a, null);
    undone.after(a);
    for (int i = 0; i < 3; i++) {
      undone.now(a);
    }
    assertThat(undone.claim(a, null)).isEqualTo(new WholeRows.Claim(a, true));
    assertThat(undone.claim(a, null)).isEqualTo(new WholeRows.Claim(a, true));
  }

  private static TableShape shape(Column... columns) {
    return new TableShape(USERS, List.of(columns), List.of(1), List.of());
  }

  private static PlanDigest digest(List<RowChange> changes) {
    PlanDigest digest = new PlanDigest();
    changes.forEach(change -> digest.add(USERS, change));
    return digest;
  }
}
