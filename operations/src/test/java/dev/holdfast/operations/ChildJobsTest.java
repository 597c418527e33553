package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;

@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class ChildJobsTest {
  private static final String NOTE =
      "{\"level\":\"note\",\"object\":\"leases/1\",\"found\":\"old\"}\n";
  private static final String DAMAGED =
      "{\"level\":\"damaged\",\"object\":\"bases/x\",\"found\":\"a checksum is wrong\"}\n";
  private static final String GAP =
      "{\"level\":\"gap\",\"object\":\"wal/1/2\",\"found\":\"it is not recorded\"}\n";

  @Test
  void why_is_what_the_command_said_else_what_it_found_else_the_end_of_it() {
    assertThat(
            ChildJobs.why(
                7,
                "Picked up JAVA_TOOL_OPTIONS: x\n{\"error\":{\"what\":\"cannot\",\"why\":\"refused\"}}\n",
                DAMAGED))
        .isEqualTo("cannot: refused");
    assertThat(ChildJobs.why(6, "", NOTE + DAMAGED + GAP + "{\"result\":\"damaged\"}\n"))
        .isEqualTo("bases/x: a checksum is wrong; and 1 more");
    assertThat(ChildJobs.why(4, "Picked up x", GAP)).isEqualTo("wal/1/2: it is not recorded");
    assertThat(ChildJobs.why(4, "", "{\"result\":\"failed\"}\n"))
        .isEqualTo("exit code 4: {\"result\":\"failed\"}");
    assertThat(ChildJobs.why(137, "", "")).isEqualTo("its process was ended by signal 9");
  }

  @Test
  void a_job_has_the_environment_it_is_given_and_what_it_answers_is_heard() throws Exception {
    ChildJobs jobs =
        new ChildJobs(
            List.of("/bin/sh", "-c", "echo \"at $HOLDFAST_RECORDER_URL\"; exit 4"),
            List.of(),
            Map.of("HOLDFAST_RECORDER_URL", "postgresql://db2"));
    JobRunner.End end = jobs.run(List.of("backup"));
    assertThat(end.exitCode()).isEqualTo(4);
    assertThat(end.why()).isEqualTo("exit code 4: at postgresql://db2");
  }
}
