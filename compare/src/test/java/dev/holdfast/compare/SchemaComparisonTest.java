package dev.holdfast.compare;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;

class SchemaComparisonTest {
  private final List<SchemaDifference> found = new ArrayList<>();
  private final SchemaComparison comparison = new SchemaComparison(found::add);

  private static Definition table(String name) {
    return new Definition(name, name, new TreeMap<>(Map.of("owner", "me")));
  }

  private static Definition column(String table, String name, String type) {
    return new Definition(table + "." + name, table, new TreeMap<>(Map.of("type", type)));
  }

  @Test
  void a_table_that_one_side_lacks_is_told_once_without_what_hangs_on_it() {
    comparison.compare(
        "table", List.of(table("a"), table("b")).iterator(), List.of(table("b")).iterator());
    comparison.compare(
        "column",
        List.of(column("a", "x", "int"), column("b", "x", "int")).iterator(),
        List.of(column("b", "x", "text")).iterator());
    assertThat(found)
        .containsExactly(
            new SchemaDifference("table", "a", "a", Change.ONLY_IN_A, null, "owner me", null),
            new SchemaDifference("column", "b.x", "b", Change.DIFFERENT, "type", "int", "text"));
  }

  @Test
  void names_past_the_basic_plane_sort_as_their_utf_8_does() {
    comparison.compare(
        "table",
        List.of(table("\uFF21"), table("\uD83D\uDE00")).iterator(),
        List.of(table("\uFF21"), table("\uD83D\uDE00")).iterator());
    assertThat(found).isEmpty();
    assertThatThrownBy(() ->
            comparison.compare(
                "table",
                List.of(table("\uD83D\uDE00"), table("\uFF21")).iterator(),
                List.<Definition>of().iterator()))
        .isInstanceOf(IllegalArgumentException.class);
  }
}
