package dev.holdfast.scenarios;

import dev.holdfast.server.ProcessResult;
import dev.holdfast.server.Processes;
import dev.holdfast.server.TiedProcess;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.channels.FileChannel;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * The clients from npm, in one process (src/test/node/serve.mjs) that does what it is asked for.
 * Its packages are installed under target when they are missing or others than the lock file names.
 */
final class NodeClients implements AutoCloseable {
  private static final Path PROGRAMS = Path.of("src/test/node").toAbsolutePath();
  private static final Path INSTALLED = Path.of("target/node").toAbsolutePath();
  private static final String PACKAGES = "node_modules";
  private static final String LOCK_FILE = "package-lock.json";
  private static final Pattern LISTENING = Pattern.compile("listening on (\\d+)");
  private static final Pattern VERSION = Pattern.compile("v(\\d+)");
  private static final int NODE_MIN = 18;
  private static final Duration STARTING_MAX = Duration.ofSeconds(60);
  private static final String ALL_USERS = Client.PEOPLE + " rows of public.users";
  private static final String ALL_ORDERS = Client.ORDERS + " rows of public.orders";
  private static final JsonMapper JSON = new JsonMapper();

  private final TiedProcess process;
  private final URI uri;
  private final HttpClient http = HttpClient.newHttpClient();

  private NodeClients(TiedProcess process, int port) {
    this.process = process;
    this.uri = URI.create("http://127.0.0.1:" + port);
  }

  /** Installs what is missing and starts. */
  static NodeClients start() {
    install();
    return listening(
        Processes.start(List.of("node", INSTALLED.resolve("serve.mjs").toString()), Map.of()));
  }

  /** Installs what is missing. */
  static void install() {
    try {
      checkNode();
      installPackages();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /**
   * What does as {@link #run}, as a command of its own; {@code DATABASE_URL} names the database.
   */
  static List<String> command(String client, String act, Map<String, ?> parameters) {
    return List.of(
        "node",
        INSTALLED.resolve("call.mjs").toString(),
        client,
        act,
        JSON.writeValueAsString(parameters));
  }

  private static void checkNode() {
    Matcher version = VERSION.matcher(run(List.of("node", "--version")).output());
    if (!version.find() || Integer.parseInt(version.group(1)) < NODE_MIN) {
      throw missing("Node.js " + NODE_MIN + " or later", null);
    }
  }

  /** One test process at a time: those that wait find it done. */
  private static void installPackages() throws IOException {
    Files.createDirectories(INSTALLED);
    try (FileChannel lock =
            FileChannel.open(
                INSTALLED.resolveSibling("node.lock"),
                StandardOpenOption.CREATE,
                StandardOpenOption.WRITE);
        var _ = lock.lock()) {
      copy();
      Path done = INSTALLED.resolve(PACKAGES).resolve("installed-" + LOCK_FILE);
      if (Files.exists(done) && Files.mismatch(done, PROGRAMS.resolve(LOCK_FILE)) < 0) {
        return;
      }
      ProcessResult installed =
          run(
              List.of(
                  "npm",
                  "ci",
                  "--prefix=" + INSTALLED,
                  "--ignore-scripts",
                  "--no-audit",
                  "--no-fund"));
      if (installed.exitCode() != 0) {
        throw new IllegalStateException(
            "the clients from npm cannot be installed; npm said:\n" + installed.output());
      }
      Files.copy(PROGRAMS.resolve(LOCK_FILE), done, StandardCopyOption.REPLACE_EXISTING);
    }
  }

  /** What is there already stays as it is: another test process may be reading it. */
  private static void copy() throws IOException {
    List<Path> sources;
    try (Stream<Path> paths = Files.walk(PROGRAMS)) {
      sources = paths.filter(path -> !path.startsWith(PROGRAMS.resolve(PACKAGES))).toList();
    }
    for (Path source : sources) {
      Path target = INSTALLED.resolve(PROGRAMS.relativize(source).toString());
      if (Files.isDirectory(source)) {
        Files.createDirectories(target);
        removeWhatHasLeft(source, target);
      } else if (!Files.exists(target) || Files.mismatch(source, target) >= 0) {
        Files.copy(source, target, StandardCopyOption.REPLACE_EXISTING);
      }
    }
  }

  /** A migration that is no more would be run for ever. */
  private static void removeWhatHasLeft(Path source, Path target) throws IOException {
    try (DirectoryStream<Path> files = Files.newDirectoryStream(target, Files::isRegularFile)) {
      for (Path file : files) {
        if (!Files.exists(source.resolve(file.getFileName()))) {
          Files.delete(file);
        }
      }
    }
  }

  private static ProcessResult run(List<String> command) {
    try {
      return Processes.run(command);
    } catch (UncheckedIOException e) {
      throw missing(command.getFirst(), e);
    }
  }

  private static IllegalStateException missing(String what, @Nullable Exception cause) {
    return new IllegalStateException(
        "the scenarios run clients from npm, and there is no "
            + what
            + " here: install it (Debian: apt-get install nodejs npm) and run the same command again",
        cause);
  }

  private static NodeClients listening(TiedProcess process) {
    long deadline = System.nanoTime() + STARTING_MAX.toNanos();
    while (System.nanoTime() < deadline) {
      Matcher said = LISTENING.matcher(process.output());
      if (said.find()) {
        return new NodeClients(process, Integer.parseInt(said.group(1)));
      }
      pause();
    }
    process.stop();
    throw new IllegalStateException("the clients on Node did not start:\n" + process.errors());
  }

  private static void pause() {
    try {
      Thread.sleep(20); // polling what a process says: there is nothing to wait on
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException(e);
    }
  }

  /** node-postgres, and SQL by hand. */
  Client pg() {
    return client(
        "pg",
        Act.of("DROP TABLE", "table public.users"),
        Act.of(
            "DROP TABLE in a transaction with other work",
            "column public.orders.amount",
            "column public.orders.user_id",
            ALL_ORDERS),
        Act.of("ALTER TABLE DROP COLUMN", "column public.users.email"),
        Act.of("ALTER TABLE TYPE", "values of public.users.name"),
        Act.of("TRUNCATE", ALL_USERS, ALL_ORDERS),
        Act.of("DELETE without WHERE", ALL_USERS, ALL_ORDERS),
        Act.of("UPDATE without WHERE", "values of public.users.email"));
  }

  /** Sequelize 6. */
  Client sequelize() {
    return client(
        "sequelize",
        Act.of("sync({force: true})", ALL_USERS, ALL_ORDERS),
        Act.of("drop()", "table public.users", "table public.orders"),
        Act.of("sync({alter: true})", "column public.users.email"),
        Act.of("destroy({truncate: true})", ALL_USERS, ALL_ORDERS),
        Act.of("destroy({where: {}})", ALL_USERS, ALL_ORDERS),
        Act.of("update({where: {}})", "values of public.users.email"),
        Act.dropDatabase("db:drop"));
  }

  /** One of them, with what it can destroy. */
  Client client(String name, Act... acts) {
    return new NodeClient(name, List.of(acts));
  }

  private final class NodeClient implements Client {
    private final String name;
    private final List<Act> acts;

    NodeClient(String name, List<Act> acts) {
      this.name = name;
      this.acts = acts;
    }

    @Override
    public String name() {
      return name;
    }

    @Override
    public List<Act> acts() {
      return acts;
    }

    @Override
    public Outcome ordinary(Address database) {
      return run(name, "ordinary", database, Map.of());
    }

    @Override
    public Outcome commit(Act act, Address database) {
      return run(name, act.name(), database, Map.of());
    }
  }

  /** What a function of a client's program makes of a database. */
  Outcome run(String client, String act, Address database, Map<String, ?> parameters) {
    Map<String, Object> request = new LinkedHashMap<>();
    request.put("client", client);
    request.put("act", act);
    request.put("url", database.url());
    request.put("parameters", parameters);
    JsonNode answer = JSON.readTree(post(JSON.writeValueAsString(request)));
    if (answer.path("outcome").asString("").equals("done")) {
      return new Outcome.Done();
    }
    return new Outcome.Failed(
        answer.path("sqlState").asString(""),
        answer.path("message").asString(""),
        answer.path("detail").asString(""),
        answer.path("hint").asString(""),
        answer.path("shown").asString(""));
  }

  private String post(String body) {
    try {
      return http.send(
              HttpRequest.newBuilder(uri)
                  .timeout(Duration.ofMinutes(2))
                  .POST(HttpRequest.BodyPublishers.ofString(body))
                  .build(),
              HttpResponse.BodyHandlers.ofString())
          .body();
    } catch (IOException e) {
      throw new UncheckedIOException("the clients on Node are gone:\n" + process.errors(), e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException(e);
    }
  }

  @Override
  public void close() {
    http.close();
    process.stop();
  }
}
