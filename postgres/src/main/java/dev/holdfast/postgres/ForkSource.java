package dev.holdfast.postgres;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.store.BaseManifest;
import dev.holdfast.store.BaseReader;
import dev.holdfast.store.ClusterStore;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;

/** What one fork is made from: recorded base backups and WAL, chosen, measured and fetched. */
final class ForkSource {
  /** Segments a fork's {@link WalSpool} keeps ready. */
  static final int SEGMENTS_AHEAD = 8;

  /** Room for what a server writes of its own: WAL after promotion, temporary files. */
  private static final long SERVER_BYTES = 128L << 20;

  /** The fork's max_wal_size and what recovery keeps beyond it before a restartpoint. */
  private static final long WAL_KEPT_BYTES_MAX = 3L << 29;

  private final ClusterStore cluster;
  private final ForkTarget target;
  private final ForkOptions options;
  private final String what;

  ForkSource(ClusterStore cluster, ForkTarget target, ForkOptions options) {
    this.cluster = cluster;
    this.target = target;
    this.options = options;
    this.what = "cannot fork " + cluster.document().name() + " at " + target.lsn();
  }

  /** What fails when any of it does, as messages begin. */
  String what() {
    return what;
  }

  ForkTarget target() {
    return target;
  }

  /**
   * The way to the target.
   *
   * @throws OperatorException REFUSED when there is none
   */
  ForkRoute route() {
    return ForkRoute.choose(
        cluster.document().name(),
        target,
        cluster.bases().list(),
        cluster.wal().list(),
        this::history);
  }

  /** The way to the target and on, as far as WAL is recorded. */
  ForkRoute routeOnwards() {
    return route().onwards(cluster.wal().list(), this::history);
  }

  /** The programs that replay this base backup. */
  PostgresBinaries binaries(BaseManifest base) {
    return options.embeddedOnly()
        ? PostgresBinaries.embedded(base.major())
        : PostgresBinaries.of(base.major());
  }

  /**
   * Looks whether the fork will find room.
   *
   * @throws OperatorException REFUSED when it will not
   */
  void checkRoom(ForkRoute route) {
    BaseManifest base = route.base();
    long wal = target.lsn().minus(route.start()) + base.walSegmentSize();
    long needed =
        base.bytes()
            + Math.min(wal, WAL_KEPT_BYTES_MAX)
            + (long) SEGMENTS_AHEAD * base.walSegmentSize()
            + SERVER_BYTES;
    try {
      Files.createDirectories(options.parent());
      long free = Files.getFileStore(options.parent()).getUsableSpace();
      if (free < needed) {
        throw new OperatorException(
            Kind.REFUSED,
            what,
            "%s has %,d MB free and a fork of %s needs %,d MB"
                .formatted(options.parent(), free >> 20, cluster.document().name(), needed >> 20),
            "make room there, or name another folder");
      }
    } catch (IOException e) {
      throw new OperatorException(
          Kind.FAILED,
          what,
          "cannot use the folder " + options.parent() + ": " + e.getMessage(),
          "name a folder that can be written to",
          e);
    }
  }

  /** The scratch folder could not be written. */
  OperatorException unwritable(IOException e) {
    return new OperatorException(
        Kind.FAILED,
        what,
        String.valueOf(e.getMessage()),
        "make room in " + options.parent() + ", or name another folder",
        e);
  }

  /** Restores a base backup's files. */
  void fetch(BaseManifest base, Path data) throws IOException {
    BaseReader reader = cluster.bases().open(base.label());
    AtomicLong fetched = new AtomicLong();
    reader.restore(
        data,
        options.threads(),
        bytes -> {
          synchronized (fetched) { // several threads restore; a listener hears one at a time
            options.progress().fetched(fetched.addAndGet(bytes), base.bytes());
          }
        });
  }

  /** The WAL of a route, to be handed to a server. */
  CheckedWal wal(ForkRoute route) {
    return new CheckedWal(what, route, target.lsn(), cluster.wal()::read, this::history);
  }

  private @Nullable String history(int timeline) {
    byte @Nullable [] bytes = cluster.wal().readHistory(timeline);
    return bytes == null ? null : new String(bytes, StandardCharsets.UTF_8);
  }
}
