package dev.holdfast.store.s3;

import java.util.Set;
import javax.xml.stream.XMLStreamException;
import software.amazon.awssdk.awscore.exception.AwsServiceException;
import software.amazon.awssdk.awscore.retry.AwsRetryStrategy;
import software.amazon.awssdk.core.exception.SdkClientException;
import software.amazon.awssdk.http.urlconnection.UrlConnectionHttpClient;
import software.amazon.awssdk.retries.StandardRetryStrategy;
import software.amazon.awssdk.retries.api.BackoffStrategy;
import software.amazon.awssdk.services.s3.S3Client;

/**
 * Makes the SDK's client: the one place that says how requests are sent and tried again. Endpoint,
 * region, credentials and checksums are what the environment, the AWS configuration files or the
 * instance say, as in every program made with the SDK.
 */
final class S3Clients {
  /**
   * Answers that another attempt may better: the server stumbled over something that was going on
   * at the same time, or over bytes that arrived damaged.
   */
  private static final Set<String> TRANSIENT =
      Set.of(
          "ConditionalRequestConflict",
          "OperationAborted",
          "BadDigest",
          "XAmzContentChecksumMismatch",
          "XAmzContentSHA256Mismatch",
          "IncompleteBody");

  private S3Clients() {}

  /** Throws the SDK's exception when the environment lacks a region. */
  static S3Client client(S3Endpoint endpoint, S3Limits limits) {
    return S3Client.builder()
        .httpClientBuilder(
            UrlConnectionHttpClient.builder()
                .connectionTimeout(limits.connecting())
                .socketTimeout(limits.silence()))
        // Checksums then go into a header, which every maker's server understands or ignores; as
        // the trailer of a body in chunks, many refuse them.
        .serviceConfiguration(settings -> settings.chunkedEncodingEnabled(false))
        .endpointProvider(endpoint)
        .overrideConfiguration(settings ->
            settings.retryStrategy(retryStrategy(limits)).apiCallTimeout(limits.whole()))
        .build();
  }

  private static StandardRetryStrategy retryStrategy(S3Limits limits) {
    return AwsRetryStrategy.standardRetryStrategy().toBuilder()
        .maxAttempts(limits.attempts())
        .backoffStrategy(BackoffStrategy.exponentialDelay(limits.pauseMin(), limits.pauseMax()))
        .throttlingBackoffStrategy(
            BackoffStrategy.exponentialDelay(limits.busyPauseMin(), limits.pauseMax()))
        // It would make many threads that wait together give up before their attempts are used.
        .circuitBreakerEnabled(false)
        .retryOnException(S3Clients::isTransient)
        .build();
  }

  private static boolean isTransient(Throwable failure) {
    if (failure instanceof AwsServiceException said) {
      return TRANSIENT.contains(S3Failure.code(said));
    }
    if (failure instanceof SdkClientException) {
      // A list that broke off in the middle: to the SDK, an answer that makes no sense.
      for (Throwable cause = failure.getCause(); cause != null; cause = cause.getCause()) {
        if (cause instanceof XMLStreamException) {
          return true;
        }
      }
    }
    return false;
  }
}
