package dev.holdfast.scenarios;

import java.util.List;
import org.junit.jupiter.api.AfterAll;

/** The clients from npm. What each act is, is in its program, src/test/node. */
final class NodeClientsTest extends MeetsTheGuard {
  private static final String USERS = "table public.users";
  private static final String ORDERS = "table public.orders";
  private static final String ALL_USERS = Client.PEOPLE + " rows of public.users";
  private static final String ALL_ORDERS = Client.ORDERS + " rows of public.orders";
  private static final String EMAIL = "column public.users.email";

  private final NodeClients node = NodeClients.start();

  @Override
  List<Client> clients() {
    return List.of(
        node.pg(),
        node.sequelize(),
        node.client(
            "knex",
            Act.of("migrate:rollback --all", USERS, ORDERS, "3 rows of public.knex_migrations"),
            Act.of("truncate()", ALL_ORDERS),
            Act.of("del()", ALL_USERS, ALL_ORDERS)),
        node.client(
            "typeorm",
            Act.of("schema:drop", USERS, ORDERS),
            Act.of("synchronize(true)", ALL_USERS, ALL_ORDERS),
            Act.of("synchronize() after a property was removed", EMAIL),
            Act.of("synchronize() after a type was changed", "values of public.users.email"),
            Act.of("clear()", ALL_ORDERS)),
        node.client(
            "drizzle",
            Act.of("DROP SCHEMA", USERS, ORDERS, "table drizzle.__drizzle_migrations"),
            Act.of("drizzle-seed reset()", ALL_USERS, ALL_ORDERS),
            Act.of("delete()", ALL_USERS, ALL_ORDERS)),
        node.client(
            "prisma",
            Act.of("migrate reset", USERS, ORDERS, "table public._prisma_migrations"),
            Act.of("DROP SCHEMA alone", USERS, ORDERS, "table public._prisma_migrations"),
            Act.of("db push --accept-data-loss", EMAIL)),
        node.client(
            "node-pg-migrate",
            Act.of("down", USERS, ORDERS, "3 rows of public.pgmigrations"),
            Act.of("down 1", "column public.users.nickname", "1 rows of public.pgmigrations")));
  }

  @AfterAll
  void stopNode() {
    node.close();
  }
}
