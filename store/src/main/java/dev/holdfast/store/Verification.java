package dev.holdfast.store;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.objects.NoSuchObjectException;
import dev.holdfast.store.objects.ObjectStore;
import java.util.ArrayList;
import java.util.List;
import tools.jackson.databind.JsonNode;

/**
 * Reads every object of a repository and collects what does not hold, instead of stopping at it.
 */
final class Verification {
  private final ObjectStore objects;
  private final List<Problem> problems = new ArrayList<>();

  Verification(ObjectStore objects) {
    this.objects = objects;
  }

  List<Problem> run() {
    check("holdfast.json", () -> Repository.open(objects));
    for (String cluster : objects.folders("clusters/")) {
      verifyCluster(cluster);
    }
    return List.copyOf(problems);
  }

  private void verifyCluster(String name) {
    String folder = "clusters/" + name + "/";
    check(
        ClusterStore.documentName(name),
        () -> {
          ClusterStore cluster =
              new ClusterStore(objects, ClusterStore.readDocument(objects, name));
          for (StoredSegment segment : cluster.wal().list()) {
            check(folder + "wal/" + segment.name(), () -> cluster.wal().read(segment.name()));
          }
          for (int timeline : cluster.wal().histories()) {
            check(folder + "wal/", () -> cluster.wal().readHistory(timeline));
          }
          for (String segment : cluster.summaries().list()) {
            String summary = folder + "summaries/" + segment;
            check(summary, () -> cluster.summaries().read(segment));
            check(summary, () -> cluster.summaries().readBlocks(segment));
          }
          for (String pack : cluster.summaries().packs()) {
            check(pack, () -> cluster.summaries().checkPack(pack));
          }
          for (String lsn : cluster.catalogs()) {
            check(folder + "catalogs/" + lsn, () -> cluster.catalog(lsn, JsonNode.class));
          }
          for (String label : cluster.bases().labels()) {
            check(folder + "bases/" + label, () -> cluster.bases().open(label).verify());
          }
          for (String kind : objects.folders(folder)) {
            if (ClusterStore.isDocumentKind(kind)) {
              for (String document : cluster.documents(kind)) {
                check(
                    folder + kind + "/" + document + ".json",
                    () -> cluster.document(kind, document, JsonNode.class));
              }
            }
          }
        });
  }

  private void check(String object, Runnable reading) {
    try {
      reading.run();
    } catch (DamagedObjectException e) {
      problems.add(new Problem(e.object(), e.why(), e.next()));
    } catch (NoSuchObjectException e) {
      problems.add(new Problem(e.object(), e.why(), e.next()));
    } catch (OperatorException e) {
      // A disk that cannot be read says nothing about what is on it.
      if (e.kind() == Kind.REPOSITORY_UNREACHABLE) {
        throw e;
      }
      problems.add(new Problem(object, e.why(), e.next()));
    }
  }
}
