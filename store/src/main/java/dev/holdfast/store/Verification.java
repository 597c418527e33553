package dev.holdfast.store;

import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.objects.NoSuchObjectException;
import dev.holdfast.store.objects.ObjectStore;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * Looks at every object of a repository and collects what does not hold, instead of stopping at it.
 *
 * <p>Structure always: every document, catalog and summary is read whole; of base backups the
 * manifest, the list of files and each part's table of contents, of segments the header; sizes are
 * compared. Contents of segments and parts as far as is asked for. Memory does not follow the size
 * of any object. May run beside writers: what is gone between two looks was removed by one of them,
 * and is no problem.
 */
public final class Verification {
  private final ObjectStore objects;
  private final KeySources keys;

  Verification(ObjectStore objects, KeySources keys) {
    this.objects = objects;
    this.keys = keys;
  }

  /**
   * How much of the contents of base backups and WAL is read.
   *
   * @param share of their bytes as stored, from 0 (none) to 1 (all)
   * @param seed chooses them: the same seed chooses the same ones while nothing else changes
   * @param threads how many objects are looked at at once
   */
  public record Reading(double share, long seed, int threads) {
    /** Refuses shares there are none of. */
    public Reading {
      if (!(share >= 0 && share <= 1) || threads < 1) {
        throw new IllegalArgumentException(share + " of the contents with " + threads + " threads");
      }
    }
  }

  /** Told how it gets on; by several threads. */
  public interface Listener {
    /** The structure of a cluster comes next: so many objects. */
    void structure(String cluster, long objects);

    /** One of them was looked at. */
    void looked();

    /** Contents of a cluster come next: so many bytes as stored. */
    void contents(String cluster, long bytes);

    /** So many of them were read. */
    void read(long bytes);

    /** Tells nobody. */
    Listener SILENT =
        new Listener() {
          @Override
          public void structure(String cluster, long objects) {}

          @Override
          public void looked() {}

          @Override
          public void contents(String cluster, long bytes) {}

          @Override
          public void read(long bytes) {}
        };
  }

  /**
   * What was found in one cluster.
   *
   * @param document null when it does not hold: then nothing else was looked at
   * @param bases those whose manifest holds, sorted by label
   * @param segments every one that is there, whether it holds or not, sorted
   * @param histories the timelines' history files that hold, as text
   * @param problems what does not hold, sorted by object
   * @param notes what is no damage and worth knowing, sorted by object
   * @param objects how many were looked at
   * @param contentBytes contents of base backups and WAL there are, as stored
   * @param contentBytesRead how many of them were read
   */
  public record Checked(
      String name,
      @Nullable ClusterDocument document,
      List<BaseManifest> bases,
      List<StoredSegment> segments,
      Map<Integer, String> histories,
      List<Problem> problems,
      List<Problem> notes,
      long objects,
      long contentBytes,
      long contentBytesRead) {}

  /**
   * What was found.
   *
   * @param opens whether {@code holdfast.json} or its copy holds, so that there is a way in
   * @param problems of the repository as such
   */
  public record Result(boolean opens, List<Problem> problems, List<Checked> clusters) {
    /** All problems, those of the repository first. */
    public List<Problem> all() {
      return Stream.concat(
              problems.stream(), clusters.stream().flatMap(cluster -> cluster.problems().stream()))
          .toList();
    }
  }

  /**
   * Looks.
   *
   * @param cluster one cluster; null: all of them
   * @throws OperatorException REPOSITORY_UNREACHABLE when it cannot be read; USAGE when there is no
   *     such cluster
   */
  public Result run(@Nullable String cluster, Reading reading, Listener listener) {
    List<String> folders = objects.folders("clusters/");
    var problems = new Findings();
    var documents = new TreeMap<String, Repository.Document>();
    for (String name : List.of(Repository.DOCUMENT, Repository.COPY)) {
      problems.check(
          Problem.Subject.REPOSITORY,
          "",
          name,
          () -> documents.put(name, Repository.readDocument(objects, name)));
    }
    if (!documents.containsKey(Repository.DOCUMENT) && !problems.names(Repository.DOCUMENT)) {
      if (folders.isEmpty()) {
        Repository.open(objects, keys); // says that there is none
      }
      problems.missing(
          Problem.Subject.REPOSITORY,
          "",
          Repository.DOCUMENT,
          "there is no such object",
          documents.isEmpty()
              ? "put it back from another copy of the repository: without it the repository does not"
                  + " open"
              : "holdfast protect NAME URL of any of its clusters puts it back");
    }
    checkCopy(documents, problems);
    boolean opens = !documents.isEmpty();
    ObjectStore readable = objects;
    if (!documents.isEmpty()) {
      // Not a finding: with the wrong key nothing can be said about what is there.
      readable = Repository.unlock(objects, documents.lastEntry().getValue(), keys).objects();
    }
    if (readable == objects && isSealed(folders)) {
      return new Result(opens, problems.sorted(), List.of()); // the key was lost with holdfast.json
    }
    if (cluster != null && !folders.contains(cluster)) {
      Repository.open(objects, keys).cluster(cluster); // says which there are
    }
    var clusters = new ArrayList<Checked>();
    for (String name : cluster == null ? folders : List.of(cluster)) {
      clusters.add(new ClusterCheck(readable, name, reading, listener).run());
    }
    return new Result(opens, problems.sorted(), List.copyOf(clusters));
  }

  private static void checkCopy(Map<String, Repository.Document> documents, Findings problems) {
    Repository.Document document = documents.get(Repository.DOCUMENT);
    Repository.Document copy = documents.get(Repository.COPY);
    if (copy == null
        && document != null
        && document.encryption() != null
        && !problems.names(Repository.COPY)) {
      problems.missing(
          Problem.Subject.REPOSITORY,
          "",
          Repository.COPY,
          "there is no such object: the wrapped key is in " + Repository.DOCUMENT + " alone",
          "holdfast protect NAME URL of any of its clusters, or holdfast key change, puts it back");
    }
    if (document != null
        && copy != null
        && !Objects.equals(document.encryption(), copy.encryption())) {
      problems.add(
          new Problem(
              Problem.Subject.REPOSITORY,
              "",
              Repository.COPY,
              false,
              "it does not hold the keys of "
                  + Repository.DOCUMENT
                  + ": a change of the key was interrupted",
              "change the key again, with holdfast key change"));
    }
  }

  /** Whether the documents of the clusters are encrypted, all of them. */
  private boolean isSealed(List<String> clusters) {
    return !clusters.isEmpty()
        && clusters.stream()
            .allMatch(cluster -> {
              try {
                return Envelope.isSealed(
                    objects.get(ClusterStore.documentName(cluster), 0, Envelope.HEADER_BYTES));
              } catch (NoSuchObjectException e) {
                return false;
              }
            });
  }
}
