package dev.holdfast.cli;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.operations.GuardException;
import dev.holdfast.operations.GuardRules;
import java.math.BigDecimal;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

@Command(
    name = "except",
    header = "Make a rule looser or stricter for a table, a column or a role.",
    description = {
      "%nOf several that fit the one that names a table is taken, then a column, then a role.%n",
      "Examples:",
      "  holdfast guard except acme --rule mass-delete --table public.sessions --rows 200000 --reason \"nightly purge\"",
      "  holdfast guard except acme --rule drop-table --table public.events_p%% --role partman --mode off --reason retention",
      "  holdfast guard except acme --remove 3",
    })
final class GuardExceptCommand extends GuardSubcommand {
  @Option(names = "--rule", paramLabel = "RULE", description = "The rule.")
  @Nullable String rule;

  @Option(
      names = "--table",
      paramLabel = "T",
      description = "SCHEMA.TABLE; %% stands for anything.")
  @Nullable String table;

  @Option(names = "--column", paramLabel = "C", description = "One JSON column of it.")
  @Nullable String column;

  @Option(names = "--role", paramLabel = "R", description = "A role; %% stands for anything.")
  @Nullable String role;

  @Option(names = "--mode", paramLabel = "MODE", description = "off, observe or enforce.")
  @Nullable String mode;

  @Option(names = "--rows", paramLabel = "N", description = "Rows in one transaction, at most.")
  @Nullable Long rows;

  @Option(
      names = "--percent",
      paramLabel = "N",
      description = "Percent of the table, at most, from 1,000 rows on.")
  @Nullable BigDecimal percent;

  @Option(names = "--reason", paramLabel = "TEXT", description = "Why; needed.")
  @Nullable String reason;

  @Option(names = "--remove", paramLabel = "ID", description = "Take this exception away.")
  @Nullable Long remove;

  GuardExceptCommand(Terminal terminal, Map<String, String> environment) {
    super(terminal, environment);
  }

  @Override
  public Integer call() {
    if (remove != null) {
      GuardRules.Excepted removed = new GuardRules(access()).removeException(remove);
      print(removed, () -> "exception %d is gone%n".formatted(removed.id()));
      return 0;
    }
    if (rule == null || reason == null) {
      throw new OperatorException(
          Kind.USAGE,
          "cannot make an exception",
          "it takes --rule and --reason",
          "holdfast guard except --help shows how");
    }
    GuardRules.Excepted made =
        new GuardRules(access())
            .except(
                new GuardException(null, rule, table, role, column, mode, rows, percent, reason),
                progress());
    print(made, () -> "exception %d is made%n".formatted(made.id()));
    return 0;
  }
}
