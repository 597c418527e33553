package dev.holdfast.scenarios;

import com.zaxxer.hikari.HikariDataSource;
import dev.holdfast.guard.Identity;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.postgresql.Driver;
import org.slf4j.Logger;

/**
 * examples/spring-boot, as the jar that is deployed, and examples/hikaricp, run from its source.
 */
final class JavaApplicationsTest extends MeetsAnotherDatabase {
  private static final Path HIKARICP = Examples.FOLDER.resolve("hikaricp");
  private static final Path HIKARICP_WITH_MARK = Examples.target("hikaricp-with-mark");
  private static final Path SPRING_BOOT = Examples.FOLDER.resolve("spring-boot");
  private static final Path SPRING_BOOT_BUILT = Examples.target("spring-boot");
  private static final Path JAR =
      SPRING_BOOT_BUILT.resolve("target/spring-boot-0.1.0-SNAPSHOT.jar");

  @BeforeAll
  static void build() throws IOException {
    List<String> decisive =
        InstalledPrograms.files(SPRING_BOOT, "target").stream()
            .filter(Files::isRegularFile)
            .map(file -> SPRING_BOOT.relativize(file).toString())
            .sorted()
            .toList();
    InstalledPrograms.install(
        SPRING_BOOT,
        SPRING_BOOT_BUILT,
        decisive,
        "target",
        List.of(
            List.of(
                Path.of("../mvnw").toAbsolutePath().normalize().toString(),
                "--batch-mode",
                "--quiet",
                "--file=" + SPRING_BOOT_BUILT.resolve("pom.xml"),
                "clean",
                "package")));
    Examples.copyWithMark(HIKARICP, List.of("Pool.java", "Shop.java"), HIKARICP_WITH_MARK);
  }

  @Override
  List<Application> applications() {
    List<String> springBoot = List.of(java(), "-XX:TieredStopAtLevel=1", "-jar", JAR.toString());
    List<String> withMark = new ArrayList<>(springBoot);
    withMark.add(
        "--spring.datasource.hikari.connection-init-sql="
            + Examples.withMark(Identity.assertStatement("acme", "production")));
    return List.of(
        new Application("spring-boot", true, springBoot, withMark),
        new Application("hikaricp", true, hikaricp(HIKARICP), hikaricp(HIKARICP_WITH_MARK)));
  }

  private static List<String> hikaricp(Path folder) {
    String classes =
        Stream.of(HikariDataSource.class, Driver.class, Logger.class)
            .map(type ->
                Path.of(type.getProtectionDomain().getCodeSource().getLocation().getPath())
                    .toString())
            .collect(Collectors.joining(File.pathSeparator));
    return List.of(java(), "-cp", classes, folder.resolve("Shop.java").toString());
  }

  private static String java() {
    return Path.of(System.getProperty("java.home"), "bin", "java").toString();
  }
}
