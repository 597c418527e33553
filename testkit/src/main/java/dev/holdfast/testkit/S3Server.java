package dev.holdfast.testkit;

import java.net.URI;
import java.util.HashMap;
import java.util.Map;
import org.gaul.s3proxy.S3Proxy;
import org.gaul.s3proxy.auth.AuthenticationType;
import org.gaul.s3proxy.nio2blob.TransientNio2BlobStore;
import org.jspecify.annotations.Nullable;

/**
 * A real S3 server in this process, objects in memory, on a port of 127.0.0.1: signatures,
 * conditions, uploads in parts and checksums as S3 has them. Starts in about a second.
 */
public final class S3Server implements AutoCloseable {
  /** The only one it lets in. */
  public static final String ACCESS_KEY = "holdfast-test";

  /** Of {@link #ACCESS_KEY}. */
  public static final String SECRET_KEY = "not/a+secret";

  private static final String HOST = "http://127.0.0.1:";

  private final S3Proxy server;
  private final TransientNio2BlobStore objects;

  private S3Server(S3Proxy server, TransientNio2BlobStore objects) {
    this.server = server;
    this.objects = objects;
  }

  /** A server with these empty buckets. */
  public static S3Server start(String... buckets) {
    return start(AuthenticationType.AWS_V4, buckets);
  }

  /** As {@link #start}, but it lets in everybody: something in front of it may alter requests. */
  public static S3Server startTrusting(String... buckets) {
    return start(AuthenticationType.NONE, buckets);
  }

  private static S3Server start(AuthenticationType authentication, String... buckets) {
    var objects = new TransientNio2BlobStore();
    S3Proxy server =
        S3Proxy.builder()
            .blobStore(objects)
            .awsAuthentication(authentication, ACCESS_KEY, SECRET_KEY)
            .endpoint(URI.create(HOST + 0))
            .stopTimeout(0)
            .build();
    try {
      server.start();
    } catch (Exception e) {
      throw new IllegalStateException("the S3 server does not start", e);
    }
    var started = new S3Server(server, objects);
    for (String bucket : buckets) {
      started.makeBucket(bucket);
    }
    return started;
  }

  /** Makes an empty bucket. */
  public void makeBucket(String name) {
    objects.createContainer(name);
  }

  /** Where it listens, as AWS_ENDPOINT_URL has it. */
  public URI endpoint() {
    return URI.create(HOST + server.getPort());
  }

  /**
   * Tells the SDK of this process where the server is and who asks, as AWS_ENDPOINT_URL,
   * AWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY would, until the result is closed. For
   * tests that run one after the other.
   *
   * @param endpoint of this server or of something in front of it
   */
  public static Environment environment(URI endpoint) {
    var environment = new Environment();
    environment.set("aws.endpointUrl", endpoint.toString());
    environment.set("aws.region", "us-east-1");
    environment.set("aws.accessKeyId", ACCESS_KEY);
    environment.set("aws.secretAccessKey", SECRET_KEY);
    return environment;
  }

  /** Settings of the SDK; as they were before when it is closed. */
  public static final class Environment implements AutoCloseable {
    private final Map<String, @Nullable String> before = new HashMap<>();

    private Environment() {}

    /**
     * @param property as the SDK names it
     * @param value null: not set at all
     */
    public void set(String property, @Nullable String value) {
      before.putIfAbsent(property, System.getProperty(property));
      put(property, value);
    }

    private static void put(String property, @Nullable String value) {
      if (value == null) {
        System.clearProperty(property);
      } else {
        System.setProperty(property, value);
      }
    }

    @Override
    public void close() {
      before.forEach(Environment::put);
    }
  }

  @Override
  public void close() {
    try {
      server.stop();
    } catch (Exception e) {
      throw new IllegalStateException("the S3 server does not stop", e);
    }
    objects.close();
  }
}
