package dev.holdfast.revert;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.row.Column.Content;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class JsonMergeTest {
  @ParameterizedTest(name = "{0}")
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      textBlock =
          """
          an added key goes            | {"a": 1}         | {"a": 1, "b": 2} | {"a": 1, "b": 2, "c": 3} | {"a": 1, "c": 3}         | data.b        |
          a removed key comes back     | {"a": 1, "b": 2} | {"a": 1}         | {"a": 1, "c": 3}         | {"a": 1, "b": 2, "c": 3} | data.b        |
          a changed key changes back   | {"a": 1, "b": 2} | {"a": 9, "b": 2} | {"a": 9, "b": 7}         | {"a": 1, "b": 7}         | data.a        |
          a key set again since stays  | {"a": 1, "b": 2} | {"a": 9, "b": 8} | {"a": 9, "b": 7}         | {"a": 1, "b": 7}         | data.a        | data.b
          a key removed since stays so | {"a": 1, "b": 2} | {"a": 9, "b": 8} | {"a": 9}                 | {"a": 1}                 | data.a        | data.b
          a lost key set again stays   | {"a": 1, "b": 2} | {"a": 1}         | {"a": 1, "b": 5}         | {"a": 1, "b": 5}         |               | data.b
          objects are gone into        | {"o": {"x": 1, "y": 2}} | {"o": {"x": 9, "y": 2}} | {"o": {"x": 9, "y": 7}} | {"o": {"x": 1, "y": 7}} | data.o.x |
          arrays are wholes            | {"a": [1, 2]}    | {"a": [1]}       | {"a": [1, 3]}            | {"a": [1, 3]}            |               | data.a
          1.0 is not 1.00              | {"a": 1.0, "b": 1} | {"a": 1.00, "b": 1} | {"a": 1.00, "b": 2} | {"a": 1.0, "b": 2}       | data.a        |
          null is not absent           | {"a": null}      | {}               | {"b": 1}                 | {"a": null, "b": 1}      | data.a        |
          a scalar root is a whole     | 1                | 2                | 3                        | 3                        |               | data
          an object made of a scalar   | {"a": 1}         | 5                | {"a": 2}                 | {"a": 2}                 |               | data
          digits are never rounded     | {"n": 1234567890123456789012345.10, "m": 1} | {"n": 0, "m": 1} | {"n": 0, "m": 1e400} | {"m": 1e400, "n": 1234567890123456789012345.10} | data.n |
          """)
  void documents_are_undone_key_by_key(
      String what,
      String before,
      String after,
      String now,
      String expected,
      String restored,
      String kept) {
    JsonMerge merge = new JsonMerge(Content.JSONB, false);
    assertThat(merge.undo(before, after, now, "data")).as(what).isEqualTo(expected);
    assertThat(String.join(",", merge.restored())).isEqualTo(restored == null ? "" : restored);
    assertThat(String.join(",", merge.kept())).isEqualTo(kept == null ? "" : kept);
  }

  @ParameterizedTest(name = "{0}")
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      textBlock =
          """
          the new phone stays          | {"city": "Rome", "phone": "1"} | {"phone": "2"} | {"phone": "2"}   | {"city": "Rome", "phone": "2"} | data.city |
          a later phone stays          | {"city": "Rome", "phone": "1"} | {"phone": "2"} | {"phone": "3"}   | {"city": "Rome", "phone": "3"} | data.city |
          a lost key set again stays   | {"city": "Rome", "phone": "1"} | {"phone": "2"} | {"city": "Oslo", "phone": "2"} | {"city": "Oslo", "phone": "2"} | | data.city
          a lost key back already      | {"city": "Rome", "phone": "1"} | {"phone": "2"} | {"city": "Rome", "phone": "2"} | {"city": "Rome", "phone": "2"} | |
          keys inside objects return   | {"o": {"x": 1, "y": 2}} | {"o": {"x": 3}} | {"o": {"x": 4, "z": 5}} | {"o": {"x": 4, "y": 2, "z": 5}} | data.o.y |
          the object itself gone since | {"o": {"x": 1, "y": 2}} | {"o": {"x": 3}} | {}               | {}                             |           | data.o.y
          no object any more           | {"a": 1}                | {}              | [1]              | [1]                            |           | data.a
          """)
  void lost_keys_are_put_back_and_nothing_else_changes(
      String what,
      String before,
      String after,
      String now,
      String expected,
      String restored,
      String kept) {
    LostKeys lost = new LostKeys(Content.JSONB, "data");
    lost.hit(before, after);
    assertThat(lost.putBack(now)).as(what).isEqualTo(expected);
    assertThat(String.join(",", lost.restored())).isEqualTo(restored == null ? "" : restored);
    assertThat(String.join(",", lost.kept())).isEqualTo(kept == null ? "" : kept);
    assertThat(lost.somethingLost()).isTrue();
  }

  @Test
  void a_document_replaced_by_sql_null_is_wholly_lost() {
    LostKeys written = new LostKeys(Content.JSONB, "data");
    written.hit("{\"a\": 1}", null);
    assertThat(written.putBack("{\"b\": 2}")).isEqualTo("{\"a\": 1, \"b\": 2}");
    LostKeys lost = new LostKeys(Content.JSONB, "data");
    lost.hit("{\"a\": 1}", null);
    assertThat(lost.putBack(null)).isEqualTo("{\"a\": 1}");
  }

  @Test
  void text_json_keeps_the_spaces_order_and_escapes_of_what_is_not_changed() {
    String before = "{ \"z\" : 1 ,\n  \"a\":[1,  2], \"k\\u0041\" : \"\\/\" }";
    String after = "{\"z\":2,\"a\":[1,  2],\"k\\u0041\" : \"\\/\"}";
    String now = "{\"z\":2,\"a\":[1,  2],   \"n\" : 1.50 ,\"kA\" : \"\\/\"}";
    assertThat(new JsonMerge(Content.JSON, false).undo(before, after, now, "d"))
        .isEqualTo("{\"z\":1,\"a\":[1,  2],   \"n\" : 1.50 ,\"kA\" : \"\\/\"}");
  }

  @Test
  void doubled_keys_make_a_text_document_one_whole() {
    JsonMerge merge = new JsonMerge(Content.JSON, false);
    String now = "{\"a\":2,\"a\":3,\"b\":1}";
    assertThat(merge.undo("{\"a\":1}", "{\"a\":2,\"a\":3}", now, "d")).isEqualTo(now);
    assertThat(merge.kept()).containsExactly("d");
  }

  @Test
  void braces_quotes_and_backslashes_inside_strings_are_text() {
    String before = "{\"a\": \"}{,\\\"\\\\\", \"b\": 1}";
    assertThat(new JsonMerge(Content.JSONB, false).undo(before, "{\"b\": 1}", "{\"b\": 2}", "d"))
        .isEqualTo("{\"a\": \"}{,\\\"\\\\\", \"b\": 2}");
  }

  @Test
  void jsonb_is_written_in_its_own_order_of_keys() {
    assertThat(
            new JsonMerge(Content.JSONB, false)
                .undo("{\"aaa\": 1, \"é\": 2}", "{}", "{\"zz\": 3, \"b\": 4}", "d"))
        .isEqualTo("{\"b\": 4, \"zz\": 3, \"é\": 2, \"aaa\": 1}");
  }

  @Test
  @Timeout(20)
  void a_document_thousands_of_levels_deep_costs_neither_stack_nor_minutes() {
    String deep = "{\"a\":".repeat(20_000) + "1" + "}".repeat(20_000);
    String deeper = "{\"a\":".repeat(20_000) + "2" + "}".repeat(20_000);
    String other = "{\"a\":".repeat(20_000) + "3" + "}".repeat(20_000);
    JsonMerge merge = new JsonMerge(Content.JSONB, false);
    assertThat(merge.undo(deep, deeper, other, "d")).isEqualTo(other);
    assertThat(merge.kept()).hasSize(1);
  }
}
