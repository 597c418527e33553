package dev.holdfast.cli;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;
import static org.assertj.core.api.Assertions.assertThat;

import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.jspecify.annotations.NullMarked;
import org.junit.jupiter.api.Test;

/** Holds the house: which module may use which, as docs/ARCHITECTURE.md draws it. */
class ArchitectureTest {
  /** Module to the modules it may use, itself left out. */
  private static final Map<String, Set<String>> MAY_USE =
      Map.ofEntries(
          Map.entry("failure", Set.of()),
          Map.entry("wal", Set.of("failure")),
          Map.entry("row", Set.of("failure")),
          Map.entry("store", Set.of("failure")),
          Map.entry("server", Set.of("failure")),
          Map.entry("damage", Set.of("wal", "row", "failure")),
          Map.entry("revert", Set.of("row", "failure")),
          Map.entry("compare", Set.of()),
          Map.entry("guard", Set.of("failure")),
          Map.entry("postgres", Set.of("wal", "row", "store", "server", "failure")),
          Map.entry(
              "operations",
              Set.of(
                  "wal",
                  "row",
                  "store",
                  "server",
                  "damage",
                  "revert",
                  "compare",
                  "postgres",
                  "guard",
                  "failure")),
          Map.entry(
              "demo",
              Set.of("operations", "postgres", "server", "store", "wal", "damage", "failure")),
          Map.entry("cli", Set.of("operations", "demo", "failure")));

  private static final JavaClasses CLASSES =
      new ClassFileImporter()
          .withImportOption(new ImportOption.DoNotIncludeTests())
          .withImportOption(location -> !location.contains("/testkit/"))
          .importPackages("dev.holdfast");

  @Test
  void every_module_uses_only_the_modules_below_it() {
    Map<String, Set<String>> used = new TreeMap<>();
    for (JavaClass type : CLASSES) {
      String from = module(type);
      assertThat(MAY_USE).as("module of " + type.getName()).containsKey(from);
      type.getDirectDependenciesFromSelf().stream()
          .map(dependency -> dependency.getTargetClass())
          .filter(target -> target.getPackageName().startsWith("dev.holdfast."))
          .map(ArchitectureTest::module)
          .filter(to -> !to.equals(from) && !MAY_USE.getOrDefault(from, Set.of()).contains(to))
          .forEach(to -> used.computeIfAbsent(from, _ -> new TreeSet<>()).add(to));
    }
    assertThat(used).as("arrows that the house does not have").isEmpty();
  }

  @Test
  void packages_have_no_cycles() {
    slices().matching("dev.holdfast.(**)").should().beFreeOfCycles().check(CLASSES);
  }

  @Test
  void every_package_is_null_marked_and_says_what_lives_there() {
    Set<String> packages = new TreeSet<>();
    CLASSES.forEach(type -> packages.add(type.getPackageName()));
    Set<String> unmarked = new TreeSet<>(packages);
    CLASSES.stream()
        .filter(type -> type.getSimpleName().equals("package-info"))
        .filter(type -> type.isAnnotatedWith(NullMarked.class))
        .forEach(type -> unmarked.remove(type.getPackageName()));
    assertThat(unmarked).isEmpty();
    assertThat(packages.stream().map(name -> name.substring(name.lastIndexOf('.') + 1)))
        .doesNotContain("common", "util", "utils", "helper", "misc");
  }

  @Test
  void only_the_command_line_prints() {
    noClasses()
        .that()
        .resideOutsideOfPackage("dev.holdfast.cli..")
        .and()
        // A process of its own in the demo, which talks to whoever started it.
        .doNotHaveFullyQualifiedName("dev.holdfast.demo.Application")
        .should()
        .accessField(System.class, "out")
        .orShould()
        .accessField(System.class, "err")
        .check(CLASSES);
  }

  @Test
  void the_places_objects_are_kept_in_are_known_to_the_store_only() {
    noClasses()
        .that()
        .resideOutsideOfPackage("dev.holdfast.store..")
        .should()
        .dependOnClassesThat()
        .resideInAnyPackage(
            "dev.holdfast.store.objects..", "dev.holdfast.store.local..", "dev.holdfast.store.s3..")
        .check(CLASSES);
    noClasses()
        .that()
        .resideOutsideOfPackage("dev.holdfast.store.s3..")
        .should()
        .dependOnClassesThat()
        .resideInAPackage("software.amazon..")
        .check(CLASSES);
  }

  @Test
  void only_the_server_module_starts_processes() {
    noClasses()
        .that()
        .resideOutsideOfPackage("dev.holdfast.server..")
        .should()
        .dependOnClassesThat()
        .belongToAnyOf(ProcessBuilder.class)
        .orShould()
        .callMethod(Runtime.class, "exec", String[].class)
        .check(CLASSES);
  }

  private static String module(JavaClass type) {
    return type.getPackageName().replaceFirst("dev\\.holdfast\\.([^.]*).*", "$1");
  }
}
