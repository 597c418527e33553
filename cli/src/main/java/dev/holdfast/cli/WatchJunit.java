package dev.holdfast.cli;

import dev.holdfast.operations.WatchReport;
import dev.holdfast.operations.WatchReport.WatchFinding;
import java.io.StringWriter;
import java.util.Locale;
import javax.xml.stream.XMLOutputFactory;
import javax.xml.stream.XMLStreamException;
import javax.xml.stream.XMLStreamWriter;

/**
 * A watch's findings as JUnit's XML, which every CI shows: an error is a test that failed, a
 * warning one that passed and printed something. The command itself is a test, too.
 */
final class WatchJunit {
  private final WatchReport report;
  private final XMLStreamWriter xml;

  private WatchJunit(WatchReport report, XMLStreamWriter xml) {
    this.report = report;
    this.xml = xml;
  }

  static String of(WatchReport report) {
    StringWriter text = new StringWriter();
    try {
      // The JDK's own, whatever else is on the class path.
      XMLStreamWriter xml = XMLOutputFactory.newDefaultFactory().createXMLStreamWriter(text);
      new WatchJunit(report, xml).write();
      xml.close();
    } catch (XMLStreamException e) {
      throw new IllegalStateException(e); // into memory
    }
    return text.append('\n').toString();
  }

  private void write() throws XMLStreamException {
    int failures =
        (int) report.findings().stream().filter(WatchFindingText::isError).count()
            + (report.commandExitCode() == 0 ? 0 : 1);
    xml.writeStartDocument("UTF-8", "1.0");
    xml.writeStartElement("testsuites");
    counts(failures);
    xml.writeStartElement("testsuite");
    counts(failures);
    xml.writeAttribute("skipped", "0");
    begin("the command");
    if (report.commandExitCode() != 0) {
      problem(
          "failure", "command", WatchFindingText.failed(report), WatchFindingText.failed(report));
    }
    xml.writeEndElement();
    begin("watched to its end");
    if (!report.complete()) {
      problem("error", "cut-off", WatchFindingText.CUT_OFF, String.join("\n", report.notSeen()));
    }
    xml.writeEndElement();
    for (WatchFinding finding : report.findings()) {
      String about = WatchFindingText.about(finding);
      begin(finding.rule() + (about.isEmpty() ? "" : ": " + about));
      if (WatchFindingText.isError(finding)) {
        problem("failure", finding.rule(), finding.message(), WatchFindingText.message(finding));
      } else {
        xml.writeStartElement("system-out");
        xml.writeCharacters(clean("warning: " + WatchFindingText.message(finding)));
        xml.writeEndElement();
      }
      xml.writeEndElement();
    }
    if (!report.notSeen().isEmpty()) {
      xml.writeStartElement("system-out");
      xml.writeCharacters(clean("not seen: " + String.join("\nnot seen: ", report.notSeen())));
      xml.writeEndElement();
    }
    xml.writeEndElement();
    xml.writeEndElement();
    xml.writeEndDocument();
  }

  private void counts(int failures) throws XMLStreamException {
    xml.writeAttribute("name", clean("holdfast watch " + report.database()));
    xml.writeAttribute("tests", Integer.toString(2 + report.findings().size()));
    xml.writeAttribute("failures", Integer.toString(failures));
    xml.writeAttribute("errors", report.complete() ? "0" : "1");
    xml.writeAttribute("time", seconds(report.durationSeconds()));
  }

  private void begin(String name) throws XMLStreamException {
    xml.writeStartElement("testcase");
    xml.writeAttribute("classname", "holdfast.watch");
    xml.writeAttribute("name", clean(name));
    xml.writeAttribute("time", "0");
  }

  private void problem(String element, String type, String message, String text)
      throws XMLStreamException {
    xml.writeStartElement(element);
    xml.writeAttribute("type", type);
    xml.writeAttribute("message", clean(message));
    xml.writeCharacters(clean(text));
    xml.writeEndElement();
  }

  private static String seconds(double seconds) {
    return String.format(Locale.ROOT, "%.3f", seconds);
  }

  /**
   * XML 1.0 cannot hold every character, and readers take a carriage return for a line feed; in
   * attributes they take every line break for a space.
   */
  private static String clean(String text) {
    StringBuilder clean = new StringBuilder();
    text.codePoints()
        .map(c ->
            c == '\n'
                    || c == '\t'
                    || (c >= 0x20 && c <= 0xD7FF)
                    || (c >= 0xE000 && c <= 0xFFFD)
                    || c >= 0x10000
                ? c
                : 0xFFFD)
        .forEach(clean::appendCodePoint);
    return clean.toString();
  }
}
