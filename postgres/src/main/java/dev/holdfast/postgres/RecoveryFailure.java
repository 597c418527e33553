package dev.holdfast.postgres;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.wal.Lsn;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/** Says, from what a fork's server wrote into its log, why it does not come up and what to do. */
final class RecoveryFailure {
  private static final Pattern SEVERE = Pattern.compile("(?:FATAL|PANIC|ERROR):\\s+(.*)");
  private static final Pattern LOCALE =
      Pattern.compile(
          "(?:LC_COLLATE|LC_CTYPE|locale) \"([^\"]+)\"(?=.*(?:not recognized|No such file))");
  private static final Pattern LIBRARY =
      Pattern.compile("could not (?:access file|load library) \"([^\"]+)\"");
  private static final Pattern NOT_BUILT_IN =
      Pattern.compile(
          "not supported (?:by|in) (?:this )?build|compression method \\S+ not supported");
  private static final Pattern CUSTOM_RMGR = Pattern.compile("resource manager with ID (\\d+)");
  private static final Pattern PARAMETER =
      Pattern.compile(
          "FATAL:\\s+recovery aborted because of insufficient parameter settings"
              // A standby that lets readers in stays, and waits ("access/xlogrecovery.c").
              + "|WARNING:\\s+hot standby is not possible because of insufficient parameter settings");
  private static final Pattern TOO_SMALL =
      Pattern.compile("DETAIL:\\s+(max_\\w+) = \\d+ is a lower setting");

  /** "transam/xlogreader.c", PostgreSQL 14 to 18: every complaint ends in a position. */
  private static final Pattern END_OF_LOG =
      Pattern.compile(
          "LOG:\\s+(?:invalid|incorrect|record with|there is no contrecord|missing contrecord|"
              + "unexpected|out-of-sequence).*? at ([0-9A-F]+/[0-9A-F]+)");

  /** Said of each setting before "configuration file ... contains errors". */
  private static final Pattern CONFIGURATION =
      Pattern.compile("LOG:\\s+((?:invalid value for|unrecognized configuration) parameter .*)");

  private static final Pattern SHORT_OF =
      Pattern.compile(
          "No space left on device|Disk quota exceeded|Cannot allocate memory|out of memory"
              + "|could not create shared memory segment|could not create semaphores"
              + "|terminated by signal 9\\b|Permission denied");

  private RecoveryFailure() {}

  /** Whether another program took the port between our choice and the server's start. */
  static boolean portTaken(String log) {
    return log.contains("could not bind IPv4 address");
  }

  /** The setting that is smaller than recovery needs, if that is what the log says. */
  static Optional<String> tooSmall(String log) {
    if (PARAMETER.matcher(log).find()) {
      Matcher detail = TOO_SMALL.matcher(log);
      if (detail.find()) {
        return Optional.of(detail.group(1));
      }
    }
    if (log.contains("maximum number of prepared transactions reached")) {
      return Optional.of("max_prepared_transactions");
    }
    if (log.contains("You might need to increase max_locks_per_transaction")
        || log.contains("You might need to increase \"max_locks_per_transaction\"")) {
      return Optional.of("max_locks_per_transaction");
    }
    return Optional.empty();
  }

  /** Where the server found no valid record: what it says when it stops reading. */
  private static Optional<Lsn> endOfLog(String log) {
    Matcher end = END_OF_LOG.matcher(log);
    Optional<Lsn> last = Optional.empty();
    while (end.find()) {
      last = Optional.of(Lsn.parse(end.group(1)));
    }
    return last;
  }

  /** The operating system's locale that a database needs and this machine does not have. */
  static Optional<String> missingLocale(String text) {
    Matcher locale = LOCALE.matcher(text.replace('\n', ' '));
    return locale.find() ? Optional.of(locale.group(1)) : Optional.empty();
  }

  /**
   * @param what the operation that failed
   * @param log what the server wrote since it was started, or a connection's refusal
   */
  static OperatorException of(
      String what,
      RecoveryTarget target,
      PostgresBinaries binaries,
      String log,
      @Nullable Throwable cause) {
    String reason = reason(log);
    Optional<String> locale = missingLocale(log);
    if (locale.isPresent()) {
      return failed(what, reason, missingLocaleRemedy(locale.get()), cause);
    }
    Matcher configuration = CONFIGURATION.matcher(log);
    if (configuration.find()) {
      return failed(
          what,
          configuration.group(1),
          "this machine lacks what production's configuration asks for: install it (a locale, the full"
              + " PostgreSQL"
              + installing(binaries.major())
              + "), or change that setting in production's files before the next base backup",
          cause);
    }
    if (NOT_BUILT_IN.matcher(log).find()) {
      return failed(
          what,
          reason,
          "the PostgreSQL "
              + binaries.major()
              + " used here was built without it; install the full one"
              + installing(binaries.major())
              + " and run the same command again",
          cause);
    }
    Matcher library = LIBRARY.matcher(log);
    if (library.find()) {
      return failed(
          what,
          reason,
          "install the package that holds the extension library \""
              + library.group(1)
              + "\" for PostgreSQL "
              + binaries.major()
              + " on this machine and run the same command again",
          cause);
    }
    if (CUSTOM_RMGR.matcher(log).find()) {
      return failed(
          what,
          reason,
          "an extension of production writes WAL of its own, and forks load no extension libraries"
              + " yet; restore with pg_basebackup's copy and that extension instead",
          cause);
    }
    if (log.contains("recovery ended before configured recovery target was reached")) {
      Optional<Lsn> end = endOfLog(log);
      if (end.isPresent() && end.get().isBefore(target.lsn())) {
        return new OperatorException(
            Kind.DAMAGED_DATA,
            what,
            "recorded WAL cannot be read past " + end.get(),
            "choose a target before " + end.get() + ", or one that a newer base backup reaches",
            cause);
      }
      return new OperatorException(
          Kind.REFUSED,
          what,
          "the record at " + target.lsn() + " is not recorded to its end",
          "wait until more WAL is recorded and run the same command again, or choose an earlier"
              + " target",
          cause);
    }
    if (log.contains("requested recovery stop point is before consistent recovery point")) {
      return new OperatorException(
          Kind.REFUSED, what, reason, "choose a target after the end of the base backup", cause);
    }
    if (log.contains("No space left on device") || log.contains("Disk quota exceeded")) {
      return failed(
          what,
          reason,
          "make room in its file system, or name a folder in another one, and run the same"
              + " command again",
          cause);
    }
    if (log.contains("references to invalid pages")
        || log.contains("invalid page in block")
        || log.contains("could not locate a valid checkpoint record")) {
      return new OperatorException(
          Kind.DAMAGED_DATA,
          what,
          reason,
          "check the repository (holdfast verify), or choose a target that an older base backup"
              + " reaches",
          cause);
    }
    return failed(
        what, reason, "the lines above it in the server's log say more:\n" + tail(log, 20), cause);
  }

  /**
   * Whether this machine lacks something, by what its server wrote, so that nothing is said about
   * the data.
   */
  static boolean isOfThisMachine(String log) {
    return missingLocale(log).isPresent()
        || NOT_BUILT_IN.matcher(log).find()
        || LIBRARY.matcher(log).find()
        || CUSTOM_RMGR.matcher(log).find()
        || SHORT_OF.matcher(log).find()
        || CONFIGURATION.matcher(log).find()
        || tooSmall(log).isPresent();
  }

  static String missingLocaleRemedy(String locale) {
    return "make the locale on this machine: localedef -i %s -f UTF-8 %s (as root; Debian: first"
            .formatted(locale.replaceFirst("\\..*", ""), locale)
        + " apt-get install locales), then run the same command again";
  }

  private static OperatorException failed(
      String what, String why, String next, @Nullable Throwable cause) {
    return new OperatorException(Kind.FAILED, what, why, next, cause);
  }

  private static String installing(int major) {
    return " (Debian: apt-get install postgresql-" + major + ")";
  }

  private static String reason(String log) {
    List<String> lines = log.lines().toList();
    for (int index = 0; index < lines.size(); index++) {
      Matcher severe = SEVERE.matcher(lines.get(index));
      // "the database system is starting up" is what early connections are told.
      if (severe.find() && !severe.group(1).startsWith("the database system is")) {
        String detail =
            index + 1 < lines.size() && lines.get(index + 1).contains("DETAIL:")
                ? "; " + lines.get(index + 1).replaceFirst(".*DETAIL:\\s+", "")
                : "";
        return severe.group(1) + detail;
      }
    }
    return lines.isEmpty() ? "its server left without a word" : tail(log, 1);
  }

  private static String tail(String log, int lines) {
    List<String> all = log.lines().toList();
    return String.join("\n", all.subList(Math.max(0, all.size() - lines), all.size()));
  }
}
