package dev.holdfast.scenarios;

import dev.holdfast.server.Processes;
import dev.holdfast.server.TiedProcess;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Path;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * The clients from npm, in one process (src/test/node/serve.mjs) that does what it is asked for.
 * Its packages are installed under target when they are missing or others than the lock file names.
 */
final class NodeClients implements AutoCloseable {
  private static final Path PROGRAMS = Path.of("src/test/node").toAbsolutePath();
  private static final Path INSTALLED = Path.of("target/node").toAbsolutePath();
  private static final Pattern LISTENING = Pattern.compile("listening on (\\d+)");
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
    InstalledPrograms.require("node", NODE_MIN, 0, "nodejs npm");
    try {
      InstalledPrograms.install(
          PROGRAMS,
          INSTALLED,
          List.of("package-lock.json"),
          "node_modules",
          List.of(
              List.of(
                  "npm",
                  "ci",
                  "--prefix=" + INSTALLED,
                  "--ignore-scripts",
                  "--no-audit",
                  "--no-fund")));
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
