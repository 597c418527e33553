package dev.holdfast.cli;

import dev.holdfast.operations.Roles;
import dev.holdfast.operations.RolesScript;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
    name = "roles",
    header = "Print SQL for separate roles: application, migrations, reading.",
    description = {
      "%nAn application that connects as the owner of its tables, or as a superuser, can drop them by mistake. The SQL makes three"
          + " roles: one that reads and writes rows, one that owns the tables and migrates, one that only reads; for"
          + " what is there and for what migrations will make. It holds for PostgreSQL 14 to 18, in one transaction, and"
          + " may be run again.%n",
      "Nothing is run: read it, then give it to psql as a superuser, or as an admin role that owns everything. No password is in"
          + " it. Where the database can be reached its schemas, its owners and who connects are looked at.%n",
      "Examples:",
      "  holdfast roles acme > roles.sql",
      "  holdfast roles acme --database shop --app api --migrator deploy",
      "  holdfast roles postgresql://admin@db.internal/shop",
    })
final class RolesCommand extends CliCommand {
  @Parameters(
      index = "0",
      paramLabel = "NAME|URL",
      description = "A protected server, or postgresql://… in any form libpq takes.")
  String nameOrUrl = "";

  @Option(
      names = "--database",
      paramLabel = "DATABASE",
      description = "Of this database (default: the one that the connection leads to).")
  @Nullable String database;

  @Option(
      names = "--app",
      paramLabel = "ROLE",
      description = "What the application's role is called (default: DATABASE_app).")
  @Nullable String app;

  @Option(
      names = "--migrator",
      paramLabel = "ROLE",
      description = "What the role of migrations is called (default: DATABASE_migrator).")
  @Nullable String migrator;

  @Option(
      names = "--reader",
      paramLabel = "ROLE",
      description = "What the reader's role is called (default: DATABASE_reader).")
  @Nullable String reader;

  @Option(
      names = "--schema",
      paramLabel = "SCHEMA",
      description = "Only of this schema; may be said several times (default: all there are).")
  List<String> schemas = new ArrayList<>();

  @Mixin RepositoryOptions repository = new RepositoryOptions();

  RolesCommand(Terminal terminal, Map<String, String> environment) {
    super(terminal, environment);
  }

  @Override
  public Integer call() {
    RolesScript script =
        Roles.of(nameOrUrl, () -> repository.location(holdfast.repository, environment))
            .write(new Roles.Request(database, app, migrator, reader, schemas));
    print(script, () -> text(script));
    return 0;
  }

  /** Comments and SQL: psql takes all of it. */
  private static String text(RolesScript script) {
    StringBuilder text = new StringBuilder();
    comment(
        text,
        "Roles for database %s%s: %s, %s, %s."
            .formatted(
                script.database(),
                script.cluster() == null ? "" : " of " + script.cluster(),
                script.app(),
                script.migrator(),
                script.reader()));
    comment(
        text,
        "Read it, then run it in that database as a superuser, or an admin role that owns everything.");
    if (script.whyNot() != null) {
      comment(
          text,
          "The database was not looked at (%s): it is for schema %s alone."
              .formatted(script.whyNot(), String.join(", ", script.schemas())));
    }
    script.notes().forEach(note -> comment(text, "- " + note));
    text.append('\n');
    for (RolesScript.Statement statement : script.statements()) {
      if (!statement.why().isEmpty()) {
        text.append('\n');
        comment(text, statement.why());
      }
      text.append(statement.sql()).append(";\n");
    }
    text.append('\n');
    comment(text, "Then, in psql:");
    for (RolesScript.Task task : script.afterwards()) {
      comment(text, "  %s   (%s)".formatted(task.command(), task.why()));
    }
    comment(text, "and give each its role in its address: postgresql://ROLE@HOST/DATABASE");
    return text.toString();
  }

  /** Names in it are others': nothing in them ends the comment. */
  private static void comment(StringBuilder text, String line) {
    text.append("-- ").append(Texts.oneLine(line)).append('\n');
  }
}
