package dev.holdfast.operations;

import dev.holdfast.damage.Relation;
import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.wal.Lsn;
import dev.holdfast.wal.RawRecord;
import dev.holdfast.wal.RelFile;
import dev.holdfast.wal.ResourceManager;
import java.util.BitSet;
import java.util.List;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/** A {@link WalFilter} understood: every word of it checked. */
final class WalMatcher {
  /** Resource managers of PostgreSQL itself ("access/rmgrlist.h", PostgreSQL 14 to 18). */
  static final int BUILT_IN = 22;

  private static final long UNSIGNED_MAX = 0xFFFF_FFFFL;
  private static final List<String> FORKS = List.of("main", "fsm", "vm", "init");
  private static final Pattern FILE = Pattern.compile("(\\d{1,10})/(\\d{1,10})/(\\d{1,10})");

  private final Lsn from;
  private final @Nullable Lsn to;
  private final @Nullable BitSet rmgrs;
  private final long xid;
  private final long limit;
  private final @Nullable RelFile file;
  private final @Nullable String table;
  private final int fork;
  private final long block;

  WalMatcher(WalFilter filter) {
    from = filter.from() == null ? Lsn.NONE : lsn(filter.from(), "--from");
    to = filter.to() == null ? null : lsn(filter.to(), "--to");
    if (to != null && !from.isBefore(to)) {
      throw usage(
          "no WAL lies from " + from + " to " + to,
          "--to is where reading stops: it comes after --from",
          "swap them, or leave one out");
    }
    rmgrs = filter.rmgrs().isEmpty() ? null : resourceManagers(filter.rmgrs());
    xid = filter.xid() == null ? -1 : xid(filter.xid());
    limit = filter.limit() == null ? Long.MAX_VALUE : filter.limit();
    if (limit < 1) {
      throw usage("nothing to read", "--limit is " + limit, "give a number from 1");
    }
    Matcher numbers = FILE.matcher(filter.relation() == null ? "" : filter.relation());
    file =
        numbers.matches()
            ? new RelFile(
                unsigned(numbers.group(1), "a tablespace"),
                unsigned(numbers.group(2), "a database"),
                unsigned(numbers.group(3), "a relation"))
            : null;
    table = file == null ? filter.relation() : null;
    fork = filter.fork() == null ? -1 : fork(filter.fork());
    block = filter.block() == null ? -1 : filter.block();
    if (block >= 0 && filter.relation() == null) {
      throw usage(
          "block " + block + " of what?",
          "--block counts the blocks of one relation",
          "add --relation");
    }
    if (filter.block() != null && (block < 0 || block > UNSIGNED_MAX)) {
      throw usage(block + " is no block", "blocks count from 0 to 4294967295", "correct --block");
    }
  }

  Lsn from() {
    return from;
  }

  @Nullable Lsn to() {
    return to;
  }

  long limit() {
    return limit;
  }

  /** The table whose pages are wanted; null when none is, or a file's numbers say which. */
  @Nullable String table() {
    return table;
  }

  boolean wants(RawRecord record, RecordedNames names) {
    if ((rmgrs != null && !rmgrs.get(record.rmgr())) || (xid >= 0 && record.xid() != xid)) {
      return false;
    }
    if (file == null && table == null && fork < 0) {
      return true;
    }
    for (int page = 0; page < record.blocks(); page++) {
      if ((fork < 0 || fork == record.fork(page))
          && (block < 0 || block == record.block(page))
          && (file == null || file.equals(record.file(page)))
          && (table == null || isTable(names.byFile(record.file(page), new Lsn(record.lsn()))))) {
        return true;
      }
    }
    return false;
  }

  private boolean isTable(@Nullable Relation relation) {
    return relation != null
        && (relation.name().toString().equals(table) || relation.name().table().equals(table));
  }

  /** The name of a fork, as pg_waldump writes it ("common/relpath.c", PostgreSQL 18). */
  static String forkName(int fork) {
    return fork < FORKS.size() ? FORKS.get(fork) : Integer.toString(fork);
  }

  private static Lsn lsn(String text, String option) {
    try {
      return Lsn.parse(text);
    } catch (IllegalArgumentException e) {
      throw new OperatorException(
          Kind.USAGE,
          "cannot read from or to \"" + text + "\"",
          String.valueOf(e.getMessage()),
          "give " + option + " an LSN, as `holdfast log` and pg_waldump print them",
          e);
    }
  }

  private static BitSet resourceManagers(List<String> names) {
    BitSet wanted = new BitSet();
    for (String name : names) {
      int before = wanted.cardinality();
      for (int id = 0; id <= 255; id++) {
        if ((id < BUILT_IN || ResourceManager.isExtension(id))
            && ResourceManager.name(id).equalsIgnoreCase(name.strip())) {
          wanted.set(id);
          before = -1;
        }
      }
      if (before >= 0) {
        throw usage(
            "there is no resource manager \"" + name + "\"",
            "those of PostgreSQL are " + String.join(", ", WalFilter.resourceManagers()),
            "use one of these, or custom128 to custom255 for an extension's");
      }
    }
    return wanted;
  }

  private static int fork(String name) {
    int fork = FORKS.indexOf(name.toLowerCase(Locale.ROOT));
    if (fork < 0) {
      throw usage(
          "there is no fork \"" + name + "\"",
          "the forks of a relation are " + String.join(", ", FORKS),
          "correct --fork");
    }
    return fork;
  }

  private static long xid(String text) {
    return unsigned(text, "a transaction");
  }

  private static long unsigned(String text, String what) {
    if (!text.matches("\\d{1,10}") || Long.parseLong(text) > UNSIGNED_MAX) {
      throw usage(
          "\"" + text + "\" is not " + what,
          "its number is a whole one from 0 to 4294967295",
          "correct it");
    }
    return Long.parseLong(text);
  }

  private static OperatorException usage(String what, String why, String next) {
    return new OperatorException(Kind.USAGE, what, why, next);
  }
}
