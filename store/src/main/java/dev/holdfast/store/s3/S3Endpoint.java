package dev.holdfast.store.s3;

import java.net.URI;
import java.util.Locale;
import java.util.concurrent.CompletableFuture;
import org.jspecify.annotations.Nullable;
import software.amazon.awssdk.endpoints.Endpoint;
import software.amazon.awssdk.endpoints.EndpointUrl;
import software.amazon.awssdk.services.s3.endpoints.S3EndpointParams;
import software.amazon.awssdk.services.s3.endpoints.S3EndpointProvider;

/** Where the SDK sends requests: its own choice, but for where in them the bucket is named. */
final class S3Endpoint implements S3EndpointProvider {
  private final S3EndpointProvider standard = S3EndpointProvider.defaultProvider();
  private final @Nullable Boolean pathStyle;
  private volatile @Nullable EndpointUrl chosen;

  S3Endpoint(S3Location location) {
    this.pathStyle = location.pathStyle();
  }

  @Override
  public CompletableFuture<Endpoint> resolveEndpoint(S3EndpointParams asked) {
    return standard
        .resolveEndpoint(asked.toBuilder().forcePathStyle(pathStyle(asked)).build())
        .thenApply(found -> {
          chosen = found.endpointUrl();
          return found;
        });
  }

  /**
   * Amazon wants the bucket in the host's name. Other endpoints are mostly one host, whose name has
   * no certificate and often no DNS entry for one bucket each.
   */
  private @Nullable Boolean pathStyle(S3EndpointParams asked) {
    if (pathStyle != null) {
      return pathStyle;
    }
    String endpoint = asked.endpoint();
    if (endpoint == null) {
      return asked.forcePathStyle();
    }
    String host = URI.create(endpoint).getHost();
    return host == null || !host.toLowerCase(Locale.ROOT).contains(".amazonaws.com");
  }

  /** The server last spoken to, for messages: scheme, host and port. */
  @Override
  public String toString() {
    EndpointUrl url = chosen;
    if (url == null) {
      return "the endpoint";
    }
    return url.scheme() + "://" + url.host() + (url.port() < 0 ? "" : ":" + url.port());
  }
}
