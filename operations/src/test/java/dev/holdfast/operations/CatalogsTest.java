package dev.holdfast.operations;

import static org.assertj.core.api.Assertions.assertThat;

import dev.holdfast.postgres.Catalog;
import dev.holdfast.postgres.CatalogReader;
import dev.holdfast.postgres.PostgresUrl;
import dev.holdfast.store.ClusterStore;
import dev.holdfast.store.Repository;
import java.time.Duration;
import org.junit.jupiter.api.DisplayNameGeneration;
import org.junit.jupiter.api.DisplayNameGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@DisplayNameGeneration(DisplayNameGenerator.ReplaceUnderscores.class)
final class CatalogsTest {
  @Test
  @Timeout(180)
  void a_table_seen_first_at_a_position_that_another_reader_took_is_recorded_nevertheless()
      throws Exception {
    try (ProtectedServer production = ProtectedServer.start(16)) {
      var server = production.server;
      ClusterStore cluster = Repository.open(production.repository).cluster(ProtectedServer.NAME);
      production.caughtUp();
      production.stopRecording();
      server.execute("CREATE TABLE late ()", "CHECKPOINT");
      PostgresUrl url = PostgresUrl.parse(server.url("postgres"));
      Catalog with = CatalogReader.read(url);
      while (!with.lsn().equals(with.readThrough())) {
        with = CatalogReader.read(url); // who reads first sets hint bits, which is WAL
      }
      Catalog without = without("late", with);

      // As a backup does that begins to read just before the table is there.
      assertThat(Catalogs.put(cluster, without)).isTrue();

      assertThat(Catalogs.put(cluster, without)).as("the same again").isTrue();
      assertThat(Catalogs.put(cluster, with)).isFalse();
      String sessions = "SELECT sessions FROM pg_stat_database WHERE datname = 'template1'";
      long before = Long.parseLong(server.value(sessions));
      production.record();
      while (Long.parseLong(server.value(sessions)) == before) {
        Thread.sleep(Duration.ofMillis(50)); // only readers of catalogs come there
      }
      production.awaitRecorded("late");
    }
  }

  private static Catalog without(String table, Catalog catalog) {
    return new Catalog(
        catalog.lsn(),
        catalog.takenAt(),
        catalog.major(),
        catalog.databases().stream()
            .map(database ->
                new Catalog.Database(
                    database.oid(),
                    database.name(),
                    database.tablespace(),
                    database.readable(),
                    database.relations().stream()
                        .filter(relation -> !relation.name().equals(table))
                        .toList(),
                    database.schemas(),
                    database.place(),
                    database.guardTriggers()))
            .toList(),
        catalog.readThrough(),
        catalog.oldestRunning());
  }
}
