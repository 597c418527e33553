package dev.holdfast.postgres;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.Socket;
import java.net.SocketAddress;
import java.net.SocketException;
import java.net.SocketTimeoutException;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.SocketChannel;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * A connected Unix socket as the {@link Socket} that pgjdbc wants. One thread may read while
 * another writes, reads time out as {@link #setSoTimeout} says, and closing ends both; so each
 * direction waits on a selector of its own. Options of TCP are taken and mean nothing.
 */
final class UnixSocket extends Socket {
  private static final int BUFFER_BYTES = 1 << 13;

  private final SocketChannel channel;
  private final Selector readable;
  private final Selector writable;
  private volatile int timeoutMs;

  UnixSocket(UnixDomainSocketAddress address) throws IOException {
    channel = SocketChannel.open(address);
    channel.configureBlocking(false);
    readable = Selector.open();
    writable = Selector.open();
    channel.register(readable, SelectionKey.OP_READ);
    channel.register(writable, SelectionKey.OP_WRITE);
  }

  @Override
  public InputStream getInputStream() {
    return new Input();
  }

  @Override
  public OutputStream getOutputStream() {
    return new Output();
  }

  private final class Input extends InputStream {
    @Override
    public int read() throws IOException {
      byte[] one = new byte[1];
      return read(one, 0, 1) < 0 ? -1 : one[0] & 0xFF;
    }

    @Override
    public int read(byte[] bytes, int offset, int length) throws IOException {
      if (length == 0) {
        return 0;
      }
      ByteBuffer buffer = ByteBuffer.wrap(bytes, offset, length);
      int limitMs = timeoutMs;
      long deadline = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(limitMs);
      while (true) {
        int count = channel.read(buffer);
        if (count != 0) {
          return count;
        }
        long leftMs = 0; // for a selector: without end
        if (limitMs > 0) {
          leftMs = TimeUnit.NANOSECONDS.toMillis(deadline - System.nanoTime());
          if (leftMs <= 0) {
            throw new SocketTimeoutException("nothing to read within " + limitMs + " ms");
          }
        }
        await(readable, leftMs);
      }
    }

    @Override
    public void close() throws IOException {
      UnixSocket.this.close();
    }
  }

  private final class Output extends OutputStream {
    @Override
    public void write(int single) throws IOException {
      write(new byte[] {(byte) single}, 0, 1);
    }

    @Override
    public void write(byte[] bytes, int offset, int length) throws IOException {
      ByteBuffer buffer = ByteBuffer.wrap(bytes, offset, length);
      while (buffer.hasRemaining()) {
        if (channel.write(buffer) == 0) {
          await(writable, 0);
        }
      }
    }

    @Override
    public void close() throws IOException {
      UnixSocket.this.close();
    }
  }

  private void await(Selector selector, long timeoutMs) throws IOException {
    selector.select(timeoutMs);
    if (!selector.isOpen() || !channel.isOpen()) {
      throw new SocketException("Socket closed");
    }
    selector.selectedKeys().clear();
    if (Thread.currentThread().isInterrupted()) {
      // An interrupted thread's selector waits no more: it would spin.
      close();
      throw new SocketException("Closed by interrupt");
    }
  }

  @Override
  public void close() throws IOException {
    try (readable;
        writable) {
      channel.close();
    }
  }

  @Override
  public boolean isConnected() {
    return channel.isConnected();
  }

  @Override
  public boolean isBound() {
    return true;
  }

  @Override
  public boolean isClosed() {
    return !channel.isOpen();
  }

  @Override
  public @Nullable SocketAddress getRemoteSocketAddress() {
    return null;
  }

  @Override
  public void setSoTimeout(int timeout) {
    timeoutMs = timeout;
  }

  @Override
  public int getSoTimeout() {
    return timeoutMs;
  }

  @Override
  public void setTcpNoDelay(boolean on) {}

  @Override
  public boolean getTcpNoDelay() {
    return true;
  }

  @Override
  public void setKeepAlive(boolean on) {}

  @Override
  public void setReceiveBufferSize(int size) {}

  @Override
  public int getReceiveBufferSize() {
    return BUFFER_BYTES;
  }

  @Override
  public void setSendBufferSize(int size) {}

  @Override
  public int getSendBufferSize() {
    return BUFFER_BYTES;
  }
}
