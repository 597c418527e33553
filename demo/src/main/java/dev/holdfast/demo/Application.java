package dev.holdfast.demo;

import dev.holdfast.operations.Stamps;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.sql.Statement;

/**
 * An application as its process begins: it is given the address of a database, and has in its code
 * which one that must be. It listens only when it is.
 */
public final class Application {
  private static final String EXPECTED =
      Stamps.assertStatement(Demo.CLUSTER, AddressIncident.ENVIRONMENT);

  private Application() {}

  /**
   * Ends with 0 after it has listened, with 1 when it refused to.
   *
   * @param arguments the JDBC URL
   */
  public static void main(String[] arguments) throws Exception {
    try (Connection connection = DriverManager.getConnection(arguments[0]);
        Statement statement = connection.createStatement()) {
      statement.execute(EXPECTED);
      try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
        System.out.println("listening on " + socket.getLocalPort());
      }
    } catch (SQLException e) {
      System.err.println(
          "billing does not start: "
              + String.valueOf(e.getMessage())
                  .lines()
                  .findFirst()
                  .orElse("")
                  .replaceFirst("^ERROR: ", ""));
      System.exit(1);
    }
  }
}
