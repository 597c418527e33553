package dev.holdfast.postgres;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * Turns a restored data directory into one of ours: no file of production's configuration is left,
 * tablespaces lie inside the scratch folder, and nobody can connect over the network until recovery
 * is over.
 */
final class ForkConfiguration {
  /** Production's value is the least a fork may have: recovery fails with less. */
  private static final Map<String, Integer> MINIMUMS =
      Map.of(
          "max_connections", 50,
          "max_worker_processes", 8,
          "max_wal_senders", 4,
          "max_prepared_transactions", 16,
          "max_locks_per_transaction", 256);

  /** Production's own files; what its server left lies beside them. */
  private static final List<String> REMOVED =
      List.of("postgresql.conf", "postgresql.auto.conf", "pg_hba.conf", "pg_ident.conf");

  private final Path data;
  private final DataDirectory directory;
  private final Map<String, String> settings = new TreeMap<>();

  /**
   * @param data the restored data directory
   * @param production production's settings, as the base backup's manifest keeps them
   */
  ForkConfiguration(Path data, Map<String, String> production) {
    this.data = data;
    this.directory = new DataDirectory(data);
    MINIMUMS.forEach(
        (name, least) -> settings.put(name, Integer.toString(atLeast(production, name, least))));
    settings.putAll(ScratchSettings.COMMON);
    settings.putAll(
        Map.ofEntries(
            Map.entry("checkpoint_timeout", "1h"),
            Map.entry("fsync", "off"),
            Map.entry("full_page_writes", "off"),
            Map.entry("max_wal_size", "1GB"),
            Map.entry("password_encryption", "scram-sha-256"),
            Map.entry("synchronous_commit", "off"),
            // Not minimal: a rehearsal reads the fork's own WAL.
            Map.entry("wal_level", "replica")));
  }

  /**
   * Recovery up to the target, from what the spool serves, then promotion. Nobody is let in but
   * through a Unix socket: whoever reaches that is trusted, and served when recovery has ended.
   *
   * @param tablespaces a folder outside the data directory
   */
  void writeForRecovery(
      RecoveryTarget target, RecoveryRoute route, String restoreCommand, Path tablespaces)
      throws IOException {
    Map<String, String> recovery = recovery(route, restoreCommand);
    if (!route.toTheEnd()) {
      recovery.put("recovery_target_lsn", target.lsn().toString());
      recovery.put("recovery_target_inclusive", target.inclusive() ? "on" : "off");
      recovery.put("recovery_target_action", "promote");
    }
    write(route, recovery, "local all all trust\nhost all all all reject\n", tablespaces);
    directory.write("recovery.signal", "");
  }

  /**
   * Recovery without an end, from what the spool serves, with connections that read through a Unix
   * socket: whoever reaches that is trusted.
   *
   * @param tablespaces a folder outside the data directory
   */
  void writeForStepping(RecoveryRoute route, String restoreCommand, Path tablespaces)
      throws IOException {
    Map<String, String> recovery = recovery(route, restoreCommand);
    recovery.put("hot_standby", "on");
    recovery.put("hot_standby_feedback", "off");
    recovery.put("max_standby_archive_delay", "-1"); // readers are never cancelled: nobody moves
    recovery.put("max_standby_streaming_delay", "-1");
    recovery.put("wal_retrieve_retry_interval", "1ms");
    write(route, recovery, "local all all trust\n", tablespaces);
    directory.write("standby.signal", "");
  }

  private Map<String, String> recovery(RecoveryRoute route, String restoreCommand) {
    Map<String, String> recovery = new TreeMap<>(settings);
    recovery.put("restore_command", restoreCommand);
    if (route.base().major() >= 15) {
      // What it would read ahead has just been written, and lies in memory. For a server that is
      // fed step by step it would ask for WAL before the rest is replayed.
      recovery.put("recovery_prefetch", "off");
    }
    recovery.put(
        "recovery_target_timeline",
        route.timeline() == route.base().timeline()
            ? "current"
            : Integer.toUnsignedString(route.timeline()));
    return recovery;
  }

  private void write(
      RecoveryRoute route, Map<String, String> recovery, String access, Path tablespaces)
      throws IOException {
    for (String file : REMOVED) {
      Files.deleteIfExists(data.resolve(file));
    }
    directory.removeOfTheServer();
    directory.makeFolders();
    directory.empty("pg_replslot"); // a logical slot would demand production's wal_level
    moveTablespaces(tablespaces);
    writeSettings(recovery);
    directory.write("pg_hba.conf", access);
    directory.write("pg_ident.conf", "");
    directory.write("postgresql.auto.conf", "");
    directory.write("backup_label", route.base().backupLabel());
  }

  /** After recovery: one role may connect, with its password, over loopback. */
  void writeForUse(String role) throws IOException {
    writeSettings(settings);
    directory.write("pg_hba.conf", "host all \"" + role + "\" 127.0.0.1/32 scram-sha-256\n");
  }

  /** Doubles a setting that turned out too small: production raised it after the base backup. */
  void raise(String name) throws IOException {
    int raised = 2 * Math.max(16, Integer.parseInt(settings.getOrDefault(name, "0")));
    settings.put(name, Integer.toString(raised));
    // In recovery's file a later line wins.
    Files.writeString(
        data.resolve("postgresql.conf"), name + " = '" + raised + "'\n", StandardOpenOption.APPEND);
  }

  private void writeSettings(Map<String, String> all) throws IOException {
    StringBuilder text = new StringBuilder("# Written by Holdfast for a fork.\n");
    all.forEach((name, value) ->
        text.append(name).append(" = '").append(value.replace("'", "''")).append("'\n"));
    directory.write("postgresql.conf", text.toString());
  }

  /**
   * A base backup holds a tablespace's files under {@code pg_tblspc/OID}, where the server expects
   * a link; production's own path must never be used, it may exist on this machine.
   */
  private void moveTablespaces(Path tablespaces) throws IOException {
    List<Path> found = new ArrayList<>();
    try (DirectoryStream<Path> links = Files.newDirectoryStream(data.resolve("pg_tblspc"))) {
      links.forEach(found::add);
    }
    if (found.isEmpty()) {
      return;
    }
    Files.createDirectories(tablespaces);
    for (Path link : found) {
      Path home = tablespaces.resolve(link.getFileName());
      if (Files.isDirectory(link, LinkOption.NOFOLLOW_LINKS)) {
        Files.move(link, home);
      } else {
        throw new IOException(link + " is not a folder");
      }
      Files.createSymbolicLink(link, home);
    }
  }

  private static int atLeast(Map<String, String> production, String name, int least) {
    String value = production.get(name);
    return value == null ? least : Math.max(least, Integer.parseInt(value));
  }
}
