package dev.holdfast.postgres;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class SynchronousStandbysTest {
  private static final String US = "holdfast:acme";

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '~',
      value = {
        "a, b | FIRST 1 (\"a\", \"b\")",
        "\"holdfast:acme\" | FIRST 1 (\"holdfast:acme\")",
        "2 (a,b , c) | FIRST 2 (\"a\", \"b\", \"c\")",
        "first 1 (\"x\"\"y\", *) | FIRST 1 (\"x\"\"y\", *)",
        "ANY 2 (\"holdfast:acme\", s2, s3) | ANY 2 (\"holdfast:acme\", \"s2\", \"s3\")",
        "any 1(s2) | ANY 1 (\"s2\")",
      })
  void it_is_read_and_written_as_the_server_has_it(String value, String written) {
    SynchronousStandbys read = SynchronousStandbys.parse(value);
    assertThat(read).hasToString(written);
    assertThat(SynchronousStandbys.parse(written)).isEqualTo(read);
  }

  @Test
  void commits_that_nobody_else_could_acknowledge_are_told_from_others() {
    assertThat(cannotDoWithout("\"holdfast:acme\"")).isTrue();
    assertThat(cannotDoWithout("ANY 1 (\"HOLDFAST:acme\")")).isTrue();
    assertThat(cannotDoWithout("ANY 2 (\"holdfast:acme\", s2)")).isTrue();
    assertThat(cannotDoWithout("ANY 1 (\"holdfast:acme\", s2)")).isFalse();
    assertThat(cannotDoWithout("\"holdfast:acme\", s2")).isFalse();
    assertThat(cannotDoWithout("*")).isFalse();
    assertThat(cannotDoWithout("s2")).isFalse();
    assertThat(cannotDoWithout("")).isFalse();
    assertThat(SynchronousStandbys.parse("*").counts(US)).isTrue();
    assertThat(SynchronousStandbys.parse("s2").counts(US)).isFalse();
  }

  private static boolean cannotDoWithout(String value) {
    return SynchronousStandbys.parse(value).cannotDoWithout(US);
  }

  @Test
  void who_leaves_asks_no_more_of_the_others_than_they_are() {
    assertThat(SynchronousStandbys.parse("ANY 2 (\"holdfast:acme\", s2)").without(US))
        .isEqualTo(new SynchronousStandbys("ANY", 1, List.of("s2")));
    assertThat(SynchronousStandbys.parse("ANY 1 (\"holdfast:acme\")").without(US))
        .hasToString("")
        .isEqualTo(SynchronousStandbys.NONE);
  }

  @Test
  void what_is_not_understood_is_not_changed() {
    assertThatThrownBy(() -> SynchronousStandbys.parse("ANY 1 (a b)"))
        .isInstanceOf(IllegalArgumentException.class);
  }
}
