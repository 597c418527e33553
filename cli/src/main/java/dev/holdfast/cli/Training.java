package dev.holdfast.cli;

import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.Map;
import java.util.jar.JarEntry;
import java.util.jar.JarFile;
import java.util.regex.Pattern;

/**
 * What the launcher runs once after a build, while the JVM writes down the classes it has (a CDS
 * archive): every class a command may need, whichever command it is. It needs no server and no
 * repository, so it works on a machine that has neither.
 */
final class Training {
  /** Libraries of which a command uses a good part; of the others it takes a few classes. */
  private static final Pattern MUCH_USED =
      Pattern.compile("(holdfast|postgresql|jackson|picocli|logback|slf4j|zstd)-.*[.]jar");

  private static final String CLASS = ".class";

  private Training() {}

  /**
   * Loads them.
   *
   * @param arguments a folder that is no repository, a file to be made: zstd's native library,
   *     which every command would otherwise take out of its jar, an encrypted repository, its
   *     passphrase, and a folder to be made and thrown away
   */
  public static void main(String[] arguments) throws IOException {
    String path = System.getProperty("java.class.path", "");
    for (String file : path.split(Pattern.quote(File.pathSeparator), -1)) {
      File jar = new File(file);
      if (MUCH_USED.matcher(jar.getName()).matches() && jar.isFile()) {
        load(jar);
      }
      if (jar.getName().startsWith("zstd-jni-") && jar.isFile()) {
        keepLibrary(jar, Path.of(arguments[1]));
      }
    }
    // What a command line makes while it runs: its parser, its messages.
    PrintStream nowhere = new PrintStream(OutputStream.nullOutputStream());
    Terminal terminal = new Terminal(nowhere, nowhere, false, false, false, 100);
    CommandLineRun run = new CommandLineRun(terminal, Map.of());
    for (String command : new String[] {"status", "fork nothing --tables t", "revert nothing 1"}) {
      run.execute(("--repository " + arguments[0] + " " + command).split(" ", -1));
    }
    run.execute("fork", "--help");
    // Nothing answers at that port: as far as a command comes without a server.
    String nobody = "postgresql://nobody@127.0.0.1:1/postgres?sslmode=disable";
    CommandLineRun opens =
        new CommandLineRun(terminal, Map.of("HOLDFAST_PASSPHRASE", arguments[3]));
    for (String command :
        new String[] {
          "verify --read-data 100%",
          "backup acme --url " + nobody,
          "restore acme --latest --to " + arguments[4],
          "expire acme --keep-full 1"
        }) {
      opens.execute(("--repository " + arguments[2] + " " + command).split(" ", -1));
    }
  }

  /**
   * The library lies in the jar in a folder for each system; elsewhere than on Linux these have
   * other names, and commands unpack it themselves.
   */
  private static void keepLibrary(File jar, Path library) throws IOException {
    Pattern wanted = Pattern.compile("linux/%s/libzstd.*[.]so".formatted(os("arch")));
    try (JarFile opened = new JarFile(jar)) {
      List<JarEntry> found =
          opened.stream().filter(entry -> wanted.matcher(entry.getName()).matches()).toList();
      if (found.size() != 1 || !os("name").equals("Linux")) {
        return;
      }
      Path partial = library.resolveSibling(library.getFileName() + ".partial");
      try (InputStream content = opened.getInputStream(found.getFirst())) {
        Files.copy(content, partial, StandardCopyOption.REPLACE_EXISTING);
      }
      Files.move(partial, library, StandardCopyOption.REPLACE_EXISTING);
    }
  }

  private static String os(String property) {
    return System.getProperty("os." + property, "");
  }

  private static void load(File jar) throws IOException {
    try (JarFile opened = new JarFile(jar)) {
      opened.stream()
          .map(entry -> entry.getName())
          .filter(name -> name.endsWith(CLASS) && !name.startsWith("META-INF"))
          .forEach(name -> load(name.substring(0, name.length() - CLASS.length())));
    }
  }

  private static void load(String name) {
    try {
      Class.forName(name.replace('/', '.'), false, Training.class.getClassLoader());
    } catch (ClassNotFoundException | LinkageError e) {
      return; // it is for something that is not there, as many libraries have
    }
  }
}
