package dev.holdfast.postgres;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.IntFunction;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * The configuration of a restored server: production's own files, save for what would hurt. What
 * recovery needs, and what must not be as in production, is set in postgresql.auto.conf, which wins
 * over every other file; lines that cannot be overridden there are commented out where they are.
 */
final class RestoredConfiguration {
  /** As PostgreSQL has them when no file says otherwise ("utils/misc/guc_tables.c"). */
  private static final Map<String, Integer> DEFAULTS =
      Map.of(
          "max_connections", 100,
          "max_worker_processes", 8,
          "max_wal_senders", 10,
          "max_prepared_transactions", 0,
          "max_locks_per_transaction", 64);

  private static final int DEFAULT_PORT = 5432;

  /** What must not be as in production, with the reason. */
  private static final Map<String, List<String>> HARMFUL = harmful();

  /** What would say where files are, on production's machine. */
  private static final Set<String> PLACES =
      Set.of("data_directory", "hba_file", "ident_file", "external_pid_file");

  /** "utils/misc/guc-file.l": the equals sign is optional. */
  private static final Pattern LINE =
      Pattern.compile(
          "\\s*([A-Za-z_][A-Za-z0-9_.$]*)\\s*=?\\s*('(?:[^'\\\\]|''|\\\\.)*'|[^\\s#']*)\\s*(?:#.*)?");

  private static final Pattern RECOVERY =
      Pattern.compile("recovery_target(_.*)?|restore_command|recovery_min_apply_delay");

  private static final String LEFT_OUT = "# left out by holdfast restore: ";
  private static final int INCLUDES_MAX = 10;

  /** A setting in a file. */
  private record Found(Path file, int line, String raw, String name, String value) {}

  private final Path data;
  private final List<Found> found = new ArrayList<>();
  private final List<Overridden> overridden = new ArrayList<>();
  private final List<String> notes = new ArrayList<>();
  private final Map<Path, Set<Integer>> commented = new LinkedHashMap<>();
  private final Map<String, String> ours = new LinkedHashMap<>();
  private int port = DEFAULT_PORT;

  /**
   * @param data the restored data directory
   */
  RestoredConfiguration(Path data) {
    this.data = data;
  }

  private static Map<String, List<String>> harmful() {
    Map<String, List<String>> harmful = new LinkedHashMap<>();
    harmful.put(
        "archive_mode", List.of("off", "it would archive to where production's WAL is archived"));
    harmful.put(
        "synchronous_standby_names",
        List.of("", "every commit would wait for a standby that does not follow this server"));
    harmful.put("primary_conninfo", List.of("", "it belongs to a standby"));
    harmful.put("primary_slot_name", List.of("", "it belongs to a standby"));
    harmful.put("archive_cleanup_command", List.of("", "it belongs to production's archive"));
    harmful.put("recovery_end_command", List.of("", "it would run when recovery ends"));
    harmful.put(
        "max_logical_replication_workers",
        List.of("0", "subscriptions would take what is published for production"));
    return harmful;
  }

  /**
   * Reads production's files and decides.
   *
   * @param minimums what recovery needs at least, by setting
   * @param chosen the port it is to have, from the one it has in production; null for the same
   */
  void settle(
      RecoveryRoute route,
      RestoredWal wal,
      Map<String, Integer> minimums,
      IntFunction<@Nullable Integer> chosen)
      throws IOException {
    Path main = data.resolve("postgresql.conf");
    boolean elsewhere = Files.notExists(main);
    if (elsewhere) {
      writePrivate(
          main,
          "# Written by holdfast restore: production keeps its configuration outside the data"
              + " directory.\nlisten_addresses = 'localhost'\n");
      notes.add(
          "production's postgresql.conf is not in its data directory, so it is not in the base"
              + " backup: PostgreSQL's defaults are used; copy yours to "
              + main);
    }
    read(main, 0);
    List<Found> auto = new ArrayList<>();
    Path automatic = data.resolve("postgresql.auto.conf");
    if (Files.exists(automatic)) {
      parse(automatic, auto);
    }
    Map<String, String> effective = new HashMap<>();
    found.forEach(one -> effective.put(one.name, one.value));
    auto.forEach(one -> effective.put(one.name, one.value));

    for (Found one : found) {
      if (RECOVERY.matcher(one.name).matches()) {
        comment(one, "it is for another recovery than this");
      } else if (PLACES.contains(one.name) && leadsAway(one)) {
        comment(one, "it is a place on production's machine");
      }
    }
    HARMFUL.forEach((name, value) -> override(effective, name, value.getFirst(), value.getLast()));
    minimums.forEach((name, least) -> {
      String now = effective.get(name);
      int has =
          now != null && now.matches("\\d{1,9}")
              ? Integer.parseInt(now)
              : DEFAULTS.getOrDefault(name, 0);
      if (has < least) {
        override(
            effective,
            name,
            Integer.toString(least),
            "recovery needs what production had when it wrote the log");
      }
    });
    String asked = effective.get("port");
    port = asked != null && asked.matches("\\d{1,5}") ? Integer.parseInt(asked) : DEFAULT_PORT;
    Integer other = chosen.apply(port);
    if (other != null) {
      port = other;
      override(
          effective,
          "port",
          Integer.toString(port),
          "asked for, or the first free one from production's on");
    }
    ours.put("restore_command", "false"); // all it needs is in pg_wal
    ours.put(
        "recovery_target_timeline",
        route.timeline() == route.base().timeline()
            ? "current"
            : Integer.toUnsignedString(route.timeline()));
    ours.put("recovery_target_inclusive", "on");
    ours.put("recovery_target_action", "promote");
    ours.put("recovery_target_lsn", wal.last().toString());
    StringBuilder text = new StringBuilder("# Do not edit this file manually!\n");
    for (Found one : auto) {
      if (RECOVERY.matcher(one.name).matches()) {
        told(one.name, one.value, ours.get(one.name), "it is for another recovery than this");
      } else if (!ours.containsKey(one.name)) {
        text.append(one.raw).append('\n');
      }
    }
    ours.forEach((name, value) -> append(text, name, value));
    writePrivate(automatic, text.toString());
    for (Map.Entry<Path, Set<Integer>> file : commented.entrySet()) {
      comment(file.getKey(), file.getValue());
    }
    access();
  }

  /** Sets one more, when the rest is settled. */
  void set(String name, @Nullable String production, String value, String why) throws IOException {
    StringBuilder line = new StringBuilder();
    append(line, name, value);
    Files.writeString(
        data.resolve("postgresql.auto.conf"), line.toString(), StandardOpenOption.APPEND);
    told(name, production, value, why);
  }

  /** The port it will listen on. */
  int port() {
    return port;
  }

  /** What is otherwise than in production. */
  List<Overridden> overridden() {
    return List.copyOf(overridden);
  }

  /** What else an operator should know. */
  List<String> notes() {
    return List.copyOf(notes);
  }

  /** Without rules for access no client gets in, and the server does not start. */
  private void access() throws IOException {
    Path hba = data.resolve("pg_hba.conf");
    if (Files.notExists(hba)) {
      writePrivate(
          hba,
          """
          # Written by holdfast restore: production keeps its own outside the data directory.
          local all all peer
          host all all 127.0.0.1/32 scram-sha-256
          host all all ::1/128 scram-sha-256
          """);
      notes.add(
          "production's pg_hba.conf is not in the base backup: only connections from this machine"
              + " are let in; put yours at "
              + hba);
    }
    if (Files.notExists(data.resolve("pg_ident.conf"))) {
      writePrivate(data.resolve("pg_ident.conf"), "");
    }
  }

  private void override(Map<String, String> effective, String name, String value, String why) {
    ours.put(name, value);
    String production = effective.get(name);
    boolean byDefault = production == null && (value.isEmpty() || value.equals("off"));
    if (!byDefault) {
      told(name, production, value, why);
    }
  }

  private void told(
      String name, @Nullable String production, @Nullable String restored, String why) {
    if (!Objects.equals(production, restored)) {
      overridden.add(new Overridden(name, production, restored, why));
    }
  }

  private boolean leadsAway(Found one) {
    if (one.name.equals("data_directory")) {
      return true;
    }
    Path value = data.resolve(one.value).normalize();
    return !value.startsWith(data) || Files.notExists(value);
  }

  private void comment(Found one, String why) {
    commented.computeIfAbsent(one.file, _ -> new HashSet<>()).add(one.line);
    told(one.name, one.value, null, why);
  }

  private static void comment(Path file, Set<Integer> numbers) throws IOException {
    List<String> lines = lines(file);
    StringBuilder text = new StringBuilder();
    for (int number = 0; number < lines.size(); number++) {
      text.append(numbers.contains(number) ? LEFT_OUT : "").append(lines.get(number)).append('\n');
    }
    Files.writeString(file, text, StandardCharsets.ISO_8859_1);
  }

  /** A file with what it includes; a file that cannot be had is no longer asked for. */
  private void read(Path file, int depth) throws IOException {
    List<Found> inside = new ArrayList<>();
    parse(file, inside);
    for (Found one : inside) {
      if (!one.name.startsWith("include")) {
        found.add(one);
        continue;
      }
      Path folder = Objects.requireNonNull(file.getParent());
      Path included = folder.resolve(one.value).normalize();
      boolean ours = included.startsWith(data) && depth < INCLUDES_MAX;
      if (one.name.equals("include_dir") && ours && Files.isDirectory(included)) {
        List<Path> files = new ArrayList<>();
        try (DirectoryStream<Path> stream = Files.newDirectoryStream(included, "*.conf")) {
          stream.forEach(files::add);
        }
        files.sort(null);
        for (Path each : files) {
          read(each, depth + 1);
        }
      } else if (!one.name.equals("include_dir") && ours && Files.isRegularFile(included)) {
        read(included, depth + 1);
      } else if (!one.name.equals("include_if_exists") || !included.startsWith(data)) {
        comment(one, "what it names is not in the base backup");
      }
    }
  }

  private static void parse(Path file, List<Found> into) throws IOException {
    List<String> lines = lines(file);
    for (int number = 0; number < lines.size(); number++) {
      Matcher setting = LINE.matcher(lines.get(number));
      if (setting.matches()) {
        into.add(
            new Found(
                file,
                number,
                lines.get(number),
                setting.group(1).toLowerCase(Locale.ROOT),
                unquoted(setting.group(2))));
      }
    }
  }

  /** Bytes as they are, whatever their encoding: what is not touched comes out the same. */
  private static List<String> lines(Path file) throws IOException {
    return Files.readAllLines(file, StandardCharsets.ISO_8859_1);
  }

  private static String unquoted(String value) {
    if (!value.startsWith("'")) {
      return value;
    }
    return value
        .substring(1, value.length() - 1)
        .replace("''", "'")
        .replaceAll("\\\\([^0-7bfnrt])", "$1");
  }

  private static void append(StringBuilder text, String name, String value) {
    text.append(name).append(" = '").append(value.replace("\\", "\\\\").replace("'", "''"));
    text.append("'\n");
  }

  private static void writePrivate(Path file, String content) throws IOException {
    Files.writeString(file, content, StandardCharsets.ISO_8859_1);
    Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-------"));
  }

  /** What a base backup and its log ask for together. */
  static Map<String, Integer> minimums(Map<String, String> recorded, Map<String, Integer> log) {
    Map<String, Integer> minimums = new TreeMap<>(log);
    recorded.forEach((name, value) -> {
      if (DEFAULTS.containsKey(name) && value.matches("\\d{1,9}")) {
        minimums.merge(name, Integer.parseInt(value), Math::max);
      }
    });
    return minimums;
  }
}
