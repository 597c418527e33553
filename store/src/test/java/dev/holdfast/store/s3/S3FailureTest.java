package dev.holdfast.store.s3;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.s3.FaultyProxy.Fault;
import dev.holdfast.testkit.S3Server;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import software.amazon.awssdk.endpoints.EndpointUrl;

/** What an operator is told when a bucket cannot be used. */
final class S3FailureTest {
  private static final S3Limits IMPATIENT =
      new S3Limits(
          2,
          Duration.ofMillis(1),
          Duration.ofMillis(1),
          Duration.ofMillis(1),
          Duration.ofSeconds(2),
          Duration.ofSeconds(1),
          10_000_000,
          Duration.ofSeconds(20));

  private static final String CHECK_CREDENTIALS =
      "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN, which expires), or"
          + " the profile that AWS_PROFILE names";

  private static S3Server server;
  private static FaultyProxy proxy;

  @TempDir private Path temporary;
  private S3Server.Environment environment;

  @BeforeAll
  static void start() {
    server = S3Server.start("acme-backups");
    proxy = new FaultyProxy(server.endpoint());
  }

  @AfterAll
  static void stop() {
    proxy.close();
    server.close();
  }

  @BeforeEach
  void set() throws IOException {
    proxy.plan(_ -> new Fault.Pass());
    environment = S3Server.environment(proxy.endpoint());
    // Nothing of this machine's: no profile, no instance.
    Path none = Files.createFile(temporary.resolve("none"));
    environment.set("aws.configFile", none.toString());
    environment.set("aws.sharedCredentialsFile", none.toString());
    environment.set("aws.disableEc2Metadata", "true");
  }

  @AfterEach
  void unset() {
    environment.close();
  }

  @Test
  void a_wrong_key_is_told_whatever_is_asked_first() {
    environment.set("aws.accessKeyId", "SOMEBODY");
    environment.set("aws.secretAccessKey", "hunter2");
    for (OperatorException failure : new OperatorException[] {reading(), looking(), writing()}) {
      assertThat(failure.why())
          .isEqualTo(
              proxy.endpoint()
                  + " does not accept the credentials: 403 InvalidAccessKeyId:"
                  + " Forbidden");
      assertThat(failure.next()).isEqualTo(CHECK_CREDENTIALS);
      assertThat(failure.kind()).isEqualTo(Kind.REPOSITORY_UNREACHABLE);
    }
    assertThat(reading().what()).isEqualTo("cannot read holdfast.json in s3://acme-backups/p");
    assertThat(looking().what()).isEqualTo("cannot look for holdfast.json in s3://acme-backups/p");
    assertThat(writing().what()).isEqualTo("cannot write to s3://acme-backups/p");
  }

  @Test
  void a_wrong_secret_is_told_and_not_shown() {
    environment.set("aws.secretAccessKey", "hunter2");
    OperatorException failure = reading();
    assertThat(failure.why())
        .startsWith(
            proxy.endpoint() + " does not accept the credentials: 403 SignatureDoesNotMatch");
    assertThat(failure.next()).isEqualTo(CHECK_CREDENTIALS);
    assertThat(failure).hasMessageNotContaining("hunter2");
    assertThat(proxy.requests()).as("another attempt would not help").hasSize(1);
  }

  @Test
  void an_expired_token_is_told() {
    environment.set("aws.sessionToken", "hunter2");
    proxy.plan(_ -> new Fault.Answer(400, "ExpiredToken", "The provided token has expired."));
    OperatorException failure = reading();
    assertThat(failure.why()).contains("400 ExpiredToken: The provided token has expired.");
    assertThat(failure.next()).isEqualTo(CHECK_CREDENTIALS);
    assertThat(failure).hasMessageNotContaining("hunter2");
  }

  @Test
  void missing_credentials_are_told() {
    environment.set("aws.accessKeyId", null);
    environment.set("aws.secretAccessKey", null);
    assertThat(reading())
        .hasMessage(
            "cannot read holdfast.json in s3://acme-backups/p: no credentials were found; next: set"
                + " AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE (and look whether"
                + " that profile exists), or run on an instance that has a role");
  }

  @Test
  void a_profile_is_used_with_all_it_says() throws IOException {
    environment.set("aws.accessKeyId", null);
    environment.set("aws.secretAccessKey", null);
    environment.set("aws.region", null);
    environment.set("aws.endpointUrl", null);
    environment.set("aws.profile", "backups");
    environment.set(
        "aws.configFile",
        Files.writeString(
                temporary.resolve("config"),
                """
                [profile backups]
                region = eu-west-1
                endpoint_url = %s
                aws_access_key_id = %s
                aws_secret_access_key = %s
                """
                    .formatted(proxy.endpoint(), S3Server.ACCESS_KEY, S3Server.SECRET_KEY))
            .toString());
    S3ObjectStore store = S3ObjectStore.open("s3://acme-backups/profile", IMPATIENT);
    store.put("a", new byte[1]);
    assertThat(store.get("a")).hasSize(1);
    assertThat(proxy.requests().getLast().header("Authorization")).contains("/eu-west-1/s3/");
    environment.set("aws.profile", "nobody");
    assertThat(
            catchThrowableOfType(
                OperatorException.class,
                () -> S3ObjectStore.open("s3://acme-backups/profile", IMPATIENT).get("a")))
        .hasMessageContaining("AWS_REGION");
  }

  @Test
  void a_missing_region_is_told() {
    environment.set("aws.region", null);
    assertThat(reading())
        .hasMessage(
            "cannot use the repository s3://acme-backups/p: no region was found; next: set"
                + " AWS_REGION to the bucket's region; an endpoint that is not Amazon's mostly takes"
                + " us-east-1");
  }

  @Test
  void a_missing_bucket_is_told() {
    OperatorException failure =
        catchThrowableOfType(
            OperatorException.class,
            () -> S3ObjectStore.open("s3://no-such/p", IMPATIENT).get("holdfast.json"));
    assertThat(failure)
        .hasMessage(
            "cannot read holdfast.json in s3://no-such/p: there is no bucket no-such at "
                + proxy.endpoint()
                + "; next: check its name, AWS_REGION and AWS_ENDPOINT_URL, or create it: Holdfast"
                + " makes no buckets");
    assertThat(
            catchThrowableOfType(
                OperatorException.class,
                () -> S3ObjectStore.open("s3://no-such/p", IMPATIENT).put("a", new byte[1])))
        .hasMessageContaining("there is no bucket no-such");
    assertThat(
            catchThrowableOfType(
                OperatorException.class,
                () -> S3ObjectStore.open("s3://no-such/p", IMPATIENT).children("")))
        .hasMessageContaining("there is no bucket no-such");
  }

  @Test
  void a_clock_that_is_wrong_is_told() {
    proxy.plan(_ ->
        new Fault.Answer(
            403, "RequestTimeTooSkewed", "The difference between the request time and …"));
    assertThat(reading())
        .hasMessage(
            "cannot read holdfast.json in s3://acme-backups/p: the clock of this machine and that of "
                + proxy.endpoint()
                + " are too far apart (2 attempts); next: set this machine's clock (chronyc"
                + " tracking, timedatectl show what it follows)");
  }

  @Test
  void the_region_of_the_bucket_is_told_where_the_server_tells_it() {
    proxy.plan(_ ->
        new Fault.Answer(
            301, "PermanentRedirect", "wrong endpoint", "x-amz-bucket-region: eu-central-1"));
    assertThat(reading())
        .hasMessage(
            "cannot read holdfast.json in s3://acme-backups/p: the bucket acme-backups is in another"
                + " region: eu-central-1; next: set AWS_REGION=eu-central-1, the region of the"
                + " bucket");
  }

  @Test
  void missing_rights_are_told() {
    proxy.plan(_ -> new Fault.Answer(403, "AccessDenied", "Access Denied"));
    for (OperatorException failure : new OperatorException[] {reading(), looking()}) {
      assertThat(failure.why()).isEqualTo("access denied: 403 AccessDenied: Access Denied");
      assertThat(failure.next()).contains("s3:ListBucket", "s3:PutObject", "s3://acme-backups/p");
    }
  }

  @Test
  void a_full_bucket_is_told() {
    proxy.plan(_ -> new Fault.Answer(403, "QuotaExceeded", "Bucket quota exceeded"));
    assertThat(writing())
        .hasMessage(
            "cannot write to s3://acme-backups/p: it is full: 403 QuotaExceeded: Bucket quota"
                + " exceeded; next: make room there or raise the quota, then run the same command"
                + " again; nothing half-written is visible");
  }

  @Test
  void checksums_that_a_server_does_not_know_can_be_left_out() {
    for (Fault.Answer answer :
        new Fault.Answer[] {
          new Fault.Answer(400, "InvalidArgument", "Unsupported header 'x-amz-checksum-crc32'"),
          new Fault.Answer(501, "NotImplemented", "A header you provided implies functionality")
        }) {
      proxy.plan(
          request -> request.header("x-amz-checksum-crc32").isEmpty() ? new Fault.Pass() : answer);
      assertThat(writing().next())
          .startsWith(
              "set AWS_REQUEST_CHECKSUM_CALCULATION=when_required if it does not know the newer"
                  + " checksums of S3");
    }
    environment.set("aws.requestChecksumCalculation", "when_required");
    S3ObjectStore store = S3ObjectStore.open("s3://acme-backups/plain", IMPATIENT);
    store.put("a", new byte[1]);
    assertThat(store.get("a")).hasSize(1);
  }

  @Test
  void nobody_there_is_told() throws IOException {
    int port;
    try (var free = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      port = free.getLocalPort();
    }
    environment.set("aws.endpointUrl", "http://127.0.0.1:" + port);
    assertThat(reading())
        .hasMessage(
            "cannot read holdfast.json in s3://acme-backups/p: http://127.0.0.1:%d does not answer:"
                    .formatted(port)
                + " Connection refused (2 attempts); next: check AWS_ENDPOINT_URL, that the server"
                + " runs, and the firewall between");
    environment.set("aws.endpointUrl", "http://no-such-host.invalid");
    assertThat(reading().why())
        .isEqualTo("there is no host http://no-such-host.invalid (2 attempts)");
    environment.set("aws.endpointUrl", "https://127.0.0.1:" + server.endpoint().getPort());
    assertThat(reading().why()).startsWith("no safe connection to https://127.0.0.1:");
  }

  @Test
  void silence_is_told() {
    proxy.plan(_ -> new Fault.Silence());
    assertThat(reading().why())
        .isEqualTo(proxy.endpoint() + " does not answer: Read timed out (2 attempts)");
  }

  @Test
  void the_bucket_is_in_the_path_at_another_endpoint_and_in_the_host_at_amazons() {
    reading();
    assertThat(proxy.requests().getLast().target()).isEqualTo("/acme-backups/p/holdfast.json");
    environment.set("aws.endpointUrl", "http://localhost:" + proxy.endpoint().getPort());
    proxy.plan(_ -> new Fault.Answer(403, "AccessDenied", "x"));
    assertThatThrownBy(() -> S3ObjectStore.open("s3://acme/p?pathStyle=true", IMPATIENT).get("a"))
        .isInstanceOf(OperatorException.class);
    assertThat(proxy.requests().getLast().target()).isEqualTo("/acme/p/a");
    environment.set("aws.endpointUrl", null);
    var endpoint = new S3Endpoint(S3Location.parse("s3://acme/p"));
    EndpointUrl url =
        endpoint
            .resolveEndpoint(asked ->
                asked.bucket("acme").region(software.amazon.awssdk.regions.Region.EU_WEST_1))
            .join()
            .endpointUrl();
    assertThat(url.host()).isEqualTo("acme.s3.eu-west-1.amazonaws.com");
  }

  private static OperatorException reading() {
    return catchThrowableOfType(
        OperatorException.class,
        () -> S3ObjectStore.open("s3://acme-backups/p", IMPATIENT).get("holdfast.json"));
  }

  private static OperatorException looking() {
    return catchThrowableOfType(
        OperatorException.class,
        () -> S3ObjectStore.open("s3://acme-backups/p", IMPATIENT).exists("holdfast.json"));
  }

  private static OperatorException writing() {
    return catchThrowableOfType(
        OperatorException.class,
        () -> S3ObjectStore.open("s3://acme-backups/p", IMPATIENT).put("a", new byte[1]));
  }
}
