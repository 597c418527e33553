import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import com.zaxxer.hikari.pool.HikariPool.PoolInitializationException;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.concurrent.Executors;
import javax.sql.DataSource;

/** The rest of the application: it opens its port when it has a pool, and not before. */
final class Shop {
  private Shop() {}

  public static void main(String[] arguments) throws IOException {
    DataSource pool;
    try {
      pool = Pool.open(System.getenv("DATABASE_URL"));
    } catch (PoolInitializationException e) {
      System.err.println("not started: " + said(e));
      System.exit(1);
      return;
    }
    int port = Integer.parseInt(System.getenv().getOrDefault("PORT", "8080"));
    HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", port), 0);
    server.setExecutor(Executors.newVirtualThreadPerTaskExecutor());
    server.createContext("/", exchange -> answer(exchange, pool));
    server.start();
    System.out.println("listening on " + server.getAddress().getPort());
  }

  private static void answer(HttpExchange exchange, DataSource pool) throws IOException {
    int status = 200;
    String answer;
    try (Connection connection = pool.getConnection();
        Statement statement = connection.createStatement();
        ResultSet rows = statement.executeQuery("SELECT count(*) FROM users")) {
      rows.next();
      answer = rows.getLong(1) + " users\n";
    } catch (SQLException e) {
      System.err.println("not answered: " + said(e));
      status = 503;
      answer = "no database\n";
    }
    byte[] body = answer.getBytes(StandardCharsets.UTF_8);
    exchange.sendResponseHeaders(status, body.length);
    exchange.getResponseBody().write(body);
    exchange.close();
  }

  /** What the server said; the pool wraps it. */
  private static String said(Throwable failure) {
    Throwable first = failure;
    while (first.getCause() != null) {
      first = first.getCause();
    }
    return first.getMessage();
  }
}
