package dev.holdfast.store.s3;

import dev.holdfast.failure.Kind;
import dev.holdfast.failure.OperatorException;
import dev.holdfast.store.objects.NoSuchObjectException;
import dev.holdfast.store.objects.ObjectExistsException;
import dev.holdfast.store.objects.ObjectName;
import dev.holdfast.store.objects.ObjectStore;
import dev.holdfast.store.objects.ObjectWriter;
import java.io.ByteArrayInputStream;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.UUID;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import software.amazon.awssdk.core.exception.SdkException;
import software.amazon.awssdk.core.sync.RequestBody;
import software.amazon.awssdk.services.s3.S3Client;
import software.amazon.awssdk.services.s3.model.ChecksumMode;
import software.amazon.awssdk.services.s3.model.CommonPrefix;
import software.amazon.awssdk.services.s3.model.GetObjectRequest;
import software.amazon.awssdk.services.s3.model.ListObjectsV2Response;
import software.amazon.awssdk.services.s3.model.MultipartUpload;
import software.amazon.awssdk.services.s3.model.PutObjectRequest;
import software.amazon.awssdk.services.s3.model.S3Exception;
import software.amazon.awssdk.services.s3.model.S3Object;

/**
 * Objects in a bucket. A PUT is atomic there; that a new object never takes the place of another is
 * the server's promise, given by the condition {@code If-None-Match: *}. Each write of a new object
 * carries a token of its own in the object's metadata: when the answer to a write is lost and the
 * second attempt hears that the object exists, the token says whose it is.
 *
 * <p>A server that ignores the condition would let one Holdfast overwrite what another one stored,
 * so the first write of each process tries it out on an object of its own.
 */
public final class S3ObjectStore implements ObjectStore {
  /** Age at which what an interrupted writer left is removed. */
  static final Duration STALE_AFTER = Duration.ofDays(1);

  /** Names no object of ours: those start no component with a dot. */
  static final String TRIAL = ".holdfast-trial-";

  /** In an object's metadata: which call wrote it. */
  static final String WRITER = "holdfast-writer";

  /** Where an object vanishes as often as it is found to exist, somebody else is at work. */
  private static final int VANISHED_MAX = 5;

  private final S3Location location;
  private final S3Client client;
  private final S3Limits limits;
  private final S3Failure failure;
  private volatile boolean conditionsHold;

  private S3ObjectStore(S3Location location, S3Client client, S3Limits limits, S3Failure failure) {
    this.location = location;
    this.client = client;
    this.limits = limits;
    this.failure = failure;
  }

  /**
   * Makes a client for a bucket; nothing is asked of it yet.
   *
   * @param location {@code s3://bucket/prefix}, with {@code ?pathStyle=true|false} or {@code
   *     ?conditionalWrites=false} where needed
   * @throws OperatorException USAGE when the location is none; REPOSITORY_UNREACHABLE when the
   *     environment names no region
   */
  public static S3ObjectStore open(String location) {
    return open(location, S3Limits.DEFAULT);
  }

  static S3ObjectStore open(String location, S3Limits limits) {
    S3Location parsed = S3Location.parse(location);
    var endpoint = new S3Endpoint(parsed);
    var failure = new S3Failure(parsed, endpoint);
    try {
      return new S3ObjectStore(parsed, S3Clients.client(endpoint, limits), limits, failure);
    } catch (SdkException e) {
      throw failure.of("cannot use the repository " + parsed.text(), e);
    }
  }

  @Override
  public String location() {
    return location.text();
  }

  S3Client client() {
    return client;
  }

  S3Limits limits() {
    return limits;
  }

  String bucket() {
    return location.bucket();
  }

  @Override
  public ObjectWriter create(String name) {
    return new S3Writer(this, ObjectName.check(name), location.key(name));
  }

  @Override
  public void put(String name, byte[] bytes) {
    put(name, bytes, bytes.length);
  }

  @Override
  public void put(String name, byte[] bytes, int length) {
    String key = location.key(ObjectName.check(name));
    requireConditions();
    String token = token();
    for (int vanished = 0; vanished < VANISHED_MAX; vanished++) {
      if (!location.conditionalWrites() && exists(name)) {
        throw new ObjectExistsException(location(), name);
      }
      try {
        put(key, bytes, length, token);
        return;
      } catch (SdkException e) {
        if (landed(name, token, e)) {
          return;
        }
      }
    }
    throw vanishing(name);
  }

  /** What was found to exist was gone a moment later, again and again. */
  OperatorException vanishing(String name) {
    return new OperatorException(
        Kind.REPOSITORY_UNREACHABLE,
        cannot("write", name),
        "others store and remove the same object at the same time",
        "see whether another Holdfast writes to the same repository, then run the same command"
            + " again");
  }

  /** Which call wrote an object. */
  static String token() {
    return UUID.randomUUID().toString();
  }

  /** The condition under which new objects are written; null where the operator waived it. */
  @Nullable String ifNoneMatch() {
    return location.conditionalWrites() ? "*" : null;
  }

  private void put(String key, byte[] bytes, int length, String token) {
    client.putObject(
        sending(length, key).ifNoneMatch(ifNoneMatch()).metadata(Map.of(WRITER, token)).build(),
        body(bytes, length));
  }

  /** The first bytes of an array, not copied: it must not change until they are sent. */
  static RequestBody body(byte[] bytes, int length) {
    return RequestBody.fromContentProvider(
        () -> new ByteArrayInputStream(bytes, 0, length), length, "application/octet-stream");
  }

  private PutObjectRequest.Builder sending(int bytes, String key) {
    return PutObjectRequest.builder()
        .bucket(location.bucket())
        .key(key)
        .overrideConfiguration(within ->
            within
                .apiCallAttemptTimeout(limits.sending(bytes))
                .apiCallTimeout(limits.sendingWhole(bytes)));
  }

  /**
   * Whether a conditional write that failed did land after all: an earlier attempt of it, whose
   * answer was lost.
   *
   * @return false when there is no such object now, and the write may be tried again
   * @throws ObjectExistsException when the object there is another's
   * @throws OperatorException when the write failed for another reason than the object there
   */
  boolean landed(String name, String token, SdkException e) {
    // 404: an upload that was completed, or removed, is not there to be completed again. 409:
    // something else was going on with the object, through all attempts.
    if (!(e instanceof S3Exception said)
        || (said.statusCode() != 412 && said.statusCode() != 409 && said.statusCode() != 404)
        || S3Failure.code(said).equals("NoSuchBucket")) {
      throw failure("write", name, e);
    }
    Map<String, String> metadata = metadata(name);
    if (metadata == null) {
      if (said.statusCode() == 412) {
        return false;
      }
      throw failure("write", name, e);
    }
    if (token.equals(metadata.get(WRITER))) {
      return true;
    }
    var exists = new ObjectExistsException(location(), name);
    exists.addSuppressed(e);
    throw exists;
  }

  /** Null when there is no such object. */
  private @Nullable Map<String, String> metadata(String name) {
    try {
      return client
          .headObject(asked -> asked.bucket(location.bucket()).key(location.key(name)))
          .metadata();
    } catch (S3Exception e) {
      if (e.statusCode() == 404) {
        return null;
      }
      throw failure("look for", name, inWords(name, e));
    } catch (SdkException e) {
      throw failure("look for", name, e);
    }
  }

  /** The answer to HEAD has no body, so it does not say why: asks for a byte, to be told. */
  private S3Exception inWords(String name, S3Exception e) {
    try {
      client.getObject(
          asked -> asked.bucket(location.bucket()).key(location.key(name)).range("bytes=0-0"),
          new WholeBody());
      return e;
    } catch (S3Exception said) {
      return said;
    } catch (SdkException other) {
      e.addSuppressed(other);
      return e;
    }
  }

  /** Tries once whether this server honours the condition that new objects are written under. */
  void requireConditions() {
    if (conditionsHold || !location.conditionalWrites()) {
      return;
    }
    synchronized (this) {
      if (!conditionsHold) {
        tryConditions(location.key(TRIAL + token()));
        conditionsHold = true;
      }
    }
  }

  /** Where the bucket cannot be written to at all, the trial is left to be swept: it may not be. */
  private void tryConditions(String trial) {
    try {
      put(trial, new byte[0], 0, token());
      put(trial, new byte[0], 0, token());
      deleteQuietly(trial);
      throw unconditional("it overwrites an object that it was told not to overwrite", null);
    } catch (S3Exception e) {
      if (e.statusCode() == 501 && isWrittenWithoutCondition(trial)) {
        throw unconditional("it does not know the condition If-None-Match", e);
      }
      if (e.statusCode() != 412) {
        throw failure("write to", "", e);
      }
      deleteQuietly(trial);
    } catch (SdkException e) {
      throw failure("write to", "", e);
    }
  }

  /** Whether it is the condition that the server does not know, and not another header. */
  private boolean isWrittenWithoutCondition(String trial) {
    try {
      client.putObject(sending(0, trial).build(), RequestBody.empty());
      deleteQuietly(trial);
      return true;
    } catch (SdkException e) {
      return false;
    }
  }

  private OperatorException unconditional(String why, @Nullable Throwable cause) {
    String waiving =
        location.text()
            + (location.text().contains("?") ? "&" : "?")
            + S3Location.CONDITIONAL_WRITES
            + "=false";
    return new OperatorException(
        Kind.REFUSED,
        "cannot write to " + location(),
        "this server has no conditional writes: "
            + why
            + ", so two Holdfasts could overwrite each other's objects",
        "use a server that has them (Amazon S3, MinIO, Ceph, R2 do); or, where never more than one"
            + " Holdfast writes to this repository, name it "
            + waiving
            + ": then Holdfast looks before it writes",
        cause);
  }

  private void deleteQuietly(String key) {
    try {
      client.deleteObject(asked -> asked.bucket(location.bucket()).key(key));
    } catch (SdkException e) {
      return; // invisible, and swept by age
    }
  }

  @Override
  public void replace(String name, byte[] bytes) {
    String key = location.key(ObjectName.check(name));
    try {
      client.putObject(sending(bytes.length, key).build(), body(bytes, bytes.length));
    } catch (SdkException e) {
      throw failure("write", name, e);
    }
  }

  @Override
  public byte[] get(String name) {
    return get(name, asked -> {}, new WholeBody());
  }

  @Override
  public byte[] get(String name, long offset, int length) {
    if (length == 0) {
      if (exists(name)) {
        return new byte[0];
      }
      throw new NoSuchObjectException(location(), name);
    }
    String range = "bytes=%d-%d".formatted(offset, offset + length - 1);
    try {
      var body = new WholeBody();
      byte[] bytes = get(name, asked -> asked.range(range), body);
      // A server, or something before it, that knows no ranges sends everything.
      return body.isRange()
          ? bytes
          : Arrays.copyOfRange(
              bytes,
              (int) Math.min(offset, bytes.length),
              (int) Math.min(offset + length, bytes.length));
    } catch (PastTheEnd e) {
      return new byte[0];
    }
  }

  /** The range asked for begins where the object has ended. */
  private static final class PastTheEnd extends RuntimeException {
    private static final long serialVersionUID = 1L;

    PastTheEnd(Throwable cause) {
      super(cause);
    }
  }

  private byte[] get(String name, Consumer<GetObjectRequest.Builder> more, WholeBody body) {
    String key = location.key(ObjectName.check(name));
    try {
      return client.getObject(
          asked -> {
            asked.bucket(location.bucket()).key(key).checksumMode(ChecksumMode.ENABLED);
            more.accept(asked);
          },
          body);
    } catch (S3Exception e) {
      if (e.statusCode() == 416) {
        throw new PastTheEnd(e);
      }
      if (e.statusCode() == 404 && !S3Failure.code(e).equals("NoSuchBucket")) {
        var missing = new NoSuchObjectException(location(), name);
        missing.addSuppressed(e);
        throw missing;
      }
      throw failure("read", name, e);
    } catch (SdkException e) {
      throw failure("read", name, e);
    }
  }

  @Override
  public List<StoredObject> list(String prefix) {
    var found = new ArrayList<StoredObject>();
    eachPage(
        prefix,
        null,
        page -> {
          for (S3Object object : page.contents()) {
            String name = object.key().substring(location.prefix().length());
            if (isName(name)) {
              found.add(new StoredObject(name, object.size(), object.lastModified()));
            }
          }
        });
    found.sort((a, b) -> a.name().compareTo(b.name())); // as Amazon does; not everybody does
    return found;
  }

  @Override
  public List<String> folders(String prefix) {
    var found = new TreeSet<String>();
    eachPage(prefix, "/", page -> addFolders(page, prefix, found));
    return List.copyOf(found);
  }

  @Override
  public List<String> children(String prefix) {
    int start = location.key(prefix).length();
    var found = new TreeSet<String>();
    eachPage(
        prefix,
        "/",
        page -> {
          addFolders(page, prefix, found);
          for (S3Object object : page.contents()) {
            String child = object.key().substring(start);
            if (ObjectName.isComponent(child)) {
              found.add(child);
            }
          }
        });
    return List.copyOf(found);
  }

  private void addFolders(ListObjectsV2Response page, String prefix, Set<String> found) {
    int start = location.key(prefix).length();
    for (CommonPrefix common : page.commonPrefixes()) {
      String child = common.prefix().substring(start, common.prefix().length() - 1);
      if (ObjectName.isComponent(child)) {
        found.add(child);
      }
    }
  }

  /**
   * Consoles mark empty folders by keys that end in a slash; those and others' keys are not ours.
   */
  private static boolean isName(String name) {
    for (String component : name.split("/", -1)) {
      if (!ObjectName.isComponent(component)) {
        return false;
      }
    }
    return true;
  }

  private void eachPage(
      String prefix, @Nullable String delimiter, Consumer<ListObjectsV2Response> reader) {
    eachPageOfKeys(location.key(ObjectName.checkPrefix(prefix)), prefix, delimiter, reader);
  }

  private void eachPageOfKeys(
      String keys,
      String told,
      @Nullable String delimiter,
      Consumer<ListObjectsV2Response> reader) {
    String next = null;
    do {
      String from = next;
      ListObjectsV2Response page;
      try {
        page =
            client.listObjectsV2(asked ->
                asked
                    .bucket(location.bucket())
                    .prefix(keys)
                    .delimiter(delimiter)
                    .continuationToken(from));
      } catch (SdkException e) {
        throw failure("list", told, e);
      }
      reader.accept(page);
      next = Boolean.TRUE.equals(page.isTruncated()) ? page.nextContinuationToken() : null;
    } while (next != null);
  }

  @Override
  public boolean exists(String name) {
    return metadata(ObjectName.check(name)) != null;
  }

  @Override
  public void delete(String name) {
    String key = location.key(ObjectName.check(name));
    try {
      client.deleteObject(asked -> asked.bucket(location.bucket()).key(key));
    } catch (S3Exception e) {
      if (e.statusCode() != 404 || S3Failure.code(e).equals("NoSuchBucket")) {
        throw failure("delete", name, e);
      }
    } catch (SdkException e) {
      throw failure("delete", name, e);
    }
  }

  /** Side by side: not every server of buckets takes several in one request. */
  @Override
  public void deleteAll(List<String> names) {
    names.forEach(ObjectName::check); // before the first one goes
    if (names.size() < 2) {
      names.forEach(this::delete);
      return;
    }
    var deleting = new ArrayList<Future<?>>();
    try (var threads = Executors.newVirtualThreadPerTaskExecutor()) {
      names.forEach(name -> deleting.add(threads.submit(() -> delete(name))));
    }
    for (Future<?> deleted : deleting) {
      switch (deleted.state()) {
        case SUCCESS -> {}
        case FAILED -> {
          if (deleted.exceptionNow() instanceof OperatorException failure) {
            throw failure;
          }
          throw new IllegalStateException(deleted.exceptionNow());
        }
        case CANCELLED, RUNNING -> throw new IllegalStateException("nobody cancels these");
      }
    }
  }

  /** Uploads that were begun and never completed cost room, and no list of objects shows them. */
  @Override
  public void sweep(String prefix) {
    sweep(prefix, Instant.now().minus(STALE_AFTER));
  }

  void sweep(String prefix, Instant limit) {
    String keys = location.key(ObjectName.checkPrefix(prefix));
    try {
      List<MultipartUpload> stale =
          client
              .listMultipartUploadsPaginator(asked -> asked.bucket(location.bucket()).prefix(keys))
              .uploads()
              .stream()
              .filter(upload -> upload.initiated().isBefore(limit))
              .toList();
      for (MultipartUpload upload : stale) {
        abort(upload.key(), upload.uploadId());
      }
    } catch (S3Exception e) {
      // Not everybody may list uploads, and not every server can. Cleaning is a courtesy; the
      // backup it comes with must not fail for it.
      if (e.statusCode() != 403 && e.statusCode() != 405 && e.statusCode() != 501) {
        throw failure("clean up", prefix, e);
      }
    } catch (SdkException e) {
      throw failure("clean up", prefix, e);
    }
    String trials = location.key(TRIAL);
    eachPageOfKeys(
        trials,
        prefix,
        null,
        page -> {
          for (S3Object trial : page.contents()) {
            if (trial.lastModified().isBefore(limit)) {
              deleteQuietly(trial.key());
            }
          }
        });
  }

  /** Drops an upload; nothing happens when it is gone. What cannot be dropped is swept by age. */
  void abort(String key, String upload) {
    try {
      client.abortMultipartUpload(
          asked -> asked.bucket(location.bucket()).key(key).uploadId(upload));
    } catch (SdkException e) {
      return;
    }
  }

  OperatorException failure(String verb, String name, SdkException e) {
    return failure.of(cannot(verb, name), e);
  }

  private String cannot(String verb, String name) {
    return verb.equals("write to")
        ? "cannot write to " + location()
        : "cannot %s %s in %s".formatted(verb, name.isEmpty() ? "objects" : name, location());
  }
}
