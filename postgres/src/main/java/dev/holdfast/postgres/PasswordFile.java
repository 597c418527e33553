package dev.holdfast.postgres;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermission;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A file in the format of {@code ~/.pgpass}: lines {@code host:port:database:user:password}, {@code
 * *} for any, {@code \} before a colon or backslash of a value (PostgreSQL 18 documentation,
 * 32.16).
 */
final class PasswordFile {
  private static final Logger LOG = LoggerFactory.getLogger(PasswordFile.class);

  private PasswordFile() {}

  /** The first entry that matches. As libpq does, a file others can read is left alone. */
  static Optional<String> find(Path file, String host, int port, String database, String user) {
    for (List<String> entry : entries(file)) {
      if (matches(entry.get(0), host)
          && matches(entry.get(1), Integer.toString(port))
          && matches(entry.get(2), database)
          && matches(entry.get(3), user)) {
        return Optional.of(entry.get(4));
      }
    }
    return Optional.empty();
  }

  private static List<List<String>> entries(Path file) {
    try {
      if (!Files.isRegularFile(file)) {
        return List.of();
      }
      Set<PosixFilePermission> permissions = Files.getPosixFilePermissions(file);
      if (permissions.stream().anyMatch(p -> !p.name().startsWith("OWNER_"))) {
        LOG.warn("password file {} is ignored: others may read it; run: chmod 600 {}", file, file);
        return List.of();
      }
      List<List<String>> entries = new ArrayList<>();
      for (String line : Files.readAllLines(file)) {
        List<String> fields = split(line);
        if (!line.startsWith("#") && fields.size() >= 5) {
          entries.add(fields);
        }
      }
      return entries;
    } catch (IOException e) {
      LOG.warn("password file {} cannot be read: {}", file, e.getMessage());
      return List.of();
    }
  }

  /** The fields, unescaped; a colon in the fifth needs no escape. */
  static List<String> split(String line) {
    List<String> fields = new ArrayList<>();
    StringBuilder field = new StringBuilder();
    for (int i = 0; i < line.length(); i++) {
      char c = line.charAt(i);
      if (c == '\\' && i + 1 < line.length()) {
        // An escaped star is a star, not "any"; no host, user or database is called that.
        field.append(line.charAt(++i));
      } else if (c == ':' && fields.size() < 4) {
        fields.add(field.toString());
        field.setLength(0);
      } else {
        field.append(c);
      }
    }
    fields.add(field.toString());
    return fields;
  }

  static String escape(String value) {
    return value.replace("\\", "\\\\").replace(":", "\\:");
  }

  private static boolean matches(String pattern, String value) {
    return pattern.equals("*") || pattern.equals(value);
  }
}
