package dev.holdfast.postgres;

import java.io.IOException;
import java.net.InetAddress;
import java.net.Socket;
import java.net.UnixDomainSocketAddress;
import java.util.Properties;
import javax.net.SocketFactory;

/**
 * Lets pgjdbc connect through a server's Unix socket, whatever host and port it is given. Public
 * because pgjdbc makes it by its name.
 */
public final class UnixSocketFactory extends SocketFactory {
  private final UnixDomainSocketAddress address;

  /**
   * @param path the socket's file, as pgjdbc's property {@code socketFactoryArg} says it
   */
  public UnixSocketFactory(String path) {
    this.address = UnixDomainSocketAddress.of(path);
  }

  /** What pgjdbc must be told to connect there. */
  static void use(Properties properties, String path) {
    properties.setProperty("socketFactory", UnixSocketFactory.class.getName());
    properties.setProperty("socketFactoryArg", path);
    properties.setProperty("sslmode", "disable"); // the server offers none on Unix sockets
    properties.setProperty("gssEncMode", "disable");
  }

  @Override
  public Socket createSocket() throws IOException {
    return new UnixSocket(address);
  }

  @Override
  public Socket createSocket(String host, int port) throws IOException {
    return createSocket();
  }

  @Override
  public Socket createSocket(String host, int port, InetAddress local, int localPort)
      throws IOException {
    return createSocket();
  }

  @Override
  public Socket createSocket(InetAddress host, int port) throws IOException {
    return createSocket();
  }

  @Override
  public Socket createSocket(InetAddress host, int port, InetAddress local, int localPort)
      throws IOException {
    return createSocket();
  }
}
