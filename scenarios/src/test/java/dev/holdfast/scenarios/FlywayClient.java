package dev.holdfast.scenarios;

import java.util.List;
import org.flywaydb.core.Flyway;

/** Flyway's migrations, and its {@code clean}. */
final class FlywayClient implements Client {
  private static final Act CLEAN =
      Act.of(
          "clean",
          "table public.users",
          "table public.orders",
          "table public.flyway_schema_history");

  @Override
  public String name() {
    return "flyway";
  }

  @Override
  public List<Act> acts() {
    return List.of(CLEAN);
  }

  @Override
  public Outcome ordinary(Address database) {
    return Outcome.ofDoing(() -> {
      flyway(database, "1").migrate();
      flyway(database, "latest").migrate();
      flyway(database, "latest").validate();
    });
  }

  @Override
  public Outcome commit(Act act, Address database) {
    return Outcome.ofDoing(() -> flyway(database, "latest").clean());
  }

  private static Flyway flyway(Address database, String target) {
    return Flyway.configure()
        .dataSource(database.jdbcUrl(), database.user(), "")
        .locations("classpath:flyway")
        .target(target)
        .cleanDisabled(false) // as whoever needs it once for their tests sets it for good
        .load();
  }
}
