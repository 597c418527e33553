package dev.holdfast.store;

import dev.holdfast.store.objects.ObjectStore;
import dev.holdfast.store.objects.ObjectStoreContract;
import dev.holdfast.store.s3.S3ObjectStore;
import dev.holdfast.testkit.S3Server;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;

/** An encrypted bucket keeps an object store's promises. */
final class SealedBucketTest extends ObjectStoreContract {
  private static final DataKey KEY = DataKey.generate();

  private static S3Server server;
  private static S3Server.Environment environment;
  private static int opened;

  private ObjectStore store;

  @BeforeAll
  static void start() {
    server = S3Server.start("acme-backups");
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
    store = new SealedObjects(S3ObjectStore.open("s3://acme-backups/run/" + opened), KEY);
  }

  @Override
  protected ObjectStore store() {
    return store;
  }
}
