package dev.holdfast.cli;

import java.util.Map;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** How a command connects as an owner of tables where it is given a protected server's name. */
final class OwnerOptions {
  @Option(
      names = "--url",
      paramLabel = "URL",
      description =
          "With NAME: connect to it as an owner of the tables. Else HOLDFAST_URL. Never stored.")
  @Nullable String url;

  @Mixin RepositoryOptions repository = new RepositoryOptions();

  @Nullable String url(Map<String, String> environment) {
    return url != null ? url : environment.get("HOLDFAST_URL");
  }
}
