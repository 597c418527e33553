package dev.holdfast.scenarios;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.guard.Identity;
import dev.holdfast.server.ProcessResult;
import dev.holdfast.server.Processes;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** docs/applications.md shows what is in examples/, and that is what the guard has. */
@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class DocumentedExamplesTest {
  private static final Path DOCUMENT = Examples.FOLDER.resolveSibling("docs/applications.md");

  /** A file's name, as a link to it, and a block of code. */
  private static final Pattern SHOWN =
      Pattern.compile(
          "\\[examples/(\\S+)]\\(\\.\\./examples/\\1\\)\n\n```\\w+\n(.*?)```\n", Pattern.DOTALL);

  private static final Pattern BLOCK = Pattern.compile("^```\\w+$", Pattern.MULTILINE);
  private static final Pattern SPACE = Pattern.compile("\\s+");

  /** Of each, what is shown is a part; of all others it is the whole. */
  private static final List<String> IN_PART = List.of("node/package.json");

  private static final List<String> SHOWN_FILES =
      List.of(
          "node/expected-database.mjs",
          "node/pg.mjs",
          "node/sequelize.mjs",
          "node/knex.mjs",
          "node/typeorm.mjs",
          "node/prisma.mjs",
          "node/package.json",
          "spring-boot/src/main/resources/application.yaml",
          "spring-boot/src/main/java/shop/ExpectedDatabase.java",
          "spring-boot/src/main/java/shop/AnotherDatabase.java",
          "spring-boot/src/main/resources/META-INF/spring.factories",
          "hikaricp/Pool.java",
          "python/expected_database.py",
          "python/django_shop/apps.py",
          "python/django_shop/wsgi.py",
          "python/with_sqlalchemy.py",
          "container/entrypoint.sh",
          "container/Dockerfile",
          "github/deploy.yml");

  @Test
  void every_block_of_code_is_the_file_that_it_is_named_after() throws IOException {
    String document = Files.readString(DOCUMENT);
    List<String> files = new ArrayList<>();
    for (MatchResult shown : SHOWN.matcher(document).results().toList()) {
      files.add(shown.group(1));
      String file = Files.readString(Examples.FOLDER.resolve(shown.group(1)));
      if (IN_PART.contains(shown.group(1))) {
        assertThat(file).contains(shown.group(2));
      } else {
        assertThat(shown.group(2)).as(shown.group(1)).isEqualTo(file);
      }
    }
    assertThat(files).containsExactlyElementsOf(SHOWN_FILES);
    assertThat(BLOCK.matcher(document).results()).hasSameSizeAs(SHOWN_FILES);
  }

  @Test
  void every_example_has_the_statement_that_the_guard_has() throws IOException {
    String statement = inOneLine(Identity.assertStatement("acme", "production"));
    List<String> with = new ArrayList<>();
    try (Stream<Path> files = Files.walk(Examples.FOLDER)) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        String path = Examples.FOLDER.relativize(file).toString();
        if (path.matches(".*(\\.mjs|\\.py|\\.java|\\.yaml)") && !path.contains("/target/")) {
          if (inOneLine(Files.readString(file)).contains(statement)) {
            with.add(path);
          }
        }
      }
    }
    assertThat(with)
        .containsExactlyInAnyOrder(
            "node/expected-database.mjs",
            "python/expected_database.py",
            "hikaricp/Pool.java",
            "spring-boot/src/main/resources/application.yaml");
  }

  /** With a program in the place of holdfast that ends as it is told and says what it was asked. */
  @Test
  void the_container_starts_its_program_after_a_check_that_went_well_and_else_ends_as_the_check()
      throws IOException {
    assertThat(entrypoint(0))
        .isEqualTo(
            new ProcessResult(
                0, "check postgresql://db.internal/shop --expect acme/production\nstarted\n"));
    assertThat(entrypoint(4))
        .isEqualTo(
            new ProcessResult(4, "check postgresql://db.internal/shop --expect acme/production\n"));
    assertThat(entrypoint(7).exitCode()).isEqualTo(7);
  }

  @TempDir Path folder;

  private ProcessResult entrypoint(int exitCodeOfCheck) throws IOException {
    Path holdfast =
        Files.writeString(
            folder.resolve("holdfast"), "#!/bin/sh\necho \"$@\"\nexit " + exitCodeOfCheck + "\n");
    Files.setPosixFilePermissions(holdfast, PosixFilePermissions.fromString("rwxr-xr-x"));
    return Processes.run(
        List.of(
            "env",
            "PATH=" + folder + ":" + System.getenv("PATH"),
            "DATABASE_URL=postgresql://db.internal/shop",
            Examples.FOLDER.resolve("container/entrypoint.sh").toString(),
            "echo",
            "started"));
  }

  private static String inOneLine(String text) {
    return SPACE.matcher(text).replaceAll(" ");
  }
}
