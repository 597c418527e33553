package dev.holdfast.store;

import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.objects.NoSuchObjectException;
import dev.holdfast.store.objects.ObjectStore;
import dev.holdfast.store.objects.ObjectStore.StoredObject;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;
import java.util.regex.Pattern;
import tools.jackson.databind.JsonNode;

/** One look at one cluster; see {@link Verification}. */
final class ClusterCheck {
  private static final Pattern HISTORY = Pattern.compile("[0-9A-F]{8}\\.history");
  private static final Pattern PART = Pattern.compile("part-[0-9]{4,}");
  private static final String JSON = ".json";
  private static final int NAMED_MAX = 3;
  private static final String REMOVE =
      "nothing; look whether it was put there by mistake, and move it away";

  private final ObjectStore objects;
  private final String cluster;
  private final String folder;
  private final Verification.Reading reading;
  private final Verification.Listener listener;
  private final Findings problems = new Findings();
  private final Findings notes = new Findings();

  // What is there, by where it lies; filled by list(), read only from then on.
  private final List<StoredObject> segments = new ArrayList<>();
  private final Set<String> filling = new TreeSet<>();
  private final List<Integer> timelines = new ArrayList<>();
  private final List<String> summaries = new ArrayList<>();
  private final List<String> packs = new ArrayList<>();
  private final List<String> catalogs = new ArrayList<>();
  private final List<String> documents = new ArrayList<>();
  private final Map<String, Map<String, StoredObject>> bases = new TreeMap<>();
  private long count;

  // What is found.
  private final Map<String, StoredSegment> held = new ConcurrentHashMap<>();
  private final Map<Integer, String> histories = new ConcurrentHashMap<>();
  private final Map<String, BaseReader> readers = new TreeMap<>();
  private final AtomicLong read = new AtomicLong();

  ClusterCheck(
      ObjectStore objects,
      String cluster,
      Verification.Reading reading,
      Verification.Listener listener) {
    this.objects = objects;
    this.cluster = cluster;
    this.folder = "clusters/" + cluster + "/";
    this.reading = reading;
    this.listener = listener;
  }

  Verification.Checked run() {
    String name = ClusterStore.documentName(cluster);
    var documentRead = new ArrayList<ClusterDocument>();
    boolean holds =
        problems.check(
            Problem.Subject.CLUSTER,
            "",
            name,
            () -> documentRead.add(ClusterStore.readDocument(objects, cluster)));
    if (!holds) {
      if (problems.isEmpty()) {
        problems.missing(
            Problem.Subject.CLUSTER,
            "",
            name,
            "there is no such object",
            "if it was deleted, copy it back from another copy of the repository");
      }
      return new Verification.Checked(
          cluster, null, List.of(), List.of(), Map.of(), problems.sorted(), List.of(), 1, 0, 0);
    }
    var store = new ClusterStore(objects, documentRead.getFirst(), Repository.Creation.USUAL_LEVEL);
    list();
    listener.structure(cluster, count);
    listener.looked();
    int segmentSize = store.document().walSegmentSize();
    each(segments, segment -> lookAtSegment(segment, segmentSize));
    each(List.copyOf(filling), segment -> lookAtFilling(segment, store));
    each(timelines, timeline -> lookAtHistory(timeline, store));
    each(summaries, segment -> lookAtSummary(segment, store));
    each(packs, pack -> lookAtPack(pack, store));
    each(catalogs, lsn -> lookAtCatalog(lsn, store));
    each(documents, document -> lookAtDocument(document, store));
    bases.forEach((label, stored) -> lookAtBase(label, stored, store.bases()));
    long contents = readContents();
    return new Verification.Checked(
        cluster,
        store.document(),
        readers.values().stream().map(BaseReader::manifest).toList(),
        held.values().stream().sorted(Comparator.comparing(StoredSegment::name)).toList(),
        Map.copyOf(histories),
        problems.sorted(),
        notes.sorted(),
        count,
        contents,
        read.get());
  }

  // --- what is there

  private void list() {
    count = 1; // cluster.json
    for (String child : objects.children(folder)) {
      switch (child) {
        case "cluster.json" -> {}
        case "wal" -> listWal(folder + "wal/");
        case "summaries" -> listSummaries(folder + "summaries/");
        case "catalogs" -> listCatalogs(folder + "catalogs/");
        case "bases" -> listBases(folder + "bases/");
        // Of the moment: what does not hold is made anew.
        case "leases", "schedules", ClusterStore.CLIENTS_FILE -> {}
        default -> {
          if (ClusterStore.isDocumentKind(child)) {
            listDocuments(child);
          } else {
            noteUnknown(folder, List.of(child));
          }
        }
      }
    }
  }

  private void listWal(String wal) {
    for (String timeline : objects.children(wal)) {
      if (!WalStore.TIMELINE.matcher(timeline).matches()) {
        noteUnknown(wal, List.of(timeline));
        continue;
      }
      String prefix = wal + timeline + "/";
      // What fills comes first: when it is completed meanwhile, the second list has it.
      String stretches = prefix + FillingSegment.FOLDER + "/";
      for (String name : objects.children(stretches)) {
        String segment = FillingSegment.segment(name);
        if (segment.startsWith(timeline)) {
          filling.add(segment);
        }
      }
      var complete = new HashSet<String>();
      var begun = new TreeMap<String, List<String>>();
      var unknown = new ArrayList<String>();
      for (StoredObject object : objects.list(prefix)) {
        String name = object.name().substring(prefix.length());
        String segment = WalStore.segment(name);
        if (segment.equals(name)) {
          segments.add(object);
          complete.add(name);
          count++;
        } else if (segment.startsWith(timeline)) {
          begun.computeIfAbsent(segment, _ -> new ArrayList<>()).add(object.name());
        } else if (name.startsWith(timeline) && HISTORY.matcher(name).matches()) {
          timelines.add(Integer.parseUnsignedInt(timeline, 16));
          count++;
        } else {
          unknown.add(name);
        }
      }
      noteUnknown(prefix, unknown);
      filling.addAll(begun.keySet());
      filling.removeAll(complete);
      begun.forEach((segment, leftovers) -> {
        if (complete.contains(segment)) {
          notes.add(
              new Problem(
                  Problem.Subject.SEGMENT,
                  segment,
                  leftovers.getFirst(),
                  false,
                  "the segment is complete, and its beginning is still there",
                  "nothing: it is not read"));
        }
      });
    }
    count += filling.size();
  }

  private void listSummaries(String below) {
    for (String timeline : objects.children(below)) {
      if (!WalStore.TIMELINE.matcher(timeline).matches()) {
        noteUnknown(below, List.of(timeline));
        continue;
      }
      String prefix = below + timeline + "/";
      List<String> names = objects.children(prefix);
      var known = new HashSet<String>();
      var blocks = new ArrayList<String>();
      var unknown = new ArrayList<String>();
      for (String name : names) {
        int dot = name.indexOf('.');
        String segment = dot < 0 ? name : name.substring(0, dot);
        if (!segment.startsWith(timeline) || !SummaryStore.isHex(segment, 24)) {
          unknown.add(name);
        } else if (dot < 0) {
          summaries.add(segment);
          known.add(segment);
          count++;
        } else if (name.endsWith(SummaryStore.PACK)) {
          packs.add(prefix + name);
          count++;
        } else if (name.endsWith(SummaryStore.BLOCKS)) {
          blocks.add(segment);
        } else {
          unknown.add(name);
        }
      }
      noteUnknown(prefix, unknown);
      blocks.removeIf(known::contains);
      if (!blocks.isEmpty()) {
        notes.add(
            new Problem(
                Problem.Subject.SUMMARY,
                blocks.getFirst(),
                prefix + blocks.getFirst() + SummaryStore.BLOCKS,
                false,
                "changed blocks of %s without a summary: making one was interrupted"
                    .formatted(blocks.size() == 1 ? "a segment" : blocks.size() + " segments"),
                "nothing: they are not read, and made again with the summary"));
      }
    }
  }

  private void listCatalogs(String below) {
    var unknown = new ArrayList<String>();
    for (String name : objects.children(below)) {
      if (ClusterStore.LSN.matcher(name).matches()) {
        catalogs.add(name);
        count++;
      } else {
        unknown.add(name);
      }
    }
    noteUnknown(below, unknown);
  }

  private void listDocuments(String kind) {
    var unknown = new ArrayList<String>();
    for (String name : objects.children(folder + kind + "/")) {
      if (name.endsWith(JSON)) {
        documents.add(kind + "/" + name.substring(0, name.length() - JSON.length()));
        count++;
      } else {
        unknown.add(name);
      }
    }
    noteUnknown(folder + kind + "/", unknown);
  }

  private void listBases(String below) {
    for (String label : objects.folders(below)) {
      String prefix = below + label + "/";
      var stored = new HashMap<String, StoredObject>();
      var unknown = new ArrayList<String>();
      for (StoredObject object : objects.list(prefix)) {
        String name = object.name().substring(prefix.length());
        if (name.equals(BaseStore.MANIFEST)
            || name.equals(BaseStore.FILES)
            || name.equals(BaseStore.MADE_FROM)
            || PART.matcher(name).matches()) {
          stored.put(name, object);
        } else {
          unknown.add(name);
        }
      }
      noteUnknown(prefix, unknown);
      if (stored.containsKey(BaseStore.MANIFEST)) {
        bases.put(label, stored);
        count += stored.size();
      } else if (!stored.isEmpty()) {
        notes.add(
            new Problem(
                Problem.Subject.BASE,
                label,
                below + label,
                false,
                "a base backup without a manifest, of %d objects: it is being taken, or taking or"
                        .formatted(stored.size())
                    + " removing it was interrupted",
                "nothing: it is not used; what nobody wrote to for a day is removed by the next"
                    + " base backup, or by `holdfast expire`"));
      }
    }
  }

  private void noteUnknown(String below, List<String> unknown) {
    if (!unknown.isEmpty()) {
      List<String> sorted = List.copyOf(new TreeSet<>(unknown));
      notes.add(
          new Problem(
              Problem.Subject.UNKNOWN,
              "",
              below + sorted.getFirst(),
              false,
              sorted.size() == 1
                  ? "Holdfast uses no object of such a name here"
                  : "Holdfast uses no objects of such names here: %d, %s"
                      .formatted(
                          sorted.size(),
                          String.join(", ", sorted.subList(0, Math.min(NAMED_MAX, sorted.size())))
                              + (sorted.size() > NAMED_MAX ? ", …" : "")),
              REMOVE));
    }
  }

  // --- structure

  private void lookAtSegment(StoredObject segment, int segmentSize) {
    String name = segment.name().substring(segment.name().lastIndexOf('/') + 1);
    held.put(name, new StoredSegment(name, true, segmentSize));
    problems.check(
        Problem.Subject.SEGMENT,
        name,
        segment.name(),
        () -> {
          Envelope.Header header =
              Envelope.head(objects, segment.name(), Envelope.WAL_SEGMENT, segment.bytes());
          if (header.contentBytes() != segmentSize) {
            throw new DamagedObjectException(
                segment.name(),
                "it has %d bytes where a segment has %d"
                    .formatted(header.contentBytes(), segmentSize));
          }
        });
  }

  /** It changes under the eyes: read whole, and at once. */
  private void lookAtFilling(String segment, ClusterStore store) {
    String name = folder + "wal/" + segment.substring(0, 8) + "/" + segment;
    int segmentSize = store.document().walSegmentSize();
    var read = new ArrayList<byte[]>();
    boolean holds =
        problems.check(
            Problem.Subject.SEGMENT,
            segment,
            name,
            () -> {
              FillingSegment beginning = store.wal().filling(segment);
              if (!beginning.isEmpty() || beginning.apart().isEmpty()) {
                read.add(readBeginning(store.wal(), segment));
              }
              // When the segment was completed meanwhile, what is left of its beginning is nothing.
              if (!beginning.apart().isEmpty() && !objects.exists(name)) {
                FillingSegment.Stretch apart = beginning.apart().getFirst();
                throw new DamagedObjectException(
                    apart.object(),
                    "it holds bytes %d to %d of the segment, and of those before it only %d are stored"
                        .formatted(apart.from(), apart.to(), beginning.bytes()));
              }
            });
    if (!read.isEmpty()) {
      int bytes = read.getFirst().length;
      held.put(segment, new StoredSegment(segment, bytes == segmentSize, bytes));
    } else if (!holds && problems.about(segment)) {
      // What is said of its length may be wrong: it counts as begun.
      held.put(segment, new StoredSegment(segment, false, 1));
    }
  }

  private static byte[] readBeginning(WalStore wal, String segment) {
    try {
      return wal.read(segment);
    } catch (OperatorException e) {
      if (e.getCause() instanceof NoSuchObjectException gone) {
        throw gone; // removed meanwhile
      }
      throw e;
    }
  }

  private void lookAtHistory(int timeline, ClusterStore store) {
    problems.check(
        Problem.Subject.HISTORY,
        Integer.toUnsignedString(timeline),
        "%swal/%08X/%08X.history".formatted(folder, timeline, timeline),
        () -> {
          byte[] content = store.wal().readHistory(timeline);
          if (content != null) {
            histories.put(timeline, new String(content, StandardCharsets.UTF_8));
          }
        });
  }

  private void lookAtSummary(String segment, ClusterStore store) {
    String name = folder + "summaries/" + segment.substring(0, 8) + "/" + segment;
    problems.check(Problem.Subject.SUMMARY, segment, name, () -> store.summaries().read(segment));
    problems.check(
        Problem.Subject.SUMMARY,
        segment,
        name + SummaryStore.BLOCKS,
        () -> store.summaries().readBlocks(segment));
  }

  private void lookAtPack(String pack, ClusterStore store) {
    problems.check(
        Problem.Subject.SUMMARY,
        pack.substring(pack.lastIndexOf('/') + 1, pack.length() - SummaryStore.PACK.length()),
        pack,
        () -> store.summaries().checkPack(pack));
  }

  private void lookAtCatalog(String lsn, ClusterStore store) {
    problems.check(
        Problem.Subject.CATALOG,
        lsn,
        folder + "catalogs/" + lsn,
        () -> store.catalog(lsn, JsonNode.class));
  }

  private void lookAtDocument(String document, ClusterStore store) {
    String[] kindAndName = document.split("/", 2);
    String object = folder + document + JSON;
    problems.check(
        Problem.Subject.DOCUMENT,
        document,
        object,
        () -> {
          if (objects.exists(object)) {
            store.document(kindAndName[0], kindAndName[1], JsonNode.class);
          }
        });
  }

  private void lookAtBase(String label, Map<String, StoredObject> stored, BaseStore store) {
    String base = folder + "bases/" + label + "/";
    var opened = new ArrayList<BaseReader>();
    look(label, base + BaseStore.MANIFEST, () -> opened.add(store.reader(label)));
    if (opened.isEmpty()) {
      return;
    }
    BaseReader reader = opened.getFirst();
    readers.put(label, reader);
    var files = new ArrayList<Map<String, FileList.Entry>>();
    boolean whole = look(label, base + BaseStore.FILES, () -> files.add(reader.fileList()));
    var account = reader.new Account(files.isEmpty() ? Map.of() : files.getFirst());
    var failed = new AtomicInteger(whole ? 0 : 1);
    each(
        reader.parts(),
        part -> {
          // Without the list of files nothing can be accounted for; the part itself can be read.
          boolean holds =
              look(
                  label,
                  reader.name(part),
                  () -> {
                    if (whole) {
                      account.add(part);
                    } else {
                      reader.checkStructure(part);
                    }
                  });
          if (!holds) {
            failed.incrementAndGet();
          }
        },
        false);
    if (failed.get() == 0) {
      problems.check(Problem.Subject.BASE, label, base + BaseStore.MANIFEST, account::close);
      String parent = reader.manifest().parent();
      if (parent != null) {
        problems.check(
            Problem.Subject.BASE,
            label,
            base + BaseStore.FILES,
            () -> checkTaken(base + BaseStore.FILES, files.getFirst(), parent, store));
      }
    }
    if (stored.containsKey(BaseStore.MADE_FROM)) {
      problems.check(
          Problem.Subject.BASE,
          label,
          base + BaseStore.MADE_FROM,
          () -> store.checkMadeFrom(label));
    }
    Set<String> named =
        new HashSet<>(Set.of(BaseStore.MANIFEST, BaseStore.FILES, BaseStore.MADE_FROM));
    reader.parts().forEach(part -> named.add(part.name()));
    noteUnknown(base, stored.keySet().stream().filter(name -> !named.contains(name)).toList());
  }

  /** What a layer does not hold itself, its parent must have. */
  private static void checkTaken(
      String list, Map<String, FileList.Entry> files, String parent, BaseStore store) {
    Map<String, FileList.Entry> below;
    try {
      below = store.reader(parent).fileList();
    } catch (NoSuchObjectException | DamagedObjectException e) {
      return; // told of the parent itself
    }
    files.forEach((path, entry) -> {
      FileList.Entry taken = below.get(path);
      if (!entry.isDirectory()
          && !entry.isWhole()
          && (taken == null || entry.size() - entry.held() > taken.size())) {
        throw new DamagedObjectException(
            list,
            "it takes %d bytes of %s from base backup %s, which has %s"
                .formatted(
                    entry.size() - entry.held(),
                    path,
                    parent,
                    taken == null ? "no such file" : taken.size()));
      }
    });
  }

  /** At something that a published base backup needs: missing only when that is still published. */
  private boolean look(String label, String object, Runnable look) {
    String manifest = folder + "bases/" + label + "/" + BaseStore.MANIFEST;
    boolean holds =
        problems.check(
            Problem.Subject.BASE,
            label,
            object,
            () -> {
              try {
                look.run();
              } catch (NoSuchObjectException e) {
                if (object.equals(manifest) || !objects.exists(manifest)) {
                  throw e; // removed meanwhile
                }
                throw DamagedObjectException.missing(
                    e.object(), "it is missing, and the manifest names it");
              }
            });
    listener.looked();
    return holds;
  }

  // --- contents

  /** Something whose content can be read by itself. */
  private record Content(String object, long bytes, Runnable check) {}

  /** Returns how many bytes of contents there are. */
  private long readContents() {
    var contents = new ArrayList<Content>();
    for (StoredObject segment : segments) {
      if (!problems.names(segment.name())) {
        contents.add(new Content(segment.name(), segment.bytes(), () -> readSegment(segment)));
      }
    }
    readers.forEach((label, reader) -> {
      for (BaseDocument.Part part : reader.parts()) {
        if (!problems.names(reader.name(part))) {
          contents.add(
              new Content(
                  reader.name(part), part.storedBytes(), () -> readPart(label, reader, part)));
        }
      }
    });
    long total = contents.stream().mapToLong(Content::bytes).sum();
    List<Content> chosen = choose(contents, total);
    if (!chosen.isEmpty()) {
      listener.contents(cluster, chosen.stream().mapToLong(Content::bytes).sum());
      each(chosen, content -> content.check().run(), false);
    }
    return total;
  }

  /** By chance, whole objects, until the share is reached. */
  private List<Content> choose(List<Content> contents, long total) {
    if (reading.share() >= 1) {
      return contents;
    }
    var shuffled = new ArrayList<>(contents);
    Collections.shuffle(shuffled, new Random(reading.seed()));
    double wanted = total * reading.share();
    var chosen = new ArrayList<Content>();
    long sum = 0;
    for (Content content : shuffled) {
      if (sum >= wanted) {
        break;
      }
      chosen.add(content);
      sum += content.bytes();
    }
    chosen.sort(Comparator.comparing(Content::object));
    return chosen;
  }

  private void readSegment(StoredObject segment) {
    problems.check(
        Problem.Subject.SEGMENT,
        segment.name().substring(segment.name().lastIndexOf('/') + 1),
        segment.name(),
        () ->
            Envelope.check(
                objects, segment.name(), Envelope.WAL_SEGMENT, segment.bytes(), this::read));
  }

  private void readPart(String label, BaseReader reader, BaseDocument.Part part) {
    problems.check(
        Problem.Subject.BASE,
        label,
        reader.name(part),
        () -> reader.checkContent(part, this::read));
  }

  private void read(long bytes) {
    read.addAndGet(bytes);
    listener.read(bytes);
  }

  // --- several at once

  private <T> void each(List<T> items, Consumer<T> work) {
    each(items, work, true);
  }

  private <T> void each(List<T> items, Consumer<T> work, boolean tell) {
    var next = new AtomicInteger();
    try {
      BaseReader.inThreads(
          Math.clamp(items.size(), 1, reading.threads()),
          failure -> {
            for (int i = next.getAndIncrement();
                i < items.size() && failure.get() == null;
                i = next.getAndIncrement()) {
              work.accept(items.get(i));
              if (tell) {
                listener.looked();
              }
            }
          });
    } catch (IOException e) {
      throw new UncheckedIOException(e); // nothing here works with files
    }
  }
}
