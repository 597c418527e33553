package dev.holdfast.operations;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.Repository;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RawRecord;
import java.util.List;
import java.util.function.Consumer;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/** WAL and the names for what it speaks of, found as a {@link WalInput} says. */
final class OpenedWal {
  private final WalSource source;
  private final RecordedNames names;
  private final WalMatcher wanted;

  private OpenedWal(WalSource source, @Nullable ClusterStore cluster, WalMatcher wanted) {
    if (wanted.table() != null && cluster == null) {
      throw new OperatorException(
          Kind.USAGE,
          "cannot tell which records are about " + wanted.table(),
          "WAL knows relations by number, and no repository says this one's",
          "add --repository, or give the number: SELECT pg_relation_filepath('"
              + wanted.table().replace("'", "''")
              + "') names the file; write it as tablespace/database/number, such as"
              + " 1663/16384/16403");
    }
    this.source = source;
    this.names = cluster == null ? RecordedNames.none() : RecordedNames.of(cluster);
    this.wanted = wanted;
  }

  static OpenedWal open(WalInput input, WalFilter filter, Consumer<WalNote> notes) {
    WalMatcher wanted = new WalMatcher(filter);
    if (!input.files().isEmpty()) {
      WalFiles files = WalFiles.open(input.files());
      return new OpenedWal(files, clusterOf(input, files, notes), wanted);
    }
    if (input.repository() == null) {
      throw new OperatorException(
          Kind.USAGE,
          "no WAL named",
          "neither files nor a repository were given",
          "name segment files or a directory of them, or --repository and --cluster");
    }
    Repository repository = Repository.open(input.repository());
    ClusterStore cluster =
        repository.cluster(input.cluster() != null ? input.cluster() : only(repository));
    return new OpenedWal(new Recorded(cluster), cluster, wanted);
  }

  RecordedNames names() {
    return names;
  }

  /** Tells {@code sink}, until it answers no, of the wanted records. */
  void read(Progress progress, Predicate<RawRecord> sink, Consumer<WalNote> notes) {
    long[] left = {wanted.limit()};
    try (Progress.Phase phase =
        progress.begin(
            "reading WAL", source.bytes(wanted.from(), wanted.to()), Progress.Unit.BYTES)) {
      source.read(
          wanted.from(),
          wanted.to(),
          phase,
          record -> !wanted.wants(record, names) || (sink.test(record) && --left[0] > 0),
          notes);
    }
  }

  // ---- whose names -----------------------------------------------------------------------------

  private static @Nullable ClusterStore clusterOf(
      WalInput input, WalFiles files, Consumer<WalNote> notes) {
    String wanted = input.cluster();
    if (input.repository() == null) {
      if (wanted == null) {
        return null;
      }
      throw new OperatorException(
          Kind.USAGE,
          "cannot use the names of cluster " + wanted,
          "no repository was given",
          "add --repository, or leave --cluster out");
    }
    try {
      Repository repository = Repository.open(input.repository());
      return wanted != null
          ? checked(repository.cluster(wanted), files)
          : withIdentifierOf(files, repository, notes);
    } catch (OperatorException e) {
      if (input.repositoryRequired() || wanted != null) {
        throw e;
      }
      notes.accept(WalNote.names("no table names: " + e.what() + ": " + e.why()));
      return null;
    }
  }

  private static ClusterStore checked(ClusterStore cluster, WalFiles files) {
    String identifier = Long.toUnsignedString(files.systemIdentifier());
    if (files.systemIdentifier() != 0
        && !cluster.document().systemIdentifier().equals(identifier)) {
      throw new OperatorException(
          Kind.USAGE,
          "cannot use the names of cluster " + cluster.document().name(),
          "it has the system identifier %s, and these files are of the cluster with %s"
              .formatted(cluster.document().systemIdentifier(), identifier),
          "leave --cluster out, or name the cluster these files are from");
    }
    return cluster;
  }

  private static @Nullable ClusterStore withIdentifierOf(
      WalFiles files, Repository repository, Consumer<WalNote> notes) {
    if (files.systemIdentifier() == 0) {
      return null; // no file can be read: that will be told
    }
    String identifier = Long.toUnsignedString(files.systemIdentifier());
    List<ClusterStore> same =
        repository.clusterNames().stream()
            .map(repository::cluster)
            .filter(cluster -> cluster.document().systemIdentifier().equals(identifier))
            .toList();
    if (same.isEmpty()) {
      notes.accept(
          WalNote.names(
              "no table names: no cluster in %s has the system identifier %s"
                  .formatted(repository.location(), identifier)));
      return null;
    }
    ClusterStore first = same.getFirst();
    if (same.size() > 1) {
      notes.accept(
          WalNote.names(
              "table names as cluster %s has them; --cluster chooses another of those with this"
                      .formatted(first.document().name())
                  + " system identifier"));
    }
    return first;
  }

  private static String only(Repository repository) {
    List<String> names = repository.clusterNames();
    if (names.size() == 1) {
      return names.getFirst();
    }
    throw new OperatorException(
        Kind.USAGE,
        "no cluster named",
        names.isEmpty()
            ? "no cluster is registered in " + repository.location()
            : "registered are: " + String.join(", ", names),
        names.isEmpty()
            ? "register one with `holdfast protect NAME URL`"
            : "add --cluster with one of these names");
  }

  // ---- recorded WAL ----------------------------------------------------------------------------

  /** What the repository recorded. */
  private static final class Recorded implements WalSource {
    private final RecordedWal wal;

    Recorded(ClusterStore cluster) {
      this.wal = new RecordedWal(cluster);
    }

    @Override
    public long bytes(Lsn from, @Nullable Lsn to) {
      long bytes = wal.bytesFrom(from);
      return to == null ? bytes : Math.max(0, bytes - wal.bytesFrom(to));
    }

    @Override
    public void read(
        Lsn from,
        @Nullable Lsn to,
        Progress.Phase progress,
        Predicate<RawRecord> sink,
        Consumer<WalNote> notes) {
      RecordedWal.Span before = null;
      for (RecordedWal.Span span : wal.spans()) {
        if (before != null
            && span.from().isAfter(from)
            && (to == null || before.to().isBefore(to))) {
          notes.accept(
              WalNote.gap(
                  before.to(),
                  "no WAL is recorded from %s to %s".formatted(before.to(), span.from())));
        }
        before = span;
      }
      try {
        wal.read(
            from,
            to,
            progress,
            record -> {
              if (!sink.test(record)) {
                throw new Enough();
              }
            });
      } catch (Enough e) {
        return;
      }
      if (to == null || !to.isBefore(wal.end())) {
        notes.accept(WalNote.end(wal.end(), "WAL is recorded to " + wal.end()));
      }
    }

    /** Carries a reader's "no more" out of a loop that does not ask. */
    private static final class Enough extends RuntimeException {
      private static final long serialVersionUID = 1L;

      Enough() {
        super(null, null, false, false);
      }
    }
  }
}
