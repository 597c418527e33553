package dev.holdfast.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.BooleanSupplier;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class WritebackTest {
  @TempDir Path temporary;

  /**
   * The system tells a failure once: were it kept quiet here, a restore would be called durable.
   */
  @Test
  @Timeout(60)
  void what_cannot_be_brought_to_the_disk_is_told_to_whoever_writes_on_and_in_the_end()
      throws Exception {
    Path fine = Files.write(temporary.resolve("fine"), new byte[100]);
    Writeback writeback = new Writeback();
    writeback.written(fine);
    writeback.written(fine.resolve("in-a-file"));
    awaitThat(() -> {
      try {
        writeback.written(fine);
        return false;
      } catch (IOException e) {
        return isNotAFolder(e);
      }
    });
    assertThatThrownBy(writeback::close).isInstanceOf(FileSystemException.class);
  }

  private static boolean isNotAFolder(IOException e) {
    return e instanceof FileSystemException of && "Not a directory".equals(of.getReason());
  }

  /** WAL that lies past the target is fetched to be looked at, and removed. */
  @Test
  @Timeout(60)
  void a_file_that_was_removed_is_no_failure() throws Exception {
    Path gone = temporary.resolve("gone");
    Path fine = Files.write(temporary.resolve("fine"), new byte[100]);
    try (Writeback writeback = new Writeback()) {
      for (int time = 0; time < 200; time++) {
        writeback.written(gone);
        writeback.written(fine);
        Thread.sleep(1); // so that it is looked at, not only told
      }
    }
  }

  @Test
  @Timeout(60)
  void its_thread_ends_with_it_whatever_is_waiting() throws Exception {
    List<Path> files = new ArrayList<>();
    for (int file = 0; file < 500; file++) {
      files.add(Files.write(temporary.resolve("f" + file), new byte[10_000]));
    }
    long before = threads();
    try (Writeback writeback = new Writeback()) {
      for (Path file : files) {
        writeback.written(file);
      }
      assertThat(threads()).isEqualTo(before + 1);
    }
    assertThat(threads()).isEqualTo(before);
  }

  private static long threads() {
    return Thread.getAllStackTraces().keySet().stream()
        .filter(thread -> thread.getName().equals("writeback"))
        .count();
  }

  private static void awaitThat(BooleanSupplier condition) throws InterruptedException {
    while (!condition.getAsBoolean()) {
      Thread.sleep(5); // nothing tells; @Timeout bounds it
    }
  }
}
