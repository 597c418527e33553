package dev.holdfast.cli;

import dev.holdfast.operations.Adopt;
import java.util.Map;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
    name = "adopt",
    header = "Say what a database is that came from another server.",
    description = {
      "%nAfter pg_upgrade, a move to another server, a restored dump or a rename the stamp inside a database does not fit any"
          + " more: checks fail, applications that ask do not start, and a guard goes on refusing. This says what the"
          + " database is from now on; --all: each of that server.%n",
      "It is refused where the stamp fits and says something else, that is, in the original: nobody calls production a copy"
          + " by mistake, or staging production.%n",
      "After a failover nothing has to be adopted: a promoted standby is the database itself, as soon as it is recorded.%n",
      "Examples:",
      "  holdfast adopt postgresql://postgres@new-db/shop --environment production",
      "  holdfast adopt postgresql://me@localhost/shop --environment development",
    })
final class AdoptCommand extends CliCommand {
  @Parameters(
      index = "0",
      paramLabel = "URL",
      description = "The server; as the owner of schema holdfast to make it production.")
  String url = "";

  @Option(
      names = "--environment",
      paramLabel = "ENV",
      required = true,
      description = "production, staging or development.")
  String environmentName = "";

  @Option(
      names = "--all",
      description = "Every stamped database of the server, not the URL's alone.")
  boolean all;

  AdoptCommand(Terminal terminal, Map<String, String> environment) {
    super(terminal, environment);
  }

  @Override
  public Integer call() {
    Adopt.Result result = Adopt.run(url, environmentName, all);
    print(result, () -> text(result));
    return 0;
  }

  private String text(Adopt.Result result) {
    StringBuilder text = new StringBuilder();
    for (Adopt.Adopted one : result.databases()) {
      if (one.adopted()) {
        text.append(terminal.paint(Terminal.Colour.GREEN, "adopted"))
            .append("  ")
            .append(one.said())
            .append('\n');
      } else if (one.said() != null) {
        text.append(terminal.paint(Terminal.Colour.YELLOW, "refused"))
            .append("  ")
            .append(one.database())
            .append(": ")
            .append(one.said())
            .append('\n');
      }
    }
    return text.toString();
  }
}
