package dev.holdfast.cli;

import dev.holdfast.operations.WalFilter;
import dev.holdfast.operations.WalInput;
import dev.holdfast.operations.WalNote;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Which WAL is read, and which of its records are wanted. */
final class WalOptions {
  @Parameters(
      paramLabel = "FILE",
      arity = "0..*",
      description =
          "WAL segments in any order, or directories of them: a pg_wal, an archive, a data directory."
              + " Without any: what the repository recorded.")
  List<Path> files = new ArrayList<>();

  @Option(
      names = "--from",
      paramLabel = "LSN",
      description = "Only records that start there or later.")
  @Nullable String from;

  @Option(names = "--to", paramLabel = "LSN", description = "Only records that start before.")
  @Nullable String to;

  @Option(
      names = "--rmgr",
      paramLabel = "NAME",
      completionCandidates = ResourceManagers.class,
      description = "Only this resource manager's: Heap, Transaction, ... May be repeated.")
  List<String> rmgrs = new ArrayList<>();

  @Option(
      names = "--relation",
      paramLabel = "REL",
      description =
          "Only records about a page of it: TABLESPACE/DATABASE/NUMBER, or with a repository a table,"
              + " [schema.]table, together with its indexes and its TOAST.")
  @Nullable String relation;

  @Option(
      names = "--fork",
      paramLabel = "FORK",
      completionCandidates = Forks.class,
      description = "Only about a page of this fork: main, fsm, vm or init.")
  @Nullable String fork;

  @Option(
      names = "--block",
      paramLabel = "N",
      description = "Only about this block of the relation.")
  @Nullable Long block;

  @Option(names = "--xid", paramLabel = "XID", description = "Only this transaction's.")
  @Nullable String xid;

  @Option(names = "--limit", paramLabel = "N", description = "Stop after so many records.")
  @Nullable Long limit;

  @Option(
      names = "--cluster",
      paramLabel = "NAME",
      description =
          "The cluster whose names, or whose recorded WAL, are meant. Else the one whose system"
              + " identifier the files carry; without files, the only one.")
  @Nullable String cluster;

  @Mixin RepositoryOptions repository = new RepositoryOptions();

  WalFilter filter() {
    return new WalFilter(from, to, rmgrs, relation, fork, block, xid, limit);
  }

  /**
   * @param general what was given before the command
   */
  WalInput input(RepositoryOptions general, Map<String, String> environment) {
    return files.isEmpty()
        ? new WalInput(files, repository.location(general, environment), true, cluster)
        : new WalInput(
            files,
            repository.locationIfNamed(general, environment),
            repository.isGiven(general),
            cluster);
  }

  /** Tells of what is no record, beside the records. */
  static void tell(Terminal terminal, OutputOptions output, WalNote note) {
    terminal.out().flush(); // the order of what happened, on a terminal that shows both
    if (output.json) {
      terminal.err().println(Json.line(Map.of("note", note)));
    } else if (!output.quiet) {
      terminal.err().println(terminal.paint(Terminal.Colour.DIM, "note:") + " " + note.text());
    }
  }

  /** For completion in the shell. */
  static final class ResourceManagers implements Iterable<String> {
    @Override
    public Iterator<String> iterator() {
      return WalFilter.resourceManagers().iterator();
    }
  }

  /** For completion in the shell. */
  static final class Forks implements Iterable<String> {
    @Override
    public Iterator<String> iterator() {
      return List.of("main", "fsm", "vm", "init").iterator();
    }
  }
}
