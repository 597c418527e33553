package dev.holdfast.store;

import java.net.InetAddress;
import java.net.UnknownHostException;

/** The machine, or the container, that this process is on. */
public final class LocalHost {
  private LocalHost() {}

  /** What it calls itself; for people to read. */
  public static String name() {
    String named = System.getenv("HOSTNAME");
    if (named != null && !named.isBlank()) {
      return named;
    }
    try {
      return InetAddress.getLocalHost().getHostName();
    } catch (UnknownHostException e) {
      return "unknown host";
    }
  }
}
