package dev.holdfast.store;

import dev.holdfast.store.local.LocalObjectStore;
import dev.holdfast.store.objects.ObjectStore;
import dev.holdfast.store.objects.ObjectStoreContract;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;

/** An encrypted directory keeps an object store's promises. */
final class SealedDirectoryTest extends ObjectStoreContract {
  private static final DataKey KEY = DataKey.generate();

  @TempDir private Path temporary;
  private ObjectStore store = new SealedObjects(new LocalObjectStore(Path.of("unused")), KEY);

  @BeforeEach
  void open() {
    store = new SealedObjects(new LocalObjectStore(temporary.resolve("store")), KEY);
  }

  @Override
  protected ObjectStore store() {
    return store;
  }
}
