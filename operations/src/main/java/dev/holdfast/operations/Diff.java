package dev.holdfast.operations;

import dev.holdfast.compare.Change;
import dev.holdfast.compare.Definition;
import dev.holdfast.compare.DigestedRow;
import dev.holdfast.compare.KeyRange;
import dev.holdfast.compare.RowComparison;
import dev.holdfast.compare.RowDifference;
import dev.holdfast.compare.SchemaComparison;
import dev.holdfast.compare.SchemaDifference;
import dev.holdfast.compare.Split;
import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.postgres.CatalogObject;
import dev.holdfast.postgres.CatalogObjects;
import dev.holdfast.postgres.ComparedDatabase;
import dev.holdfast.postgres.ComparedDigest;
import dev.holdfast.postgres.ComparedTable;
import dev.holdfast.postgres.PostgresUrl;
import dev.holdfast.postgres.TableDigests;
import dev.holdfast.postgres.TableUnreadableException;
import dev.holdfast.postgres.TimeIsUpException;
import dev.holdfast.row.TableName;
import java.math.BigInteger;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Predicate;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/** Finds what is different between two databases: definitions, then rows. Changes nothing. */
public final class Diff {
  private static final long ROWS_PER_RANGE = 5_000;
  private static final int RANGES_MAX = 4_096;
  private static final long ROWS_PER_PART = 2_000;
  private static final int PARTS_MIN = 64;
  private static final int PARTS_MAX = 16_384;

  /** Of a table that was never analysed. */
  private static final long ROW_BYTES = 200;

  private static final String FORK_ROLE = "role holdfast_fork_";
  private static final String DATABASE_IF_NOT_SAID = "postgres";

  private final DiffRequest request;
  private final Predicate<DiffEntry> sink;
  private final Progress progress;
  private final String separator = HexFormat.of().toHexDigits(new SecureRandom().nextInt());
  private final Set<String> tables;
  private final Set<String> exclude;
  private final List<DiffSummary.NotCompared> notCompared = new ArrayList<>();
  private final Set<String> notes = new LinkedHashSet<>();
  private final Set<String> leftOut =
      new LinkedHashSet<>(
          List.of(
              "Holdfast's own schemas (holdfast, holdfast_sentinel) and the triggers that call into them",
              "what belongs to an extension, but for the extension's version",
              "roles, tablespaces, planner statistics, the order of columns, rows of foreign tables,"
                  + " addresses and passwords in subscriptions and user mappings"));
  private long schemaDifferences;
  private long rowDifferences;
  private boolean begun;
  private int kindsCompared;
  private int compared;
  private int different;
  private int tableCount;
  private long rowsA;
  private long rowsB;
  private long bytesRead;

  /** The operator's limit is reached, or nobody reads any more. */
  private static final class EnoughException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    private final String by;

    private EnoughException(String by) {
      super(by);
      this.by = by;
    }
  }

  private Diff(DiffRequest request, Predicate<DiffEntry> sink, Progress progress) {
    this.request = request;
    this.sink = sink;
    this.progress = progress;
    this.tables = names(request.tables());
    this.exclude = names(request.exclude());
  }

  private static Set<String> names(List<String> given) {
    return given.stream()
        .map(name -> name.contains(".") ? name : "public." + name)
        .collect(Collectors.toCollection(TreeSet::new));
  }

  /** The process exit code for a summary: 0 only when everything was compared and is equal. */
  public static int exitCode(DiffSummary summary) {
    return summary.schemaDifferences() + summary.rowDifferences() > 0
        ? Kind.DIFFERENT.exitCode()
        : summary.equal() ? 0 : Kind.FAILED.exitCode();
  }

  /**
   * Compares.
   *
   * @param repository where a name is looked up; asked only then
   * @param sink told what differs, as it is found, and at the end how far it came where a side was
   *     lost; whether to go on
   * @throws OperatorException DATABASE_UNREACHABLE when a side cannot be reached or is lost, saying
   *     how far it came
   */
  public static DiffSummary run(
      DiffRequest request,
      Supplier<String> repository,
      Predicate<DiffEntry> sink,
      Progress progress) {
    return new Diff(request, sink, progress).run(repository);
  }

  private DiffSummary run(Supplier<String> repository) {
    long began = System.nanoTime();
    try (DiffSide a =
            DiffSide.open(
                "A",
                request.a(),
                database(request.b()),
                repository,
                request.scratch(),
                null,
                progress);
        DiffSide b =
            DiffSide.open(
                "B",
                request.b(),
                a.database().database(),
                repository,
                request.scratch(),
                a,
                progress)) {
      Double seconds = request.seconds();
      if (seconds != null) {
        long until = System.nanoTime() + (long) (seconds * 1e9);
        a.database().stopAt(until);
        b.database().stopAt(until);
      }
      describe(a, b);
      begun = true;
      String stoppedBy = null;
      try {
        if (request.schema()) {
          schema(a, b);
        }
        if (request.data()) {
          data(a.database(), b.database());
        }
      } catch (EnoughException e) {
        stoppedBy = e.by;
      } catch (TimeIsUpException e) {
        stoppedBy = "time";
      }
      return new DiffSummary(
          "summary",
          stoppedBy == null && notCompared.isEmpty() && schemaDifferences + rowDifferences == 0,
          a.described(),
          b.described(),
          schemaDifferences,
          rowDifferences,
          compared,
          different,
          tableCount,
          rowsA,
          rowsB,
          stoppedBy,
          notCompared,
          List.copyOf(leftOut),
          List.copyOf(notes),
          bytesRead,
          (System.nanoTime() - began) / 1e9);
    } catch (OperatorException e) {
      if (!begun) {
        throw e;
      }
      boolean _ =
          sink.test(
              new DiffEntry.OfEnd(
                  "stopped",
                  kindsCompared,
                  compared,
                  tableCount,
                  rowsA,
                  rowsB,
                  bytesRead,
                  schemaDifferences,
                  rowDifferences));
      throw new OperatorException(e.kind(), e.what(), e.why() + howFar(), e.next(), e);
    }
  }

  private String howFar() {
    return tableCount == 0
        ? "; until then %d kinds of definitions were compared, and %s found"
            .formatted(kindsCompared, differences())
        : "; until then the rows of %d of %d tables were compared, and %s found"
            .formatted(compared, tableCount, differences());
  }

  private String differences() {
    long count = schemaDifferences + rowDifferences;
    return count + (count == 1 ? " difference" : " differences");
  }

  private void tell(DiffEntry entry) {
    if (!sink.test(entry)) {
      throw new EnoughException("output");
    }
  }

  private static String database(String given) {
    return OwnerConnection.isUrl(given)
        ? PostgresUrl.parse(given).database()
        : given.contains("/") ? given.substring(given.indexOf('/') + 1) : DATABASE_IF_NOT_SAID;
  }

  private void describe(DiffSide a, DiffSide b) {
    ComparedDatabase.Facts left = a.database().facts();
    ComparedDatabase.Facts right = b.database().facts();
    if (left.major() != right.major()) {
      notes.add(
          "A is PostgreSQL %s, B is %s: privileges that only the newer one knows are passed over"
              .formatted(left.version(), right.version()));
    }
    if (right.standby()
        && !left.standby()
        && Objects.equals(left.systemIdentifier(), right.systemIdentifier())
        && right.position().compareTo(left.position()) < 0) {
      notes.add(
          "B is a standby of A and stood at %s when A stood at %s: what was written in between is a difference"
              .formatted(right.position(), left.position()));
    }
    if (a.isFork() || b.isFork()) {
      notes.add(
          "positions of sequences are passed over (a fork's stand up to 32 numbers ahead, as after a crash), and"
              + " so are the server's own settings, which a fork does not take over");
    }
    if (!request.schema()) {
      leftOut.add("definitions (--data-only)");
    }
    if (!request.data()) {
      leftOut.add("rows (--schema-only)");
    }
    if (request.data() && !(left.largeObjectsReadable() && right.largeObjectsReadable())) {
      leftOut.add(
          "what is in large objects: only who may SELECT pg_largeobject on both sides reads it");
    }
    if (!request.ignore().isEmpty()) {
      leftOut.add("ignored: " + String.join(", ", request.ignore()));
    }
    if (!tables.isEmpty()) {
      leftOut.add("everything but the tables named");
    }
    if (!exclude.isEmpty()) {
      leftOut.add("tables " + String.join(", ", exclude));
    }
  }

  private void schema(DiffSide a, DiffSide b) {
    boolean fork = a.isFork() || b.isFork();
    int majorMin = Math.min(a.database().facts().major(), b.database().facts().major());
    SchemaComparison comparison =
        new SchemaComparison(difference -> {
          if (!isIgnored(difference, fork)) {
            schemaDifferences++;
            tell(entry(difference));
            if (schemaDifferences >= request.stopAfter()) {
              throw new EnoughException("differences");
            }
          }
        });
    try (Progress.Phase phase = progress.begin("comparing definitions", 0, Progress.Unit.STEPS)) {
      for (String kind : ComparedDatabase.kinds()) {
        if (request.ignore().contains(kind)) {
          continue;
        }
        try (CatalogObjects left = a.database().objects(kind, majorMin);
            CatalogObjects right = b.database().objects(kind, majorMin)) {
          comparison.compare(kind, definitions(left), definitions(right));
        } catch (TableUnreadableException e) {
          notCompared.add(
              new DiffSummary.NotCompared("", "all of kind " + kind, e.why(), e.next()));
        }
        kindsCompared++;
        phase.advance(1);
      }
      if (tables.isEmpty() && !fork && !request.ignore().contains("setting")) {
        serverDefaults(a.database(), b.database(), comparison);
      }
    }
  }

  private void serverDefaults(ComparedDatabase a, ComparedDatabase b, SchemaComparison comparison) {
    if (!a.facts().serverDefaultsReadable() || !b.facts().serverDefaultsReadable()) {
      leftOut.add(
          "the servers' own TimeZone, DateStyle and IntervalStyle: only a superuser sees them on both");
      return;
    }
    try (CatalogObjects left = a.serverDefaults();
        CatalogObjects right = b.serverDefaults()) {
      comparison.compare("setting", definitions(left), definitions(right));
    }
  }

  private boolean isIgnored(SchemaDifference difference, boolean fork) {
    String property = difference.property();
    // Such settings are compared as what they are, whoever we are connected as.
    if (ComparedDatabase.SET_ELSEWHERE.equals(difference.a())
        || ComparedDatabase.SET_ELSEWHERE.equals(difference.b())) {
      return true;
    }
    if (ComparedDatabase.NOT_TOLD.equals(difference.a())
        || ComparedDatabase.NOT_TOLD.equals(difference.b())) {
      leftOut.add("options of user mappings that one of the roles may not see");
      return true;
    }
    if (fork && difference.kind().equals("setting")) {
      // The settings of its server, and those of the role that reads it, are the fork's own.
      if (!difference.name().contains(": ") || difference.name().startsWith(FORK_ROLE)) {
        return true;
      }
    }
    return (property != null && request.ignore().contains(property))
        || (fork && difference.kind().equals("subscription") && "enabled".equals(property))
        || (fork
            && difference.kind().equals("sequence")
            && ("position".equals(property) || "behindItsColumn".equals(property)));
  }

  private static DiffEntry entry(SchemaDifference difference) {
    return new DiffEntry.OfSchema(
        "schema",
        difference.kind(),
        difference.name(),
        difference.table(),
        name(difference.change()),
        difference.property(),
        difference.a(),
        difference.b());
  }

  private static String name(Change change) {
    return switch (change) {
      case ONLY_IN_A -> "onlyInA";
      case ONLY_IN_B -> "onlyInB";
      case DIFFERENT -> "different";
    };
  }

  /** Those that were asked for. */
  private Iterator<Definition> definitions(CatalogObjects objects) {
    return new Iterator<>() {
      private @Nullable CatalogObject next = advance();

      private @Nullable CatalogObject advance() {
        while (objects.hasNext()) {
          CatalogObject object = objects.next();
          if (isWanted(object.table())) {
            return object;
          }
        }
        return null;
      }

      @Override
      public boolean hasNext() {
        return next != null;
      }

      @Override
      public Definition next() {
        CatalogObject object = next;
        if (object == null) {
          throw new NoSuchElementException();
        }
        next = advance();
        return new Definition(object.name(), object.table(), object.properties());
      }
    };
  }

  private boolean isWanted(@Nullable String table) {
    return table == null
        ? tables.isEmpty()
        : (tables.isEmpty() || tables.contains(table)) && !exclude.contains(table);
  }

  private void data(ComparedDatabase a, ComparedDatabase b) {
    List<ComparedDatabase.Entry> left = wanted(a.tables());
    Map<TableName, ComparedDatabase.Entry> right = new HashMap<>();
    wanted(b.tables()).forEach(entry -> right.put(entry.name(), entry));
    Set<String> unknown = new TreeSet<>(tables);
    left.forEach(entry -> unknown.remove(entry.name().toString()));
    right.keySet().forEach(name -> unknown.remove(name.toString()));
    if (!unknown.isEmpty()) {
      throw new OperatorException(
          Kind.USAGE,
          "cannot compare " + String.join(", ", unknown),
          "neither side has such a table (a partition is compared with the table it is of)",
          "give TABLE, which is public.TABLE, or SCHEMA.TABLE, as the catalog spells it");
    }
    List<ComparedDatabase.Entry> common =
        left.stream().filter(entry -> right.containsKey(entry.name())).toList();
    tableCount = common.size();
    ComparedDigest digest =
        a.facts().encoding().equals(b.facts().encoding()) && a.probe().equals(b.probe())
            ? ComparedDigest.HASH
            : ComparedDigest.MD5;
    long total =
        common.stream().mapToLong(entry -> entry.bytes() + at(right, entry.name()).bytes()).sum();
    try (Progress.Phase phase = progress.begin("comparing rows", total, Progress.Unit.BYTES)) {
      for (ComparedDatabase.Entry entry : common) {
        try {
          table(a, b, entry, at(right, entry.name()), digest, phase);
        } catch (TableUnreadableException e) {
          notCompared.add(
              new DiffSummary.NotCompared(
                  entry.name().schema(), entry.name().table(), e.why(), e.next()));
        }
      }
    }
  }

  private static ComparedDatabase.Entry at(
      Map<TableName, ComparedDatabase.Entry> entries, TableName name) {
    return Objects.requireNonNull(entries.get(name));
  }

  private List<ComparedDatabase.Entry> wanted(List<ComparedDatabase.Entry> entries) {
    return entries.stream().filter(entry -> isWanted(entry.name().toString())).toList();
  }

  private synchronized void read(long bytes, Progress.Phase phase) {
    bytesRead += bytes;
    phase.advance(bytes);
  }

  private void table(
      ComparedDatabase a,
      ComparedDatabase b,
      ComparedDatabase.Entry entryA,
      ComparedDatabase.Entry entryB,
      ComparedDigest digest,
      Progress.Phase phase) {
    ComparedTable left = a.table(entryA);
    ComparedTable right = b.table(entryB);
    TableName name = entryA.name();
    left.foreignPartitions().forEach(f -> leftOut.add("rows of foreign partition " + f));
    right.foreignPartitions().forEach(f -> leftOut.add("rows of foreign partition " + f));
    Map<String, String> typesB =
        right.columns().stream()
            .collect(Collectors.toMap(ComparedTable.Column::name, ComparedTable.Column::type));
    List<ComparedTable.Column> columnsA =
        left.columns().stream().filter(column -> typesB.containsKey(column.name())).toList();
    if (columnsA.size() < left.columns().size() || columnsA.size() < right.columns().size()) {
      notes.add(
          "rows of %s were compared by the %d columns that both sides have"
              .formatted(name, columnsA.size()));
    }
    List<String> key =
        columnsA.stream().map(ComparedTable.Column::name).toList().containsAll(left.key())
            ? left.key()
            : List.of();
    TableDigests digestsA = new TableDigests(a, left, columnsA, key, digest, separator);
    TableDigests digestsB =
        new TableDigests(
            b,
            right,
            columnsA.stream()
                .map(column ->
                    new ComparedTable.Column(
                        column.name(), typesB.getOrDefault(column.name(), column.type())))
                .toList(),
            key,
            digest,
            separator);
    long estimate =
        Math.max(
            (long) Math.max(entryA.rowsEstimate(), entryB.rowsEstimate()),
            Math.max(left.bytes(), right.bytes()) / ROW_BYTES);
    Split split =
        key.equals(right.key()) && digestsA.hasRangesAs(digestsB)
            ? ranges(digestsA, digestsB, estimate)
            : new Split.ByHash(parts(estimate));
    TableTally tally = new TableTally();
    RowComparison.Outcome outcome =
        new RowComparison(
                new DiffRowSides(digestsA, digestsB, bytes -> read(bytes, phase)), tally::add)
            .compare(split);
    rowsA += outcome.rowsA();
    rowsB += outcome.rowsB();
    tally.shown.forEach(row -> tell(row(name, row, key, digestsA, digestsB)));
    if (tally.sum() > 0) {
      different++;
      tell(
          new DiffEntry.OfTable(
              "table",
              name.schema(),
              name.table(),
              outcome.rowsA(),
              outcome.rowsB(),
              tally.onlyInA,
              tally.onlyInB,
              tally.different,
              outcome.finished()));
    }
    if (!outcome.finished()) {
      throw new EnoughException("differences");
    }
    compared++;
  }

  private static Split ranges(TableDigests a, TableDigests b, long estimate) {
    List<BigInteger> endsA = a.ends();
    List<BigInteger> endsB = b.ends();
    List<BigInteger> ends = endsA.isEmpty() ? endsB : endsA;
    if (ends.isEmpty()) {
      return new Split.ByHash(1);
    }
    KeyRange range = new KeyRange(ends.getFirst(), ends.getLast());
    if (!endsB.isEmpty()) {
      range = range.with(new KeyRange(endsB.getFirst(), endsB.getLast()));
    }
    return new Split.ByRange(range.split(Math.clamp(estimate / ROWS_PER_RANGE, 1, RANGES_MAX)));
  }

  private static int parts(long estimate) {
    return Integer.highestOneBit(Math.clamp(estimate / ROWS_PER_PART, PARTS_MIN, PARTS_MAX));
  }

  /** What was found in one table. */
  private final class TableTally {
    private final List<RowDifference> shown = new ArrayList<>();
    private long onlyInA;
    private long onlyInB;
    private long different;

    private boolean add(RowDifference difference) {
      long copiesA = copies(difference.a());
      long copiesB = copies(difference.b());
      long more = Math.max(0, copiesA - copiesB);
      long fewer = Math.max(0, copiesB - copiesA);
      if (more + fewer == 0) {
        different++;
      }
      onlyInA += more;
      onlyInB += fewer;
      rowDifferences += Math.max(1, more + fewer);
      if (shown.size() < request.rowsShown()) {
        shown.add(difference);
      }
      return schemaDifferences + rowDifferences < request.stopAfter();
    }

    private long sum() {
      return onlyInA + onlyInB + different;
    }
  }

  private static long copies(@Nullable DigestedRow row) {
    return row == null ? 0 : row.copies();
  }

  private static DiffEntry row(
      TableName table, RowDifference difference, List<String> key, TableDigests a, TableDigests b) {
    DigestedRow left = difference.a();
    DigestedRow right = difference.b();
    Map<String, @Nullable String> valuesA = left == null ? Map.of() : a.values(left.place());
    Map<String, @Nullable String> valuesB = right == null ? Map.of() : b.values(right.place());
    Map<String, @Nullable String> one = left == null ? valuesB : valuesA;
    Map<String, @Nullable String> keyValues = new LinkedHashMap<>();
    key.forEach(column -> keyValues.put(column, one.get(column)));
    List<DiffEntry.Values> columns = new ArrayList<>();
    one.keySet().stream()
        .filter(column ->
            left == null
                || right == null
                || key.isEmpty()
                || !Objects.equals(valuesA.get(column), valuesB.get(column)))
        .filter(column -> !keyValues.containsKey(column))
        .forEach(column ->
            columns.add(new DiffEntry.Values(column, valuesA.get(column), valuesB.get(column))));
    return new DiffEntry.OfRow(
        "row",
        table.schema(),
        table.table(),
        name(difference.change()),
        keyValues,
        columns,
        copies(left),
        copies(right));
  }
}
