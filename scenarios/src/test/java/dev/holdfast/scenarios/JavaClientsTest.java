package dev.holdfast.scenarios;

import java.util.List;

/** The clients from Maven Central. */
final class JavaClientsTest extends MeetsTheGuard {
  @Override
  List<Client> clients() {
    return List.of(
        new FlywayClient(), new LiquibaseClient(), new HibernateClient(), new MyBatisClient());
  }
}
