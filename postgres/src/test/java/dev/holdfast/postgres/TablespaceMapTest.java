package dev.holdfast.postgres;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;

@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
class TablespaceMapTest {
  @Test
  void paths_are_read_whatever_is_in_them() {
    assertThat(TablespaceMap.parse("16400 /ssd/a b\n16401 /odd\\\nline\\\\end\n"))
        .isEqualTo(Map.of(16400L, "/ssd/a b", 16401L, "/odd\nline\\end"));
    assertThat(TablespaceMap.parse(null)).isEmpty();
  }

  @Test
  void a_mapping_names_a_path_that_a_tablespace_has_and_one_it_can_have() {
    Map<Long, String> production = Map.of(1L, "/ssd/fast");
    assertThat(TablespaceMap.placed("what", production, Map.of(), null))
        .isEqualTo(Map.of(1L, Path.of("/ssd/fast")));
    assertThat(TablespaceMap.placed("what", production, Map.of("/ssd/fast", "/new/../there"), null))
        .isEqualTo(Map.of(1L, Path.of("/there")));
    assertThatThrownBy(
            () -> TablespaceMap.placed("what", production, Map.of("/ssd/fat", "/new"), null))
        .hasMessage(
            "what: no tablespace lies at /ssd/fat; next: the base backup has tablespaces at"
                + " /ssd/fast");
    assertThatThrownBy(
            () -> TablespaceMap.placed("what", production, Map.of("/ssd/fast", "new"), null))
        .hasMessage(
            "what: \"new\" is not an absolute path; next: give --tablespace-mapping OLD=NEW with"
                + " absolute paths");
  }
}
