package dev.holdfast.store.s3;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import java.net.ConnectException;
import java.net.SocketTimeoutException;
import java.net.UnknownHostException;
import java.util.Locale;
import java.util.Set;
import javax.net.ssl.SSLException;
import org.jspecify.annotations.Nullable;
import software.amazon.awssdk.awscore.exception.AwsErrorDetails;
import software.amazon.awssdk.awscore.exception.AwsServiceException;
import software.amazon.awssdk.core.exception.AbortedException;
import software.amazon.awssdk.core.exception.ApiCallAttemptTimeoutException;
import software.amazon.awssdk.core.exception.ApiCallTimeoutException;
import software.amazon.awssdk.core.exception.SdkException;

/** Tells what a bucket or the SDK said in an operator's words. Never a key, token or signature. */
final class S3Failure {
  static final String CHECKSUMS =
      "set AWS_REQUEST_CHECKSUM_CALCULATION=when_required if it does not know the newer checksums"
          + " of S3";

  private static final Set<String> CREDENTIALS =
      Set.of(
          "InvalidAccessKeyId",
          "SignatureDoesNotMatch",
          "InvalidToken",
          "ExpiredToken",
          "TokenRefreshRequired",
          "InvalidClientTokenId",
          "UnrecognizedClientException");
  private static final Set<String> REGION =
      Set.of(
          "PermanentRedirect",
          "TemporaryRedirect",
          "AuthorizationHeaderMalformed",
          "IllegalLocationConstraintException");
  private static final Set<String> CLOCK = Set.of("RequestTimeTooSkewed", "RequestExpired");
  private static final Set<String> BUSY =
      Set.of("SlowDown", "ServiceUnavailable", "TooManyRequests", "ThrottlingException");
  private static final Set<String> FULL =
      Set.of("QuotaExceeded", "XMinioStorageFull", "InsufficientStorage", "StorageFull");

  private final S3Location location;
  private final S3Endpoint endpoint;

  S3Failure(S3Location location, S3Endpoint endpoint) {
    this.location = location;
    this.endpoint = endpoint;
  }

  /** Why it failed, and what to do about it. */
  private record Cause(String why, String next) {}

  /**
   * @param what the operation that failed
   */
  OperatorException of(String what, SdkException e) {
    if (e instanceof AbortedException) {
      Thread.currentThread().interrupt();
      return new OperatorException(
          Kind.INTERRUPTED, what, "it was interrupted", "run the same command again", e);
    }
    Cause cause = e instanceof AwsServiceException said ? answered(said) : unanswered(e);
    int attempts = attempts(e);
    return new OperatorException(
        Kind.REPOSITORY_UNREACHABLE,
        what,
        attempts < 2 ? cause.why : cause.why + " (" + attempts + " attempts)",
        cause.next,
        e);
  }

  /** 1 where the SDK does not say. */
  private static int attempts(SdkException e) {
    for (Throwable cause = e; cause != null; cause = cause.getCause()) {
      if (cause instanceof SdkException said && said.numAttempts() != null) {
        return said.numAttempts();
      }
    }
    return 1;
  }

  /** The server's short name for what went wrong; empty when it gave none. */
  static String code(AwsServiceException e) {
    AwsErrorDetails details = e.awsErrorDetails();
    String code = details == null ? null : details.errorCode();
    return code == null ? "" : code;
  }

  private Cause answered(AwsServiceException e) {
    String code = code(e);
    int status = e.statusCode();
    if (code.equals("NoSuchBucket")) {
      return new Cause(
          "there is no bucket " + location.bucket() + " at " + endpoint,
          "check its name, AWS_REGION and AWS_ENDPOINT_URL, or create it: Holdfast makes no buckets");
    }
    if (CREDENTIALS.contains(code)) {
      return new Cause(
          endpoint + " does not accept the credentials: " + described(e),
          "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN, which expires),"
              + " or the profile that AWS_PROFILE names");
    }
    if (CLOCK.contains(code)) {
      return new Cause(
          "the clock of this machine and that of " + endpoint + " are too far apart",
          "set this machine's clock (chronyc tracking, timedatectl show what it follows)");
    }
    if (REGION.contains(code) || status == 301 || status == 307) {
      String region = region(e);
      return new Cause(
          "the bucket " + location.bucket() + " is in another region" + orEmpty(": ", region),
          "set AWS_REGION" + orEmpty("=", region) + ", the region of the bucket");
    }
    if (FULL.contains(code) || status == 507) {
      return new Cause(
          "it is full: " + described(e),
          "make room there or raise the quota, then run the same command again; nothing half-written"
              + " is visible");
    }
    if (code.equals("AccessDenied") || status == 403) {
      return new Cause(
          "access denied: " + described(e),
          "let these credentials do s3:ListBucket on the bucket, and s3:GetObject, s3:PutObject,"
              + " s3:DeleteObject and s3:AbortMultipartUpload below "
              + location.text()
              + " (and use its KMS key, if it has one); without s3:ListBucket a missing object"
              + " looks like this too");
    }
    if (status == 501 || code.equals("NotImplemented")) {
      return new Cause(
          endpoint + " cannot do what S3 does: " + described(e),
          CHECKSUMS + "; else use another endpoint, or a directory");
    }
    if (BUSY.contains(code) || status == 429 || status == 503) {
      return new Cause(
          endpoint + " has too much to do: " + described(e),
          "run the same command again later; if it lasts, look at what else uses the bucket, and ask"
              + " its operator");
    }
    if (status == 400 && described(e).toLowerCase(Locale.ROOT).contains("checksum")) {
      return new Cause(endpoint + " refuses the request: " + described(e), CHECKSUMS);
    }
    return new Cause(
        endpoint + " answered " + described(e),
        status >= 500
            ? "run the same command again; if it lasts, ask the bucket's operator"
            : "check AWS_ENDPOINT_URL, AWS_REGION and the bucket's settings");
  }

  private Cause unanswered(SdkException e) {
    String said = String.valueOf(e.getMessage());
    if (said.contains("Unable to load credentials")) {
      return new Cause(
          "no credentials were found",
          "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE (and look whether that"
              + " profile exists), or run on an instance that has a role");
    }
    if (said.contains("Unable to load region") || said.contains("region must not be")) {
      return new Cause(
          "no region was found",
          "set AWS_REGION to the bucket's region; an endpoint that is not Amazon's mostly takes"
              + " us-east-1");
    }
    if (e instanceof ApiCallTimeoutException || e instanceof ApiCallAttemptTimeoutException) {
      return new Cause(
          "it took too long to send to or to read from " + endpoint,
          "check the connection between this machine and the bucket, then run the same command"
              + " again");
    }
    return switch (lastCause(e)) {
      case UnknownHostException _ ->
          new Cause(
              "there is no host " + endpoint,
              "check AWS_ENDPOINT_URL, AWS_REGION and the name service of this machine");
      case ConnectException refused ->
          new Cause(
              endpoint + " does not answer: " + message(refused),
              "check AWS_ENDPOINT_URL, that the server runs, and the firewall between");
      case SocketTimeoutException silent ->
          new Cause(
              endpoint + " does not answer: " + message(silent),
              "check AWS_ENDPOINT_URL, that the server runs, and the firewall between");
      case SSLException tls ->
          new Cause(
              "no safe connection to " + endpoint + ": " + message(tls),
              "check that AWS_ENDPOINT_URL says https only where TLS is spoken, and that this Java"
                  + " trusts the server's certificate (JAVA_TOOL_OPTIONS with"
                  + " -Djavax.net.ssl.trustStore)");
      case Throwable other ->
          new Cause(
              "the connection to " + endpoint + " failed: " + message(other),
              "check AWS_ENDPOINT_URL and the network between, then run the same command again");
    };
  }

  private static Throwable lastCause(Throwable e) {
    Throwable last = e;
    for (Throwable cause = e.getCause(); cause != null; cause = cause.getCause()) {
      last = cause;
    }
    return last;
  }

  private static String message(Throwable e) {
    String message = e.getMessage();
    return message == null || message.isBlank()
        ? e.getClass().getSimpleName()
        : message.lines().findFirst().orElse(message);
  }

  /** Status, name and words of the server, as far as it gave them. */
  private static String described(AwsServiceException e) {
    AwsErrorDetails details = e.awsErrorDetails();
    String words = details == null ? null : details.errorMessage();
    return e.statusCode() + orEmpty(" ", code(e)) + orEmpty(": ", words == null ? "" : words);
  }

  private static String orEmpty(String before, @Nullable String text) {
    return text == null || text.isBlank() ? "" : before + text;
  }

  /** Where the bucket is, if the server says so. */
  private static @Nullable String region(AwsServiceException e) {
    AwsErrorDetails details = e.awsErrorDetails();
    return details == null || details.sdkHttpResponse() == null
        ? null
        : details.sdkHttpResponse().firstMatchingHeader("x-amz-bucket-region").orElse(null);
  }
}
