package dev.holdfast.wal;

import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.regex.MatchResult;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * What our fields say of a record, in the words of PostgreSQL's own descriptions (pg_waldump and
 * pg_walinspect, 15 to 18), so that a field read wrongly is seen. Times are in UTC.
 */
final class Description {
  private static final DateTimeFormatter TIME =
      DateTimeFormatter.ofPattern("yyyy-MM-dd HH:mm:ss.SSSSSS 'UTC'", Locale.ROOT)
          .withZone(ZoneOffset.UTC);

  private static final List<String> WAL_LEVELS = List.of("minimal", "replica", "logical");
  private static final List<String> LOCK_STATUS =
      List.of("keysh", "sh", "fornokeyupd", "forupd", "nokeyupd", "upd");
  private static final List<String> FORK_SUFFIX = List.of("", "_fsm", "_vm", "_init");
  private static final List<String> INFOBITS =
      List.of("IS_MULTI", "LOCK_ONLY", "EXCL_LOCK", "KEYSHR_LOCK", "KEYS_UPDATED");
  private static final Pattern SERVER_TIME =
      Pattern.compile("(\\d\\d:\\d\\d:\\d\\d)(?:\\.(\\d+))?\\+00");
  private static final Pattern COUNT =
      Pattern.compile("(cutoff xid|latestRemovedXid|[a-zA-Z]+):? (\\d+)");

  private final int major;

  Description(int major) {
    this.major = major;
  }

  /** Theirs without what differs from server to server. */
  String theirs(WalRecord record, String text) {
    if (record instanceof WalRecord.HeapPrune prune) {
      return pruned(prune, text);
    }
    String plain = text.strip().replaceAll("PG_\\d+_\\d+", "PG");
    plain = SERVER_TIME.matcher(plain).replaceAll(Description::time);
    if (record instanceof WalRecord.HeapMultiInsert) { // lists offsets only beside their data
      plain = plain.replaceAll(", offsets: .*", "");
    }
    return plain;
  }

  /** A time as the server writes it, as pg_waldump does: with all its digits. */
  private static String time(MatchResult time) {
    String digits = time.group(2) == null ? "" : time.group(2);
    return time.group(1) + "." + (digits + "000000").substring(0, 6) + " UTC";
  }

  /** The same of ours; null where their text says nothing but what the reader checked itself. */
  @Nullable String ours(WalRecord record) {
    String text = text(record);
    return text == null ? null : text.strip();
  }

  private @Nullable String text(WalRecord record) {
    return switch (record) {
      case WalRecord.Commit r ->
          twoPhase(r.prepared(), r.transaction())
              + TIME.format(r.time())
              + files("rels", r.droppedFiles())
              + numbers("; subxacts:", r.subtransactions())
              + stats("", r.droppedStats())
              + invalidations(
                  r.updatesRelationCacheFile(), r.database(), r.tablespace(), r.invalidations())
              + (r.waitsForApply() ? "; apply_feedback" : "")
              + (r.forcedToDisk() ? "; sync" : "")
              + origin(r.header().origin(), r.origin());
      case WalRecord.Abort r ->
          twoPhase(r.prepared(), r.transaction())
              + TIME.format(r.time())
              + files("rels", r.droppedFiles())
              + numbers("; subxacts:", r.subtransactions())
              + origin(r.header().origin(), r.origin())
              + stats("", r.droppedStats());
      case WalRecord.Prepare r ->
          "gid %s: %s".formatted(r.gid(), TIME.format(r.time()))
              + files("rels(commit)", r.droppedFiles())
              + files("rels(abort)", r.abortFiles())
              + stats("commit ", r.droppedStats())
              + stats("abort ", r.abortStats())
              + numbers("; subxacts:", r.subtransactions())
              + invalidations(r.updatesRelationCacheFile(), r.database(), 0, r.invalidations())
              + origin(r.header().origin(), r.origin());
      case WalRecord.Assignment r ->
          "xtop " + r.top() + numbers(": subxacts:", r.subtransactions());
      case WalRecord.Invalidations r ->
          invalidations(r.updatesRelationCacheFile(), r.database(), r.tablespace(), r.messages());
      case WalRecord.MultiXactCreate r ->
          "%d offset %d nmembers %d: ".formatted(r.multiXact(), r.offset(), r.members().size())
              + r.members().stream()
                  .map(m -> "%d (%s) ".formatted(m.xid(), LOCK_STATUS.get(m.status())))
                  .collect(Collectors.joining());
      case WalRecord.MultiXactTruncate r ->
          "offsets [%d, %d), members [%d, %d)"
              .formatted(r.firstOffset(), r.endOffset(), r.firstMember(), r.endMember());
      case WalRecord.StatusPageZero r ->
          r.log() == StatusLog.TRANSACTIONS ? "page " + r.page() : "" + r.page();
      case WalRecord.StatusTruncate r ->
          r.log() == StatusLog.TRANSACTIONS
              ? "page %d; oldestXact %d".formatted(r.page(), r.oldestXid())
              : "pageno %d, oldestXid %d".formatted(r.page(), r.oldestXid());
      case WalRecord.OriginAdvance r ->
          "set %d; lsn %s; force: %d".formatted(r.origin(), r.remote(), r.backwards() ? 1 : 0);
      case WalRecord.OriginDrop r -> "drop " + r.origin();
      case WalRecord.HeapInsert r ->
          modern("off: %d, flags: 0x%02X", "off %d flags 0x%02X", r.tid().offset(), r.flags());
      case WalRecord.HeapConfirm r -> modern("off: %d", "off %d", r.tid().offset());
      case WalRecord.HeapUpdate r ->
          major >= 16
              ? "old_xmax: %d, old_off: %d, old_infobits: %s, flags: 0x%02X, new_xmax: %d, new_off: %d"
                  .formatted(
                      r.oldXmax(),
                      r.oldTid().offset(),
                      infobits(r.oldInfobits()),
                      r.flags(),
                      r.newXmax(),
                      r.newTid().offset())
              : "off %d xmax %d flags 0x%02X %s; new off %d xmax %d"
                  .formatted(
                      r.oldTid().offset(),
                      r.oldXmax(),
                      r.flags(),
                      infobits(r.oldInfobits()),
                      r.newTid().offset(),
                      r.newXmax());
      case WalRecord.HeapDelete r ->
          major >= 16
              ? "xmax: %d, off: %d, infobits: %s, flags: 0x%02X"
                  .formatted(r.xmax(), r.tid().offset(), infobits(r.infobits()), r.flags())
              : "off %d flags 0x%02X %s"
                  .formatted(r.tid().offset(), r.flags(), infobits(r.infobits()));
      case WalRecord.HeapMultiInsert r ->
          modern("ntuples: %d, flags: 0x%02X", "%d tuples flags 0x%02X", r.rows(), r.flags());
      case WalRecord.HeapLock r ->
          major >= 16
              ? "xmax: %d, off: %d, infobits: %s, flags: 0x%02X"
                  .formatted(r.xmax(), r.tid().offset(), infobits(r.infobits()), r.flags())
              : "off %d: %s %d: flags 0x%02X %s"
                  .formatted(
                      r.tid().offset(),
                      r.laterVersion() ? "xmax" : "xid",
                      r.xmax(),
                      r.flags(),
                      infobits(r.infobits()));
      case WalRecord.HeapInplace r ->
          modern("off: %d", "off %d", r.tid().offset())
              + invalidations(
                  r.updatesRelationCacheFile(), r.database(), r.tablespace(), r.invalidations());
      case WalRecord.HeapPrune r -> pruned(r);
      case WalRecord.HeapVisible r ->
          modern(
              "snapshotConflictHorizon: %d, flags: 0x%02X",
              "cutoff xid %d flags 0x%02X", r.conflictHorizon(), r.flags());
      case WalRecord.HeapNewCid r ->
          modern(
              "rel: %d/%d/%d, tid: %d/%d, cmin: %d, cmax: %d, combo: %d",
              "rel %d/%d/%d; tid %d/%d; cmin: %d, cmax: %d, combo: %d",
              r.file().tablespace(),
              r.file().database(),
              r.file().number(),
              r.tid().block(),
              r.tid().offset(),
              r.created(),
              r.deleted(),
              r.combined());
      case WalRecord.HeapTruncate r -> {
        List<String> flags = new ArrayList<>();
        if (r.cascade()) {
          flags.add("CASCADE");
        }
        if (r.restartsSequences()) {
          flags.add("RESTART_SEQS");
        }
        yield major >= 16
            ? "flags: %s, nrelids: %d, relids: %s"
                .formatted(flags, r.relations().size(), r.relations())
            : (r.cascade() ? "cascade " : "")
                + (r.restartsSequences() ? "restart_seqs " : "")
                + "nrelids "
                + r.relations().size()
                + numbers(" relids", r.relations());
      }
      case WalRecord.StorageCreate r -> path(r.file()) + FORK_SUFFIX.get(r.fork());
      case WalRecord.StorageTruncate r ->
          "%s to %d blocks flags %d".formatted(path(r.file()), r.blocksLeft(), r.flags());
      case WalRecord.RelationMap r ->
          "database %d tablespace %d size %d"
              .formatted(r.database(), r.tablespace(), major >= 16 ? 524 : 512);
      case WalRecord.Sequence r -> "rel " + r.file();
      case WalRecord.TablespaceCreate r -> "%d \"%s\"".formatted(r.tablespace(), r.path());
      case WalRecord.TablespaceDrop r -> "" + r.tablespace();
      case WalRecord.DatabaseCreate r ->
          r.source() == 0
              ? "create dir %d/%d".formatted(r.tablespace(), r.database())
              : "copy dir %d/%d to %d/%d"
                  .formatted(r.sourceTablespace(), r.source(), r.tablespace(), r.database());
      case WalRecord.DatabaseDrop r ->
          "dir"
              + r.tablespaces().stream()
                  .map(tablespace -> " " + tablespace + "/" + r.database())
                  .collect(Collectors.joining());
      case WalRecord.StandbyLock r ->
          r.locks().stream()
              .map(l ->
                  "xid %d db %d rel %d"
                      .formatted(l.xid(), l.relation().database(), l.relation().relation()))
              .collect(Collectors.joining(" "));
      case WalRecord.RunningXacts r ->
          "nextXid %d latestCompletedXid %d oldestRunningXid %d"
                  .formatted(r.nextXid(), r.latestCompletedXid(), r.oldestRunningXid())
              + numbers("; " + r.transactions().size() + " xacts:", r.transactions())
              + (r.overflowed() ? "; subxid overflowed" : "")
              + numbers("; " + r.subtransactions().size() + " subxacts:", r.subtransactions());
      case WalRecord.LogicalMessage r ->
          "%s, prefix \"%s\"; payload (%d bytes): %s"
              .formatted(
                  r.transactional() ? "transactional" : "non-transactional",
                  r.prefix(),
                  r.bytes().length,
                  HexFormat.ofDelimiter(" ").withUpperCase().formatHex(r.bytes()));
      case WalRecord.Checkpoint r ->
          ("redo %s; tli %d; prev tli %d; fpw %s; %sxid %d:%d; oid %d; multi %d; offset %d;"
                  + " oldest xid %d in DB %d; oldest multi %d in DB %d;"
                  + " oldest/newest commit timestamp xid: %d/%d; oldest running xid %d; %s")
              .formatted(
                  r.redo(),
                  r.timeline(),
                  r.previousTimeline(),
                  r.fullPageWrites(),
                  major >= 17 ? "wal_level " + WAL_LEVELS.get(r.walLevel()) + "; " : "",
                  r.nextXid() >>> 32,
                  r.nextXid() & 0xFFFF_FFFFL,
                  r.nextOid(),
                  r.nextMultiXact(),
                  r.nextMultiXactOffset(),
                  r.oldestXid(),
                  r.oldestXidDatabase(),
                  r.oldestMultiXact(),
                  r.oldestMultiXactDatabase(),
                  r.oldestCommitTimestampXid(),
                  r.newestCommitTimestampXid(),
                  r.oldestRunningXid(),
                  r.shutdown() ? "shutdown" : "online");
      case WalRecord.CheckpointRedo r -> "wal_level " + WAL_LEVELS.get(r.walLevel());
      case WalRecord.NextOid r -> "" + r.nextOid();
      case WalRecord.FullPageWritesChange r -> "" + r.on();
      case WalRecord.BackupEnd r -> r.startLsn().toString();
      case WalRecord.EndOfRecovery r ->
          "tli %d; prev tli %d; time %s"
                  .formatted(r.timeline(), r.previousTimeline(), TIME.format(r.time()))
              + (major >= 17 ? "; wal_level " + WAL_LEVELS.get(r.walLevel()) : "");
      case WalRecord.ParameterChange r ->
          ("max_connections=%d max_worker_processes=%d max_wal_senders=%d max_prepared_xacts=%d"
                  + " max_locks_per_xact=%d wal_level=%s wal_log_hints=%s"
                  + " track_commit_timestamp=%s")
              .formatted(
                  r.maxConnections(),
                  r.maxWorkerProcesses(),
                  r.maxWalSenders(),
                  r.maxPreparedTransactions(),
                  r.maxLocksPerTransaction(),
                  WAL_LEVELS.get(r.walLevel()),
                  r.walLogHints() ? "on" : "off",
                  r.trackCommitTimestamp() ? "on" : "off");
      case WalRecord.RestorePoint r -> r.name();
      case WalRecord.OverwrittenContinuation r ->
          "lsn %s; time %s".formatted(r.overwritten(), TIME.format(r.time()));
      case WalRecord.FullPageImages _,
          WalRecord.HintImage _,
          WalRecord.Switch _,
          WalRecord.Noop _ ->
          "";
      case WalRecord.HeapRewrite _, WalRecord.Other _ -> null;
    };
  }

  private String modern(String since16, String before, Object... values) {
    return (major >= 16 ? since16 : before).formatted(values);
  }

  private String infobits(int bits) {
    List<String> names = new ArrayList<>();
    for (int bit = 0; bit < INFOBITS.size(); bit++) {
      if ((bits & 1 << bit) != 0) {
        names.add(INFOBITS.get(bit));
      }
    }
    return major >= 16
        ? names.toString()
        : names.stream().map(name -> name + " ").collect(Collectors.joining());
  }

  private static String twoPhase(boolean prepared, long transaction) {
    return prepared ? transaction + ": " : "";
  }

  private static String numbers(String label, List<Long> numbers) {
    return numbers.isEmpty()
        ? ""
        : label + numbers.stream().map(number -> " " + number).collect(Collectors.joining());
  }

  private static String files(String label, List<RelFile> files) {
    return files.isEmpty()
        ? ""
        : "; "
            + label
            + ":"
            + files.stream().map(file -> " " + path(file)).collect(Collectors.joining());
  }

  private static String path(RelFile file) {
    return switch ((int) file.tablespace()) {
      case 1663 -> "base/%d/%d".formatted(file.database(), file.number());
      case 1664 -> "global/" + file.number();
      default ->
          "pg_tblspc/%d/PG/%d/%d".formatted(file.tablespace(), file.database(), file.number());
    };
  }

  private static String stats(String label, List<DroppedStat> stats) {
    return stats.isEmpty()
        ? ""
        : "; "
            + label
            + "dropped stats:"
            + stats.stream()
                .map(stat -> " %d/%d/%d".formatted(stat.kind(), stat.database(), stat.object()))
                .collect(Collectors.joining());
  }

  private static String invalidations(
      boolean cacheFile, long database, long tablespace, List<Invalidation> messages) {
    if (messages.isEmpty()) {
      return "";
    }
    return (cacheFile
            ? "; relcache init file inval dbid %d tsid %d".formatted(database, tablespace)
            : "")
        + "; inval msgs:"
        + messages.stream().map(Description::invalidation).collect(Collectors.joining());
  }

  private static String invalidation(Invalidation message) {
    return switch (message.kind()) {
      case Invalidation.CATALOG -> " catalog " + message.object();
      case Invalidation.RELATION -> " relcache " + message.object();
      case Invalidation.STORAGE -> " smgr";
      case Invalidation.RELATION_MAP -> " relmap db " + message.database();
      case Invalidation.SNAPSHOT -> " snapshot " + message.object();
      case Invalidation.RELATION_SYNC -> " relsync " + message.object();
      default -> " catcache " + message.kind();
    };
  }

  private static String origin(int id, @Nullable OriginPosition origin) {
    return origin == null
        ? ""
        : "; origin: node %d, lsn %s, at %s"
            .formatted(id, origin.lsn(), TIME.format(origin.time()));
  }

  // ---- pages tidied up -------------------------------------------------------------------------

  private static String pruned(WalRecord.HeapPrune prune) {
    WalRecord.HeapPrune.Items items = prune.items();
    return "horizon %d items %s".formatted(prune.conflictHorizon(), items);
  }

  private String pruned(WalRecord.HeapPrune prune, String text) {
    long horizon = 0;
    int redirected = 0;
    int dead = 0;
    int unused = 0;
    int frozen = 0;
    Matcher counts = COUNT.matcher(text);
    while (counts.find()) {
      long count = Long.parseLong(counts.group(2));
      switch (counts.group(1)) {
        case "snapshotConflictHorizon", "latestRemovedXid", "cutoff xid" -> horizon = count;
        case "nredirected" -> redirected = (int) count;
        case "ndead" -> dead = (int) count;
        case "nunused" -> unused = (int) count;
        case "ntuples" -> frozen += (int) count;
        default -> {}
      }
    }
    if (major == 15 && prune.work() == WalRecord.HeapPrune.Work.PRUNE && prune.items() != null) {
      unused = prune.items().unused(); // which 15 does not tell
    }
    boolean told = prune.items() != null;
    return "horizon %d items %s"
        .formatted(
            horizon, told ? new WalRecord.HeapPrune.Items(redirected, dead, unused, frozen) : null);
  }
}
