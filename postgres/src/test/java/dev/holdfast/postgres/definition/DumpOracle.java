package dev.holdfast.postgres.definition;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** {@code pg_dump} of 15, in a form that two databases with the same content share. */
final class DumpOracle {
  private static final Path PG_DUMP = Path.of("/usr/lib/postgresql/15/bin/pg_dump");
  private static final Pattern SETVAL =
      Pattern.compile("SELECT pg_catalog\\.setval\\((.*), (-?\\d+), (true|false)\\);?");

  /**
   * @param statements sorted; a COPY with its rows, sorted, is one
   * @param sequences last value by sequence
   */
  record Dump(List<String> statements, Map<String, Long> sequences) {}

  private DumpOracle() {}

  static boolean isInstalled() {
    return Files.isExecutable(PG_DUMP);
  }

  static Dump dump(int port, String database) {
    try {
      Process process =
          new ProcessBuilder(
                  PG_DUMP.toString(),
                  "-h",
                  "127.0.0.1",
                  "-p",
                  Integer.toString(port),
                  "-U",
                  "postgres",
                  "-d",
                  database)
              .redirectError(ProcessBuilder.Redirect.INHERIT)
              .start();
      String text = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
      if (process.waitFor() != 0) {
        throw new IllegalStateException("pg_dump failed");
      }
      return normalised(text);
    } catch (IOException e) {
      throw new IllegalStateException(e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException(e);
    }
  }

  private static Dump normalised(String text) {
    List<String> statements = new ArrayList<>();
    Map<String, Long> sequences = new LinkedHashMap<>();
    StringBuilder statement = new StringBuilder();
    List<String> rows = null;
    for (String line : text.split("\n", -1)) {
      if (rows != null) {
        if (line.equals("\\.")) {
          statements.add(statement + "\n" + String.join("\n", rows.stream().sorted().toList()));
          statement.setLength(0);
          rows = null;
        } else {
          rows.add(line);
        }
      } else if (!isNoise(line, statement.isEmpty())) {
        statement.append(line).append('\n');
        if (line.startsWith("COPY ") && line.endsWith(" FROM stdin;")) {
          rows = new ArrayList<>();
        } else if (line.endsWith(";")) {
          String whole = statement.toString().strip();
          statement.setLength(0);
          Matcher setval = SETVAL.matcher(whole);
          if (setval.matches()) {
            sequences.put(setval.group(1), Long.parseLong(setval.group(2)));
          } else if (!whole.startsWith("SET default_ta")) { // depends on the order only
            statements.add(whole);
          }
        }
      }
    }
    return new Dump(statements.stream().sorted().toList(), sequences);
  }

  private static boolean isNoise(String line, boolean betweenStatements) {
    return (betweenStatements && (line.isEmpty() || line.startsWith("--")))
        || line.startsWith("\\restrict") // followed by a random word
        || line.startsWith("\\unrestrict");
  }
}
