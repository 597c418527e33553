package dev.holdfast.operations;

import dev.holdfast.store.LocalHost;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * On whose behalf it is asked which database this is.
 *
 * @param application as its owners call it
 * @param host where it runs
 * @param commit of its code; null when nothing says it
 */
public record Asker(String application, String host, @Nullable String commit) {
  private static final String NOBODY = "holdfast check";

  /** What package managers and CIs tell the processes they start, the most telling first. */
  private static final List<String> APPLICATIONS =
      List.of("PGAPPNAME", "npm_package_name", "GITHUB_REPOSITORY", "CI_PROJECT_PATH");

  private static final List<String> COMMITS =
      List.of(
          "GITHUB_SHA",
          "CI_COMMIT_SHA",
          "GIT_COMMIT",
          "BITBUCKET_COMMIT",
          "CIRCLE_SHA1",
          "BUILD_SOURCEVERSION",
          "VERCEL_GIT_COMMIT_SHA",
          "RENDER_GIT_COMMIT",
          "RAILWAY_GIT_COMMIT_SHA",
          "SOURCE_VERSION",
          "COMMIT_SHA");

  /**
   * As far as it was said, the rest as the environment tells it.
   *
   * @param application null: as the environment tells
   * @param commit likewise
   */
  public static Asker of(
      @Nullable String application, @Nullable String commit, Map<String, String> environment) {
    String named = said(application, APPLICATIONS, environment);
    return new Asker(
        named == null ? NOBODY : named, LocalHost.name(), said(commit, COMMITS, environment));
  }

  private static @Nullable String said(
      @Nullable String given, List<String> variables, Map<String, String> environment) {
    return Stream.concat(Stream.ofNullable(given), variables.stream().map(environment::get))
        .filter(Objects::nonNull)
        .filter(value -> !value.isBlank())
        .findFirst()
        .orElse(null);
  }
}
