package dev.holdfast.operations;

import dev.holdfast.damage.FewestStops;
import dev.holdfast.damage.RowHistories.RowHistory;
import dev.holdfast.damage.RowHistories.Truncation;
import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.postgres.ForkTimings;
import dev.holdfast.postgres.RowReader;
import dev.holdfast.postgres.RowSpool;
import dev.holdfast.postgres.SteppingFork;
import dev.holdfast.row.Column;
import dev.holdfast.row.Row;
import dev.holdfast.row.TableName;
import dev.holdfast.row.TableShape;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RelFile;
import dev.holdfast.wal.Tid;
import java.sql.Connection;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Consumer;
import java.util.stream.LongStream;
import org.jspecify.annotations.Nullable;

/**
 * The versions of rows that the past must give, read from one server moved through the log by the
 * fewest stops, and kept in a file.
 *
 * <p>A version that cannot be seen at the stop that was chosen for it (who wrote it had not
 * committed yet, or the table was locked or another file at that moment) is read at the last
 * position at which it can be: just before it was replaced.
 */
final class RowImages implements AutoCloseable {
  private static final int BATCH = 20_000;
  private static final String LOCK_TIMEOUT = "SET lock_timeout = '2s'";
  private static final String LOCKED = "55P03";

  /** Of a table that the log holds no rows of, a standby says that it has not got the feature. */
  private static final String UNLOGGED = "0A000";

  /** A version of a row, and the columns its values stand for. */
  record Image(Row row, TableShape shape) {}

  /** A table's wanted versions: of each history those that {@link WantedImages} names, in order. */
  private static final class Wanted {
    private final TableRows rows;
    private final int[] firstOf;
    private int[] history = new int[64];
    private int[] image = new int[64];
    private int[] shape = new int[64];
    private long[] place = new long[64];

    /** From where in the log on each can be seen; gone once the stops are chosen. */
    private long[] from = new long[64];

    private int size;
    private final List<TableShape> shapes = new ArrayList<>();
    private boolean missing;
    private final Map<Truncation, Lost> lost = new HashMap<>();
    private final boolean afterwards;
    private @Nullable Afterwards left;

    private Wanted(TableRows rows, boolean afterwards) {
      this.rows = rows;
      this.afterwards = afterwards;
      this.firstOf = new int[rows.count() + 1];
    }

    private void add(int ofHistory, int version, Lsn visibleFrom) {
      if (size == history.length) {
        int more = size + (size >> 1);
        history = Arrays.copyOf(history, more);
        image = Arrays.copyOf(image, more);
        shape = Arrays.copyOf(shape, more);
        place = Arrays.copyOf(place, more);
        from = Arrays.copyOf(from, more);
      }
      history[size] = ofHistory;
      image[size] = version;
      place[size] = -1;
      from[size] = visibleFrom.position();
      size++;
    }

    private Lsn from(int request) {
      return new Lsn(from[request]);
    }

    /** Whether a version is one that lay there before the set wrote anything. */
    private boolean isOlder(int request) {
      return image[request] == 0 && from(request).equals(Lsn.NONE);
    }
  }

  /** Rows that went with a truncation. */
  private static final class Lost {
    private final long[] places;
    private final TableShape shape;

    private Lost(long[] places, TableShape shape) {
      this.places = places;
      this.shape = shape;
    }
  }

  /** What a table held: how many rows, and some of them. */
  record Held(TableShape shape, long count, List<Row> some) {}

  /** All rows of a table as the set left it: a stretch of the spool. */
  private record Afterwards(long from, long to, TableShape shape) {}

  /** What is to be read of one table at one stop. */
  private static final class Work {
    private int[] requests = new int[64];
    private int size;
    private final Set<Truncation> truncations = new HashSet<>();
    private boolean look;
    private boolean whole;
    private int some;

    private void add(int request) {
      if (size == requests.length) {
        requests = Arrays.copyOf(requests, 2 * size);
      }
      requests[size++] = request;
    }
  }

  private final TransactionSet set;
  private final RowSpool spool = RowSpool.create();
  private final Map<Long, Wanted> tables = new HashMap<>();
  private final FewestStops fewest = new FewestStops();
  private final NavigableMap<Lsn, Map<Long, Work>> work = new TreeMap<>();
  private final Map<Long, Held> held = new HashMap<>();
  private @Nullable ForkTimings forkTimings;

  RowImages(TransactionSet set) {
    this.set = set;
  }

  /**
   * Says what is wanted of one table.
   *
   * @param present which rows production still has as the log left them
   * @param afterwards whether every row of the table as the set left it is wanted, too
   */
  void want(
      TableRows rows, WantedImages images, @Nullable PresentRows present, boolean afterwards) {
    Wanted wanted = new Wanted(rows, afterwards);
    tables.put(rows.table().oid(), wanted);
    @Nullable Boolean othersCame = null;
    for (int number = 0; number < rows.count(); number++) {
      wanted.firstOf[number] = wanted.size;
      RowHistory history = rows.history(number);
      if (history != null) {
        if (othersCame == null && WantedImages.isWrittenAndDeleted(history)) {
          othersCame = othersCame(rows);
        }
        boolean asLogged = present != null && present.isAsLogged(number);
        for (int image : images.of(history, asLogged, Boolean.TRUE.equals(othersCame))) {
          WantedImages.Interval interval = interval(wanted, history, image);
          fewest.add(interval.from(), interval.to());
          wanted.add(number, image, interval.from());
        }
      }
    }
    wanted.firstOf[rows.count()] = wanted.size;
  }

  /** Whether rows came while the set went on: one may have taken a key that another had. */
  private static boolean othersCame(TableRows rows) {
    if (!rows.table().truncations().isEmpty()) {
      return true; // what went with it has no history
    }
    for (int number = 0; number < rows.count(); number++) {
      if (rows.mayHaveCome(number)) {
        return true;
      }
    }
    return false;
  }

  /**
   * Says that some rows of a table are wanted as it stood at a position, whichever they are, and
   * how many there were.
   *
   * @param some how many at most
   */
  void wantSome(long table, Lsn at, int some) {
    work(at, table).some = some;
  }

  /** Reads everything that is wanted. */
  void read(Progress progress) {
    plan();
    long versions =
        work.values().stream()
            .flatMap(at -> at.values().stream())
            .mapToLong(each -> each.size)
            .sum();
    if (work.isEmpty()) {
      return;
    }
    Set<Long> touched = new HashSet<>(tables.keySet());
    work.values().forEach(at -> touched.addAll(at.keySet()));
    try (SteppingFork fork = set.stepping(touched, work.firstKey(), progress);
        Progress.Phase phase =
            progress.begin(
                "reading rows as they were, at %,d position%s in the log"
                    .formatted(work.size(), work.size() == 1 ? "" : "s"),
                versions,
                Progress.Unit.ROWS)) {
      forkTimings = fork.timings();
      read(fork, phase);
    }
  }

  private void read(SteppingFork fork, Progress.Phase phase) {
    @Nullable Session session = null;
    try {
      while (!work.isEmpty()) {
        Map.Entry<Lsn, Map<Long, Work>> next = work.pollFirstEntry();
        fork.moveTo(next.getKey());
        try {
          // Idle ones survive moves, unless the server behind them changes or their database goes.
          if (session == null || !session.connection.isValid(0)) {
            close(session);
            session = Session.on(fork.connect(set.database()));
          }
          RowReader reader = session.reader;
          next.getValue().forEach((table, at) -> read(next.getKey(), table, at, reader, phase));
        } catch (SQLException e) {
          throw new OperatorException(
              Kind.FAILED,
              "rows as they were at " + next.getKey() + " could not be read",
              String.valueOf(e.getMessage()),
              "nothing was changed; run the same command again",
              e);
        }
      }
    } finally {
      close(session); // before its server: else the driver finds it lost, and says so loudly
    }
  }

  private static void close(@Nullable Session session) {
    if (session != null) {
      try {
        session.connection.close();
      } catch (SQLException e) {
        return; // the server behind it went first
      }
    }
  }

  /** Made once for many stops: to connect costs more than to read some rows. */
  private record Session(Connection connection, RowReader reader) {
    private static Session on(Connection connection) throws SQLException {
      try (Statement statement = connection.createStatement()) {
        statement.execute(LOCK_TIMEOUT);
      }
      return new Session(connection, new RowReader(connection));
    }
  }

  /** What the server they were read from took; null when none was needed. */
  @Nullable ForkTimings forkTimings() {
    return forkTimings;
  }

  private void plan() {
    for (Wanted wanted : tables.values()) {
      for (Truncation truncation : wanted.rows.table().truncations()) {
        Lsn before = truncation.writer().lastBefore(truncation.table());
        fewest.add(before, before);
      }
      if (!wanted.rows.madeBySet().isEmpty()) {
        Lsn before = wanted.rows.table().firstCommit();
        fewest.add(before, before);
      }
      if (wanted.afterwards) {
        fewest.add(set.lastCommitEnd(), set.lastCommitEnd());
      }
    }
    List<Lsn> chosen = fewest.stops();
    Map<Lsn, Lsn> earlier = earlier(chosen);
    for (Wanted wanted : tables.values()) {
      long table = wanted.rows.table().oid();
      for (int request = 0; request < wanted.size; request++) {
        Lsn stop = firstFrom(chosen, wanted.from(request));
        Lsn early = wanted.isOlder(request) ? earlier.get(stop) : null;
        work(early == null ? stop : early, table).add(request);
      }
      wanted.from = new long[0];
      for (Truncation truncation : wanted.rows.table().truncations()) {
        work(truncation.writer().lastBefore(table), table).truncations.add(truncation);
      }
      if (!wanted.rows.madeBySet().isEmpty()) {
        work(wanted.rows.table().firstCommit(), table).look = true;
      }
      if (wanted.afterwards) {
        work(set.lastCommitEnd(), table).whole = true;
      }
    }
  }

  /**
   * Stops before which what a single transaction wrote need not be replayed to see the rows it
   * replaced: where it began to write. What others had not committed there is seen where the stop
   * was.
   */
  private Map<Lsn, Lsn> earlier(List<Lsn> chosen) {
    Map<Lsn, Lsn> earlier = new HashMap<>();
    if (set.transactions().size() > 1) {
      return earlier; // stops are shared, and each that is moved is one more
    }
    for (Wanted wanted : tables.values()) {
      for (int request = 0; request < wanted.size; request++) {
        if (wanted.isOlder(request)) {
          Lsn began = wanted.rows.firstWritten(wanted.history[request]);
          Lsn stop = firstFrom(chosen, wanted.from(request));
          earlier.merge(stop, began, (one, two) -> one.isAfter(two) ? one : two);
        }
      }
    }
    earlier
        .entrySet()
        .removeIf(stop ->
            !stop.getValue().isBefore(stop.getKey())
                || !set.haveTheSameBase(stop.getValue(), stop.getKey()));
    return earlier;
  }

  private Work work(Lsn at, long table) {
    return work.computeIfAbsent(at, _ -> new HashMap<>()).computeIfAbsent(table, _ -> new Work());
  }

  private static Lsn firstFrom(List<Lsn> stops, Lsn from) {
    int found = Collections.binarySearch(stops, from);
    return stops.get(found >= 0 ? found : -found - 1);
  }

  private WantedImages.Interval interval(Wanted wanted, int request) {
    RowHistory history = wanted.rows.history(wanted.history[request]);
    if (history == null) {
      throw new IllegalStateException("a version of no row is wanted");
    }
    return interval(wanted, history, wanted.image[request]);
  }

  private WantedImages.Interval interval(Wanted wanted, RowHistory history, int image) {
    return WantedImages.interval(history, image, wanted.rows.table().oid(), set.lastCommitEnd());
  }

  private void read(Lsn at, long table, Work here, RowReader reader, Progress.Phase phase) {
    Wanted wanted = tables.get(table);
    if (here.some > 0) {
      some(at, table, here.some, reader);
    }
    if (wanted == null) {
      return;
    }
    int done = 0;
    try {
      Optional<TableShape> shape = reader.shape(table);
      if (shape.isEmpty()) {
        if (here.look || !here.truncations.isEmpty()) {
          wanted.missing = true;
        }
        later(wanted, here, 0, at, "the table was not there");
        return;
      }
      if (wanted.shapes.isEmpty() || !wanted.shapes.getLast().equals(shape.get())) {
        wanted.shapes.add(shape.get());
      }
      for (Truncation truncation : here.truncations) {
        lost(wanted, truncation, shape.get(), reader, phase);
      }
      here.truncations.clear();
      if (here.whole) {
        long from = spool.end();
        reader.all(shape.get().name(), shape.get().columns(), spool::add);
        wanted.left = new Afterwards(from, spool.end(), shape.get());
        here.whole = false;
      }
      long file = reader.fileNumber(table);
      while (done < here.size) {
        int end = Math.min(done + BATCH, here.size);
        batch(wanted, here, done, end, at, file, shape.get(), reader);
        phase.advance(end - done);
        done = end;
      }
    } catch (OperatorException e) {
      if (!isState(LOCKED, e)) {
        throw e;
      }
      if (!here.truncations.isEmpty() || here.whole) {
        throw notSeen(wanted.rows.table().name(), at, "the table was locked");
      }
      later(wanted, here, done, at, "the table was locked");
    }
  }

  private void some(Lsn at, long table, int limit, RowReader reader) {
    Optional<TableShape> shape = reader.shape(table);
    if (shape.isEmpty()) {
      return;
    }
    TableName name = shape.get().name();
    try {
      List<Row> rows = reader.some(name, shape.get().columns(), limit);
      held.put(table, new Held(shape.get(), reader.count(name), rows));
    } catch (OperatorException e) {
      if (isState(LOCKED, e)) {
        throw notSeen(name, at, "the table was locked");
      }
      if (!isState(UNLOGGED, e)) {
        throw e;
      }
    }
  }

  private static boolean isState(String state, OperatorException e) {
    return e.getCause() instanceof SQLException sql && state.equals(sql.getSQLState());
  }

  private void batch(
      Wanted wanted,
      Work here,
      int from,
      int to,
      Lsn at,
      long file,
      TableShape shape,
      RowReader reader) {
    long[] tids = new long[to - from];
    int[] requests = new int[to - from];
    int size = 0;
    Work others = new Work();
    for (int index = from; index < to; index++) {
      int request = here.requests[index];
      RelFile in = wanted.rows.file(wanted.history[request]);
      if (in.number() == file) {
        tids[size] = tid(wanted, request).pack();
        requests[size++] = request;
      } else {
        others.add(request);
      }
    }
    reader.at(
        shape.name(),
        shape.columns(),
        Arrays.copyOf(tids, size),
        (index, _, row) -> {
          wanted.place[requests[index]] = spool.add(row);
          wanted.shape[requests[index]] = wanted.shapes.size() - 1;
        });
    for (int index = 0; index < size; index++) {
      if (wanted.place[requests[index]] < 0) {
        others.add(requests[index]);
      }
    }
    later(wanted, others, 0, at, "the log changes a row that was not there");
  }

  private static Tid tid(Wanted wanted, int request) {
    RowHistory history = wanted.rows.history(wanted.history[request]);
    return WantedImages.tid(Objects.requireNonNull(history), wanted.image[request]);
  }

  /** Puts off what could not be seen here to the last position where it can. */
  private void later(Wanted wanted, Work here, int from, Lsn at, String why) {
    for (int index = from; index < here.size; index++) {
      int request = here.requests[index];
      Lsn last = interval(wanted, request).to();
      if (!last.isAfter(at)) {
        if (wanted.missing) {
          continue; // the set made the table: that is told of it as a whole
        }
        throw notSeen(wanted.rows.table().name(), at, why);
      }
      work(last, wanted.rows.table().oid()).add(request);
    }
  }

  private OperatorException notSeen(TableName table, Lsn at, String why) {
    return new OperatorException(
        Kind.FAILED,
        "the rows of " + table + " could not be matched with the log",
        why + ", at " + at,
        "nothing was changed; look at the data on a fork: holdfast fork %s --lsn %s"
            .formatted(set.cluster(), at));
  }

  /** Rows that went with a truncation, those left out that have a history of their own. */
  private void lost(
      Wanted wanted,
      Truncation truncation,
      TableShape shape,
      RowReader reader,
      Progress.Phase phase) {
    Set<Tid> known = new HashSet<>();
    for (int number = 0; number < wanted.rows.count(); number++) {
      RowHistory history = wanted.rows.history(number);
      if (history != null && wanted.rows.file(number).equals(truncation.file())) {
        for (int step = 0; step < history.steps().size(); step++) {
          Tid before = step == 0 ? history.first() : history.steps().get(step - 1).tid();
          if (before != null && history.steps().get(step).writer().equals(truncation.writer())) {
            known.add(before);
          }
        }
      }
    }
    LongStream.Builder places = LongStream.builder();
    reader.allVersions(
        shape.name(),
        shape.columns(),
        version -> {
          if (!known.contains(version.tid())) {
            places.add(spool.add(version.row()));
            phase.advance(1);
          }
        });
    wanted.lost.put(truncation, new Lost(places.build().toArray(), shape));
  }

  // ---- what was read ---------------------------------------------------------------------------

  /** Whether the table did not exist before the set: one of them made it. */
  boolean madeBySet(long table) {
    return wanted(table).missing;
  }

  /**
   * The table as it stood at the latest position it was read at, with those columns only that it
   * had at every one; empty when it was not read.
   */
  Optional<TableShape> sharedShape(long table) {
    List<TableShape> shapes = wanted(table).shapes;
    if (shapes.isEmpty()) {
      return Optional.empty();
    }
    TableShape latest = shapes.getLast();
    List<Column> shared =
        latest.columns().stream()
            .filter(column ->
                shapes.stream()
                    .allMatch(shape ->
                        shape.columns().stream()
                            .anyMatch(other -> other.number() == column.number())))
            .toList();
    boolean keyed =
        latest.key().stream()
            .allMatch(number -> shared.stream().anyMatch(column -> column.number() == number));
    return Optional.of(
        new TableShape(
            latest.name(), shared, keyed ? latest.key() : List.of(), latest.generated()));
  }

  /** One version of a row; null when it was not wanted. */
  @Nullable Image image(long table, int history, int image) {
    Wanted wanted = wanted(table);
    for (int request = wanted.firstOf[history]; request < wanted.firstOf[history + 1]; request++) {
      if (wanted.image[request] == image && wanted.place[request] >= 0) {
        return new Image(
            spool.read(wanted.place[request]), wanted.shapes.get(wanted.shape[request]));
      }
    }
    return null;
  }

  /** How many rows without a history of their own went with a truncation. */
  int lostCount(Truncation truncation) {
    Lost lost = wanted(truncation.table()).lost.get(truncation);
    return lost == null ? 0 : lost.places.length;
  }

  /** One of them. */
  Image lost(Truncation truncation, int number) {
    Lost lost = Objects.requireNonNull(wanted(truncation.table()).lost.get(truncation));
    return new Image(spool.read(lost.places[number]), lost.shape);
  }

  /** Empty when there was no such table, or the log does not hold its rows. */
  Optional<Held> some(long table) {
    return Optional.ofNullable(held.get(table));
  }

  /** Every row of a table as the set left it. */
  void afterwards(long table, Consumer<Image> sink) {
    Afterwards left = wanted(table).left;
    if (left != null) {
      spool.forEach(left.from, left.to, row -> sink.accept(new Image(row, left.shape)));
    }
  }

  private Wanted wanted(long table) {
    Wanted wanted = tables.get(table);
    if (wanted == null) {
      throw new IllegalStateException("nothing was wanted of table " + table);
    }
    return wanted;
  }

  @Override
  public void close() {
    spool.close();
  }
}
