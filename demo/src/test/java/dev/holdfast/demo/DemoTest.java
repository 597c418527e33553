package dev.holdfast.demo;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class DemoTest {
  @Test
  void all_incidents_are_undone_and_every_figure_is_right() {
    List<String> said = new ArrayList<>();
    DemoResult result = new Demo().run(Demo.Scenario.ALL, said::add);
    assertThat(result.figures()).as(String.join("\n", said)).allMatch(DemoResult.Figure::right);
    assertThat(result.rowsLost()).isZero();
    assertThat(result.passed()).isTrue();
    assertThat(result.figures())
        .extracting(DemoResult.Figure::name)
        .contains(
            "A: led to a snapshot of its disks, running beside it",
            "A: led to a standby that was promoted",
            "B: with the guard",
            "D: with the guard",
            "C: acknowledged commits lost with the machine");
  }

  @Test
  void a_single_row_missing_afterwards_is_noticed() {
    DemoResult result =
        new Demo(
                production -> {
                  try (var statement = production.createStatement()) {
                    statement.execute("DELETE FROM public.payments WHERE id = 4711");
                  }
                })
            .run(Demo.Scenario.DROP, _ -> {});
    assertThat(result.passed()).isFalse();
    assertThat(result.rowsLost()).isEqualTo(1);
  }

  @Test
  void a_key_that_is_still_lost_and_a_good_write_undone_are_noticed() {
    DemoResult result =
        new Demo(
                production -> {
                  try (var statement = production.createStatement()) {
                    statement.execute(
                        "UPDATE public.users SET data = data - 'country' WHERE id = 1234");
                    statement.execute(
                        "UPDATE public.users SET data = jsonb_set(data, '{phone}', '\"+49 30 7\"')"
                            + " WHERE id = 7");
                  }
                })
            .run(Demo.Scenario.JSON, _ -> {});
    assertThat(result.passed()).isFalse();
    assertThat(result.figures().stream().filter(figure -> !figure.right()))
        .extracting(DemoResult.Figure::name)
        .containsExactly(
            "B: users whole: lost keys back, new phone numbers kept", "B: good writes lost");
  }
}
