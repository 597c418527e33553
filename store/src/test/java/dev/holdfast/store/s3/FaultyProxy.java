package dev.holdfast.store.s3;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.Semaphore;

/**
 * Stands between a client and an S3 server and does to requests what networks and servers do:
 * passes them on, loses them or their answers, breaks off in the middle, answers in the server's
 * place, falls silent. Every request that arrives is noted.
 */
public final class FaultyProxy implements AutoCloseable {
  /** Longer than any client waits that a test starts. */
  private static final long SILENCE_MILLIS = 60_000;

  /** A request as it arrived. */
  public record Request(String method, String target, List<String> headers) {
    /** The value of a header; empty when it is absent. */
    public String header(String name) {
      return FaultyProxy.header(headers, name);
    }
  }

  /** What happens to a request. */
  public sealed interface Fault {
    /** It goes to the server, and the server's answer back. */
    record Pass() implements Fault {}

    /** The connection ends before the server sees the request. */
    record Lost() implements Fault {}

    /** The server does what was asked; the connection ends before the client hears of it. */
    record AnswerLost() implements Fault {}

    /** The client hears the head of the answer and so many bytes of its body, then a reset. */
    record AnswerCut(int bodyBytes) implements Fault {}

    /** As {@link AnswerCut}, but the connection ends in an orderly way. */
    record AnswerShort(int bodyBytes) implements Fault {}

    /** One byte of the answer's body is another one. */
    record AnswerAltered() implements Fault {}

    /** One byte of the request's body is another one. */
    record Altered() implements Fault {}

    /** The server sees the request without this header. */
    record Without(String header) implements Fault {}

    /** Someone else answers, with a body as S3's errors have it. */
    record Answer(int status, String code, String message, String header) implements Fault {
      public Answer(int status, String code, String message) {
        this(status, code, message, "");
      }
    }

    /** The server does what was asked, and someone else answers as in {@link Answer}. */
    record Landed(int status, String code, String message) implements Fault {}

    /** Nothing ever comes back. */
    record Silence() implements Fault {}

    /** The request's body is not even read. */
    record Deaf() implements Fault {}
  }

  /** Decides about each request. */
  public interface Plan {
    Fault of(Request request);
  }

  private final URI server;
  private final ServerSocket listening;
  private final List<Request> requests = new CopyOnWriteArrayList<>();
  private final List<Socket> open = new CopyOnWriteArrayList<>();
  private volatile Plan plan = _ -> new Fault.Pass();

  public FaultyProxy(URI server) {
    this.server = server;
    try {
      this.listening = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    Thread.ofVirtual().start(this::accept);
  }

  public URI endpoint() {
    return URI.create("http://127.0.0.1:" + listening.getLocalPort());
  }

  /** From now on; forgets the requests so far. */
  public void plan(Plan next) {
    requests.clear();
    plan = next;
  }

  /** This fault for the first so many requests that match, then none. */
  public void firstTimes(int times, String method, Fault fault) {
    var left = new Semaphore(times);
    plan(
        request -> request.method().equals(method) && left.tryAcquire() ? fault : new Fault.Pass());
  }

  /** The requests since the last plan was made. */
  public List<Request> requests() {
    return requests;
  }

  /** How many of them were of this method. */
  public long count(String method) {
    return requests.stream().filter(request -> request.method().equals(method)).count();
  }

  private void accept() {
    while (!listening.isClosed()) {
      try {
        Socket client = listening.accept();
        open.add(client);
        Thread.ofVirtual().start(() -> serve(client));
      } catch (IOException e) {
        return; // closed
      }
    }
  }

  /** One request a connection: the client is told so. */
  private void serve(Socket client) {
    try (client) {
      var in = new BufferedInputStream(client.getInputStream());
      List<String> head = head(in);
      if (head.isEmpty()) {
        return;
      }
      String[] first = head.getFirst().split(" ", -1);
      List<String> headers = head.subList(1, head.size());
      var request = new Request(first[0], first[1], headers);
      Fault fault = plan.of(request);
      requests.add(request);
      if (fault instanceof Fault.Deaf) {
        Thread.sleep(SILENCE_MILLIS); // the fault itself: no answer, and nothing read
        return;
      }
      if (request.header("expect").toLowerCase(Locale.ROOT).startsWith("100")) {
        client.getOutputStream().write("HTTP/1.1 100 Continue\r\n\r\n".getBytes(ISO_8859_1));
      }
      byte[] body = body(in, headers);
      act(client, head, body, fault);
    } catch (IOException e) {
      return; // a side has gone: the other one notices
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private void act(Socket client, List<String> head, byte[] body, Fault fault)
      throws IOException, InterruptedException {
    OutputStream out = client.getOutputStream();
    switch (fault) {
      case Fault.Pass _ -> out.write(asked(head, body));
      case Fault.Lost _ -> reset(client);
      case Fault.AnswerLost _ -> {
        asked(head, body);
        reset(client);
      }
      case Fault.AnswerCut cut -> {
        byte[] answer = asked(head, body);
        out.write(answer, 0, Math.min(answer.length, bodyOf(answer) + cut.bodyBytes()));
        out.flush();
        Thread.sleep(50); // a reset overtakes what was just sent
        reset(client);
      }
      case Fault.AnswerShort cut -> {
        byte[] answer = asked(head, body);
        out.write(answer, 0, Math.min(answer.length, bodyOf(answer) + cut.bodyBytes()));
      }
      case Fault.AnswerAltered _ -> {
        byte[] answer = asked(head, body);
        answer[(bodyOf(answer) + answer.length) / 2] ^= 1;
        out.write(answer);
      }
      case Fault.Altered _ -> {
        byte[] other = body.clone();
        other[other.length / 2] ^= 1;
        out.write(asked(head, other));
      }
      case Fault.Without without -> {
        var less = new ArrayList<>(head);
        less.removeIf(line ->
            line.toLowerCase(Locale.ROOT)
                .startsWith(without.header().toLowerCase(Locale.ROOT) + ":"));
        out.write(asked(less, body));
      }
      case Fault.Answer answer -> out.write(error(answer, head.getFirst().startsWith("HEAD")));
      case Fault.Landed landed -> {
        asked(head, body);
        var answer = new Fault.Answer(landed.status(), landed.code(), landed.message());
        out.write(error(answer, head.getFirst().startsWith("HEAD")));
      }
      case Fault.Silence _, Fault.Deaf _ -> Thread.sleep(SILENCE_MILLIS); // the fault itself
    }
    out.flush();
  }

  private static byte[] error(Fault.Answer answer, boolean head) {
    String body =
        head
            ? ""
            : "<?xml version=\"1.0\"?><Error><Code>%s</Code><Message>%s</Message></Error>"
                .formatted(answer.code(), answer.message());
    var text = new StringBuilder("HTTP/1.1 " + answer.status() + " X\r\nConnection: close\r\n");
    if (!answer.header().isEmpty()) {
      text.append(answer.header()).append("\r\n");
    }
    return text.append("Content-Type: application/xml\r\nContent-Length: ")
        .append(body.length())
        .append("\r\n\r\n")
        .append(body)
        .toString()
        .getBytes(UTF_8);
  }

  /** Not an orderly end: the other side gets "connection reset". */
  private static void reset(Socket client) throws IOException {
    client.setSoLinger(true, 0);
    client.close();
  }

  /** The server's whole answer. */
  private byte[] asked(List<String> head, byte[] body) throws IOException {
    try (var upstream = new Socket(server.getHost(), server.getPort())) {
      var text = new StringBuilder();
      for (String line : head) {
        String lower = line.toLowerCase(Locale.ROOT);
        if (!lower.startsWith("connection:") && !lower.startsWith("expect:")) {
          text.append(line).append("\r\n");
        }
      }
      text.append("Connection: close\r\n\r\n");
      upstream.getOutputStream().write(text.toString().getBytes(ISO_8859_1));
      upstream.getOutputStream().write(body);
      upstream.getOutputStream().flush();
      return upstream.getInputStream().readAllBytes();
    }
  }

  private static int bodyOf(byte[] answer) {
    for (int at = 0; at < answer.length - 3; at++) {
      if (answer[at] == '\r' && answer[at + 1] == '\n' && answer[at + 2] == '\r') {
        return at + 4;
      }
    }
    return answer.length;
  }

  private static List<String> head(InputStream in) throws IOException {
    var lines = new ArrayList<String>();
    while (true) {
      var line = new ByteArrayOutputStream();
      int c = in.read();
      while (c >= 0 && c != '\n') {
        line.write(c);
        c = in.read();
      }
      String text = line.toString(ISO_8859_1).strip();
      if (text.isEmpty()) {
        return lines;
      }
      lines.add(text);
    }
  }

  private static byte[] body(InputStream in, List<String> headers) throws IOException {
    String length = header(headers, "content-length");
    if (length.isEmpty()) {
      if (!header(headers, "transfer-encoding").isEmpty()) {
        throw new IOException("this proxy knows no chunks");
      }
      return new byte[0];
    }
    byte[] body = in.readNBytes(Integer.parseInt(length));
    if (body.length < Integer.parseInt(length)) {
      throw new EOFException();
    }
    return body;
  }

  private static String header(List<String> headers, String name) {
    String start = name.toLowerCase(Locale.ROOT) + ":";
    return headers.stream()
        .filter(line -> line.toLowerCase(Locale.ROOT).startsWith(start))
        .map(line -> line.substring(start.length()).strip())
        .findFirst()
        .orElse("");
  }

  @Override
  public void close() {
    try {
      listening.close();
      for (Socket socket : open) {
        socket.close();
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
