package dev.holdfast.scenarios;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;

/** examples/node. */
final class NodeApplicationsTest extends MeetsAnotherDatabase {
  private static final Path SOURCES = Examples.FOLDER.resolve("node");
  private static final Path INSTALLED = Examples.target("node");
  private static final Path WITH_MARK = INSTALLED.resolve("with-mark");
  private static final String EXPECTED_DATABASE = "expected-database.mjs";
  private static final String GENERATED = "generated";

  @BeforeAll
  static void install() throws IOException {
    InstalledPrograms.require("node", 18, 18, "nodejs npm");
    InstalledPrograms.install(
        SOURCES,
        INSTALLED,
        List.of("package-lock.json", "schema.prisma"),
        "node_modules",
        List.of(
            List.of(
                "npm",
                "ci",
                "--prefix=" + INSTALLED,
                "--ignore-scripts",
                "--no-audit",
                "--no-fund"),
            // Its engines are in other packages, which its makers serve; what generates needs none.
            List.of(
                "env",
                "PRISMA_SCHEMA_ENGINE_BINARY=/usr/bin/true",
                "PRISMA_QUERY_ENGINE_LIBRARY=/usr/bin/true",
                "CHECKPOINT_DISABLE=1",
                "node",
                INSTALLED.resolve("node_modules/prisma/build/index.js").toString(),
                "generate",
                "--schema=" + INSTALLED.resolve("schema.prisma"))));
    Examples.copyWithMark(
        SOURCES,
        List.of(
            EXPECTED_DATABASE,
            "serve.mjs",
            "pg.mjs",
            "sequelize.mjs",
            "knex.mjs",
            "typeorm.mjs",
            "prisma.mjs"),
        WITH_MARK);
    if (!Files.exists(WITH_MARK.resolve(GENERATED))) {
      Files.createSymbolicLink(WITH_MARK.resolve(GENERATED), INSTALLED.resolve(GENERATED));
    }
  }

  @Override
  List<Application> applications() {
    return Stream.of("pg", "sequelize", "knex", "typeorm", "prisma")
        .map(name ->
            new Application(
                name,
                false,
                List.of("node", INSTALLED.resolve(name + ".mjs").toString()),
                List.of("node", WITH_MARK.resolve(name + ".mjs").toString())))
        .toList();
  }
}
