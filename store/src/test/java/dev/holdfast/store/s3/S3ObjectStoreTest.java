package dev.holdfast.store.s3;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.holdfast.store.objects.ObjectExistsException;
import dev.holdfast.store.objects.ObjectStore;
import dev.holdfast.store.objects.ObjectStoreContract;
import dev.holdfast.store.objects.ObjectWriter;
import dev.holdfast.testkit.S3Server;
import java.time.Instant;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Executors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import software.amazon.awssdk.core.sync.RequestBody;
import software.amazon.awssdk.services.s3.model.MultipartUpload;

/** A bucket, through the real SDK, on a real server. */
final class S3ObjectStoreTest extends ObjectStoreContract {
  private static final int MIB = 1 << 20;

  private static S3Server server;
  private static S3Server.Environment environment;
  private static int opened;

  private S3ObjectStore store;

  @BeforeAll
  static void start() {
    server = S3Server.start("acme-backups", "root");
    environment = S3Server.environment(server.endpoint());
  }

  @AfterAll
  static void stop() {
    environment.close();
    server.close();
  }

  @BeforeEach
  void open() {
    opened++;
    store = S3ObjectStore.open("s3://acme-backups/run/" + opened);
  }

  @Override
  protected ObjectStore store() {
    return store;
  }

  @Test
  void many_threads_store_more_objects_than_a_page_of_a_list_holds() throws Exception {
    int objects = 1_050;
    try (var threads = Executors.newFixedThreadPool(8)) {
      var puts =
          IntStream.range(0, objects)
              .mapToObj(i -> threads.submit(() -> store.put("a/%04d".formatted(i), bytes("x"))))
              .toList();
      for (var put : puts) {
        put.get();
      }
    }
    List<String> expected = IntStream.range(0, objects).mapToObj("%04d"::formatted).toList();
    assertThat(store.children("a/")).isEqualTo(expected);
    assertThat(store.list("a/"))
        .extracting(ObjectStore.StoredObject::name)
        .isEqualTo(expected.stream().map(child -> "a/" + child).toList());
    assertThat(store.folders("")).containsExactly("a");
  }

  @ParameterizedTest
  @ValueSource(ints = {8 * MIB - 1, 8 * MIB, 8 * MIB + 1, 16 * MIB, 20 * MIB + 7})
  void an_object_of_any_number_of_parts_is_read_back_exactly(int length) {
    byte[] content = new byte[length];
    new Random(length).nextBytes(content);
    try (ObjectWriter writer = store.create("x/big")) {
      for (int at = 0; at < length; at += 700_001) {
        writer.write(content, at, Math.min(700_001, length - at));
        assertThat(store.exists("x/big")).isFalse();
      }
      writer.commit();
    }
    assertThat(store.get("x/big")).isEqualTo(content);
    int boundary = Math.min(8 * MIB, length) - 5;
    assertThat(store.get("x/big", boundary, 10))
        .isEqualTo(Arrays.copyOfRange(content, boundary, Math.min(length, boundary + 10)));
    assertThat(store.list(""))
        .singleElement()
        .satisfies(object -> assertThat(object.bytes()).isEqualTo(length))
        .satisfies(object ->
            assertThat(object.modifiedAt())
                .isBetween(Instant.now().minusSeconds(600), Instant.now().plusSeconds(600)));
    assertThat(uploads()).isEmpty();
  }

  @Test
  void an_object_in_parts_does_not_take_the_place_of_one_that_came_meanwhile() {
    try (ObjectWriter writer = store.create("x")) {
      writer.write(new byte[9 * MIB], 0, 9 * MIB);
      store.put("x", bytes("fast"));
      assertThatThrownBy(writer::commit).isInstanceOf(ObjectExistsException.class);
    }
    assertThat(store.get("x")).isEqualTo(bytes("fast"));
    assertThat(uploads()).as("aborted when the writer was closed").isEmpty();
  }

  @Test
  void five_terabytes_fit_into_an_upload() {
    long bytes = 0;
    for (int part = 0; part < S3Writer.PARTS_MAX; part++) {
      assertThat(S3Writer.partBytes(part)).isGreaterThanOrEqualTo(5 * MIB);
      bytes += S3Writer.partBytes(part);
    }
    assertThat(bytes).isGreaterThan(5L << 40);
    assertThat(S3Writer.partBytes(999)).as("up to 8 GB").isEqualTo(8 * MIB);
  }

  @Test
  void a_writer_killed_in_the_middle_leaves_nothing_to_be_seen_and_its_parts_go_after_a_day() {
    ObjectWriter killed = store.create("a/killed"); // never closed
    killed.write(new byte[17 * MIB], 0, 17 * MIB);
    ObjectWriter elsewhere = store.create("b/other");
    elsewhere.write(new byte[9 * MIB], 0, 9 * MIB);
    assertThat(store.list("")).isEmpty();
    assertThat(store.children("")).isEmpty();
    assertThat(store.exists("a/killed")).isFalse();
    assertThat(uploads()).hasSize(2);

    store.sweep("a/");
    assertThat(uploads()).as("they may be at work").hasSize(2);
    store.sweep("a/", Instant.now().plusSeconds(3600)); // as if a day had passed
    assertThat(uploads())
        .extracting(MultipartUpload::key)
        .containsExactly("run/%d/b/other".formatted(opened));

    store.put("a/killed", bytes("again"));
    assertThat(store.get("a/killed")).isEqualTo(bytes("again"));
    elsewhere.close();
    assertThat(uploads()).isEmpty();
  }

  @Test
  void what_others_keep_in_the_bucket_is_not_seen() {
    store.put("a/b", bytes("x"));
    for (String key : new String[] {"a/", "empty/", "a/.DS_Store", ".git/config", "with space"}) {
      store
          .client()
          .putObject(
              asked -> asked.bucket("acme-backups").key("run/%d/%s".formatted(opened, key)),
              RequestBody.empty());
    }
    // A neighbour whose prefix begins with ours.
    S3ObjectStore.open("s3://acme-backups/run/" + opened + "0").put("neighbour", bytes("x"));
    assertThat(store.list("")).extracting(ObjectStore.StoredObject::name).containsExactly("a/b");
    assertThat(store.children("a/")).containsExactly("b");
    assertThat(store.folders("")).contains("a").doesNotContain(".git");
  }

  @Test
  void a_whole_bucket_can_be_the_place() {
    S3ObjectStore root = S3ObjectStore.open("s3://root/");
    assertThat(root.location()).isEqualTo("s3://root");
    root.put("holdfast.json", bytes("x"));
    assertThat(root.list(""))
        .extracting(ObjectStore.StoredObject::name)
        .containsExactly("holdfast.json");
    assertThat(S3ObjectStore.open("s3://root").get("holdfast.json")).isEqualTo(bytes("x"));
  }

  @Test
  void the_trial_of_conditions_leaves_nothing_and_what_a_crash_left_of_it_is_swept() {
    store.put("a", bytes("x"));
    assertThat(keys("acme-backups", "run/" + opened + "/"))
        .containsExactly("run/%d/a".formatted(opened));
    String left = "run/%d/%sleft".formatted(opened, S3ObjectStore.TRIAL);
    store.client().putObject(asked -> asked.bucket("acme-backups").key(left), RequestBody.empty());
    assertThat(store.list("")).hasSize(1);
    store.sweep("");
    assertThat(keys("acme-backups", left)).containsExactly(left);
    store.sweep("", Instant.now().plusSeconds(3600));
    assertThat(keys("acme-backups", left)).isEmpty();
  }

  private List<String> keys(String bucket, String prefix) {
    return store
        .client()
        .listObjectsV2(asked -> asked.bucket(bucket).prefix(prefix))
        .contents()
        .stream()
        .map(object -> object.key())
        .toList();
  }

  private List<MultipartUpload> uploads() {
    return store
        .client()
        .listMultipartUploads(asked -> asked.bucket("acme-backups").prefix("run/" + opened + "/"))
        .uploads();
  }
}
