package dev.holdfast.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.operations.WatchReport;
import dev.holdfast.operations.WatchReport.WatchFinding;
import java.io.StringReader;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.w3c.dom.NodeList;
import org.xml.sax.InputSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** What programs read: with names and statements that somebody chose to lead them astray. */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class WatchFormatsTest {
  private static final String HOSTILE =
      "us\"er's\n::error::]]>&<x a='b'/>%0A,title=\r\u0001{0}}[x](y) größe 😀";
  private static final String STATEMENT = "UPDATE \"" + HOSTILE + "\" SET data = ?";

  private static final WatchFinding LOST =
      new WatchFinding(
          "json-keys-lost", "error", "public", HOSTILE, "data", "lost: " + HOSTILE, STATEMENT);
  private static final WatchFinding SAME_ROW =
      new WatchFinding("same-row", "warning", "public", HOSTILE, null, "hit", null);
  private static final WatchFinding SCHEMA =
      new WatchFinding("drop-schema", "warning", HOSTILE, null, null, "gone", null);

  private static WatchReport report(int commandExitCode, boolean complete, WatchFinding... found) {
    return new WatchReport(
        "shop " + HOSTILE,
        List.of("npm", "test"),
        commandExitCode,
        complete,
        1.5,
        3,
        List.of(),
        List.of(),
        List.of(found),
        List.of("not watched: " + HOSTILE));
  }

  private record Annotation(String level, String title, String message) {}

  /** As GitHub's runner reads them ("Runner.Common/ActionCommand.cs"): line by line. */
  private static List<Annotation> annotations(String text) {
    Pattern command = Pattern.compile("::(\\w+) title=((?:(?!::)[^,])*)::(.*)");
    List<Annotation> annotations = new ArrayList<>();
    assertThat(text).startsWith("\n");
    for (String line : text.substring(1).lines().toList()) {
      Matcher matcher = command.matcher(line);
      assertThat(matcher.matches()).as(line).isTrue();
      annotations.add(
          new Annotation(
              matcher.group(1),
              decoded(matcher.group(2).replace("%3A", ":").replace("%2C", ",")),
              decoded(matcher.group(3))));
    }
    return annotations;
  }

  private static String decoded(String data) {
    return data.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%");
  }

  @Test
  void annotations_are_one_line_each_and_say_exactly_what_was_found() {
    assertThat(annotations(WatchAnnotations.of(report(0, true, LOST, SAME_ROW, SCHEMA))))
        .containsExactly(
            new Annotation(
                "error",
                "holdfast watch: json-keys-lost",
                "lost: " + HOSTILE + "\nby: " + STATEMENT),
            new Annotation("warning", "holdfast watch: same-row", "hit"),
            new Annotation("warning", "holdfast watch: drop-schema", "gone"),
            new Annotation("notice", "holdfast watch: not seen", "not watched: " + HOSTILE));
    assertThat(annotations(WatchAnnotations.of(report(23, false))))
        .contains(
            new Annotation(
                "error", "holdfast watch", "the watch was cut off before the command ended"),
            new Annotation("error", "holdfast watch", "the command failed with exit code 23"))
        .noneMatch(annotation -> annotation.message().startsWith("nothing found"));
    assertThat(annotations(WatchAnnotations.of(report(0, true))))
        .contains(
            new Annotation(
                "notice", "holdfast watch", "nothing found in 3 tables of shop " + HOSTILE));
  }

  /** SARIF 2.1.0, 3.11.5: what a reader makes of a message without arguments. */
  private static String shown(JsonNode message) {
    String text = message.path("text").asString();
    assertThat(text.replace("{{", "").replace("}}", "")).doesNotContain("{", "}");
    return text.replace("{{", "{").replace("}}", "}");
  }

  @Test
  void a_sarif_log_holds_every_finding_at_its_level_and_place() {
    JsonNode log =
        JsonMapper.shared().readTree(WatchSarif.of(report(3, true, LOST, SAME_ROW, SCHEMA)));
    assertThat(log.path("version").asString()).isEqualTo("2.1.0");
    assertThat(log.path("$schema").asString()).endsWith("sarif-2.1.0.json");
    JsonNode run = log.path("runs").path(0);
    JsonNode rules = run.path("tool").path("driver").path("rules");
    JsonNode lost = run.path("results").path(0);
    assertThat(run.path("results").size()).isEqualTo(3);
    assertThat(lost.path("level").asString()).isEqualTo("error");
    assertThat(shown(lost.path("message")))
        .isEqualTo(("lost: " + HOSTILE + "\nby: " + STATEMENT).replace("](", "] ("));
    JsonNode place = lost.path("locations").path(0).path("logicalLocations").path(0);
    assertThat(place.path("name").asString()).isEqualTo("data");
    assertThat(place.path("fullyQualifiedName").asString())
        .isEqualTo("public." + HOSTILE + ".data");
    assertThat(run.path("results").path(1).path("level").asString()).isEqualTo("warning");
    assertThat(
            run.path("results")
                .path(2)
                .path("locations")
                .path(0)
                .path("logicalLocations")
                .path(0)
                .path("kind")
                .asString())
        .isEqualTo("schema");
    run.path("results")
        .forEach(result ->
            assertThat(rules.path(result.path("ruleIndex").asInt()).path("id"))
                .isEqualTo(result.path("ruleId")));
    JsonNode invocation = run.path("invocations").path(0);
    assertThat(invocation.path("executionSuccessful").asBoolean()).isTrue();
    assertThat(invocation.path("exitCode").asInt()).isEqualTo(4);
    assertThat(shown(invocation.path("toolExecutionNotifications").path(0).path("message")))
        .isEqualTo("the command failed with exit code 3");
    assertThat(shown(invocation.path("toolExecutionNotifications").path(1).path("message")))
        .isEqualTo(("not watched: " + HOSTILE).replace("](", "] ("));
    assertNoNulls(log);
  }

  /** The schema allows none. */
  private static void assertNoNulls(JsonNode node) {
    assertThat(node.isNull()).isFalse();
    node.forEach(WatchFormatsTest::assertNoNulls);
  }

  private static Document xml(String text) throws Exception {
    return DocumentBuilderFactory.newDefaultInstance()
        .newDocumentBuilder()
        .parse(new InputSource(new StringReader(text)));
  }

  /** What XML 1.0 can hold of it. */
  private static String held(String text) {
    return text.replace('\r', '\uFFFD').replace('\u0001', '\uFFFD');
  }

  @Test
  void a_junit_report_has_errors_as_failures_and_warnings_as_tests_that_passed() throws Exception {
    Element suite =
        (Element)
            xml(WatchJunit.of(report(0, true, LOST, SAME_ROW)))
                .getElementsByTagName("testsuite")
                .item(0);
    assertThat(suite.getAttribute("tests")).isEqualTo("4");
    assertThat(suite.getAttribute("failures")).isEqualTo("1");
    assertThat(suite.getAttribute("errors")).isEqualTo("0");
    assertThat(suite.getAttribute("time")).isEqualTo("1.500");
    assertThat(suite.getAttribute("name"))
        .isEqualTo(held("holdfast watch shop " + HOSTILE).replace('\n', ' '));
    NodeList cases = suite.getElementsByTagName("testcase");
    assertThat(cases.getLength()).isEqualTo(4);
    Element lost = (Element) cases.item(2);
    assertThat(lost.getAttribute("name"))
        .isEqualTo(held("json-keys-lost: public." + HOSTILE + ".data").replace('\n', ' '));
    Element failure = (Element) lost.getElementsByTagName("failure").item(0);
    assertThat(failure.getAttribute("type")).isEqualTo("json-keys-lost");
    assertThat(failure.getAttribute("message"))
        .isEqualTo(held("lost: " + HOSTILE).replace('\n', ' '));
    assertThat(failure.getTextContent()).isEqualTo(held("lost: " + HOSTILE + "\nby: " + STATEMENT));
    Element sameRow = (Element) cases.item(3);
    assertThat(sameRow.getElementsByTagName("failure").getLength()).isZero();
    assertThat(sameRow.getTextContent()).isEqualTo("warning: hit");
    assertThat(suite.getLastChild().getTextContent())
        .isEqualTo(held("not seen: not watched: " + HOSTILE));
  }

  @Test
  void a_command_that_failed_or_was_not_watched_is_no_clean_junit_report() throws Exception {
    Element suite =
        (Element) xml(WatchJunit.of(report(23, false))).getElementsByTagName("testsuite").item(0);
    assertThat(suite.getAttribute("failures")).isEqualTo("1");
    assertThat(suite.getAttribute("errors")).isEqualTo("1");
    assertThat(((Element) suite.getElementsByTagName("failure").item(0)).getAttribute("message"))
        .isEqualTo("the command failed with exit code 23");
    assertThat(((Element) suite.getElementsByTagName("error").item(0)).getAttribute("message"))
        .isEqualTo("the watch was cut off before the command ended");
  }
}
