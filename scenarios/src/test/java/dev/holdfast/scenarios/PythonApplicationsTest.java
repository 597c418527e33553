package dev.holdfast.scenarios;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;

/** examples/python. */
final class PythonApplicationsTest extends MeetsAnotherDatabase {
  private static final Path SOURCES = Examples.FOLDER.resolve("python");
  private static final Path INSTALLED = Examples.target("python");
  private static final Path WITH_MARK = Examples.target("python-with-mark");
  private static final Path PROGRAMS = INSTALLED.resolve("venv/bin");

  @BeforeAll
  static void install() throws IOException {
    InstalledPrograms.require("python3", 3, 10, "python3 python3-venv");
    InstalledPrograms.install(
        SOURCES,
        INSTALLED,
        List.of("requirements.txt"),
        "venv",
        List.of(
            List.of("python3", "-m", "venv", "--clear", INSTALLED.resolve("venv").toString()),
            List.of(
                PROGRAMS.resolve("pip").toString(),
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--requirement=" + INSTALLED.resolve("requirements.txt"))));
    Examples.copyWithMark(
        SOURCES,
        List.of(
            "expected_database.py",
            "serve.py",
            "with_sqlalchemy.py",
            "django_shop/__init__.py",
            "django_shop/apps.py",
            "django_shop/settings.py",
            "django_shop/urls.py",
            "django_shop/wsgi.py"),
        WITH_MARK);
  }

  @Override
  List<Application> applications() {
    return List.of(
        new Application("django", false, gunicorn(INSTALLED), gunicorn(WITH_MARK)),
        new Application("sqlalchemy", false, python(INSTALLED), python(WITH_MARK)));
  }

  private static List<String> gunicorn(Path folder) {
    return List.of(
        PROGRAMS.resolve("gunicorn").toString(),
        "--preload",
        "--bind=127.0.0.1:0",
        "--no-control-socket",
        "--chdir=" + folder,
        "django_shop.wsgi");
  }

  private static List<String> python(Path folder) {
    return List.of(
        PROGRAMS.resolve("python").toString(), folder.resolve("with_sqlalchemy.py").toString());
  }
}
