package dev.holdfast.failure;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.EnumMap;
import java.util.Map;
import org.junit.jupiter.api.Test;

class KindTest {
  @Test
  void exit_codes_are_those_the_design_promises_to_scripts() {
    Map<Kind, Integer> codes = new EnumMap<>(Kind.class);
    for (Kind kind : Kind.values()) {
      codes.put(kind, kind.exitCode());
    }
    assertThat(codes)
        .isEqualTo(
            Map.of(
                Kind.FAILED, 1,
                Kind.USAGE, 2,
                Kind.REFUSED, 3,
                Kind.DIFFERENT, 4,
                Kind.REPOSITORY_UNREACHABLE, 5,
                Kind.DAMAGED_DATA, 6,
                Kind.DATABASE_UNREACHABLE, 7,
                Kind.INTERRUPTED, 130));
  }
}
