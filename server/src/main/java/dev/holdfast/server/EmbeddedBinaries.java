package dev.holdfast.server;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.zip.CRC32;
import java.util.zip.CheckedInputStream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipInputStream;
import org.apache.commons.compress.archivers.tar.TarArchiveEntry;
import org.apache.commons.compress.archivers.tar.TarArchiveInputStream;
import org.apache.commons.compress.compressors.xz.XZCompressorInputStream;

/**
 * The binaries of io.zonky.test.postgres that ship with Holdfast: a jar holding one .txz for each
 * major version, unpacked once into the cache folder.
 */
final class EmbeddedBinaries {
  private EmbeddedBinaries() {}

  /** The folder with {@code bin}, {@code lib} and {@code share} of this major version. */
  static synchronized Path unpacked(int major) {
    String resource = "binaries/" + major + ".jar";
    try (InputStream fingerprinted = EmbeddedBinaries.class.getResourceAsStream(resource)) {
      if (fingerprinted == null) {
        throw new OperatorException(
            Kind.FAILED,
            "there is no PostgreSQL " + major + " in this build of Holdfast",
            "it ships with 14 to 18",
            "install PostgreSQL "
                + major
                + " (Debian: apt-get install postgresql-"
                + major
                + ") and run the same command again");
      }
      // A new minor version has other bytes and so another folder; an old one is left alone, since
      // a server of another Holdfast may be running from it.
      Path folder = cache().resolve(major + "-" + fingerprint(fingerprinted));
      if (!Files.isDirectory(folder)) {
        unpack(resource, folder);
      }
      return folder;
    } catch (IOException e) {
      throw new OperatorException(
          Kind.FAILED,
          "cannot unpack PostgreSQL " + major,
          String.valueOf(e.getMessage()),
          "make room in " + cache() + ", or point XDG_CACHE_HOME at a folder with 100 MB free",
          e);
    }
  }

  private static Path cache() {
    String xdg = System.getenv("XDG_CACHE_HOME");
    Path base =
        xdg == null || xdg.isBlank()
            ? Path.of(System.getProperty("user.home"), ".cache")
            : Path.of(xdg);
    boolean root = "root".equals(System.getProperty("user.name"));
    if (Unprivileged.way() instanceof Unprivileged.AsUser
        || (root && (xdg == null || xdg.isBlank()))) {
      base = Path.of("/var/cache"); // root's own cache folder cannot be reached by another user
    }
    return base.resolve("holdfast").resolve("postgres");
  }

  private static String fingerprint(InputStream bytes) throws IOException {
    CRC32 crc = new CRC32();
    try (CheckedInputStream checked = new CheckedInputStream(bytes, crc)) {
      checked.transferTo(java.io.OutputStream.nullOutputStream());
    }
    return "%08x".formatted(crc.getValue());
  }

  private static void unpack(String resource, Path folder) throws IOException {
    Files.createDirectories(folder.getParent());
    Path lock = folder.resolveSibling(folder.getFileName() + ".lock");
    try (FileChannel channel =
            FileChannel.open(lock, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
        FileLock _ = channel.lock()) {
      if (Files.isDirectory(folder)) {
        return; // another process was first
      }
      Path partial =
          Files.createTempDirectory(folder.getParent(), folder.getFileName() + ".unpacking");
      Files.setPosixFilePermissions(partial, PosixFilePermissions.fromString("rwxr-xr-x"));
      try (InputStream in = EmbeddedBinaries.class.getResourceAsStream(resource);
          ZipInputStream zip = new ZipInputStream(in)) {
        for (ZipEntry entry = zip.getNextEntry(); entry != null; entry = zip.getNextEntry()) {
          if (entry.getName().endsWith(".txz")) {
            untar(new XZCompressorInputStream(new BufferedInputStream(zip)), partial);
            break;
          }
        }
      }
      Files.move(partial, folder, StandardCopyOption.ATOMIC_MOVE);
    }
  }

  private static void untar(InputStream bytes, Path folder) throws IOException {
    TarArchiveInputStream tar = new TarArchiveInputStream(bytes);
    for (TarArchiveEntry entry = tar.getNextEntry(); entry != null; entry = tar.getNextEntry()) {
      Path target = folder.resolve(entry.getName()).normalize();
      if (!target.startsWith(folder)) {
        throw new UncheckedIOException(new IOException("entry outside the archive: " + entry));
      }
      if (entry.isDirectory()) {
        Files.createDirectories(target);
      } else {
        Files.createDirectories(target.getParent());
        if (entry.isSymbolicLink()) {
          Files.createSymbolicLink(target, Path.of(entry.getLinkName()));
        } else {
          Files.copy(tar, target);
          Files.setPosixFilePermissions(
              target,
              PosixFilePermissions.fromString(
                  (entry.getMode() & 0100) != 0 ? "rwxr-xr-x" : "rw-r--r--"));
        }
      }
    }
  }
}
