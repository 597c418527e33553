package dev.holdfast.postgres;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.postgresql.Driver;

/**
 * Which server, database and user to connect to, as libpq would understand it: a URI, keywords and
 * values, a service, the {@code PG*} variables, {@code ~/.pgpass}; and besides, Holdfast's own
 * {@link Credentials}.
 *
 * <p>Its text form never shows a password.
 */
public final class PostgresUrl {
  /** One of the servers to try, in the order given. */
  public record Host(String name, int port) {
    @Override
    public String toString() {
      return (name.contains(":") ? "[" + name + "]" : ConnectionText.encode(name)) + ":" + port;
    }
  }

  private static final int DEFAULT_PORT = 5432;

  /** libpq's keywords and pgjdbc's properties for the same. */
  private static final Map<String, String> PROPERTIES =
      Map.ofEntries(
          Map.entry("sslmode", "sslmode"),
          Map.entry("sslrootcert", "sslrootcert"),
          Map.entry("sslcert", "sslcert"),
          Map.entry("sslkey", "sslkey"),
          Map.entry("sslpassword", "sslpassword"),
          Map.entry("sslnegotiation", "sslNegotiation"),
          Map.entry("channel_binding", "channelBinding"),
          Map.entry("require_auth", "requireAuth"),
          Map.entry("gssencmode", "gssEncMode"),
          Map.entry("krbsrvname", "kerberosServerName"),
          Map.entry("connect_timeout", "connectTimeout"),
          Map.entry("application_name", "ApplicationName"),
          Map.entry("options", "options"),
          Map.entry("target_session_attrs", "targetServerType"));

  private static final Map<String, String> TARGET_SERVER_TYPES =
      Map.of(
          "any", "any",
          "read-write", "primary",
          "primary", "primary",
          "read-only", "secondary",
          "standby", "secondary",
          "prefer-standby", "preferSecondary");

  /** Keywords of libpq that change nothing for us: tuning of its own sockets and texts. */
  private static final Set<String> IGNORED =
      Set.of(
          "keepalives",
          "keepalives_idle",
          "keepalives_interval",
          "keepalives_count",
          "tcp_user_timeout",
          "client_encoding",
          "fallback_application_name",
          "load_balance_hosts",
          "replication",
          "sslcompression",
          "sslsni",
          "gsslib",
          "gssdelegation");

  private static final Set<String> OURS =
      Set.of("host", "hostaddr", "port", "dbname", "user", "password", "passfile", "service");

  private static final Map<String, String> VARIABLES =
      Map.ofEntries(
          Map.entry("PGHOST", "host"),
          Map.entry("PGHOSTADDR", "hostaddr"),
          Map.entry("PGPORT", "port"),
          Map.entry("PGDATABASE", "dbname"),
          Map.entry("PGUSER", "user"),
          Map.entry("PGPASSFILE", "passfile"),
          Map.entry("PGSSLMODE", "sslmode"),
          Map.entry("PGSSLROOTCERT", "sslrootcert"),
          Map.entry("PGSSLCERT", "sslcert"),
          Map.entry("PGSSLKEY", "sslkey"),
          Map.entry("PGSSLNEGOTIATION", "sslnegotiation"),
          Map.entry("PGCHANNELBINDING", "channel_binding"),
          Map.entry("PGREQUIREAUTH", "require_auth"),
          Map.entry("PGGSSENCMODE", "gssencmode"),
          Map.entry("PGKRBSRVNAME", "krbsrvname"),
          Map.entry("PGCONNECT_TIMEOUT", "connect_timeout"),
          Map.entry("PGAPPNAME", "application_name"),
          Map.entry("PGOPTIONS", "options"),
          Map.entry("PGTARGETSESSIONATTRS", "target_session_attrs"));

  private final List<Host> hosts;
  private final String database;
  private final String user;
  private final @Nullable String password;
  private static final Pattern DRIVER =
      Pattern.compile("(?:jdbc:)?postgres(?:ql)?(?:\\+[a-z0-9_]+)?://");

  private final Map<String, String> parameters;
  private final Path passwordFile;
  private final Credentials credentials;
  private final @Nullable String environmentPassword;

  private PostgresUrl(
      List<Host> hosts,
      String database,
      String user,
      @Nullable String password,
      Map<String, String> parameters,
      Path passwordFile,
      Credentials credentials,
      @Nullable String environmentPassword) {
    this.hosts = hosts;
    this.database = database;
    this.user = user;
    this.password = password;
    this.parameters = parameters;
    this.passwordFile = passwordFile;
    this.credentials = credentials;
    this.environmentPassword = environmentPassword;
  }

  /**
   * Understands a URI, keywords and values, or nothing at all (the {@code PG*} variables alone).
   *
   * @throws OperatorException of kind USAGE saying how it should look
   */
  public static PostgresUrl parse(String text) {
    return parse(text, System.getenv(), Path.of(System.getProperty("user.home")));
  }

  /**
   * Understands what applications are given, too: URLs of drivers ({@code jdbc:postgresql://…},
   * {@code postgresql+psycopg://…}), and parameters that are the driver's own and not PostgreSQL's,
   * which are left out.
   *
   * @throws OperatorException of kind USAGE saying how it should look
   */
  public static PostgresUrl ofApplication(String text) {
    return parse(
        DRIVER.matcher(text).replaceFirst("postgresql://"),
        System.getenv(),
        Path.of(System.getProperty("user.home")),
        true);
  }

  /** Whether a text begins as such a URL does. */
  public static boolean isOfApplication(String text) {
    return DRIVER.matcher(text).lookingAt();
  }

  static PostgresUrl parse(String text, Map<String, String> environment, Path home) {
    return parse(text, environment, home, false);
  }

  private static PostgresUrl parse(
      String text, Map<String, String> environment, Path home, boolean lenient) {
    Map<String, String> given = new LinkedHashMap<>(ConnectionText.parse(text));
    String service = given.getOrDefault("service", environment.getOrDefault("PGSERVICE", ""));
    if (!service.isEmpty()) {
      service(service, environment, home).forEach(given::putIfAbsent);
    }
    VARIABLES.forEach((variable, keyword) -> {
      String value = environment.getOrDefault(variable, "");
      // A host named by the text makes PGHOSTADDR another server's.
      boolean otherServer = keyword.equals("hostaddr") && given.containsKey("host");
      if (!value.isEmpty() && !otherServer) {
        given.putIfAbsent(keyword, value);
      }
    });
    Map<String, String> parameters = new TreeMap<>();
    given.forEach((keyword, value) -> {
      if (PROPERTIES.containsKey(keyword)) {
        if (!lenient || isKnown(keyword, value)) {
          parameters.put(keyword, checked(keyword, value));
        }
      } else if (!OURS.contains(keyword) && !IGNORED.contains(keyword) && !lenient) {
        throw ConnectionText.wrong(
            "it has a parameter \"" + keyword + "\" that PostgreSQL does not know",
            "leave that parameter out; known ones: "
                + PROPERTIES.keySet().stream().sorted().collect(Collectors.joining(", ")));
      }
    });
    String operatingSystemUser = System.getProperty("user.name");
    String user = given.getOrDefault("user", operatingSystemUser);
    String password = given.get("password");
    return new PostgresUrl(
        hosts(
            given.getOrDefault("hostaddr", given.getOrDefault("host", "localhost")),
            given.getOrDefault("port", "")),
        given.getOrDefault("dbname", user),
        user,
        password == null || password.isEmpty() ? null : password,
        parameters,
        Path.of(given.getOrDefault("passfile", home.resolve(".pgpass").toString())),
        Credentials.of(environment, home),
        environment.get("PGPASSWORD"));
  }

  private static Map<String, String> service(
      String name, Map<String, String> environment, Path home) {
    List<Path> files = new ArrayList<>();
    files.add(
        Path.of(
            environment.getOrDefault(
                "PGSERVICEFILE", home.resolve(".pg_service.conf").toString())));
    files.add(
        Path.of(environment.getOrDefault("PGSYSCONFDIR", "/etc/postgresql-common"))
            .resolve("pg_service.conf"));
    for (Path file : files) {
      Map<String, String> values = ConnectionText.service(file, name);
      if (values != null) {
        return values;
      }
    }
    throw new OperatorException(
        Kind.USAGE,
        "cannot use service " + name,
        "there is no section ["
            + name
            + "] in "
            + files.stream().map(Path::toString).collect(Collectors.joining(" or ")),
        "add the section, or give a URL such as postgresql://user@host:5432/database");
  }

  private static Set<String> known(String keyword) {
    return switch (keyword) {
      case "sslmode" -> Set.of("disable", "allow", "prefer", "require", "verify-ca", "verify-full");
      case "target_session_attrs" -> TARGET_SERVER_TYPES.keySet();
      default -> Set.of();
    };
  }

  private static boolean isNumber(String keyword, String value) {
    return !keyword.equals("connect_timeout") || value.matches("\\d{1,6}");
  }

  private static boolean isKnown(String keyword, String value) {
    Set<String> known = known(keyword);
    return isNumber(keyword, value) && (known.isEmpty() || known.contains(value));
  }

  private static String checked(String keyword, String value) {
    if (!isKnown(keyword, value)) {
      boolean number = isNumber(keyword, value);
      Set<String> known = known(keyword);
      throw ConnectionText.wrong(
          keyword + " cannot be \"" + value + "\"",
          number
              ? "choose one of " + known.stream().sorted().collect(Collectors.joining(", "))
              : "give whole seconds");
    }
    return value;
  }

  private static List<Host> hosts(String names, String ports) {
    String[] each = names.split(",", -1);
    String[] eachPort = ports.split(",", -1);
    if (eachPort.length != 1 && eachPort.length != each.length) {
      throw ConnectionText.wrong(
          each.length + " hosts and " + eachPort.length + " ports",
          "give one port for all hosts, or one for each");
    }
    List<Host> hosts = new ArrayList<>();
    for (int i = 0; i < each.length; i++) {
      String port = eachPort[eachPort.length == 1 ? 0 : i].strip();
      boolean isPort =
          port.matches("\\d{1,5}")
              && Integer.parseInt(port) >= 1
              && Integer.parseInt(port) <= 65535;
      if (!port.isEmpty() && !isPort) {
        throw ConnectionText.wrong(
            // What stands there may be the beginning of a password with a slash in it.
            "what follows the host is not a port",
            "give a number from 1 to 65535; in a password write / as %2F, @ as %40 and : as %3A");
      }
      if (each[i].startsWith("/") || each[i].startsWith("@")) {
        throw ConnectionText.wrong(
            "host \"" + each[i] + "\" is a Unix socket, which Holdfast does not speak",
            "give host=localhost, and a line for 127.0.0.1 in the server's pg_hba.conf");
      }
      hosts.add(
          new Host(
              each[i].isEmpty() ? "localhost" : each[i],
              port.isEmpty() ? DEFAULT_PORT : Integer.parseInt(port)));
    }
    return List.copyOf(hosts);
  }

  /** The servers to try, in the order given; at least one. */
  public List<Host> hosts() {
    return hosts;
  }

  /** The database's name. */
  public String database() {
    return database;
  }

  /** The role's name. */
  public String user() {
    return user;
  }

  /** The same server and user, another database. */
  public PostgresUrl withDatabase(String name) {
    return new PostgresUrl(
        hosts, name, user, password, parameters, passwordFile, credentials, environmentPassword);
  }

  /**
   * The same server and database, another user.
   *
   * @param secret null to look it up as for any URL without one; {@code PGPASSWORD} is not taken,
   *     since it belongs to the user the URL had
   */
  public PostgresUrl withUser(String name, @Nullable String secret) {
    return new PostgresUrl(
        hosts, database, name, secret, parameters, passwordFile, credentials, null);
  }

  /** The same with another {@code application_name}, as pg_stat_activity shows it. */
  public PostgresUrl withApplicationName(String name) {
    Map<String, String> changed = new TreeMap<>(parameters);
    changed.put("application_name", name);
    return new PostgresUrl(
        hosts, database, user, password, changed, passwordFile, credentials, environmentPassword);
  }

  /**
   * Connects for a question that is to be answered soon: no step of it, connecting included, waits
   * for longer than this.
   *
   * @param seconds at least 2
   */
  public Connection openBriefly(int seconds) {
    Properties properties = new Properties();
    properties.setProperty("connectTimeout", Integer.toString(Math.max(1, seconds / 2)));
    properties.setProperty("loginTimeout", Integer.toString(seconds));
    properties.setProperty("socketTimeout", Integer.toString(seconds));
    Connection connection = open(properties);
    try (Statement statement = connection.createStatement()) {
      statement.execute(
          "SET statement_timeout = '%1$ds'; SET lock_timeout = '%1$ds'".formatted(seconds - 1));
      return connection;
    } catch (SQLException e) {
      throw ConnectFailures.of(this, e);
    }
  }

  /** A URI without any password: what the repository keeps, and what {@link #parse} takes again. */
  public String withoutPassword() {
    StringBuilder text = new StringBuilder(start(false));
    char separator = '?';
    for (Map.Entry<String, String> parameter : parameters.entrySet()) {
      if (!parameter.getKey().equals("sslpassword")) {
        text.append(separator)
            .append(parameter.getKey())
            .append('=')
            .append(ConnectionText.encode(parameter.getValue()));
        separator = '&';
      }
    }
    return text.toString();
  }

  /**
   * What makes other programs connect to the same: {@code DATABASE_URL} and the {@code PG*}
   * variables of libpq. With the password, where one is known.
   */
  public Map<String, String> clientEnvironment() {
    Map<String, String> environment = new TreeMap<>();
    VARIABLES.forEach((variable, keyword) -> {
      String value = parameters.get(keyword);
      if (value != null) {
        environment.put(variable, value);
      }
    });
    environment.put("PGHOST", hosts.stream().map(Host::name).collect(Collectors.joining(",")));
    environment.put(
        "PGPORT",
        hosts.stream().map(host -> Integer.toString(host.port())).collect(Collectors.joining(",")));
    environment.put("PGDATABASE", database);
    environment.put("PGUSER", user);
    String uri = withoutPassword();
    Optional<String> secret = password();
    if (secret.isPresent()) {
      environment.put("PGPASSWORD", secret.get());
      String named = ConnectionText.encode(user);
      uri =
          uri.replaceFirst(
              "^postgresql://" + Pattern.quote(named) + "@",
              Matcher.quoteReplacement(
                  "postgresql://" + named + ":" + ConnectionText.encode(secret.get()) + "@"));
    }
    environment.put("DATABASE_URL", uri);
    return environment;
  }

  /** For people: server, user and database; a password shows as {@code ***}. */
  public String redacted() {
    return start(password != null);
  }

  private String start(boolean stars) {
    return "postgresql://"
        + ConnectionText.encode(user)
        + (stars ? ":***" : "")
        + "@"
        + servers()
        + "/"
        + ConnectionText.encode(database);
  }

  /**
   * Connects. The connection is in autocommit mode.
   *
   * @throws DatabaseUnreachableException saying what refused us and what to do
   */
  public Connection open() {
    return open(new Properties());
  }

  /** Connects to the walsender of the server: a physical replication connection. */
  Connection openReplication() {
    Properties properties = new Properties();
    properties.setProperty("replication", "true");
    properties.setProperty("assumeMinServerVersion", "14");
    properties.setProperty("preferQueryMode", "simple"); // a walsender knows no other
    return open(properties);
  }

  Connection open(Properties more) {
    Properties properties = new Properties();
    properties.setProperty("user", user);
    properties.setProperty("connectTimeout", "10");
    properties.setProperty("loginTimeout", "30");
    properties.setProperty("tcpKeepAlive", "true");
    properties.setProperty("ApplicationName", "holdfast");
    password().ifPresent(secret -> properties.setProperty("password", secret));
    parameters.forEach((keyword, value) -> {
      String property = PROPERTIES.get(keyword);
      if (keyword.equals("sslrootcert") && value.equals("system")) {
        properties.setProperty("sslfactory", "org.postgresql.ssl.DefaultJavaSSLFactory");
      } else if (property != null) {
        properties.setProperty(
            property,
            keyword.equals("target_session_attrs")
                ? TARGET_SERVER_TYPES.getOrDefault(value, "any")
                : value);
      }
    });
    properties.putAll(more);
    try {
      // The database stands in the URL: as a property, pgjdbc overrules it with the user's name.
      Connection connection =
          new Driver()
              .connect(
                  "jdbc:postgresql://" + servers() + "/" + ConnectionText.encode(database),
                  properties);
      if (connection == null) {
        throw new IllegalStateException("pgjdbc does not take its own URL");
      }
      return connection;
    } catch (SQLException e) {
      throw ConnectFailures.of(this, e);
    }
  }

  /** The URL's own, else Holdfast's own file, else PGPASSWORD, else the user's password file. */
  private Optional<String> password() {
    if (password != null) {
      return Optional.of(password);
    }
    for (Host host : hosts) {
      Optional<String> own = credentials.find(host.name, host.port, database, user);
      if (own.isPresent()) {
        return own;
      }
    }
    if (environmentPassword != null) {
      return Optional.of(environmentPassword);
    }
    for (Host host : hosts) {
      Optional<String> found =
          PasswordFile.find(passwordFile, host.name, host.port, database, user);
      if (found.isPresent()) {
        return found;
      }
    }
    return Optional.empty();
  }

  String passwordFiles() {
    return passwordFile
        + " (a line "
        + hosts.getFirst()
        + ":"
        + database
        + ":"
        + user
        + ":PASSWORD, mode 0600)";
  }

  private String servers() {
    return hosts.stream().map(Host::toString).collect(Collectors.joining(","));
  }

  @Override
  public String toString() {
    return redacted();
  }

  @Override
  public boolean equals(@Nullable Object other) {
    return other instanceof PostgresUrl that
        && withoutPassword().equals(that.withoutPassword())
        && password().equals(that.password());
  }

  @Override
  public int hashCode() {
    return withoutPassword().hashCode();
  }
}
