package dev.holdfast.store.s3;

import java.io.IOException;
import software.amazon.awssdk.core.exception.RetryableException;
import software.amazon.awssdk.core.exception.SdkClientException;
import software.amazon.awssdk.core.sync.ResponseTransformer;
import software.amazon.awssdk.http.AbortableInputStream;
import software.amazon.awssdk.services.s3.model.GetObjectResponse;

/**
 * Reads exactly as many bytes as the server announced, into one array. A body that ends early, or
 * does not match the checksum that came with it, is asked for again: the JDK's HTTP takes the end
 * of a connection for the end of a body.
 */
final class WholeBody implements ResponseTransformer<GetObjectResponse, byte[]> {
  private boolean range;

  /** Whether the server sent a range of the object, and not all of it. */
  boolean isRange() {
    return range;
  }

  @Override
  public byte[] transform(GetObjectResponse answer, AbortableInputStream in) {
    range = answer.contentRange() != null;
    try {
      Long announced = answer.contentLength();
      if (announced == null) {
        return in.readAllBytes();
      }
      byte[] bytes = in.readNBytes(Math.toIntExact(announced));
      if (bytes.length < announced) {
        throw new IOException(
            "the body ended after %d of %d bytes".formatted(bytes.length, announced));
      }
      if (in.read() >= 0) { // the look at the end is what makes the SDK compare the checksum
        throw new IOException("the body goes on after the %d bytes announced".formatted(announced));
      }
      return bytes;
    } catch (IOException | SdkClientException e) {
      throw RetryableException.create("cannot read the body: " + e.getMessage(), e);
    }
  }
}
