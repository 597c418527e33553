package dev.holdfast.cli;

import java.io.StringWriter;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import javax.xml.stream.XMLOutputFactory;
import javax.xml.stream.XMLStreamException;
import javax.xml.stream.XMLStreamWriter;
import org.jspecify.annotations.Nullable;

/** One suite of tests as JUnit's XML, which every CI shows. */
final class JunitReport {
  private final String name;
  private final String className;
  private final double seconds;
  private final List<Case> cases = new ArrayList<>();
  private String printed = "";

  /**
   * An empty one.
   *
   * @param name of the suite
   * @param className that its tests are said to be in
   * @param seconds how long all of it took
   */
  JunitReport(String name, String className, double seconds) {
    this.name = name;
    this.className = className;
    this.seconds = seconds;
  }

  /**
   * What is wrong with a test: {@code failure}, or {@code error} where it did not get an answer.
   */
  record Problem(String element, String type, String message, String text) {}

  private record Case(String name, @Nullable Problem problem, @Nullable String printed) {}

  /** Adds a test that passed. */
  void passed(String test) {
    cases.add(new Case(test, null, null));
  }

  /** Adds one that passed and printed something. */
  void passed(String test, String itPrinted) {
    cases.add(new Case(test, null, itPrinted));
  }

  /** Adds one that did not pass. */
  void failed(String test, Problem problem) {
    cases.add(new Case(test, problem, null));
  }

  /** What the suite printed. */
  void printed(String text) {
    printed = text;
  }

  @Override
  public String toString() {
    StringWriter text = new StringWriter();
    try {
      // The JDK's own, whatever else is on the class path.
      XMLStreamWriter xml = XMLOutputFactory.newDefaultFactory().createXMLStreamWriter(text);
      write(xml);
      xml.close();
    } catch (XMLStreamException e) {
      throw new IllegalStateException(e); // into memory
    }
    return text.append('\n').toString();
  }

  private void write(XMLStreamWriter xml) throws XMLStreamException {
    xml.writeStartDocument("UTF-8", "1.0");
    xml.writeStartElement("testsuites");
    counts(xml);
    xml.writeStartElement("testsuite");
    counts(xml);
    xml.writeAttribute("skipped", "0");
    for (Case one : cases) {
      xml.writeStartElement("testcase");
      xml.writeAttribute("classname", className);
      xml.writeAttribute("name", clean(one.name));
      xml.writeAttribute("time", "0");
      Problem problem = one.problem;
      if (problem != null) {
        xml.writeStartElement(problem.element());
        xml.writeAttribute("type", problem.type());
        xml.writeAttribute("message", clean(problem.message()));
        xml.writeCharacters(clean(problem.text()));
        xml.writeEndElement();
      }
      if (one.printed != null) {
        printed(xml, one.printed);
      }
      xml.writeEndElement();
    }
    if (!printed.isEmpty()) {
      printed(xml, printed);
    }
    xml.writeEndElement();
    xml.writeEndElement();
    xml.writeEndDocument();
  }

  private static void printed(XMLStreamWriter xml, String text) throws XMLStreamException {
    xml.writeStartElement("system-out");
    xml.writeCharacters(clean(text));
    xml.writeEndElement();
  }

  private void counts(XMLStreamWriter xml) throws XMLStreamException {
    xml.writeAttribute("name", clean(name));
    xml.writeAttribute("tests", Integer.toString(cases.size()));
    xml.writeAttribute("failures", Long.toString(count("failure")));
    xml.writeAttribute("errors", Long.toString(count("error")));
    xml.writeAttribute("time", String.format(Locale.ROOT, "%.3f", seconds));
  }

  private long count(String element) {
    return cases.stream()
        .filter(one -> one.problem != null && one.problem.element().equals(element))
        .count();
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
