package dev.holdfast.cli;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.operations.Fork;
import dev.holdfast.operations.ForkReady;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
    name = "fork",
    header =
        "A throw-away server holding the data as it was at a moment, from the repository alone.",
    description = {
      "%nRuns until stopped with Ctrl-C, then is gone with its files. Production is not touched.%n",
      "Examples:",
      "  holdfast fork acme --before 812",
      "  holdfast fork acme --at 2026-11-21T04:56:27Z",
      "  holdfast fork acme --tables users,billing.invoices",
      "  holdfast fork acme --schema-only",
      "  holdfast fork acme",
    })
final class ForkCommand extends CliCommand {
  @Parameters(paramLabel = "NAME", description = "The protected database server.")
  String name = "";

  @Mixin TargetOptions target = new TargetOptions();

  static final class Contents {
    @Option(
        names = "--tables",
        paramLabel = "T,...",
        description = {
          "Only the rows of these tables: TABLE (in public), SCHEMA.TABLE or DATABASE.SCHEMA.TABLE.",
          "It takes the time and room of these, not of the cluster; all else is defined and answers"
              + " with an error."
        })
    @Nullable String tables;

    @Option(
        names = "--database",
        paramLabel = "DATABASE",
        description = "The database they are in, where more than one has them.")
    @Nullable String database;

    @Option(
        names = "--large-objects",
        description = "That database's large objects too (pg_largeobject).")
    boolean largeObjects;

    @Option(
        names = "--schema-only",
        description = "Definitions alone: every table answers with an error. Not with --tables.")
    boolean schemaOnly;

    private Fork.Wanted wanted(String name) {
      if (schemaOnly && (tables != null || largeObjects || database != null)) {
        throw wrong(
            name,
            "--schema-only goes with no other choice of contents",
            "leave it out, or leave the others out");
      }
      if (tables == null && (largeObjects || database != null)) {
        throw wrong(
            name,
            (largeObjects ? "--large-objects" : "--database") + " goes with --tables",
            "name the tables, or leave it out: a fork of everything has it all");
      }
      return new Fork.Wanted(tables, database, largeObjects, schemaOnly);
    }

    private static OperatorException wrong(String name, String why, String next) {
      return new OperatorException(Kind.USAGE, "cannot fork " + name, why, next);
    }
  }

  @ArgGroup(exclusive = false, heading = "Contents (default: everything):%n")
  @Nullable Contents contents;

  @Option(
      names = "--scratch",
      paramLabel = "DIR",
      description = "Make it in this folder instead of the system's temporary one.")
  @Nullable Path scratch;

  @Mixin RepositoryOptions repository = new RepositoryOptions();

  ForkCommand(Terminal terminal, Map<String, String> environment) {
    super(terminal, environment);
  }

  @Override
  public Integer call() throws InterruptedException {
    CountDownLatch ended = new CountDownLatch(1);
    try (Fork.Running fork =
        new Fork(repository.location(holdfast.repository, environment), name, scratch)
            .start(
                target.target(),
                contents == null ? Fork.Wanted.ALL : contents.wanted(name),
                progress())) {
      CountDownLatch stopped = new CountDownLatch(1);
      Shutdown.onSignal(stopped::countDown, ended);
      ForkReady ready = fork.ready();
      print(ready, () -> text(ready));
      stopped.await();
    } finally {
      ended.countDown();
    }
    return 0;
  }

  private String text(ForkReady ready) {
    return terminal.paint(Terminal.Colour.GREEN, "ready")
        + "  %s %s %s, from base backup %s and %s of WAL, in %s%n%n  psql '%s'%n%n"
            .formatted(
                ready.name(),
                ready.state(),
                ready.lsn(),
                ready.base(),
                Texts.bytes(ready.walBytes()),
                Texts.seconds(ready.durationSeconds()),
                ready.url())
        + holds(ready)
        + "it is gone, with its files, when you press Ctrl-C\n";
  }

  private String holds(ForkReady ready) {
    String rest = "; the rows of everything else are left out: reading them is an error\n";
    String again =
        ready.attempts() == 1
            ? ""
            : "built %d times: a table had got another file since the base backup%n"
                .formatted(ready.attempts());
    return switch (ready.holds()) {
      case "tables" ->
          "holds "
              + String.join(", ", ready.tables())
              + (ready.largeObjects() ? " and large objects" : "")
              + " of database "
              + ready.database()
              + rest
              + again;
      case "schema" -> "holds definitions and sequences" + rest + again;
      default ->
          contents == null ? "" : "holds everything: less could not be proven complete\n" + again;
    };
  }
}
