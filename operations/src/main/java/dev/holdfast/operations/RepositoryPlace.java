package dev.holdfast.operations;

import dev.holdfast.postgres.PostgresUrl;
import java.io.IOException;
import java.net.InetAddress;
import java.net.NetworkInterface;
import java.net.SocketException;
import java.net.URI;
import java.net.UnknownHostException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/** Where a repository lies, and what can take it away together with what it is to bring back. */
final class RepositoryPlace {
  /** File systems that lie on other machines. */
  private static final Set<String> ELSEWHERE =
      Set.of(
          "nfs",
          "nfs4",
          "cifs",
          "smb3",
          "smbfs",
          "ceph",
          "glusterfs",
          "lustre",
          "afs",
          "beegfs",
          "9p",
          "virtiofs");

  private static final Set<String> LAYERS = Set.of("overlay", "aufs", "overlayfs");
  private static final Set<String> MEMORY = Set.of("tmpfs", "ramfs");
  private static final Pattern OCTAL = Pattern.compile("\\\\([0-7]{3})");

  /** A mounted file system, as "proc(5)" tells it. */
  record Mount(Path at, String type) {
    /** Those of /proc/self/mountinfo; lines that cannot be read are left out. */
    static List<Mount> parse(List<String> mountinfo) {
      List<Mount> mounts = new ArrayList<>();
      for (String line : mountinfo) {
        String[] fields = line.split(" ", -1);
        int dash = List.of(fields).indexOf("-");
        if (fields.length > 4 && dash > 4 && dash + 1 < fields.length) {
          mounts.add(new Mount(Path.of(unescaped(fields[4])), fields[dash + 1]));
        }
      }
      return mounts;
    }

    private static String unescaped(String text) {
      return OCTAL
          .matcher(text)
          .replaceAll(octal ->
              Matcher.quoteReplacement(
                  Character.toString((char) Integer.parseInt(octal.group(1), 8))));
    }
  }

  private final @Nullable Path folder;
  private final @Nullable Mount mount;
  private final boolean inContainer;

  /**
   * @param folder null when it is no folder of this machine
   * @param mounts of this machine; the later one of two at one place hides the other
   */
  RepositoryPlace(@Nullable Path folder, List<Mount> mounts, boolean inContainer) {
    this.folder = folder;
    this.inContainer = inContainer;
    Mount found = null;
    for (Mount candidate : mounts) {
      if (folder != null
          && folder.startsWith(candidate.at)
          && (found == null || candidate.at.getNameCount() >= found.at.getNameCount())) {
        found = candidate;
      }
    }
    this.mount = found;
  }

  /** Of a location, on this machine. */
  static RepositoryPlace of(String location, Map<String, String> environment) {
    return new RepositoryPlace(
        folder(location),
        Mount.parse(lines(Path.of("/proc/self/mountinfo"))),
        Files.exists(Path.of("/.dockerenv"))
            || Files.exists(Path.of("/run/.containerenv"))
            || environment.containsKey("KUBERNETES_SERVICE_HOST"));
  }

  private static @Nullable Path folder(String location) {
    Path path;
    if (location.toLowerCase(Locale.ROOT).startsWith("file:")) {
      path = Path.of(URI.create(location));
    } else if (location.contains("://")) {
      return null;
    } else {
      path = Path.of(location);
    }
    try {
      return path.toRealPath();
    } catch (IOException e) {
      return path.toAbsolutePath().normalize();
    }
  }

  private static List<String> lines(Path file) {
    try {
      return Files.readAllLines(file);
    } catch (IOException e) {
      return List.of(); // no Linux: nothing is known of mounts
    }
  }

  /** Whether it goes when this machine goes. */
  boolean isHere() {
    return folder != null
        && (mount == null || (!ELSEWHERE.contains(mount.type) && !mount.type.startsWith("fuse.")));
  }

  /** What is wrong with the place by itself. */
  List<Advice> advice() {
    String type = mount == null ? "" : mount.type;
    if (MEMORY.contains(type)) {
      return List.of(
          new Advice(
              Advice.DANGER,
              "the repository is in memory (%s): it is gone when this machine restarts"
                  .formatted(type),
              "move it to a disk of another machine, or a bucket, and point --repository at it"));
    }
    if (inContainer && LAYERS.contains(type)) {
      return List.of(
          new Advice(
              Advice.DANGER,
              "the repository is on no volume: it is gone when this container is",
              "mount a volume at %s, or keep it in a bucket: --repository s3://BUCKET/PREFIX"
                  .formatted(folder)));
    }
    return List.of();
  }

  /**
   * What is wrong with it for a server.
   *
   * @param dataDirectory the server's, where it tells; null otherwise
   */
  List<Advice> advice(PostgresUrl server, @Nullable String dataDirectory) {
    if (folder == null || !isHere() || !isOnThisMachine(server)) {
      return List.of();
    }
    return List.of(
        new Advice(
            Advice.DANGER,
            isOneVolume(folder, dataDirectory)
                ? "the repository is on the volume of the server's data: both are lost together"
                : "the repository is on the machine of the server: both can be lost together",
            "move it to another machine's disk, or mount one here, and point --repository at it"));
  }

  private static boolean isOneVolume(Path folder, @Nullable String dataDirectory) {
    try {
      return dataDirectory != null
          && Files.exists(Path.of(dataDirectory))
          && Files.getFileStore(Path.of(dataDirectory)).equals(Files.getFileStore(folder));
    } catch (IOException e) {
      return false; // then only the machine is known to be the same
    }
  }

  /** Whether all of a server's hosts are this machine. */
  static boolean isOnThisMachine(PostgresUrl server) {
    return server.hosts().stream().allMatch(host -> isThisMachine(host.name()));
  }

  private static boolean isThisMachine(String host) {
    if (host.startsWith("/") || host.startsWith("@")) {
      return true; // a Unix socket
    }
    try {
      InetAddress address = InetAddress.getByName(host);
      return address.isLoopbackAddress() || NetworkInterface.getByInetAddress(address) != null;
    } catch (UnknownHostException | SocketException e) {
      return false;
    }
  }
}
