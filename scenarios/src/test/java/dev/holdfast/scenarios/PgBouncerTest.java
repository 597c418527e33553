package dev.holdfast.scenarios;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;

/** psql, node-postgres and Sequelize behind PgBouncer in transaction mode. */
final class PgBouncerTest extends MeetsTheGuard {
  private final NodeClients node = NodeClients.start();
  private final Map<Integer, PgBouncer> poolers = new HashMap<>();

  @Override
  List<Client> clients() {
    return List.of(new PsqlClient(), node.pg(), node.sequelize());
  }

  /** The sessions that a pooler holds keep a database from being dropped, guarded or not. */
  @Override
  Stream<Deed> deeds() {
    return super.deeds().filter(deed -> deed.act().isRefusedByTheGuard());
  }

  @Override
  Address address(GuardedDatabase database) {
    Address direct = database.address();
    PgBouncer pooler =
        poolers.computeIfAbsent(direct.port(), port -> PgBouncer.before(port, direct.user()));
    return direct.behind(pooler.port());
  }

  @AfterAll
  void stopPoolers() {
    poolers.values().forEach(PgBouncer::close);
    node.close();
  }
}
