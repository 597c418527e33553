package dev.holdfast.guard;

import dev.holdfast.testkit.Majors;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** A server of each major that is tried, started when a test first wants it. */
final class GuardedServers {
  private static final Map<Integer, GuardedServer> STARTED = new ConcurrentHashMap<>();

  private GuardedServers() {}

  /** {@code -Dholdfast.guard.majors=14,15,16,17,18} for all. */
  static List<Integer> majors() {
    return Majors.of("holdfast.guard.majors", "14,18");
  }

  static GuardedServer of(int major) {
    return STARTED.computeIfAbsent(major, GuardedServer::new);
  }

  static void stop() {
    STARTED.values().forEach(GuardedServer::close);
    STARTED.clear();
  }
}
