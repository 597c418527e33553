package dev.holdfast.guard;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class StatementShapeTest {
  @Test
  void calls_with_other_values_have_one_shape() {
    assertThat(StatementShape.of("UPDATE users SET data='{\"phone\":1}' WHERE id = 1;"))
        .isEqualTo("UPDATE users SET data=? WHERE id = ?")
        .isEqualTo(StatementShape.of("UPDATE users\n SET data=E'it\\'s' -- x\n WHERE id = 17"))
        .isEqualTo(StatementShape.of("UPDATE users SET data=$1 WHERE id = $2"));
    assertThat(StatementShape.of("SELECT $tag$a$tag$, -1.5e3, x1, \"Col 2\" FROM t"))
        .isEqualTo("SELECT ?, -?, x1, \"Col 2\" FROM t");
  }

  @Test
  void lists_and_rows_of_values_fold_whatever_their_length() {
    assertThat(StatementShape.of("DELETE FROM t WHERE id IN (1, 2,3)"))
        .isEqualTo("DELETE FROM t WHERE id IN (?, …)")
        .isEqualTo(StatementShape.of("DELETE FROM t WHERE id IN (1, 2)"));
    assertThat(StatementShape.of("INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')"))
        .isEqualTo("INSERT INTO t VALUES (?, …), …");
  }

  @Test
  void what_breaks_off_in_the_middle_has_a_shape_too() {
    assertThat(StatementShape.of("UPDATE t SET a = 'abc")).isEqualTo("UPDATE t SET a = ?");
    assertThat(StatementShape.of("SELECT /* never closed")).isEqualTo("SELECT");
    assertThat(StatementShape.of("x".repeat(500))).hasSize(301).endsWith("…");
  }

  @Test
  void a_where_in_a_text_or_a_name_is_none() {
    assertThat(StatementShape.isUnconditional("DELETE FROM \"where\" -- where")).isTrue();
    assertThat(StatementShape.isUnconditional("UPDATE t SET a = 'where'")).isTrue();
    assertThat(StatementShape.isUnconditional("DELETE FROM t Where a = 1")).isFalse();
  }
}
