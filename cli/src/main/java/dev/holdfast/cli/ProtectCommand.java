package dev.holdfast.cli;

import dev.holdfast.operations.Advice;
import dev.holdfast.operations.Protect;
import dev.holdfast.operations.ProtectResult;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
    name = "protect",
    header =
        "Begin to protect a PostgreSQL server: role, identity in the repository, first base backup.",
    description = {
      "%nURL connects as a superuser or the owner of the roles, once; it is not kept. What is kept is a role"
          + " of our own that can read backups and WAL and cannot SELECT your rows.%n",
      "Examples:",
      "The repository is made when there is none, and encrypted: with the passphrase or key service given, else with"
          + " a key made for it, which has to be copied elsewhere.%n",
      "  holdfast --repository /backups protect acme postgresql://postgres@db/shop --environment production",
      "  holdfast protect acme postgresql://postgres@db/shop --environment production --print-sql",
      "  holdfast protect acme_18 postgresql://postgres@db/shop --environment production --continues acme",
    })
final class ProtectCommand extends CliCommand {
  @Parameters(index = "0", paramLabel = "NAME", description = "What to call this server.")
  String name = "";

  @Parameters(
      index = "1",
      paramLabel = "URL",
      description =
          "postgresql://… in any form libpq takes; PG* variables fill what it leaves out.")
  String url = "";

  @Option(
      names = "--environment",
      paramLabel = "ENV",
      required = true,
      description = "production, staging or development.")
  String environmentName = "";

  @Option(
      names = "--print-sql",
      description = "Show every statement that would be run, and run none.")
  boolean printSql;

  @Option(
      names = "--without-slot",
      description =
          "Use no replication slot: WAL that the server recycles while nothing records is lost.")
  boolean withoutSlot;

  @Option(
      names = "--without-stamp",
      description =
          "Do not put schema holdfast into the databases: `holdfast check` knows less then, and applications cannot ask.")
  boolean withoutStamp;

  @Option(
      names = "--continues",
      paramLabel = "NAME",
      description =
          "The cluster whose place this server takes, after pg_upgrade or a move by dump and restore: its databases go"
              + " on saying that they are that one, and its past is kept under its old name.")
  @Nullable String continues;

  @Option(
      names = "--recorder-url",
      paramLabel = "URL",
      description = "Record with this role, made beforehand, instead of creating one.")
  @Nullable String recorderUrl;

  @Option(
      names = "--connections",
      paramLabel = "N",
      defaultValue = "2",
      description = "Connections that read the base backup (default: ${DEFAULT-VALUE}).")
  int connections;

  @Option(
      names = "--no-encryption",
      description =
          "Make the repository without encryption: whoever reads it reads the databases. Without this,"
              + " everything is encrypted before it leaves this machine.")
  boolean noEncryption;

  @Option(
      names = "--compression-level",
      paramLabel = "N",
      description =
          "zstd's level for everything in a new repository, -7 (fast) to 19 (small); 1 unless given.")
  @Nullable Integer compressionLevel;

  @Mixin RepositoryOptions repository = new RepositoryOptions();

  ProtectCommand(Terminal terminal, Map<String, String> environment) {
    super(terminal, environment);
  }

  @Override
  public Integer call() {
    Protect.Request request =
        new Protect.Request(
            name,
            url,
            environmentName,
            recorderUrl,
            !withoutSlot,
            !withoutStamp,
            connections,
            continues);
    if (printSql) {
      List<String> statements =
          Protect.statements(request, repository.locationIfNamed(holdfast.repository, environment));
      print(
          Map.of("statements", statements),
          () -> String.join(";\n", statements) + (statements.isEmpty() ? "" : ";\n"));
      return 0;
    }
    ProtectResult result =
        new Protect(
                repository.location(holdfast.repository, environment),
                new Protect.NewRepository(!noEncryption, compressionLevel))
            .run(request, progress());
    print(result, () -> text(result));
    return 0;
  }

  private String text(ProtectResult result) {
    StringBuilder text = new StringBuilder();
    text.append(terminal.paint(Terminal.Colour.GREEN, "protected"))
        .append("  ")
        .append(result.name())
        .append(" (")
        .append(result.environment())
        .append(", PostgreSQL ")
        .append(result.serverVersion())
        .append(") in ")
        .append(result.repository())
        .append('\n');
    if (result.continues() != null) {
      text.append(
          "  it takes the place of %s: its databases go on being %s/%s, and what is recorded of %s is kept%n"
              .formatted(
                  result.continues(), result.identity(), result.environment(), result.continues()));
    }
    text.append("  base backup ")
        .append(result.base().label())
        .append("  ")
        .append(Texts.bytes(result.base().bytes()))
        .append(" in ")
        .append(Texts.bytes(result.base().storedBytes()))
        .append(", ")
        .append(Texts.seconds(result.base().durationSeconds()))
        .append('\n');
    text.append("  role ")
        .append(result.recorderRole())
        .append(result.slot() == null ? ", no replication slot" : ", slot " + result.slot())
        .append('\n');
    if (!result.stamped().isEmpty()) {
      text.append(
          "  %s now that it is %s/%s: %s%n"
              .formatted(
                  result.stamped().size() == 1 ? "one database says" : "each database says",
                  result.identity(),
                  result.environment(),
                  String.join(", ", result.stamped())));
    }
    text.append('\n');
    TextTable works = new TextTable("on this server", "works", "");
    for (ProtectResult.Capability capability : result.works()) {
      works.row(capability.capability(), capability.works(), capability.note());
    }
    text.append(works.format("  "))
        .append('\n')
        .append(ServerText.of(result.server()))
        .append('\n');
    for (Advice advice : result.advice()) {
      text.append(AdviceText.of(terminal, advice));
    }
    if (result.assertStatement() != null) {
      text.append(
          "in each application's start, so that it never works on another database: SELECT holdfast.assert_identity('%s', '%s')%n"
              .formatted(result.identity(), result.environment()));
    }
    return text.append("next: holdfast record ")
        .append(result.name())
        .append("    and keep it running: it receives every change from now on\n")
        .toString();
  }
}
