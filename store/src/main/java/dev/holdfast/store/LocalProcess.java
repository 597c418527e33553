package dev.holdfast.store;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;

/**
 * This process as a holder of leases, and what it knows of others on its machine: one that is
 * certainly gone need not be waited for.
 */
final class LocalProcess {
  private static final Path BOOT = Path.of("/proc/sys/kernel/random/boot_id");
  private static final Path SPACE = Path.of("/proc/self/ns/pid");

  /** Fields of /proc/PID/stat after the name's closing parenthesis: the process's start is 22nd. */
  private static final int START_TICKS = 22 - 3;

  /** Of leases this process holds: whoever has our number and none of these tokens is gone. */
  private static final Set<String> LIVE = ConcurrentHashMap.newKeySet();

  private LocalProcess() {}

  static LeaseDocument.Holder holder(String purpose) {
    String token = UUID.randomUUID().toString();
    LIVE.add(token);
    long pid = ProcessHandle.current().pid();
    return new LeaseDocument.Holder(
        token, LocalHost.name(), pid, machine(), startTicks(pid), purpose);
  }

  /** This process does not hold this lease any more, whatever the repository says. */
  static void forget(LeaseDocument.Holder holder) {
    LIVE.remove(holder.token());
  }

  /** Whether a holder is certainly gone: false when it is not known. */
  static boolean isGone(LeaseDocument.Holder holder) {
    String machine = machine();
    Long started = holder.startTicks();
    if (machine == null || !machine.equals(holder.machine()) || started == null) {
      return false;
    }
    // Where other users' processes are hidden, one that cannot be seen may be there.
    if (!Files.exists(Path.of("/proc/1"))) {
      return false;
    }
    if (!Files.exists(Path.of("/proc/" + holder.pid()))) {
      return true;
    }
    Long now = startTicks(holder.pid());
    if (now == null) {
      return false;
    }
    if (!now.equals(started)) {
      return true; // the number was given to another process
    }
    return holder.pid() == ProcessHandle.current().pid() && !LIVE.contains(holder.token());
  }

  /**
   * A boot of a machine has an id of its own; process numbers are unique within a space of them,
   * and containers have their own.
   */
  private static @Nullable String machine() {
    try {
      return Files.readString(BOOT).strip() + " " + Files.readSymbolicLink(SPACE);
    } catch (IOException | UnsupportedOperationException e) {
      return null; // no Linux, or /proc is hidden: then a holder is never told to be gone
    }
  }

  private static @Nullable Long startTicks(long pid) {
    try {
      String stat = Files.readString(Path.of("/proc/" + pid + "/stat"));
      String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ", -1);
      return Long.valueOf(fields[START_TICKS]);
    } catch (IOException | RuntimeException e) {
      return null;
    }
  }
}
