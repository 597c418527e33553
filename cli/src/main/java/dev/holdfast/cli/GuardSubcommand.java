package dev.holdfast.cli;

import dev.holdfast.operations.GuardAccess;
import java.util.Map;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.ParentCommand;

/** A command of {@code holdfast guard}. */
abstract class GuardSubcommand extends AnsweringCommand {
  @ParentCommand GuardCommand guard = new GuardCommand();

  @Parameters(
      index = "0",
      paramLabel = "NAME|URL",
      description = "A protected server, or postgresql://… in any form libpq takes.")
  String nameOrUrl = "";

  @Mixin OwnerOptions owner = new OwnerOptions();

  GuardSubcommand(Terminal terminal, Map<String, String> environment) {
    super(terminal, environment);
  }

  final GuardAccess access() {
    return GuardAccess.of(
        nameOrUrl,
        owner.url(environment),
        () -> owner.repository.location(guard.holdfast.repository, environment));
  }

  /** The argument as it may be shown again: a URL may hold a password. */
  final String shown() {
    return nameOrUrl.contains("://") || nameOrUrl.contains("=") ? "URL" : nameOrUrl;
  }
}
