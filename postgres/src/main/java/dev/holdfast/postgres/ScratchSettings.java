package dev.holdfast.postgres;

import java.util.Map;
import java.util.TreeMap;

/**
 * Settings of servers that run for a while on copies of production's data: nothing that acts on
 * others, nothing that only production's machine has.
 */
final class ScratchSettings {
  /** For every scratch server. */
  static final Map<String, String> COMMON =
      Map.ofEntries(
          Map.entry("archive_mode", "off"),
          Map.entry("autovacuum", "off"),
          Map.entry("hot_standby", "off"),
          Map.entry("jit", "off"),
          Map.entry("lc_messages", "C"),
          Map.entry("lc_monetary", "C"),
          Map.entry("lc_numeric", "C"),
          Map.entry("lc_time", "C"),
          Map.entry("log_timezone", "UTC"),
          Map.entry("logging_collector", "off"),
          Map.entry("shared_buffers", "128MB"),
          Map.entry("timezone", "UTC"));

  private ScratchSettings() {}

  /**
   * Over production's own configuration, which may ask for libraries, keys, memory, groups and
   * folders that this machine lacks, and lets in whom it lets in: none of it counts.
   *
   * @param sockets the only place where it is reached: {@code unix_socket_directories}
   * @param access a pg_hba.conf outside the data directory
   * @param names a pg_ident.conf, likewise
   */
  static Map<String, String> overProduction(
      int major, String sockets, String access, String names) {
    Map<String, String> settings = new TreeMap<>(COMMON);
    settings.putAll(
        Map.ofEntries(
            Map.entry("hba_file", access),
            Map.entry("ident_file", names),
            Map.entry("listen_addresses", ""),
            Map.entry("unix_socket_directories", sockets),
            Map.entry("unix_socket_permissions", "0700"),
            Map.entry("unix_socket_group", ""),
            Map.entry("bonjour", "off"),
            Map.entry("ssl", "off"),
            Map.entry("shared_preload_libraries", ""),
            Map.entry("session_preload_libraries", ""),
            Map.entry("local_preload_libraries", ""),
            Map.entry("synchronous_standby_names", ""),
            Map.entry("max_logical_replication_workers", "0"),
            Map.entry("recovery_end_command", ""),
            Map.entry("external_pid_file", ""),
            Map.entry("huge_pages", "off"),
            Map.entry("max_stack_depth", "2MB"),
            Map.entry("temp_tablespaces", ""),
            // What the programs that ship with Holdfast were built without would be no value.
            Map.entry("default_toast_compression", "pglz"),
            Map.entry("wal_compression", "off"),
            Map.entry("log_destination", "stderr"),
            Map.entry("log_line_prefix", "%n "), // when, to the millisecond
            Map.entry("log_min_messages", "warning"), // "log" is said all the same
            Map.entry("log_statement", "none"), // no statement, no row, in our log
            Map.entry("log_min_duration_statement", "-1"),
            Map.entry("log_min_error_statement", "panic"),
            Map.entry("restart_after_crash", "off")));
    if (major >= 18) {
      settings.put("io_method", "worker");
    }
    return settings;
  }
}
