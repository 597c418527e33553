package dev.holdfast.wal;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.server.PostgresBinaries;
import dev.holdfast.testkit.TestServer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class RecordNamesTest {
  private static final int RMGRS = 22;

  /** No workload writes every kind of record; a crafted segment has one of each. */
  @ParameterizedTest
  @ValueSource(ints = {15, 16, 17, 18})
  void every_opcode_of_every_resource_manager_is_named_as_the_server_names_it(int major)
      throws Exception {
    try (TestServer server =
        TestServer.start(PostgresBinaries.embedded(major), Map.of(), List.of("--wal-segsize=1"))) {
      server.execute("CREATE EXTENSION pg_walinspect");
      CraftedLog log = new CraftedLog(magic(major));
      List<String> ours = new ArrayList<>();
      for (int rmgr = 0; rmgr < RMGRS; rmgr++) {
        for (int info = 0; info < 0x100; info += 0x10) {
          if (rmgr == ResourceManager.TRANSACTION && info >= 0x80) {
            continue; // told by its opcode, whatever the flag above it says
          }
          ours.add(ResourceManager.name(rmgr) + "/" + RecordNames.of(major, rmgr, info));
          if (rmgr != ResourceManager.XLOG || info != 0x40) {
            log.record(rmgr, info, 0, new byte[0]);
          }
        }
      }
      log.switchSegment();
      log.record(10); // the server looks for what follows
      SegmentName name = SegmentName.containing(CraftedLog.START, 1, CraftedLog.SEGMENT);
      Path folder = server.server().data().resolve("pg_wal");
      byte[] both = log.segments();
      Files.write(folder.resolve(name.toString()), Arrays.copyOf(both, CraftedLog.SEGMENT));
      Files.write(
          folder.resolve(name.next().toString()),
          Arrays.copyOfRange(both, CraftedLog.SEGMENT, both.length));

      List<String> theirs =
          server.query(
              "SELECT \"resource_manager/record_type\" FROM pg_get_wal_stats('%s', '%s', true)"
                  .formatted(CraftedLog.START.plus(40), CraftedLog.START.plus(CraftedLog.SEGMENT)));

      assertThat(ours).isEqualTo(theirs);
    }
  }

  @Test
  void version_14_differs_from_15_in_making_databases_alone() {
    for (int rmgr = 0; rmgr < RMGRS; rmgr++) {
      for (int info = 0; info < 0x100; info += 0x10) {
        if (rmgr != ResourceManager.DATABASE) {
          assertThat(RecordNames.of(14, rmgr, info)).isEqualTo(RecordNames.of(15, rmgr, info));
        }
      }
    }
    assertThat(RecordNames.of(14, ResourceManager.DATABASE, 0x00)).isEqualTo("CREATE");
    assertThat(RecordNames.of(14, ResourceManager.DATABASE, 0x10)).isEqualTo("DROP");
    assertThat(RecordNames.of(14, ResourceManager.DATABASE, 0x20)).isEqualTo("UNKNOWN (20)");
  }

  @Test
  void the_framings_own_bits_and_the_transactions_flag_do_not_change_a_name() {
    assertThat(RecordNames.of(18, ResourceManager.STORAGE, 0x11)).isEqualTo("CREATE");
    assertThat(RecordNames.of(18, ResourceManager.TRANSACTION, 0x81)).isEqualTo("COMMIT");
    assertThat(RecordNames.of(18, 200, 0x31)).isEqualTo("UNKNOWN (30)");
  }

  private static int magic(int major) {
    return switch (major) {
      case 15 -> 0xD110;
      case 16 -> 0xD113;
      case 17 -> 0xD116;
      case 18 -> 0xD118;
      default -> throw new IllegalArgumentException("PostgreSQL " + major);
    };
  }
}
