package dev.holdfast.operations;

import java.time.Instant;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/**
 * What a database turned out to be.
 *
 * @param url without its password
 * @param source where the URL was found, such as {@code .env: DATABASE_URL}; null when it was given
 * @param verdict what it is
 * @param expected whether that is what was asked for
 * @param expectation as it was given: {@code acme/production}, {@code not production}
 * @param cluster whose database, or whose copy, it is; null when that is not known
 * @param environment as it says itself; null when it does not
 * @param headline one sentence for somebody who is no DBA
 * @param reasons what it was told by
 * @param missing what the cluster has and this database lacks; empty unless it is a copy
 * @param fallen tables with far fewer rows than recorded
 * @param aliveAt when the recorder last renewed the mark in it; null without one
 * @param notedIn where it is kept that this was asked: {@code database}, {@code repository}
 * @param next what to do
 */
public record CheckResult(
    String url,
    @Nullable String source,
    Verdict verdict,
    boolean expected,
    String expectation,
    @Nullable String cluster,
    @Nullable String environment,
    String headline,
    List<String> reasons,
    Missing missing,
    List<Fallen> fallen,
    @Nullable Instant aliveAt,
    List<String> notedIn,
    @Nullable String next) {
  CheckResult notedIn(List<String> places) {
    return new CheckResult(
        url,
        source,
        verdict,
        expected,
        expectation,
        cluster,
        environment,
        headline,
        reasons,
        missing,
        fallen,
        aliveAt,
        List.copyOf(places),
        next);
  }

  /** What a database can be. */
  public enum Verdict {
    /** The database itself: its WAL is what is recorded. */
    SAME,
    /** A standby that replays it. */
    STANDBY,
    /**
     * By all that SQL can tell the database itself; nobody records, so a copy cannot be excluded.
     */
    UNPROVEN,
    /** The database itself cut off from its recorder, or a copy: it does not count as itself. */
    DOUBTFUL,
    /**
     * A copy of the data directory, a snapshot of the disk, an old primary: it went another way.
     */
    PHYSICAL_COPY,
    /** The cluster as it was before another server took its place, by an upgrade or a move. */
    FORMER,
    /** Made by dump and restore, or by CREATE DATABASE … TEMPLATE. */
    DUMP_COPY,
    /** Made by hand: tables of the cluster, without its stamp. */
    PARTIAL_COPY,
    /** No table at all. */
    EMPTY,
    /** Something else. */
    OTHER,
    /** Nothing says what it is. */
    UNPROTECTED,
    /** It does not answer. */
    UNREACHABLE;

    /** As JSON has it: {@code physicalCopy}. */
    @Override
    public String toString() {
      StringBuilder text = new StringBuilder();
      for (String word : name().toLowerCase(Locale.ROOT).split("_", -1)) {
        text.append(
            text.isEmpty()
                ? word
                : word.substring(0, 1).toUpperCase(Locale.ROOT) + word.substring(1));
      }
      return text.toString();
    }
  }

  /**
   * What is not there.
   *
   * @param tables how many tables the cluster has
   * @param missingTables SCHEMA.TABLE each
   * @param missingColumns SCHEMA.TABLE.COLUMN each, of tables that are there
   * @param missingIndexes SCHEMA.INDEX each, of any table
   * @param missingSequences SCHEMA.SEQUENCE each
   */
  public record Missing(
      int tables,
      List<String> missingTables,
      List<String> missingColumns,
      List<String> missingIndexes,
      List<String> missingSequences) {
    /** Nothing is missing, or it was not asked. */
    public static final Missing NONE = new Missing(0, List.of(), List.of(), List.of(), List.of());

    /** Whether anything is. */
    public boolean any() {
      return !missingTables.isEmpty()
          || !missingColumns.isEmpty()
          || !missingIndexes.isEmpty()
          || !missingSequences.isEmpty();
    }
  }

  /**
   * A table that lost most of its rows, or never had them.
   *
   * @param recorded about how many the cluster's has
   * @param here about how many are here
   */
  public record Fallen(String table, long recorded, long here) {}
}
