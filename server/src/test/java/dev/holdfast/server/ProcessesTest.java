package dev.holdfast.server;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ProcessesTest {
  private static final List<String> SECRETS =
      List.of(
          "HOLDFAST_PASSPHRASE",
          "HOLDFAST_KEY_COMMAND",
          "HOLDFAST_URL",
          "AWS_ACCESS_KEY_ID",
          "AWS_SECRET_ACCESS_KEY",
          "AWS_SESSION_TOKEN",
          "AWS_CONTAINER_AUTHORIZATION_TOKEN",
          "PGPASSWORD",
          "PGPASSFILE",
          "PGSERVICEFILE");

  @TempDir private Path temporary;

  @Test
  void what_opens_something_is_taken_from_the_environment_and_the_rest_stays() {
    var builder = new ProcessBuilder("true");
    Map<String, String> environment = builder.environment();
    environment.clear();
    SECRETS.forEach(name -> environment.put(name, "secret"));
    List<String> harmless = List.of("PATH", "HOME", "LANG", "LOCPATH", "TZ", "PGDATA", "MY_AWS_X");
    harmless.forEach(name -> environment.put(name, "x"));
    assertThat(Processes.withoutSecrets(builder)).isSameAs(builder);
    assertThat(environment.keySet()).containsExactlyInAnyOrderElementsOf(harmless);
  }

  /** In another JVM: the environment of this one cannot be changed. */
  @Test
  void neither_a_server_nor_a_program_is_told_a_secret() throws Exception {
    Path out = temporary.resolve("out");
    Path folder = Files.createTempDirectory("holdfast-server");
    Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString("rwxr-xr-x"));
    var builder =
        new ProcessBuilder(
                ProcessHandle.current().info().command().orElseThrow(),
                "-cp",
                System.getProperty("java.class.path"),
                Started.class.getName(),
                folder.toString())
            .redirectErrorStream(true)
            .redirectOutput(out.toFile());
    SECRETS.forEach(name -> builder.environment().put(name, "secret"));
    int exitCode = builder.start().waitFor();
    String said = Files.readString(out);
    assertThat(exitCode).as(said).isZero();
    assertThat(said).contains("server PATH\n", "program PATH\n", "key command PATH\n");
    for (String name : SECRETS) {
      assertThat(said).doesNotContain("server " + name).doesNotContain("program " + name);
      assertThat(said).as("it finds its service by it").contains("key command " + name);
    }
  }

  /** Prints the names of the variables that processes of ours are started with. */
  static final class Started {
    private Started() {}

    public static void main(String[] arguments) throws Exception {
      Path folder = Path.of(arguments[0]);
      PostgresBinaries binaries = PostgresBinaries.embedded(17);
      PostgresServer.initialise(binaries, folder.resolve("data"), List.of());
      try (PostgresServer server =
          PostgresServer.start(binaries, folder.resolve("data"), Map.of(), List.of(folder))) {
        print("server", environment(server.pid()));
      }
      List<String> env = List.of("env", "-0");
      print("program", Processes.run(env).output());
      byte[] answer = Processes.ask(env, new byte[0], 60).bytes();
      print("key command", new String(answer, StandardCharsets.UTF_8));
    }

    /** Of the postmaster, whose title is never changed: its children's is written over theirs. */
    private static String environment(long pid) throws Exception {
      return Files.readString(Path.of("/proc/" + pid + "/environ"), StandardCharsets.UTF_8);
    }

    private static void print(String who, String environment) {
      var names = new ArrayList<String>();
      for (String variable : environment.split("\0", -1)) {
        names.add(who + " " + variable.replaceAll("(?s)=.*", ""));
      }
      System.out.println(String.join("\n", names));
    }
  }
}
