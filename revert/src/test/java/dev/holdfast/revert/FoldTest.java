package dev.holdfast.revert;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.row.Column;
import dev.holdfast.row.Column.Content;
import dev.holdfast.row.Row;
import dev.holdfast.row.RowChange;
import dev.holdfast.row.RowKey;
import dev.holdfast.row.TableName;
import dev.holdfast.row.TableShape;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/** Rows that several transactions of a set hit. */
class FoldTest {
  private static final List<Column> COLUMNS =
      List.of(
          new Column(1, "id", "integer", Content.PLAIN),
          new Column(2, "price", "integer", Content.PLAIN),
          new Column(3, "note", "text", Content.PLAIN),
          new Column(4, "data", "jsonb", Content.JSONB));
  private static final RevertOptions LOST_KEYS = new RevertOptions(false, true);
  private static final RevertOptions OVERWRITE = new RevertOptions(true, false);

  /** X1 hits row 1, a good write changes row 2, X2 hits row 2. */
  @Test
  void a_row_goes_back_to_the_good_value_it_had_when_the_second_of_the_set_hit_it() {
    assertThat(undo(row(1, 0), hit(row(1, 5), row(1, 0)))).isEqualTo(updated(row(1, 0), row(1, 5)));
    // Before the first of the set row 2 was at 5; a fork from there would say so.
    assertThat(undo(row(2, 0), hit(row(2, 7), row(2, 0)))).isEqualTo(updated(row(2, 0), row(2, 7)));
  }

  @Test
  void a_row_hit_twice_goes_back_for_what_the_set_did_and_keeps_the_good_write_between() {
    Decision decision =
        undo(
            Row.of("1", "0", "good", "{}"),
            touched(Row.of("1", "5", "old", "{}"), Row.of("1", "3", "old", "{}")),
            hit(Row.of("1", "3", "good", "{}"), Row.of("1", "0", "good", "{}")));
    assertThat(decision)
        .isEqualTo(updated(Row.of("1", "0", "good", "{}"), Row.of("1", "5", "good", "{}")));
  }

  @Test
  void a_good_value_between_two_hits_of_a_column_is_what_comes_back() {
    Decision decision = undo(row(1, 0), touched(row(1, 5), row(1, 0)), hit(row(1, 7), row(1, 0)));
    assertThat(decision.change()).isEqualTo(new RowChange.Update(row(1, 0), row(1, 7)));
    assertThat(decision.verdict()).isEqualTo(Verdict.PARTLY_RESTORED);
    assertThat(decision.kept()).containsExactly("price");
  }

  @Test
  void what_stays_of_a_later_hit_is_not_replaced_by_a_value_from_before_an_earlier_one() {
    // The first hit set 0, somebody 7, the second 0 again, and somebody wrote the note after it.
    Decision decision =
        undo(
            Row.of("1", "0", "mine", "{}"),
            touched(row(1, 5), row(1, 0)),
            touched(row(1, 7), Row.of("1", "0", "bad", "{}")));
    assertThat(decision.change()).isNull();
    assertThat(decision.verdict()).isEqualTo(Verdict.TOUCHED_SINCE);
    assertThat(decision.kept()).containsExactly("note", "price");
    Decision documents =
        undo(
            document("{\"a\": [1], \"b\": 9, \"c\": 1}"),
            touched(document("{\"a\": 1, \"b\": 1}"), document("{\"a\": [1], \"b\": 9}")),
            touched(document("{\"a\": 7, \"b\": 9}"), document("{\"a\": [2], \"b\": 9}")));
    assertThat(documents.change())
        .isEqualTo(
            new RowChange.Update(
                document("{\"a\": [1], \"b\": 9, \"c\": 1}"),
                document("{\"a\": [1], \"b\": 1, \"c\": 1}")));
    assertThat(documents.kept()).containsExactly("data.a");
    assertThat(documents.restoredKeys()).containsExactly("data.b");
  }

  @Test
  void a_row_deleted_and_put_in_again_by_the_set_is_a_row_updated() {
    Row now = Row.of("1", "0", "old", "{}", "a column added since");
    assertThat(undo(now, hit(row(1, 5), null), hit(null, row(1, 0))))
        .isEqualTo(updated(now, Row.of("1", "5", "old", "{}", "a column added since")));
    assertThat(undo(row(1, 5), hit(row(1, 5), null), hit(null, row(1, 0))).verdict())
        .isEqualTo(Verdict.ALREADY_UNDONE);
    assertThat(undo(null, hit(row(1, 5), null), touched(null, row(1, 0))).verdict())
        .isEqualTo(Verdict.GONE_SINCE);
    // Somebody put one in and took it out between: the row of the past is gone by their hand.
    Decision decision = undo(row(1, 0), touched(row(1, 5), null), hit(null, row(1, 0)));
    assertThat(decision.change()).isEqualTo(new RowChange.Delete(row(1, 0)));
    assertThat(decision.verdict()).isEqualTo(Verdict.PARTLY_RESTORED);
  }

  @Test
  void a_row_that_the_set_made_and_took_out_is_nobodys() {
    assertThat(undo(null, hit(null, row(1, 5)), hit(row(1, 5), null)))
        .isEqualTo(Decision.leave(Verdict.UNCHANGED));
    assertThat(undo(row(1, 9), hit(null, row(1, 5)), touched(row(1, 5), null)))
        .isEqualTo(Decision.leave(Verdict.UNCHANGED));
  }

  @Test
  void a_row_the_set_made_and_others_wrote_stays_without_what_the_set_did_later() {
    Row made = Row.of("1", "5", "made", "{}");
    Row written = Row.of("1", "5", "written", "{}");
    Row hit = Row.of("1", "0", "written", "{}");
    Decision decision = undo(hit, touched(null, made), hit(written, hit));
    assertThat(decision.change()).isEqualTo(new RowChange.Update(hit, written));
    assertThat(decision.verdict()).isEqualTo(Verdict.PARTLY_RESTORED);
    assertThat(undo(OVERWRITE, hit, touched(null, made), hit(written, hit)).change())
        .isEqualTo(new RowChange.Delete(hit));
  }

  @Test
  void a_row_the_set_deleted_last_comes_back_as_it_was_before_the_set() {
    Decision decision =
        undo(
            null,
            touched(Row.of("1", "5", "old", "{}"), Row.of("1", "0", "old", "{}")),
            hit(Row.of("1", "0", "good", "{}"), null));
    assertThat(decision)
        .isEqualTo(
            new Decision(
                Verdict.RESTORED,
                new RowChange.Insert(Row.of("1", "5", "good", "{}")),
                List.of(),
                List.of()));
  }

  @Test
  void a_row_that_others_deleted_stays_so() {
    assertThat(undo(null, touched(row(1, 5), row(1, 3)), touched(row(1, 4), row(1, 0))).verdict())
        .isEqualTo(Verdict.GONE_SINCE);
    // In the middle: updated by the set, deleted by others, made again by the set.
    Decision middle = undo(row(1, 0), touched(row(1, 5), row(1, 3)), hit(null, row(1, 0)));
    assertThat(middle.change()).isEqualTo(new RowChange.Delete(row(1, 0)));
    assertThat(middle.verdict()).isEqualTo(Verdict.PARTLY_RESTORED);
    // Made by the set, deleted by others: all is undone.
    assertThat(undo(null, touched(null, row(1, 3)), touched(row(1, 4), row(1, 0))).verdict())
        .isEqualTo(Verdict.ALREADY_UNDONE);
  }

  @Test
  void another_row_under_the_key_is_left_whatever_the_set_did_before() {
    Row other = row(1, 3);
    Decision decision = undo(other, touched(row(1, 5), row(1, 3)), touched(row(1, 4), null));
    assertThat(decision).isEqualTo(Decision.leave(Verdict.KEY_USED_AGAIN));
  }

  @Test
  void a_row_that_others_made_is_left_by_what_hit_the_one_before_it() {
    // Deleted by the set and put in again by others, just as it was.
    Hit first = touched(Row.of("1", "5", "old", "{}"), Row.of("1", "4", "old", "{}"));
    Row good = Row.of("1", "4", "good", "{}");
    assertThat(undo(good, first, touched(good, null)))
        .isEqualTo(Decision.leave(Verdict.TOUCHED_SINCE));
    // Deleted by others, made by the set, made anew by others.
    assertThat(undo(row(1, 4), first, touched(null, row(1, 7))))
        .isEqualTo(Decision.leave(Verdict.TOUCHED_SINCE));
  }

  @Test
  void a_value_of_others_stays_though_it_equals_the_one_that_an_earlier_hit_left() {
    Row now = Row.of("1", "4", "good", "{}");
    Decision decision =
        undo(
            now,
            touched(row(1, 5), row(1, 4)),
            touched(row(1, 9), Row.of("1", "9", "old", "{\"a\": 1}")));
    assertThat(decision.change()).isNull();
    assertThat(decision.kept()).containsExactly("price");
  }

  @Test
  void what_others_changed_and_changed_back_stays_as_they_left_it() {
    Row now = Row.of("1", "0", "mine", "{\"a\": 1, \"b\": 1}");
    Row between = Row.of("1", "7", "mine", "{\"a\": 1, \"b\": 1}");
    Row hit = Row.of("1", "0", "old", "{\"a\": 1, \"b\": 1}");
    Row before = Row.of("1", "5", "old", "{\"a\": 1, \"b\": 1}");
    assertThat(undo(now, touched(before, hit)).change()).as("nobody looked between").isNotNull();
    assertThat(undo(now, new Hit(before, hit, true, List.of(between))))
        .isEqualTo(new Decision(Verdict.TOUCHED_SINCE, null, List.of("price"), List.of()));
    assertThat(undo(OVERWRITE, now, new Hit(before, hit, true, List.of(between))).change())
        .isEqualTo(new RowChange.Update(now, Row.of("1", "5", "mine", now.value(3))));
    Row other = Row.of("1", "0", "mine", "{\"a\": 2, \"b\": 1}");
    Row full = Row.of("1", "0", "old", "{\"a\": 0, \"b\": 0}");
    Decision keys = undo(now, new Hit(full, hit, true, List.of(other)));
    assertThat(keys.change())
        .isEqualTo(new RowChange.Update(now, Row.of("1", "0", "mine", "{\"a\": 1, \"b\": 0}")));
    assertThat(keys.kept()).containsExactly("data.a");
    // The same between two hits of the set.
    Row worse = Row.of("1", "0", "worse", now.value(3));
    Hit first = new Hit(before, hit, true, List.of(between));
    assertThat(undo(worse, first, hit(now, worse)).change())
        .isEqualTo(new RowChange.Update(worse, now));
  }

  @Test
  void a_key_that_the_set_changed_changes_back_and_the_row_is_looked_for_under_its_last_one() {
    List<Hit> moved = List.of(touched(row(1, 5), row(2, 5)), hit(row(2, 6), row(3, 6)));
    assertThat(revert(RevertOptions.DEFAULT, new ArrayList<>()).keyNow(moved)).isEqualTo(key("3"));
    assertThat(undo(row(3, 6), moved.toArray(Hit[]::new))).isEqualTo(updated(row(3, 6), row(1, 6)));
    List<Hit> deleted = List.of(touched(row(1, 5), row(2, 5)), hit(row(2, 6), null));
    assertThat(revert(RevertOptions.DEFAULT, new ArrayList<>()).keyNow(deleted))
        .as("it would be put back with its first key")
        .isEqualTo(key("1"));
    assertThat(revert(LOST_KEYS, new ArrayList<>()).keyNow(deleted)).isEqualTo(key("2"));
  }

  @Test
  void one_change_and_one_verdict_come_out_however_often_a_row_was_hit() {
    List<RowChange> changes = new ArrayList<>();
    TableRevert revert = revert(RevertOptions.DEFAULT, changes);
    Row first = document("{\"a\": 1, \"b\": 1, \"c\": 1}");
    Row second = document("{\"a\": 2, \"b\": 1, \"c\": 7}");
    Row now = document("{\"a\": 3, \"b\": 2, \"c\": 7}");
    Verdict verdict =
        revert.undo(
            List.of(
                touched(first, document("{\"a\": 2, \"b\": 1, \"c\": 1}")), touched(second, now)),
            now.equals(first) ? first : document("{\"a\": 3, \"b\": 2, \"c\": 7, \"d\": 1}"));
    assertThat(verdict).isEqualTo(Verdict.RESTORED);
    assertThat(changes).hasSize(1);
    TablePlan plan = revert.plan();
    assertThat(plan.count(Verdict.RESTORED)).isEqualTo(1);
    assertThat(plan.updates()).isEqualTo(1);
    assertThat(plan.keysRestored()).as("a and b, a only once").isEqualTo(2);
    assertThat(plan.keysKept()).isZero();
    assertThat(changes.getFirst())
        .isEqualTo(
            new RowChange.Update(
                document("{\"a\": 3, \"b\": 2, \"c\": 7, \"d\": 1}"),
                document("{\"a\": 1, \"b\": 1, \"c\": 7, \"d\": 1}")));
    assertThat(plan.changes().getFirst().row()).isEqualTo("id=1");
  }

  @Test
  void hits_that_cancel_out_or_that_the_repair_undid_need_no_undoing() {
    assertThat(undo(row(1, 5), hit(row(1, 5), row(1, 3)), hit(row(1, 3), row(1, 5))).verdict())
        .isEqualTo(Verdict.UNCHANGED);
    Hit first = touched(Row.of("1", "5", "old", "{}"), Row.of("1", "3", "old", "{}"));
    Row between = Row.of("1", "3", "good", "{}");
    Row undone = Row.of("1", "5", "good", "{}");
    assertThat(undo(undone, first, touched(between, undone)).verdict())
        .isEqualTo(Verdict.ALREADY_UNDONE);
    assertThat(undo(undone, first, touched(between, Row.of("1", "0", "good", "{}"))).verdict())
        .isEqualTo(Verdict.ALREADY_UNDONE);
    assertThat(undo(undone, first, touched(between, null)).verdict())
        .isEqualTo(Verdict.ALREADY_UNDONE);
  }

  @Test
  void a_lost_key_comes_back_with_the_value_before_the_last_hit_that_lost_it() {
    Row full = document("{\"city\": \"Rome\", \"phone\": 1}");
    Row bare = document("{\"phone\": 2}");
    Row again = document("{\"city\": \"Oslo\", \"phone\": 2}");
    Row now = document("{\"phone\": 3}");
    // Somebody gave the new city between two calls of the endpoint.
    assertThat(undo(LOST_KEYS, now, touched(full, bare), hit(again, now)))
        .isEqualTo(
            new Decision(
                Verdict.RESTORED,
                new RowChange.Update(now, document("{\"city\": \"Oslo\", \"phone\": 3}")),
                List.of(),
                List.of("data.city")));
    // Nobody did: the second call found nothing to lose.
    assertThat(undo(LOST_KEYS, now, touched(full, bare), hit(bare, now)).change())
        .isEqualTo(new RowChange.Update(now, document("{\"city\": \"Rome\", \"phone\": 3}")));
    // One of the set itself gave it.
    assertThat(undo(LOST_KEYS, now, hit(full, bare), hit(bare, again), hit(again, now)).change())
        .isEqualTo(new RowChange.Update(now, document("{\"city\": \"Oslo\", \"phone\": 3}")));
    assertThat(undo(LOST_KEYS, again, hit(full, bare), hit(bare, again)))
        .isEqualTo(new Decision(Verdict.TOUCHED_SINCE, null, List.of("data.city"), List.of()));
  }

  @Test
  void a_lost_key_that_somebody_set_and_somebody_removed_does_not_come_back() {
    Row full = document("{\"city\": \"Rome\", \"phone\": 1}");
    Row bare = document("{\"phone\": 2}");
    Row again = document("{\"city\": \"Oslo\", \"phone\": 2}");
    Row now = document("{\"phone\": 3}");
    Hit seen = new Hit(full, bare, true, List.of(again));
    assertThat(undo(LOST_KEYS, bare, seen))
        .isEqualTo(new Decision(Verdict.TOUCHED_SINCE, null, List.of("data.city"), List.of()));
    assertThat(undo(LOST_KEYS, now, seen, hit(bare, now)).change()).isNull();
    assertThat(
            undo(LOST_KEYS, bare, hit(full, bare), touched(bare, again), hit(bare, bare)).change())
        .as("set by the set, removed by somebody")
        .isNull();
  }

  @Test
  void keys_inside_objects_come_back_by_their_paths_and_with_the_object_when_that_was_lost_too() {
    Row full = document("{\"o\": {\"x\": 1, \"y\": 2}, \"p\": 1}");
    Row less = document("{\"o\": {\"x\": 1}, \"p\": 1}");
    Row bare = document("{\"p\": 2}");
    assertThat(undo(LOST_KEYS, bare, touched(full, less), hit(less, bare)))
        .isEqualTo(
            new Decision(
                Verdict.RESTORED,
                new RowChange.Update(bare, document("{\"o\": {\"x\": 1, \"y\": 2}, \"p\": 2}")),
                List.of(),
                List.of("data.o")));
    // Somebody else removed the object and another one came: it is theirs.
    Row theirs = document("{\"o\": {\"z\": 1}, \"p\": 1}");
    assertThat(
            undo(LOST_KEYS, theirs, new Hit(full, less, true, List.of(document("{\"p\": 1}"))))
                .kept())
        .containsExactly("data.o.y");
  }

  @Test
  void the_set_putting_an_object_anew_does_not_decide_about_what_it_took_out_of_it() {
    Row full = document("{\"o\": {\"x\": 1, \"y\": 2}}");
    Row less = document("{\"o\": {\"x\": 1}}");
    Row word = document("{\"o\": \"v\"}");
    Row bare = document("{}");
    Row other = document("{\"o\": {\"z\": 3}}");
    Row all = document("{\"o\": {\"x\": 1, \"y\": 2, \"z\": 3}}");
    // As one transaction that left the object with another key would be undone.
    RowChange update = new RowChange.Update(other, all);
    assertThat(undo(LOST_KEYS, other, hit(full, other)).change()).isEqualTo(update);
    assertThat(undo(LOST_KEYS, other, hit(full, less), hit(less, word), hit(word, other)))
        .isEqualTo(
            new Decision(
                Verdict.RESTORED,
                new RowChange.Update(other, all),
                List.of(),
                List.of("data.o.y", "data.o.x")));
    assertThat(undo(LOST_KEYS, other, hit(full, bare), hit(bare, other)).change())
        .isEqualTo(update);
    // Somebody else made the object there is now: it is theirs.
    assertThat(undo(LOST_KEYS, other, hit(full, less), touched(less, word)).change()).isNull();
    assertThat(undo(LOST_KEYS, other, touched(full, bare)).kept()).containsExactly("data.o");
    assertThat(
            undo(LOST_KEYS, other, touched(full, less), hit(word, bare), hit(bare, other)).change())
        .as("somebody put a word in its place in between")
        .isNull();
    // A value that the set changed is no key lost.
    assertThat(undo(LOST_KEYS, word, hit(full, word))).isEqualTo(Decision.leave(Verdict.UNCHANGED));
  }

  @Test
  void a_whole_document_set_to_null_comes_back_with_what_was_lost_before() {
    Row full = document("{\"a\": 1, \"b\": 1}");
    Row less = document("{\"b\": 1}");
    assertThat(undo(LOST_KEYS, document(null), touched(full, less), hit(less, document(null))))
        .isEqualTo(
            new Decision(
                Verdict.RESTORED,
                new RowChange.Update(document(null), full),
                List.of(),
                List.of("data")));
    Row started = document("{\"c\": 1}");
    Row again = document("{\"a\": 1, \"b\": 1, \"c\": 1}");
    assertThat(undo(LOST_KEYS, started, hit(full, document(null)), hit(document(null), started)))
        .isEqualTo(
            new Decision(
                Verdict.RESTORED,
                new RowChange.Update(started, again),
                List.of(),
                List.of("data.a", "data.b")));
    assertThat(
            undo(LOST_KEYS, document(null), new Hit(full, document(null), true, List.of(started)))
                .change())
        .as("somebody set a document, and somebody removed it")
        .isNull();
  }

  @Test
  void putting_keys_back_makes_and_deletes_no_row() {
    Row full = document("{\"a\": 1, \"b\": 1}");
    Row less = document("{\"b\": 1}");
    assertThat(undo(LOST_KEYS, null, hit(full, less), hit(less, null)))
        .isEqualTo(Decision.leave(Verdict.UNCHANGED));
    assertThat(undo(LOST_KEYS, null, touched(full, less), touched(less, less)))
        .isEqualTo(Decision.leave(Verdict.GONE_SINCE));
    assertThat(undo(LOST_KEYS, less, hit(full, less), touched(less, null)))
        .as("a new row of others")
        .isEqualTo(Decision.leave(Verdict.UNCHANGED));
    assertThat(undo(LOST_KEYS, less, hit(full, null), hit(null, less)).change())
        .as("the set put the row in again with less")
        .isEqualTo(new RowChange.Update(less, full));
    assertThat(undo(LOST_KEYS, less, touched(full, null), hit(null, less)))
        .isEqualTo(Decision.leave(Verdict.UNCHANGED));
  }

  @Test
  void rows_without_a_key_that_others_wrote_before_the_set_ended_are_not_taken_for_others() {
    Row a = Row.of("a");
    Row b = Row.of("b");
    WholeRows rows = new WholeRows();
    rows.changed(a, b); // and somebody made it c before the last of the set ended
    assertThat(rows.claim(a, b)).isNull();
  }

  private static Row row(int id, int price) {
    return Row.of("" + id, "" + price, "old", "{}");
  }

  private static Row document(@Nullable String data) {
    return Row.of("1", "5", "old", data);
  }

  private static Hit hit(@Nullable Row before, @Nullable Row after) {
    return Hit.of(before, after, false);
  }

  private static Hit touched(@Nullable Row before, @Nullable Row after) {
    return Hit.of(before, after, true);
  }

  private static Decision updated(Row now, Row wanted) {
    return new Decision(Verdict.RESTORED, new RowChange.Update(now, wanted), List.of(), List.of());
  }

  private static Decision undo(@Nullable Row now, Hit... hits) {
    return undo(RevertOptions.DEFAULT, now, hits);
  }

  private static Decision undo(RevertOptions options, @Nullable Row now, Hit... hits) {
    return new RowMerge(COLUMNS, options).undo(Arrays.asList(hits), now);
  }

  private static RowKey key(String id) {
    return RowKey.copyOf(List.of(id));
  }

  private static TableRevert revert(RevertOptions options, List<RowChange> changes) {
    TableShape shape =
        new TableShape(new TableName("public", "items"), COLUMNS, List.of(1), List.of());
    return new TableRevert(ColumnMatch.of(shape, shape), options, new PlanDigest(), changes::add);
  }

  @Test
  void a_document_that_others_only_spaced_otherwise_goes_back_to_null() {
    List<Column> columns =
        List.of(
            new Column(1, "id", "integer", Content.PLAIN),
            new Column(2, "data", "json", Content.JSON),
            new Column(3, "note", "text", Content.PLAIN));
    Row before = Row.of("1", null, "old");
    Row after = Row.of("1", "{\"a\" : 1}", "old");
    RowMerge merge = new RowMerge(columns, RevertOptions.DEFAULT);

    assertThat(merge.undo(List.of(Hit.of(before, after, true)), Row.of("1", "{\"a\":1}", "new")))
        .extracting(Decision::change)
        .isEqualTo(new RowChange.Update(Row.of("1", "{\"a\":1}", "new"), Row.of("1", null, "new")));
    assertThat(merge.undo(List.of(Hit.of(before, after, true)), Row.of("1", "{\"a\":2}", "new")))
        .extracting(Decision::verdict)
        .isEqualTo(Verdict.TOUCHED_SINCE);
  }

  @Test
  void a_key_that_others_set_to_what_it_was_keeps_the_document_that_an_earlier_hit_put_in() {
    List<Column> columns =
        List.of(
            new Column(1, "id", "integer", Content.PLAIN),
            new Column(2, "data", "jsonb", Content.JSONB));
    Row empty = Row.of("1", null);
    Row first = Row.of("1", "{\"a\": 2, \"b\": 1}");
    Row second = Row.of("1", "{\"a\": 1, \"b\": 1, \"c\": 1}");
    Row now = Row.of("1", "{\"a\": 2, \"b\": 1, \"c\": 1}");

    Decision decision =
        new RowMerge(columns, RevertOptions.DEFAULT)
            .undo(List.of(Hit.of(empty, first, true), Hit.of(first, second, true)), now);

    assertThat(decision.change()).isEqualTo(new RowChange.Update(now, first));
    assertThat(decision.verdict()).isEqualTo(Verdict.PARTLY_RESTORED);
  }
}
