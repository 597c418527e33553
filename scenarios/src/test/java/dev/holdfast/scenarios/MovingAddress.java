package dev.holdfast.scenarios;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.ArrayList;
import java.util.List;

/**
 * A port that leads to one server, and from some moment on to another, as after a failover, or when
 * a name is given another address. Connections that are open are lost.
 */
final class MovingAddress implements AutoCloseable {
  private final ServerSocket listening;
  private final List<Socket> open = new ArrayList<>();
  private int target;

  private MovingAddress(ServerSocket listening, int target) {
    this.listening = listening;
    this.target = target;
  }

  /** One that leads to this port, of this machine. */
  static MovingAddress to(int port) {
    try {
      MovingAddress address =
          new MovingAddress(new ServerSocket(0, 50, InetAddress.getLoopbackAddress()), port);
      Thread.startVirtualThread(address::accept);
      return address;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  int port() {
    return listening.getLocalPort();
  }

  /** From now on it leads there, and to nowhere else. */
  synchronized void moveTo(int port) {
    target = port;
    closeAll();
  }

  private void accept() {
    try {
      while (true) {
        lead(listening.accept());
      }
    } catch (IOException e) {
      return; // it was closed
    }
  }

  private synchronized void lead(Socket client) throws IOException {
    Socket server = new Socket(InetAddress.getLoopbackAddress(), target);
    open.add(client);
    open.add(server);
    Thread.startVirtualThread(() -> pass(client, server));
    Thread.startVirtualThread(() -> pass(server, client));
  }

  private static void pass(Socket from, Socket to) {
    try (from;
        to) {
      from.getInputStream().transferTo(to.getOutputStream());
    } catch (IOException e) {
      return; // one of the two is gone
    }
  }

  private void closeAll() {
    for (Socket socket : open) {
      try {
        socket.close();
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
    open.clear();
  }

  @Override
  public synchronized void close() {
    try {
      listening.close();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    closeAll();
  }
}
