package dev.holdfast.store.s3;

import dev.holdfast.store.objects.ObjectExistsException;
import dev.holdfast.store.objects.ObjectWriter;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import software.amazon.awssdk.core.exception.SdkException;
import software.amazon.awssdk.services.s3.model.CompletedPart;
import software.amazon.awssdk.services.s3.model.UploadPartResponse;

/**
 * One object, piece by piece: what fits into a part is put as a whole, what does not becomes a
 * multipart upload. In memory is one part at a time.
 */
final class S3Writer implements ObjectWriter {
  private static final int BUFFER_MIN = 1 << 16;
  private static final int PART_MIN = 8 << 20;

  /** Of an upload, as S3 has it. */
  static final int PARTS_MAX = 10_000;

  private final S3ObjectStore store;
  private final String name;
  private final String key;
  private final String token = S3ObjectStore.token();
  private final List<CompletedPart> parts = new ArrayList<>();
  private byte[] part = new byte[BUFFER_MIN];
  private int filled;
  private @Nullable String upload;

  S3Writer(S3ObjectStore store, String name, String key) {
    this.store = store;
    this.name = name;
    this.key = key;
  }

  /**
   * The size of a part. An upload has at most 10,000, so they grow, once objects pass 8 GB, until
   * an object of 5 TB fits; Holdfast's own objects end at some 256 MB, and so never need more than
   * the first size.
   *
   * @param number of the part, from 0
   */
  static int partBytes(int number) {
    int thousands = number / 1000;
    return PART_MIN * (1 + 3 * thousands * thousands);
  }

  @Override
  public void write(byte[] bytes, int offset, int length) {
    int taken = 0;
    while (taken < length) {
      int size = partBytes(parts.size());
      if (filled == size) {
        // Only now that more follows: an object of one part is put as a whole.
        uploadPart();
        size = partBytes(parts.size());
      }
      int now = Math.min(length - taken, size - filled);
      if (filled + now > part.length) {
        int larger = Math.min(size, Math.max(filled + now, 2 * part.length));
        part = Arrays.copyOf(part, larger);
      }
      System.arraycopy(bytes, offset + taken, part, filled, now);
      filled += now;
      taken += now;
    }
  }

  private void uploadPart() {
    if (parts.size() == PARTS_MAX) {
      throw new IllegalStateException(name + " has too many parts");
    }
    try {
      String id = begun();
      int number = parts.size() + 1;
      int length = filled;
      UploadPartResponse stored =
          store
              .client()
              .uploadPart(
                  asked ->
                      asked
                          .bucket(store.bucket())
                          .key(key)
                          .uploadId(id)
                          .partNumber(number)
                          .overrideConfiguration(within ->
                              within
                                  .apiCallAttemptTimeout(store.limits().sending(length))
                                  .apiCallTimeout(store.limits().sendingWhole(length))),
                  S3ObjectStore.body(part, length));
      parts.add(
          CompletedPart.builder()
              .partNumber(number)
              .eTag(stored.eTag())
              .checksumCRC32(stored.checksumCRC32())
              .build());
      filled = 0;
    } catch (SdkException e) {
      throw store.failure("write", name, e);
    }
  }

  private String begun() {
    String id = upload;
    if (id == null) {
      store.requireConditions();
      id =
          store
              .client()
              .createMultipartUpload(asked ->
                  asked
                      .bucket(store.bucket())
                      .key(key)
                      .metadata(Map.of(S3ObjectStore.WRITER, token)))
              .uploadId();
      upload = id;
    }
    return id;
  }

  @Override
  public void commit() {
    String id = upload;
    if (id == null) {
      store.put(name, part, filled);
      return;
    }
    if (filled > 0) {
      uploadPart();
    }
    // Looked for first: a server may know the condition for one PUT and not for the last step of
    // an upload, which the trial does not show.
    if (store.exists(name)) {
      throw new ObjectExistsException(store.location(), name);
    }
    try {
      store
          .client()
          .completeMultipartUpload(asked ->
              asked
                  .bucket(store.bucket())
                  .key(key)
                  .uploadId(id)
                  .ifNoneMatch(store.ifNoneMatch())
                  .multipartUpload(all -> all.parts(parts)));
    } catch (SdkException e) {
      if (!store.landed(name, token, e)) {
        throw store.vanishing(name);
      }
    }
    upload = null;
  }

  @Override
  public void close() {
    String id = upload;
    if (id != null) {
      upload = null;
      store.abort(key, id);
    }
  }
}
